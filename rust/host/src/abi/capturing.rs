//! The calls of a plugin at the beginning and at the end of a capture.

use std::ffi::c_char;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use falco_plugin_api::{
    ss_plugin_capture_listen_input, ss_plugin_event, ss_plugin_owner_t, ss_plugin_rc,
    ss_plugin_rc_SS_PLUGIN_FAILURE as FAILURE, ss_plugin_rc_SS_PLUGIN_SUCCESS as SUCCESS, ss_plugin_routine_fn_t,
    ss_plugin_routine_state_t, ss_plugin_routine_t, ss_plugin_routine_vtable,
};

use crate::abi::async_events::{AsyncEvent, AsyncQueue, AsyncSender};
use crate::abi::error::Error;
use crate::abi::owner::{self, Owner, Receiver, Severity};
use crate::abi::plugin::{MESSAGE_LENGTH, Plugin};
use crate::abi::tables;
use crate::text::timestamp;

/// The size of a plugin's buffer for a message of the host, in bytes.
const BUFFER_SIZE: usize = falco_plugin_api::PLUGIN_MAX_ERRLEN as usize;

/// The async events of a plugin, which the host only counts. Call [`Self::end`], because the plugin sends until then.
pub struct Counting<'p> {
    plugin: &'p Plugin<'p>,
}

impl Counting<'_> {
    /// Returns the number of events so far, and their bytes.
    pub fn counts(&self) -> (u64, u64) {
        let [events, bytes] = &self.plugin.owner.counted;
        (events.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
    }

    /// Ends the plugin's async events.
    pub fn end(self) -> Result<(), Error> {
        self.plugin.reset_async_event_handler()
    }
}

impl Plugin<'_> {
    /// Lets the plugin send async events, which are only counted. Fails if the plugin sends none or refuses the handler.
    pub fn count_async_events(&self) -> Result<Counting<'_>, Error> {
        let set = self.library.functions.set_async_event_handler;
        let set = set.ok_or(Error::NotASender)?;
        // SAFETY: as in `set_async_event_handler`.
        match unsafe { set(self.state, self.owner.as_ptr(), Some(count_async_event)) } {
            SUCCESS => Ok(Counting { plugin: self }),
            _ => Err(self.failure("set_async_event_handler", MESSAGE_LENGTH)),
        }
    }
    /// Lets the plugin send async events into a queue. Fails if the plugin refuses the handler.
    pub fn set_async_event_handler(&self, sender: AsyncSender, queue: &Arc<AsyncQueue>) -> Result<(), Error> {
        let Some(set) = self.library.functions.set_async_event_handler else {
            return Ok(());
        };
        // As in libs, set before the call, because the plugin may send events immediately.
        self.owner
            .set_receiver(Some(Receiver::Queue(sender, Arc::clone(queue))));
        // SAFETY: the state is that of an initialised plugin, and no other call uses it. The owner is never freed.
        match unsafe { set(self.state, self.owner.as_ptr(), Some(handle_async_event)) } {
            SUCCESS => Ok(()),
            _ => {
                self.owner.set_receiver(None);
                Err(self.failure("set_async_event_handler", MESSAGE_LENGTH))
            }
        }
    }

    /// Ends the plugin's async events. As in libs, the host keeps its handler if this fails.
    pub fn reset_async_event_handler(&self) -> Result<(), Error> {
        let Some(set) = self.library.functions.set_async_event_handler else {
            return Ok(());
        };
        // SAFETY: as in `set_async_event_handler`.
        match unsafe { set(self.state, self.owner.as_ptr(), None) } {
            SUCCESS => {
                self.owner.set_receiver(None);
                Ok(())
            }
            _ => Err(self.failure("set_async_event_handler", MESSAGE_LENGTH)),
        }
    }

    /// Returns the events from which the plugin's state can be made again; `None` if the plugin has no `dump_state`.
    pub fn dump_state(&self, sender: AsyncSender) -> Result<Option<Vec<AsyncEvent>>, Error> {
        let Some(dump) = self.library.functions.dump_state else {
            return Ok(None);
        };
        let previous = self.owner.set_receiver(Some(Receiver::List(sender, Vec::new())));
        // SAFETY: as in `set_async_event_handler`.
        let code = unsafe { dump(self.state, self.owner.as_ptr(), Some(handle_async_event)) };
        let dumped = match self.owner.set_receiver(previous) {
            Some(Receiver::List(_, events)) => events,
            _ => Vec::new(),
        };
        match code {
            SUCCESS => Ok(Some(dumped)),
            _ => Err(self.failure("dump_state", MESSAGE_LENGTH)),
        }
    }

    /// Notifies a plugin that listens of the beginning of a capture. As Falco, this host has no thread pool.
    pub fn capture_open(&self) -> Result<(), Error> {
        let Some(open) = self.library.functions.capture_open else {
            return Ok(());
        };
        // SAFETY: as in `set_async_event_handler`, and the input is valid for the whole call.
        match with_listen_input(self.owner, |input| unsafe { open(self.state, input) }) {
            SUCCESS => Ok(()),
            _ => Err(self.failure("capture_open", MESSAGE_LENGTH)),
        }
    }

    /// Notifies a plugin that listens of the end of a capture.
    pub fn capture_close(&self) -> Result<(), Error> {
        let Some(close) = self.library.functions.capture_close else {
            return Ok(());
        };
        // SAFETY: as in `capture_open`.
        match with_listen_input(self.owner, |input| unsafe { close(self.state, input) }) {
            SUCCESS => Ok(()),
            _ => Err(self.failure("capture_close", MESSAGE_LENGTH)),
        }
    }
}

fn with_listen_input<R>(owner: &'static Owner, call: impl FnOnce(*const ss_plugin_capture_listen_input) -> R) -> R {
    let mut routine = ss_plugin_routine_vtable {
        subscribe: Some(subscribe),
        unsubscribe: Some(unsubscribe),
    };
    let input = ss_plugin_capture_listen_input {
        owner: owner.as_ptr(),
        routine: &raw mut routine,
        // Plugins only read them.
        table_reader_ext: (&raw const tables::READER).cast_mut(),
        table_writer_ext: (&raw const tables::WRITER).cast_mut(),
        get_owner_last_error: Some(owner::get_owner_last_error),
    };
    let result = call(&raw const input);
    owner.end_call("capture_open or capture_close");
    result
}

/// Counts an async event of a plugin, on any thread.
///
/// # Safety
/// `owner` came from [`Owner::as_ptr`], and `event` points to an event.
unsafe extern "C-unwind" fn count_async_event(
    owner: *mut ss_plugin_owner_t,
    event: *const ss_plugin_event,
    _message: *mut c_char,
) -> ss_plugin_rc {
    // SAFETY: the caller's promise. Owners are never freed, and may be shared between threads. The struct is packed.
    let (owner, length) = unsafe { (Owner::from_ptr(owner), (*event).len) };
    let [events, bytes] = &owner.counted;
    events.fetch_add(1, Ordering::Relaxed);
    bytes.fetch_add(length.into(), Ordering::Relaxed);
    SUCCESS
}

/// Receives an async event of a plugin, on any thread.
///
/// # Safety
/// `owner` came from [`Owner::as_ptr`], and `event` has the length of its length member. `message` is NULL, or has space
/// for `PLUGIN_MAX_ERRLEN` bytes.
unsafe extern "C-unwind" fn handle_async_event(
    owner: *mut ss_plugin_owner_t,
    event: *const ss_plugin_event,
    message: *mut c_char,
) -> ss_plugin_rc {
    // SAFETY: the caller's promise. Owners are never freed, and may be shared between threads.
    let owner = unsafe { Owner::from_ptr(owner) };
    let received = owner.with_receiver(|receiver| match receiver {
        None => Err("async event sent with NULL handler".to_owned()),
        Some(Receiver::Queue(sender, queue)) => {
            // SAFETY: the caller's promise for the event.
            let event = unsafe { sender.receive(event) }?;
            queue.push(sender, event, timestamp::now())
        }
        Some(Receiver::List(sender, events)) => {
            // SAFETY: the caller's promise for the event.
            let mut event = unsafe { sender.receive(event) }?;
            event.set_time(timestamp::now());
            events.push(event);
            Ok(None)
        }
    });
    match received {
        Ok(dropped) => {
            if let Some(dropped) = dropped {
                owner.log(Severity::WARNING, dropped.warning());
            }
            SUCCESS
        }
        Err(text) => {
            if !message.is_null() {
                let text = crate::abi::strings::cut(text.as_bytes(), BUFFER_SIZE - 1);
                // SAFETY: the caller ensures the space for the text and its NUL.
                unsafe {
                    ptr::copy_nonoverlapping(text.as_ptr().cast(), message, text.len());
                    message.add(text.len()).write(0);
                }
            }
            FAILURE
        }
    }
}

/// Returns NULL: this host has no thread pool, as Falco.
unsafe extern "C-unwind" fn subscribe(
    _owner: *mut ss_plugin_owner_t,
    _function: ss_plugin_routine_fn_t,
    _state: *mut ss_plugin_routine_state_t,
) -> *mut ss_plugin_routine_t {
    ptr::null_mut()
}

unsafe extern "C-unwind" fn unsubscribe(
    _owner: *mut ss_plugin_owner_t,
    _routine: *mut ss_plugin_routine_t,
) -> ss_plugin_rc {
    FAILURE
}
