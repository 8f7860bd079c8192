//! The host's log function, for as long as the host lends it.

use std::cell::Cell;
use std::ffi::c_char;
use std::fmt;
use std::io::{self, Write};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use falco_plugin_api::{ss_plugin_init_input, ss_plugin_log_fn_t, ss_plugin_owner_t};

use crate::fork;
use crate::strings::to_c_string;

/// `ss_plugin_log_severity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Severity {
    Fatal = 1,
    Critical = 2,
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
    Trace = 8,
}

/// Where one plugin state logs to: the host until destroy, stderr afterwards.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    open: AtomicBool,
    slot: Mutex<Option<Slot>>,
}

struct Slot {
    owner: *mut ss_plugin_owner_t,
    function: ss_plugin_log_fn_t,
}

// SAFETY: owner and function are the host's, which allows its log function to be called from any thread until destroy;
// the lock around the slot keeps calls and the clearing by destroy apart.
unsafe impl Send for Slot {}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

impl Log {
    /// # Safety
    /// `input` is valid for reads, and its owner and log function stay usable until [`Log::clear`].
    pub(crate) unsafe fn new(input: *const ss_plugin_init_input) -> Self {
        // SAFETY: by the caller's promise; the fields are plain pointers.
        let slot = unsafe {
            Slot {
                owner: (*input).owner,
                function: (*input).log_fn,
            }
        };
        Self(Arc::new(Shared {
            open: AtomicBool::new(true),
            slot: Mutex::new(Some(slot)),
        }))
    }

    /// Logs one text. From within the host's own log function it goes to stderr: a host in Python may log there.
    pub fn log(&self, severity: Severity, text: &str) {
        if fork::is_child() {
            // The host's log is the parent's.
            return fork::write_line(text);
        }
        thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });
        if INSIDE.try_with(|inside| inside.replace(true)).unwrap_or(false) {
            return to_stderr(text);
        }
        let slot = self.lock();
        match &*slot {
            Some(Slot {
                owner,
                function: Some(function),
            }) => {
                let text = to_c_string(text);
                // SAFETY: the slot is still filled, so the host has not been told to take its log function back; it
                // accepts NULL as component for the plugin's own name.
                unsafe { function(*owner, ptr::null::<c_char>(), text.as_ptr(), severity as u32) };
            }
            _ => to_stderr(text),
        }
        drop(slot);
        let _ = INSIDE.try_with(|inside| inside.set(false));
    }

    /// Whether the host still takes log lines. Waits for nothing.
    pub fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Acquire)
    }

    /// Takes the host's log function away; a call that is under way ends first.
    pub(crate) fn clear(&self) {
        self.0.open.store(false, Ordering::Release);
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Slot>> {
        // The slot is only ever emptied as a whole.
        self.0.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where stderr is gone too, there is nowhere left to say so.
fn to_stderr(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
