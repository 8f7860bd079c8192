//! The tables that the host passes to `plugin_init`, and the calls during which they are open.

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use falco_plugin_api::{
    ss_plugin_init_input, ss_plugin_init_tables_input, ss_plugin_owner_t, ss_plugin_table_fields_vtable_ext,
    ss_plugin_table_reader_vtable_ext, ss_plugin_table_writer_vtable_ext,
};
use falco_plugin_api_table::SUCCESS;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::table::{HostTable, HostTables, OwnTable, TableRequest};

use super::call::{Call, Handle, Leftover};
use super::exported::Exported;
use super::open;
use crate::per_thread::PerThread;
use crate::strings::Errors;

type LastError = unsafe extern "C-unwind" fn(*mut ss_plugin_owner_t) -> *const c_char;

/// The host's side of the tables of one plugin.
pub(crate) struct Host {
    owner: *mut ss_plugin_owner_t,
    last_error: Option<LastError>,
    /// `None` before and after init.
    init: Mutex<Option<Init>>,
    calls: PerThread<Call>,
    last_serial: AtomicU64,
    /// Whether the plugin has opened a table. Without one, calls of the host need no preparation.
    is_used: AtomicBool,
    /// The tables that the plugin has added. The host keeps their addresses.
    added: Mutex<Vec<Arc<Exported>>>,
    errors: Arc<Errors>,
}

/// The functions that the host passes to init.
#[derive(Clone, Copy)]
pub(super) struct Init {
    thread: ThreadId,
    pub(super) tables: ss_plugin_init_tables_input,
    pub(super) fields: ss_plugin_table_fields_vtable_ext,
}

// SAFETY: the host's owner may be used from any thread of a call by the plugin API. `Init` has only functions and
// addresses of structs that are read during init, on its thread.
unsafe impl Send for Host {}
// SAFETY: as above. Everything that changes is in a lock, atomic, or of one thread.
unsafe impl Sync for Host {}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

impl Host {
    /// # Safety
    /// The input is NULL or the host's, valid during the call; its owner and function for errors until `destroy`.
    pub(crate) unsafe fn new(input: *const ss_plugin_init_input, errors: Arc<Errors>) -> Arc<Self> {
        // SAFETY: the caller's promise.
        let input = unsafe { input.as_ref() };
        Arc::new(Self {
            owner: input.map_or(std::ptr::null_mut(), |input| input.owner),
            last_error: input.and_then(|input| input.get_owner_last_error),
            init: Mutex::default(),
            calls: PerThread::default(),
            last_serial: AtomicU64::new(0),
            is_used: AtomicBool::new(false),
            added: Mutex::default(),
            errors,
        })
    }

    /// Opens the tables for init, until the result is dropped. Does nothing if the host passes no tables.
    ///
    /// # Safety
    /// The input is NULL or the host's, and valid while the result exists.
    pub(crate) unsafe fn begin_init(&self, input: *const ss_plugin_init_input) -> InitCall<'_> {
        // SAFETY: the caller's promise. A member that is not NULL points to a whole struct.
        let tables = unsafe { input.as_ref().and_then(|input| input.tables.as_ref()) };
        // SAFETY: as above.
        let fields = tables.and_then(|tables| unsafe { tables.fields_ext.as_ref() });
        if let (Some(tables), Some(fields)) = (tables, fields) {
            *self.init() = Some(Init {
                thread: thread::current().id(),
                tables: *tables,
                fields: *fields,
            });
            self.calls
                .with(|call| call.begin(tables.reader_ext.cast_const(), tables.writer_ext.cast_const()));
        }
        InitCall(self)
    }

    /// Opens the tables for a call of the host, until the result is dropped. `writer` is NULL if the call must not change
    /// tables.
    ///
    /// # Safety
    /// Both tables of functions are NULL or the host's, and valid while the result exists.
    #[inline]
    pub(crate) unsafe fn begin(
        &self,
        reader: *const ss_plugin_table_reader_vtable_ext,
        writer: *const ss_plugin_table_writer_vtable_ext,
    ) -> OpenCall<'_> {
        if !self.is_used.load(Ordering::Relaxed) {
            return OpenCall(None);
        }
        let begun = self.calls.cell().filter(|call| {
            let begun = call.try_borrow_mut().map(|mut call| call.begin(reader, writer));
            begun.is_ok()
        });
        OpenCall(begun.map(|call| (self, call)))
    }

    #[inline]
    fn end(&self, call: &RefCell<Call>) {
        let leftover = call.try_borrow_mut().ok().and_then(|mut call| call.end());
        if let Some(leftover) = leftover {
            self.release_all(&leftover);
            if let Ok(mut call) = call.try_borrow_mut() {
                call.reuse(leftover);
            }
        }
    }

    fn release_all(&self, leftover: &Leftover) {
        // SAFETY: the functions are those of the call that ends now, which are still valid.
        let release = unsafe { leftover.reader.as_ref() }.and_then(|reader| reader.release_table_entry);
        if let Some(release) = release {
            for Handle { table, entry } in leftover.handles() {
                // SAFETY: the entry was obtained from the table during this call, and was not released.
                unsafe { release(table, entry) };
            }
        }
    }

    fn init(&self) -> MutexGuard<'_, Option<Init>> {
        self.init.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the functions that the host passed to init.
    ///
    /// # Errors
    /// The host passed none, or init has ended, or runs on another thread.
    fn during_init(&self) -> Result<Init, Error> {
        let init = (*self.init()).filter(|init| init.thread == thread::current().id());
        init.ok_or_else(|| {
            Error::text(
                "the host passes no tables here: it does so only during init, on its thread, and only to a plugin that \
                 has fields or parses events",
            )
        })
    }

    /// Runs code on the call that this thread is in.
    ///
    /// # Errors
    /// It is in none.
    #[inline]
    pub(super) fn with_call<R>(&self, code: impl FnOnce(&mut Call) -> R) -> Result<R, Error> {
        self.call().with(code)
    }

    /// Returns the call that this thread is in, for code that uses it more than once.
    #[inline]
    pub(super) fn call(&self) -> ThreadCall<'_> {
        ThreadCall(self.calls.cell())
    }

    /// Returns a new number for a call.
    pub(super) fn next_serial(&self) -> u64 {
        self.last_serial.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns the error of a function that failed, with the host's own message if there is one.
    #[cold]
    pub(super) fn failure(&self, doing: &str) -> Error {
        // SAFETY: the host's function may be called with its owner during the plugin's life. The string is NULL or
        // NUL-terminated, and is copied.
        let message = self.last_error.and_then(|last_error| unsafe {
            let message = last_error(self.owner);
            (!message.is_null()).then(|| CStr::from_ptr(message).to_string_lossy().into_owned())
        });
        match message.filter(|message| !message.is_empty()) {
            Some(message) => Error::text(format!("{doing} failed: {message}")),
            None => Error::text(format!("{doing} failed, and the host gave no reason")),
        }
    }

    pub(super) fn owner(&self) -> *mut ss_plugin_owner_t {
        self.owner
    }
}

/// The host's tables, as the plugin opens and adds them during init.
#[derive(Debug)]
pub(crate) struct Tables(pub(crate) Arc<Host>);

impl HostTables for Tables {
    fn open(&self, request: &TableRequest) -> Result<Option<Arc<dyn HostTable>>, Error> {
        let Self(host) = self;
        let init = host.during_init()?;
        let opened = open::table(host, &init, request)?;
        if opened.is_some() {
            host.is_used.store(true, Ordering::Relaxed);
        }
        Ok(opened.map(|table| table as Arc<dyn HostTable>))
    }

    fn add(&self, table: Arc<OwnTable>) -> Result<(), Error> {
        let Self(host) = self;
        let init = host.during_init()?;
        let name = table.name().to_string_lossy().into_owned();
        let doing = format!("adding the table {name}");
        let add = init.tables.add_table.ok_or_else(|| host.failure(&doing))?;
        let exported = Exported::new(table, Arc::clone(&host.errors));
        let input = exported.input();
        // SAFETY: during init, on its thread. The host copies the struct; what its pointers refer to exists until the
        // plugin is destroyed.
        let rc = unsafe { add(host.owner, &raw const input) };
        if rc != SUCCESS {
            return Err(host.failure(&doing));
        }
        host.added.lock().unwrap_or_else(PoisonError::into_inner).push(exported);
        Ok(())
    }
}

#[cold]
fn outside() -> Error {
    Error::text(
        "tables of the host and of other plugins work only while the host calls the plugin, on the thread of that call: \
         in init, in parse methods, in fields, and in capture_open and capture_close",
    )
}

/// Ends init when it is dropped.
pub(crate) struct InitCall<'a>(&'a Host);

impl Drop for InitCall<'_> {
    fn drop(&mut self) {
        if self.0.init().take().is_some()
            && let Some(call) = self.0.calls.cell()
        {
            self.0.end(call);
        }
    }
}

/// The call that a thread is in, if it is in one.
#[derive(Clone, Copy)]
pub(super) struct ThreadCall<'a>(Option<&'a RefCell<Call>>);

impl ThreadCall<'_> {
    /// Runs code on the call.
    ///
    /// # Errors
    /// The thread is in none.
    #[inline]
    pub(super) fn with<R>(self, code: impl FnOnce(&mut Call) -> R) -> Result<R, Error> {
        let call = self.0.and_then(|call| call.try_borrow_mut().ok());
        match call {
            Some(mut call) if call.is_open() => Ok(code(&mut call)),
            _ => Err(outside()),
        }
    }
}

/// Ends a call of the host when it is dropped, and releases its entries.
pub(crate) struct OpenCall<'a>(Option<(&'a Host, &'a RefCell<Call>)>);

impl Drop for OpenCall<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some((host, call)) = self.0 {
            host.end(call);
        }
    }
}
