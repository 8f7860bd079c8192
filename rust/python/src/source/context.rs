//! `Context`.

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
use crate::interpreter::threads;

/// How often a wait looks for signals, such as Ctrl-C on Python's main thread.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// Cancellation, passed from parent to child (``context.Context`` of the Go SDK). Safe to use from any thread.
///
/// Args:
///     parent: cancels this context too when it is cancelled; it is not cancelled by this one.
#[pyclass(frozen, weakref, module = "falco_plugin")]
pub(crate) struct Context {
    pub(crate) engine: Engine,
    /// Made by the first `fileno`. The lock is held only while it is made or read.
    descriptor: Mutex<Option<Arc<Descriptor>>>,
}

impl Context {
    fn below(parent: Option<&Self>) -> Self {
        Self {
            engine: parent.map_or_else(Engine::new, |parent| parent.engine.child()),
            descriptor: Mutex::new(None),
        }
    }

    /// A context for an instance, below the given one where there is one.
    pub(crate) fn for_instance(py: Python<'_>, parent: Option<&Py<Self>>) -> PyResult<Py<Self>> {
        Py::new(py, Self::below(parent.map(|parent| parent.get())))
    }
}

/// An event that becomes readable when its context is cancelled. It stays readable, because nobody reads it.
struct Descriptor {
    event: OwnedFd,
    /// The process that made it. A forked child shares the event with its parent, and must not signal it.
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

/// Signals a descriptor, unless it was closed with its `Context` before.
struct Signal(Weak<Descriptor>);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        if let Some(descriptor) = self.0.upgrade().filter(|descriptor| descriptor.is_of_this_process()) {
            signal(&descriptor.event);
        }
    }
}

/// An event that can be waited for beside other descriptors.
pub(crate) fn new_event() -> PyResult<OwnedFd> {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| PyOSError::new_err((error.raw_os_error(), error.to_string())))
}

/// Makes an event readable, from any thread and without the GIL.
pub(crate) fn signal(event: &OwnedFd) {
    // It fails only if the counter is full, and then the event is readable.
    let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
}

#[pymethods]
impl Context {
    #[new]
    #[pyo3(signature = (parent = None))]
    fn new(parent: Option<&Bound<'_, Self>>) -> Self {
        Self::below(parent.map(|parent| parent.get()))
    }

    /// Cancels this context and its children: waiters wake, callbacks run on this thread. Idempotent.
    fn cancel(&self, py: Python<'_>) {
        py.detach(|| self.engine.cancel());
    }

    /// Whether this context, or a parent of it, was cancelled.
    #[getter]
    fn cancelled(&self) -> bool {
        self.engine.is_cancelled()
    }

    /// Waits until the context is cancelled. The GIL is free meanwhile, and Ctrl-C is noticed.
    ///
    /// Args:
    ///     timeout: seconds or a ``timedelta``; ``None`` waits without limit.
    ///
    /// Returns:
    ///     Whether the context was cancelled in time.
    ///
    /// Raises:
    ///     TypeError: the timeout is no duration.
    ///     ValueError: the timeout is negative.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let deadline = options::deadline(timeout)?;
        wait_with_signals(py, deadline, |slice| self.engine.wait(slice).then_some(()))
            .map(|cancelled| cancelled.is_some())
    }

    /// A descriptor that becomes readable when the context, or a parent of it, is cancelled, and stays readable.
    ///
    /// For ``select``, ``poll``, ``selectors`` and event loops, which also take the context itself. The first call
    /// makes it; later calls return the same one. It is closed with this object, so keep the context while you wait. Do
    /// not read, write or close the descriptor.
    ///
    /// Raises:
    ///     OSError: the descriptor cannot be made, such as when too many files are open.
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

    /// Calls the callback once when the context is cancelled, at once where it was already.
    ///
    /// It runs on the thread that cancels, and must not wait for the source, which gets no further by then. What it
    /// raises is logged.
    ///
    /// Raises:
    ///     TypeError: the callback is not callable.
    fn on_cancel(&self, py: Python<'_>, callback: Py<PyAny>) -> PyResult<()> {
        if !callback.bind(py).is_callable() {
            return Err(PyTypeError::new_err("callback must be callable without arguments"));
        }
        py.detach(|| {
            self.engine.on_cancel(move || {
                Python::attach(|py| {
                    let was_child = fork::is_child();
                    let called = callback.call0(py);
                    // A child that lives on its own may cancel its copy of a context.
                    if !was_child {
                        fork::end_child();
                    }
                    if let Err(error) = called {
                        crate::errors::describe(py, "a callback of Context.on_cancel", error);
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

/// Waits without the GIL; in slices where Python may have signals to look at, which is nowhere but in a process of
/// Python's own. `wait` gets the end of a slice; `None` from it means that nothing came.
pub(crate) fn wait_with_signals<T: Send>(
    py: Python<'_>,
    deadline: Option<Instant>,
    wait: impl Fn(Option<Instant>) -> Option<T> + Sync,
) -> PyResult<Option<T>> {
    if threads::interpreter_is_ours() {
        return Ok(py.detach(|| wait(deadline)));
    }
    loop {
        let slice = Instant::now() + SIGNAL_CHECK;
        let last = deadline.is_some_and(|deadline| deadline <= slice);
        let until = if last { deadline } else { Some(slice) };
        if let Some(found) = py.detach(|| wait(until)) {
            return Ok(Some(found));
        }
        if last {
            return Ok(None);
        }
        py.check_signals()?;
    }
}
