//! Interpreter, thread states and the GIL. One of the three modules with `unsafe`.
//!
//! Where the host is a native program, Python is initialised once, on a thread of its own that then parks for ever and
//! is Python's main thread. It is never finalised. A thread of the host keeps its Python thread state from its first
//! call on, and clears it when the thread ends.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::env;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use falco_plugin_abi::{fork, signals};
use pyo3::ffi;
use pyo3::prelude::*;

/// Threads of the host that wait for the GIL.
static HOST_WAITS: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    /// Whether this is a thread of the host that has called a plugin.
    static HAS_ENTERED: Cell<bool> = const { Cell::new(false) };
}
/// Whether the interpreter was started here, and so is never finalised.
static OURS: AtomicBool = AtomicBool::new(false);
/// Variables by which even an isolated Python chooses its executable, and so the packages. To unset them would be unsafe
/// beside the host's other threads.
const MISLEADING: [&str; 2] = ["PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__"];
/// How long a producer steps aside at most.
const STEP_ASIDE: Duration = Duration::from_millis(5);

/// What tells threads apart: the address of something that each has one of.
#[inline]
pub(crate) fn current() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark) as usize)
}

/// A value that is lent to Python code for one call: only the thread that lent it can use it, and only until then.
///
/// Lending takes one atomic exchange, using it none: what it costs is paid for every event.
pub(crate) struct Lent<T> {
    /// The thread that lent it; 0 while nothing is lent.
    borrower: AtomicUsize,
    /// Touched by the borrower alone, or in `lend` by the thread that is about to become it.
    value: UnsafeCell<Option<T>>,
    used: Cell<bool>,
}

/// Why a lent value cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    NotLent,
    OtherThread,
}

// SAFETY: `value` and `used` are touched only by the one thread that `borrower` names (see `lend`), so `T` moves between
// threads but is never shared.
unsafe impl<T: Send> Sync for Lent<T> {}

/// What `borrower` says while a value is put in its place: no thread has this address.
const LENDING: usize = 1;

impl<T> Lent<T> {
    pub(crate) fn nothing() -> Self {
        Self {
            borrower: AtomicUsize::new(0),
            value: UnsafeCell::new(None),
            used: Cell::new(false),
        }
    }

    /// Lends a value to this thread; gives it back where one is lent already.
    #[inline]
    pub(crate) fn lend(&self, value: T) -> Result<(), T> {
        if self
            .borrower
            .compare_exchange(0, LENDING, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return Err(value);
        }
        // SAFETY: `borrower` was 0, so no thread touches the value; now it is LENDING, so only this one does.
        unsafe { *self.value.get() = Some(value) };
        self.borrower.store(current(), Ordering::Release);
        Ok(())
    }

    /// Takes back what this thread lent.
    #[inline]
    pub(crate) fn take_back(&self) -> Result<T, Unusable> {
        self.check()?;
        if self.used.get() {
            return Err(Unusable::NotLent);
        }
        // SAFETY: this thread is the borrower, and not within `with`.
        let value = unsafe { (*self.value.get()).take() };
        self.borrower.store(0, Ordering::Release);
        value.ok_or(Unusable::NotLent)
    }

    /// Runs code on the lent value, on the thread that lent it.
    #[inline]
    pub(crate) fn with<R>(&self, code: impl FnOnce(&mut T) -> R) -> Result<R, Unusable> {
        self.check()?;
        if self.used.replace(true) {
            return Err(Unusable::NotLent);
        }
        let _unused = Unused(&self.used);
        // SAFETY: this thread is the borrower, and `used` keeps it from a second reference.
        match unsafe { &mut *self.value.get() } {
            Some(value) => Ok(code(value)),
            None => Err(Unusable::NotLent),
        }
    }

    /// Whether this thread is the borrower.
    #[inline]
    fn check(&self) -> Result<(), Unusable> {
        match self.borrower.load(Ordering::Relaxed) {
            0 => Err(Unusable::NotLent),
            borrower if borrower != current() => Err(Unusable::OtherThread),
            _ => Ok(()),
        }
    }
}

struct Unused<'a>(&'a Cell<bool>);

impl Drop for Unused<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Whether the interpreter was started here: then no signal is Python's, and it is never finalised.
pub(crate) fn interpreter_is_ours() -> bool {
    OURS.load(Ordering::Relaxed)
}

/// Whether this thread is the host's: what waits on it for the host to take events may wait for ever. Of a host that is
/// Python itself it is not known.
pub(crate) fn is_hosts() -> bool {
    HAS_ENTERED.get()
}

/// The last field of what the host drops without the GIL: by then the fields before it wait to be released, which this
/// does at once.
pub(crate) struct Release;

impl Drop for Release {
    fn drop(&mut self) {
        enter(|_| ());
    }
}

/// The last field of a plugin: collects garbage once the plugin is gone. Modules, event loops, clients and their
/// connections are in reference cycles. Python collects old objects rarely, so each reload would leave a copy of all of
/// them behind until then.
pub(crate) struct Collect;

impl Drop for Collect {
    fn drop(&mut self) {
        if interpreter_is_ours() {
            // Python reports what finalizers raise. It fails only if Python has no memory left.
            enter(|py| drop(py.import("gc").and_then(|gc| gc.call_method0("collect"))));
        }
    }
}

/// Runs code of a host's thread with the GIL. Producers make room for it, see [`step_aside`].
pub(crate) fn enter<R>(code: impl FnOnce(Python<'_>) -> R) -> R {
    if interpreter_is_ours() {
        KeptState::keep();
    }
    let waiting = Waiting::new();
    Python::attach(|py| {
        drop(waiting);
        let result = code(py);
        // A child has the GIL, and does not let go of it first.
        fork::end_child();
        result
    })
}

/// Called by producers between two events: where a thread of the host waits for the GIL, it gets it first.
#[inline]
pub(crate) fn step_aside(py: Python<'_>) {
    if HOST_WAITS.load(Ordering::Relaxed) == 0 {
        return;
    }
    py.detach(|| {
        let started = Instant::now();
        while HOST_WAITS.load(Ordering::Relaxed) > 0 && started.elapsed() < STEP_ASIDE {
            thread::yield_now();
        }
    });
}

/// Counts a thread of the host among those that wait.
struct Waiting;

impl Waiting {
    fn new() -> Self {
        HOST_WAITS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        HOST_WAITS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The Python thread state of a thread of the host.
struct KeptState {
    gil: ffi::PyGILState_STATE,
    state: *mut ffi::PyThreadState,
}

impl KeptState {
    /// Makes this thread's state, unless it has one. A thread without one pays some 8 us for each entry.
    #[inline]
    fn keep() {
        if !HAS_ENTERED.replace(true) {
            Self::make();
        }
    }

    #[cold]
    fn make() {
        thread_local!(static KEPT: RefCell<Option<KeptState>> = const { RefCell::new(None) });
        // Late in a thread's life there is no place for it any more; then each entry makes a state of its own.
        let _ = KEPT.try_with(|kept| {
            let Ok(mut kept) = kept.try_borrow_mut() else {
                return;
            };
            // SAFETY: the interpreter is initialised, and never finalised because it is ours. A thread that has a
            // state already (one of Python's own) is left alone. Ensure is paired with the Release in `drop`.
            unsafe {
                if kept.is_none() && ffi::PyGILState_GetThisThreadState().is_null() {
                    let waiting = Waiting::new();
                    let gil = ffi::PyGILState_Ensure();
                    drop(waiting);
                    *kept = Some(KeptState {
                        gil,
                        state: ffi::PyEval_SaveThread(),
                    });
                }
            }
        });
    }
}

impl Drop for KeptState {
    fn drop(&mut self) {
        if fork::is_child() {
            // Nobody may ever let go of the GIL here.
            return;
        }
        // SAFETY: runs on the thread that made the state, at its end, when nothing of it is entered; the interpreter
        // is never finalised. Release frees the state, since this was its first Ensure.
        unsafe {
            ffi::PyEval_RestoreThread(self.state);
            let _ = Python::attach(forget_thread);
            ffi::PyGILState_Release(self.gil);
        }
    }
}

/// `threading.current_thread()`, and with it each line of a log, makes an object for a thread of the host. Python before
/// 3.13 would keep it for ever.
fn forget_thread(py: Python<'_>) -> PyResult<()> {
    if py.version_info() >= (3, 13) {
        return Ok(());
    }
    let modules = py.import("sys")?.getattr("modules")?;
    if let Ok(threading) = modules.get_item("threading") {
        let ident = threading.call_method0("get_ident")?;
        threading.getattr("_active")?.call_method1("pop", (ident, py.None()))?;
    }
    Ok(())
}

/// Makes sure that there is an interpreter: the process's own, or one that is started for the environment of `python`.
/// Returns whether it was started now.
pub(crate) fn ensure_interpreter(python: &CStr) -> Result<bool, String> {
    // Held until initialisation is complete: Py_IsInitialized is true before the interpreter can be used.
    static LOCK: Mutex<()> = Mutex::new(());
    let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: may be called at any time.
    if unsafe { ffi::Py_IsInitialized() } != 0 {
        return Ok(false);
    }
    if let Some(name) = MISLEADING.iter().find(|name| std::env::var_os(name).is_some()) {
        return Err(format!(
            "the environment variable {name} is set, and Python would take its packages from where that says: start \
             Falco without it"
        ));
    }
    let python = python.to_owned();
    let (sender, started) = mpsc::channel();
    thread::Builder::new()
        .name("python-main".into())
        .spawn(move || {
            // Signals are for the host's own threads.
            signals::block_all();
            let result = initialise(&python);
            let failed = result.is_err();
            let _ = sender.send(result);
            if failed {
                return;
            }
            loop {
                thread::park();
            }
        })
        .map_err(|error| format!("cannot start a thread for Python: {error}: raise the limit of threads"))?;
    started
        .recv()
        .unwrap_or_else(|_| Err("Python's start panicked".into()))?;
    OURS.store(true, Ordering::Release);
    Ok(true)
}

/// Starts an isolated interpreter on this thread and lets go of the GIL.
fn initialise(python: &CStr) -> Result<(), String> {
    // SAFETY: no interpreter exists, and the lock of `ensure_interpreter` keeps other threads away. Both structs are
    // filled by their Init function before they are used, `config` is cleared once.
    unsafe {
        let mut preconfig = std::mem::zeroed::<ffi::PyPreConfig>();
        ffi::PyPreConfig_InitIsolatedConfig(&mut preconfig);
        preconfig.utf8_mode = 1;
        check(ffi::Py_PreInitialize(&preconfig))?;

        let mut config = std::mem::zeroed::<ffi::PyConfig>();
        ffi::PyConfig_InitIsolatedConfig(&mut config);
        config.install_signal_handlers = 0;
        config.write_bytecode = 0;
        // Asked for by our own host: handlers of fatal signals that print where each Python thread stands, and leave the
        // signal to whoever had it before.
        config.faulthandler = i32::from(env::var_os("FALCO_PLUGIN_FAULTHANDLER").is_some_and(|value| value == "1"));
        let started = (|| {
            for field in [&raw mut config.program_name, &raw mut config.executable] {
                check(ffi::PyConfig_SetBytesString(&mut config, field, python.as_ptr()))?;
            }
            check(ffi::Py_InitializeFromConfig(&config))
        })();
        ffi::PyConfig_Clear(&mut config);
        started?;
        ffi::PyEval_SaveThread();
    }
    Ok(())
}

fn check(status: ffi::PyStatus) -> Result<(), String> {
    // SAFETY: reads the status; its messages are static strings.
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
            "Python cannot be started: {}: install the environment again, or build the library again with 'falco-plugin build --python PATH'",
            message.to_string_lossy()
        ))
    }
}

/// The version of the interpreter's library, such as "3.11".
pub(crate) fn python_version() -> String {
    // SAFETY: a constant of the library. Py_GetVersion fills a buffer that another thread may be reading.
    let version = unsafe { ffi::Py_Version };
    format!("{}.{}", version >> 24 & 0xff, version >> 16 & 0xff)
}
