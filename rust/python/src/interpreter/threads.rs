//! The interpreter's threads and the GIL.
//!
//! A thread of the host keeps its Python thread state from its first call until the thread ends.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use falco_plugin_abi::fork;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::imports;
use crate::interpreter::start;

/// Whether the interpreter has a GIL, for which threads of the host wait.
static HAS_GIL: AtomicBool = AtomicBool::new(true);
/// Whether a producer has sent an event, so that producers let threads of the host go first.
static HAS_PRODUCERS: AtomicBool = AtomicBool::new(false);
/// The number of threads of the host that wait for the GIL. Without a GIL or a producer it stays 0.
static HOST_WAITS: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    /// Whether this is a thread of the host that has called a plugin.
    static HAS_ENTERED: Cell<bool> = const { Cell::new(false) };
}
/// The longest time that a producer waits until a thread of the host has the GIL.
const MAX_STEP_ASIDE: Duration = Duration::from_millis(5);
/// The longest time that a producer then waits until the host has handled the events of its channel.
const MAX_STAY_ASIDE: Duration = Duration::from_millis(1);

/// Returns a number that identifies the calling thread: the address of a thread-local variable, which is greater than
/// 1.
#[inline]
fn current_thread() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark) as usize)
}

/// A value that Python code borrows for one call. Only the thread that lends it can use it, until it takes it back.
///
/// A loan costs one atomic exchange, and each use costs none, because both happen for every event.
pub(crate) struct Loan<T> {
    /// The thread that borrows the value; 0 if the value is not borrowed.
    borrower: AtomicUsize,
    /// Accessed only by the borrower, or in `lend` by the thread that is about to become the borrower.
    value: UnsafeCell<Option<T>>,
    /// Whether the borrower is in `with`.
    in_use: Cell<bool>,
}

/// Why a borrowed value cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    NotBorrowed,
    OtherThread,
}

// SAFETY: `value` and `in_use` are accessed only by the thread whose number is in `borrower`. So `T` moves between
// threads but is never shared. In `lend`, the exchange of `borrower` (Acquire) pairs with the store of 0 in `take_back`
// (Release): the accesses of one borrower happen before those of the next.
unsafe impl<T: Send> Sync for Loan<T> {}

/// The value of `borrower` while `lend` stores a value. It is not the number of any thread.
const LENDING: usize = 1;

impl<T> Loan<T> {
    pub(crate) fn none() -> Self {
        Self {
            borrower: AtomicUsize::new(0),
            value: UnsafeCell::new(None),
            in_use: Cell::new(false),
        }
    }

    /// Lends a value to the calling thread. Returns the value if another one is borrowed already.
    #[inline]
    pub(crate) fn lend(&self, value: T) -> Result<(), T> {
        if self
            .borrower
            .compare_exchange(0, LENDING, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return Err(value);
        }
        // SAFETY: `borrower` was 0, so no other thread accesses the value. Now it is LENDING, so only this thread does.
        unsafe { *self.value.get() = Some(value) };
        self.borrower.store(current_thread(), Ordering::Release);
        Ok(())
    }

    /// Ends the loan and returns the value. Fails on any other thread than the borrower, and within `with`.
    #[inline]
    pub(crate) fn take_back(&self) -> Result<T, Unusable> {
        self.check()?;
        if self.in_use.get() {
            return Err(Unusable::NotBorrowed);
        }
        // SAFETY: this thread is the borrower, and it is not in `with`, so there is no other reference to the value.
        let value = unsafe { (*self.value.get()).take() };
        self.borrower.store(0, Ordering::Release);
        value.ok_or(Unusable::NotBorrowed)
    }

    /// Runs code on the value. Fails on any other thread than the borrower, and within another `with`.
    #[inline]
    pub(crate) fn with<R>(&self, code: impl FnOnce(&mut T) -> R) -> Result<R, Unusable> {
        self.check()?;
        if self.in_use.replace(true) {
            return Err(Unusable::NotBorrowed);
        }
        let _reset = ResetOnDrop(&self.in_use);
        // SAFETY: this thread is the borrower, and `in_use` was false, so there is no other reference to the value.
        match unsafe { &mut *self.value.get() } {
            Some(value) => Ok(code(value)),
            None => Err(Unusable::NotBorrowed),
        }
    }

    /// Fails unless the calling thread is the borrower.
    #[inline]
    fn check(&self) -> Result<(), Unusable> {
        match self.borrower.load(Ordering::Relaxed) {
            0 => Err(Unusable::NotBorrowed),
            borrower if borrower != current_thread() => Err(Unusable::OtherThread),
            _ => Ok(()),
        }
    }
}

struct ResetOnDrop<'a>(&'a Cell<bool>);

impl Drop for ResetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Returns whether the calling thread belongs to the host. Such a thread must not wait for the host to receive events,
/// because it is the thread that receives them. If the host is a Python program, always returns false.
pub(crate) fn is_host_thread() -> bool {
    HAS_ENTERED.get()
}

/// The last field of a struct that is dropped without the GIL. References to Python objects that are dropped without
/// the GIL are released only when a thread enters Python the next time, so this enters it.
pub(crate) struct ReferenceRelease;

impl Drop for ReferenceRelease {
    fn drop(&mut self) {
        enter(|_| ());
    }
}

/// The last field of a plugin: collects garbage after the plugin's objects were released.
///
/// Modules, event loops, clients and their connections are in reference cycles. Python collects old objects rarely, so
/// without this each reload would leave a copy of them in memory for a long time.
pub(crate) struct GarbageCollection;

impl Drop for GarbageCollection {
    fn drop(&mut self) {
        if start::is_ours() {
            // Python logs exceptions of finalizers itself. So this call fails only if memory is exhausted.
            enter(|py| drop(imports::COLLECT_GARBAGE.call(py, ())));
        }
    }
}

/// Runs code with the GIL, on a thread of the host. Producers let this thread go first, see [`step_aside`].
pub(crate) fn enter<R>(code: impl FnOnce(Python<'_>) -> R) -> R {
    if start::is_ours() {
        KeptState::keep();
    }
    // Without a GIL, a counter that threads on several processors change would be the only thing that they share. And
    // changing it takes as long as the lock itself, so it is not done for nothing.
    let is_counted = HAS_PRODUCERS.load(Ordering::Relaxed) && HAS_GIL.load(Ordering::Relaxed);
    let waiting = is_counted.then(Waiting::new);
    Python::attach(|py| {
        drop(waiting);
        let result = code(py);
        // A forked child ends here, with the GIL held.
        fork::end_child();
        result
    })
}

/// Finds out whether the interpreter has a GIL. A free-threaded Python switches its GIL on when it imports an extension
/// module that needs it.
pub(crate) fn find_gil(py: Python<'_>) {
    if cfg!(Py_GIL_DISABLED) {
        let is_enabled = py.import("sys").and_then(|sys| sys.call_method0("_is_gil_enabled"));
        let has_gil = is_enabled.and_then(|is_enabled| is_enabled.extract()).unwrap_or(true);
        HAS_GIL.store(has_gil, Ordering::Relaxed);
    }
}

/// Lets a thread of the host have the GIL first, if one waits for it. Producers call this after they have sent an event.
///
/// The thread of the host probably extracts a field from an event, and will want the GIL again for the next event. So
/// the producer stays aside until `wait_until_drained` returns: otherwise both threads would wait for each other at
/// every event.
#[inline]
pub(crate) fn step_aside(py: Python<'_>, wait_until_drained: impl FnOnce(Instant) + Send) {
    if HOST_WAITS.load(Ordering::Relaxed) > 0 {
        stay_aside(py, wait_until_drained);
    } else if !HAS_PRODUCERS.load(Ordering::Relaxed) {
        HAS_PRODUCERS.store(true, Ordering::Relaxed);
    }
}

#[cold]
fn stay_aside(py: Python<'_>, wait_until_drained: impl FnOnce(Instant) + Send) {
    py.detach(|| {
        let started = Instant::now();
        while HOST_WAITS.load(Ordering::Relaxed) > 0 && started.elapsed() < MAX_STEP_ASIDE {
            thread::yield_now();
        }
        wait_until_drained(Instant::now() + MAX_STAY_ASIDE);
    });
}

/// Counts a thread of the host that waits for the GIL, until it is dropped.
struct Waiting;

impl Waiting {
    #[inline]
    fn new() -> Self {
        HOST_WAITS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Waiting {
    #[inline]
    fn drop(&mut self) {
        HOST_WAITS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The Python thread state of a thread of the host, which keeps it until the thread ends.
struct KeptState {
    gil: ffi::PyGILState_STATE,
    state: *mut ffi::PyThreadState,
}

impl KeptState {
    /// Makes the state of the calling thread, unless it has one. Without it each entry would cost some 8 us.
    #[inline]
    fn keep() {
        if !HAS_ENTERED.replace(true) {
            Self::make();
        }
    }

    #[cold]
    fn make() {
        thread_local!(static KEPT: RefCell<Option<KeptState>> = const { RefCell::new(None) });
        // While the thread ends, the variable is destroyed already. Each entry then makes and deletes a state.
        let _ = KEPT.try_with(|kept| {
            let Ok(mut kept) = kept.try_borrow_mut() else {
                return;
            };
            // SAFETY: the interpreter is initialised, and it is never finalised, because the SDK has started it. A
            // thread that has a state already, because Python has started it, keeps that one. `PyGILState_Ensure` is
            // paired with the `PyGILState_Release` in `drop`.
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
            // In a forked child the GIL may be held by a thread that does not exist here, so do not wait for it.
            return;
        }
        // SAFETY: this runs on the thread that made the state, when the thread ends and is not in Python. The
        // interpreter is never finalised. `PyGILState_Release` deletes the state, because it is paired with the
        // thread's first Ensure.
        unsafe {
            ffi::PyEval_RestoreThread(self.state);
            let _ = Python::attach(forget_thread);
            ffi::PyGILState_Release(self.gil);
        }
    }
}

/// Removes the object that `threading` keeps for the calling thread of the host.
///
/// `threading.current_thread()`, which each log record calls, makes such an object. Python before 3.13 never removes
/// it.
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
