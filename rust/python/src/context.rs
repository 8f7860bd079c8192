//! `Context`.

use std::time::{Duration, Instant};

use falco_plugin_abi::fork;
use falco_plugin_engine::context::Context as Engine;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::{options, threads};

/// How often a wait looks for signals, such as Ctrl-C on Python's main thread.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// Cancellation, passed from parent to child (``context.Context`` of the Go SDK). Safe to use from any thread.
///
/// Args:
///     parent: cancels this context too when it is cancelled; it is not cancelled by this one.
#[pyclass(frozen, weakref, module = "falco_plugin")]
pub(crate) struct Context {
    pub(crate) engine: Engine,
}

impl Context {
    /// A context for an instance, below the given one where there is one.
    pub(crate) fn for_instance(py: Python<'_>, parent: Option<&Py<Self>>) -> PyResult<Py<Self>> {
        let engine = parent.map_or_else(Engine::new, |parent| parent.get().engine.child());
        Py::new(py, Self { engine })
    }
}

#[pymethods]
impl Context {
    #[new]
    #[pyo3(signature = (parent = None))]
    fn new(parent: Option<&Bound<'_, Self>>) -> Self {
        Self {
            engine: parent.map_or_else(Engine::new, |parent| parent.get().engine.child()),
        }
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
