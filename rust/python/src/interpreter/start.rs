//! The start of Python.
//!
//! In a native host, Python is initialised once, on a separate thread. That thread is Python's main thread and then
//! parks indefinitely, because the interpreter is never finalised.

use std::env;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use falco_plugin_abi::signals;
use pyo3::ffi;
use pyo3::prelude::*;

/// Whether the SDK has started the interpreter, which is then never finalised.
static IS_OURS: AtomicBool = AtomicBool::new(false);

/// Returns whether the SDK has started the interpreter. Python then handles no signals, and is never finalised.
pub(crate) fn is_ours() -> bool {
    IS_OURS.load(Ordering::Relaxed)
}

/// Calls `start` to start Python, unless the process has an interpreter already. Returns whether this call has started it.
///
/// `start` runs on the thread that becomes Python's main thread, and returns without the GIL. If it fails after Python was
/// initialised, all later calls return its error, because an interpreter cannot be started twice.
pub(crate) fn ensure(start: impl FnOnce() -> Result<(), String> + Send + 'static) -> Result<bool, String> {
    // The error of a start that failed too late. The lock is held until the initialisation is complete, because
    // Py_IsInitialized returns true before that.
    static FAILED: Mutex<Option<String>> = Mutex::new(None);
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = &*failed {
        return Err(error.clone());
    }
    if is_initialised() {
        return Ok(false);
    }
    let (sender, started) = mpsc::channel();
    thread::Builder::new()
        .name("python-main".into())
        .spawn(move || {
            // Signals must be delivered to the threads of the host.
            signals::block_all();
            let _ = sender.send(start());
            while is_initialised() {
                thread::park();
            }
        })
        .map_err(|error| format!("cannot start a thread for Python: {error}: raise the limit of threads"))?;
    let result = started
        .recv()
        .unwrap_or_else(|_| Err("the start of Python panicked: please report it".into()));
    if let Err(error) = result {
        *failed = is_initialised().then(|| error.clone());
        return Err(error);
    }
    IS_OURS.store(true, Ordering::Release);
    Ok(true)
}

fn is_initialised() -> bool {
    // SAFETY: may be called at any time.
    unsafe { ffi::Py_IsInitialized() != 0 }
}

/// The configuration of an isolated interpreter.
pub(crate) struct Configuration(ffi::PyConfig);

/// A string of the configuration.
pub(crate) type Field = fn(&mut ffi::PyConfig) -> &mut *mut libc::wchar_t;

impl Configuration {
    /// Makes the configuration. `remedy` is a part of the error.
    fn new(remedy: &str) -> Result<Self, String> {
        // SAFETY: no interpreter exists yet, and the lock of `ensure` excludes other threads. Each struct is filled by its
        // Init function before it is used.
        unsafe {
            let mut preconfig = std::mem::zeroed::<ffi::PyPreConfig>();
            ffi::PyPreConfig_InitIsolatedConfig(&mut preconfig);
            preconfig.utf8_mode = 1;
            check(ffi::Py_PreInitialize(&preconfig), remedy)?;

            let mut config = std::mem::zeroed::<ffi::PyConfig>();
            ffi::PyConfig_InitIsolatedConfig(&mut config);
            config.install_signal_handlers = 0;
            config.write_bytecode = 0;
            // Otherwise a process that may trace the host can make this one run a script (sys.remote_exec).
            #[cfg(Py_3_14)]
            {
                config.remote_debug = 0;
            }
            // The native host asks for faulthandler: it prints the stack of each Python thread on a fatal signal, and
            // then calls the previous handler.
            config.faulthandler = i32::from(env::var_os("FALCO_PLUGIN_FAULTHANDLER").is_some_and(|value| value == "1"));
            Ok(Self(config))
        }
    }

    /// Sets strings to a value.
    pub(crate) fn set(&mut self, fields: &[Field], value: &CStr, remedy: &str) -> Result<(), String> {
        for field in fields {
            let config: *mut ffi::PyConfig = &mut self.0;
            // SAFETY: the field is one of this configuration, and the value is NUL-terminated.
            let status = unsafe { ffi::PyConfig_SetBytesString(config, field(&mut *config), value.as_ptr()) };
            check(status, remedy)?;
        }
        Ok(())
    }

    /// Imports nothing from the file system, and Python's most basic modules from libpython.
    pub(crate) fn search_nothing(&mut self) {
        self.0.site_import = 0;
        self.0.use_frozen_modules = 1;
        self.0.module_search_paths_set = 1;
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        // SAFETY: the configuration was initialised, and is not used afterwards.
        unsafe { ffi::PyConfig_Clear(&mut self.0) };
    }
}

/// Initialises Python on the calling thread, calls `ready`, and releases the GIL. `remedy` states what to do if Python
/// cannot be started. Only `start` of [`ensure`] may call this.
pub(crate) fn initialise(
    remedy: &str,
    configure: impl FnOnce(&mut Configuration) -> Result<(), String>,
    ready: impl FnOnce(Python<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let mut configuration = Configuration::new(remedy)?;
    configure(&mut configuration)?;
    // SAFETY: no interpreter exists yet, and the lock of `ensure` excludes other threads. After the initialisation this
    // thread has the GIL.
    unsafe {
        check(ffi::Py_InitializeFromConfig(&configuration.0), remedy)?;
        let result = ready(Python::assume_attached());
        ffi::PyEval_SaveThread();
        result
    }
}

fn check(status: ffi::PyStatus, remedy: &str) -> Result<(), String> {
    // SAFETY: this reads the status only. Its messages are static strings.
    unsafe {
        if ffi::PyStatus_Exception(status) == 0 {
            return Ok(());
        }
        let message = if status.err_msg.is_null() {
            c"unknown error"
        } else {
            CStr::from_ptr(status.err_msg)
        };
        Err(format!(
            "Python cannot be started: {}: {remedy}",
            message.to_string_lossy()
        ))
    }
}

/// The bit of a version number that is set for a free-threaded Python. `Py_Version` has 32 bits.
const FREE_THREADED: u64 = 1 << 32;

/// Returns the version of the loaded Python library, such as "3.11", or "3.14t" for a free-threaded one.
pub(crate) fn python_version() -> String {
    format_version(version_number())
}

/// Returns `Py_Version`, with `FREE_THREADED` for a free-threaded Python.
pub(crate) fn version_number() -> u64 {
    let free_threaded = if cfg!(Py_GIL_DISABLED) { FREE_THREADED } else { 0 };
    // SAFETY: `Py_Version` is a constant. Do not use Py_GetVersion: it fills a buffer that another thread may be
    // reading.
    unsafe { ffi::Py_Version | free_threaded }
}

/// Formats a version as `version_number` returns it.
pub(crate) fn format_version(version: u64) -> String {
    let suffix = if version & FREE_THREADED == 0 { "" } else { "t" };
    format!("{}.{}{suffix}", version >> 24 & 0xff, version >> 16 & 0xff)
}
