//! `Context`: cancellation.

use std::os::fd::{AsRawFd, OwnedFd};
use std::process;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use falco_plugin_abi::fork;
use falco_plugin_engine::source::context::Context as Engine;
use pyo3::exceptions::{PyOSError, PyTypeError};
use pyo3::prelude::*;
use rustix::event::{EventfdFlags, eventfd};

use crate::convert::options;
use crate::errors::report;
use crate::interpreter::start;

/// How often a wait lets Python handle signals, such as Ctrl-C on its main thread.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// Cancels work, and passes the cancellation to child contexts (``context.Context`` of the Go SDK).
///
/// A context can be used from any thread.
///
/// Args:
///     parent: cancels this context too when it is cancelled. Cancelling this context does not cancel the parent.
#[pyclass(frozen, weakref, module = "falco_plugin")]
pub(crate) struct Context {
    pub(crate) engine: Engine,
    /// Made by the first call of `fileno`. The lock is held only while the descriptor is made or read.
    descriptor: Mutex<Option<Arc<Descriptor>>>,
}

impl Context {
    fn child_of(parent: Option<&Self>) -> Self {
        Self {
            engine: parent.map_or_else(Engine::new, |parent| parent.engine.child()),
            descriptor: Mutex::new(None),
        }
    }

    /// Makes a context for an instance, as a child of `parent` if there is one.
    pub(crate) fn for_instance(py: Python<'_>, parent: Option<&Py<Self>>) -> PyResult<Py<Self>> {
        Py::new(py, Self::child_of(parent.map(|parent| parent.get())))
    }
}

/// A descriptor that becomes readable when its context is cancelled. It stays readable, because nothing reads it.
struct Descriptor {
    event: OwnedFd,
    /// The process that made it. A forked child shares the descriptor with its parent, and must not make it readable.
    process: u32,
}

impl Descriptor {
    fn new() -> PyResult<Self> {
        Ok(Self {
            event: new_event()?,
            process: process::id(),
        })
    }

    fn is_of_this_process(&self) -> bool {
        self.process == process::id()
    }
}

/// Makes a descriptor readable, unless its `Context` no longer exists.
struct Signal(Weak<Descriptor>);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        if let Some(descriptor) = self.0.upgrade().filter(|descriptor| descriptor.is_of_this_process()) {
            signal(&descriptor.event);
        }
    }
}

/// Makes a descriptor for an event, which can be waited for together with other descriptors.
pub(crate) fn new_event() -> PyResult<OwnedFd> {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| PyOSError::new_err((error.raw_os_error(), error.to_string())))
}

/// Makes an event readable, from any thread and without the GIL.
pub(crate) fn signal(event: &OwnedFd) {
    // The write fails only if the counter is full, and then the descriptor is readable already.
    let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
}

#[pymethods]
impl Context {
    #[new]
    #[pyo3(signature = (parent = None))]
    fn new(parent: Option<&Bound<'_, Self>>) -> Self {
        Self::child_of(parent.map(|parent| parent.get()))
    }

    /// Cancels this context and its children. Calling it again does nothing.
    ///
    /// Wakes their waiters, and runs their callbacks on this thread.
    fn cancel(&self, py: Python<'_>) {
        py.detach(|| self.engine.cancel());
    }

    /// Whether this context or a parent of it was cancelled.
    #[getter]
    fn cancelled(&self) -> bool {
        self.engine.is_cancelled()
    }

    /// Waits until the context is cancelled, with the GIL released. Ctrl-C interrupts the wait.
    ///
    /// Args:
    ///     timeout: seconds or a ``timedelta``. ``None`` waits without limit.
    ///
    /// Returns:
    ///     Whether the context was cancelled before the timeout.
    ///
    /// Raises:
    ///     TypeError: the timeout is neither a number nor a ``timedelta``.
    ///     ValueError: the timeout is negative.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let deadline = options::deadline(timeout)?;
        wait_with_signals(py, deadline, |slice| self.engine.wait(slice).then_some(()))
            .map(|cancelled| cancelled.is_some())
    }

    /// Returns a descriptor that becomes readable when this context or a parent of it is cancelled.
    ///
    /// It stays readable. It is for ``select``, ``poll``, ``selectors`` and event loops, which also accept the context
    /// itself. The first call makes the descriptor; later calls return the same one. It is closed when the context is
    /// dropped, so keep the context while you wait. Do not read, write or close the descriptor.
    ///
    /// Raises:
    ///     OSError: the descriptor cannot be made, for example because too many files are open.
    fn fileno(&self) -> PyResult<i32> {
        let mut held = self.descriptor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(descriptor) = held.as_ref().filter(|descriptor| descriptor.is_of_this_process()) {
            return Ok(descriptor.event.as_raw_fd());
        }
        let descriptor = Arc::new(Descriptor::new()?);
        let number = descriptor.event.as_raw_fd();
        let signal = Arc::new(Signal(Arc::downgrade(&descriptor)));
        *held = Some(descriptor);
        drop(held);
        self.engine.wake_on_cancel(Waker::from(signal));
        Ok(number)
    }

    /// Registers a callback, which is called once when the context is cancelled.
    ///
    /// If the context was cancelled already, the callback is called immediately. It runs on the thread that cancels, so
    /// it must not wait for the source. An exception of the callback is logged.
    ///
    /// Args:
    ///     callback: a callable without arguments.
    ///
    /// Raises:
    ///     TypeError: the callback is not callable.
    fn on_cancel(&self, py: Python<'_>, callback: Py<PyAny>) -> PyResult<()> {
        if !callback.bind(py).is_callable() {
            return Err(PyTypeError::new_err(format!(
                "callback must be callable without arguments, got {}",
                callback.bind(py).get_type().name()?
            )));
        }
        py.detach(|| {
            self.engine.on_cancel(move || {
                Python::attach(|py| {
                    let was_child = fork::is_child();
                    let called = callback.call0(py);
                    // A child that was forked before may cancel its copy of the context.
                    if !was_child {
                        fork::end_child();
                    }
                    if let Err(error) = called {
                        report(py, "a callback of Context.on_cancel", error);
                    }
                });
            });
        });
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!(
            "Context(cancelled={})",
            if self.engine.is_cancelled() { "True" } else { "False" }
        )
    }
}

/// Waits with the GIL released, and lets Python handle signals in between.
///
/// `wait` waits until the given instant at most. It returns `None` if it should be called again. If the SDK has started
/// the interpreter, Python handles no signals, and `wait` is called once, with the deadline.
pub(crate) fn wait_with_signals<T: Send>(
    py: Python<'_>,
    deadline: Option<Instant>,
    wait: impl Fn(Option<Instant>) -> Option<T> + Sync,
) -> PyResult<Option<T>> {
    if start::is_ours() {
        return Ok(py.detach(|| wait(deadline)));
    }
    loop {
        let slice = Instant::now() + SIGNAL_CHECK;
        let is_last = deadline.is_some_and(|deadline| deadline <= slice);
        let until = if is_last { deadline } else { Some(slice) };
        if let Some(result) = py.detach(|| wait(until)) {
            return Ok(Some(result));
        }
        if is_last {
            return Ok(None);
        }
        py.check_signals()?;
    }
}
