//! `PullInstance`.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use falco_plugin_abi::fork;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event as engine_batch;
use falco_plugin_engine::source::clock::DEFAULT_TIMEOUT;
use falco_plugin_engine::source::context::Context as EngineContext;
use falco_plugin_engine::source::pull as engine;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyInt, PyMemoryView, PyString};

use crate::convert::options;
use crate::errors::{at, from_python, to_python, with_parameters};
use crate::event::batch::{self, EventBatch, EventWriter};
use crate::source::context::Context;
use crate::source::driver::{Callbacks, Driven, optional_callable};
use crate::source::left_out::{self, LeftOut};

/// An event source that a function fills, event by event (``source.NewPullInstance`` of the Go SDK).
///
/// Args:
///     function: is called with the instance's context and a writer and writes one event; or it raises ``Timeout`` for
///         none for now, ``EOF`` for the end, or anything else, which ends the source with that error.
///     context: parent of the instance's context (``WithInstanceContext``); cancelling it ends the source.
///     timeout: seconds or a ``timedelta`` after which a batch is delivered as it is (``WithInstanceTimeout``); 0 takes
///         what is there.
///     close: is called once when the source is closed, after the context was cancelled (``WithInstanceClose``).
///     batch_size: events in a batch, 1 to 2**32 - 1 (``WithInstanceBatchSize``).
///     event_size: bytes of the largest payload of one event, 1 to 2**32 - 39 (``WithInstanceEventSize``).
///     progress: returns how much has been read, 0 to 1, and a text (``WithInstanceProgress``).
///     on_error: ``"raise"``: an event that the writer refuses ends the source if the function does not catch the
///         exception; so does an event that is returned instead of written. ``"log"``: such an event is left out and
///         counted; the log reports each cause at most once a minute, and the rest when the source ends. Any other
///         exception of the function ends the source in both cases.
///
/// Raises:
///     TypeError: the function or a callback is not callable, or an option is of a wrong type.
///     ValueError: an option is out of range.
#[pyclass(frozen, weakref, module = "falco_plugin.source")]
pub(crate) struct PullInstance {
    running: Mutex<Running>,
    pub(crate) context: Py<Context>,
    events: Mutex<Py<EventBatch>>,
    pub(crate) callbacks: Callbacks,
    pub(crate) driven: Driven,
    closed: AtomicBool,
    left_out: Option<LeftOut>,
}

/// What one call of `next_batch` at a time uses.
struct Running {
    engine: engine::PullInstance,
    /// `None` once the garbage collector has broken a cycle.
    function: Option<Py<PyAny>>,
    /// The one writer, lent to the function for each event.
    writer: Py<EventWriter>,
}

/// The Python function and what it is called with, for one batch.
struct Function<'a, 'py> {
    function: &'a Bound<'py, PyAny>,
    context: &'a Bound<'py, Context>,
    writer: &'a Bound<'py, EventWriter>,
    left_out: Option<&'a LeftOut>,
}

impl Function<'_, '_> {
    /// Handles an exception: a refused event is left out if `on_error` says so; all other exceptions end the source.
    #[cold]
    fn fail(&self, error: PyErr, writer: &mut Writer, is_refusal: bool) -> Result<(), Error> {
        let py = self.context.py();
        let Some(left_out) = self.left_out else {
            return Err(from_python(py, error));
        };
        let refusal = self.writer.get().take_refusal();
        if !is_refusal && !refusal.is_some_and(|refusal| refusal.is(error.value(py))) {
            return Err(from_python(py, error));
        }
        writer.refuse();
        left_out.report(py, error).map_err(|error| from_python(py, error))
    }
}

type Writer = Box<engine_batch::EventWriter>;

impl engine::PullFunction for Function<'_, '_> {
    #[inline]
    fn pull(&mut self, context: &EngineContext, writer: Writer) -> (Writer, Result<(), Error>) {
        let lent = self.writer.get();
        if let Err(writer) = lent.lend(writer) {
            return (writer, Err(already_running(context)));
        }
        let result = self.function.call1((self.context, self.writer));
        fork::end_child();
        let mut writer = lent.take_back().expect("only this function takes back what it lent");
        let result = match result {
            Ok(value) if value.is_none() => {
                if self.left_out.is_some() {
                    // The function has caught it. Drop it, because its traceback must not stay alive in the writer.
                    drop(lent.take_refusal());
                }
                Ok(())
            }
            Ok(value) => check_result(&value, writer.is_empty())
                .or_else(|error| self.fail(at(self.function, error), &mut writer, true)),
            Err(error) => {
                let error = with_parameters(self.function, error, "context, writer");
                self.fail(error, &mut writer, false)
            }
        };
        (writer, result)
    }

    fn warn_of_empty_events(&mut self, count: u32) {
        let text = format!(
            "the pull function returned {count} times in a row without writing anything, which makes empty events; \
             to say that there is none for now, raise falco_plugin.Timeout"
        );
        crate::interpreter::log::warn(self.context.py(), &text);
    }
}

/// Anything may be returned but what looks like an event that was meant to be written. An `int` is what `write` says.
fn check_result(value: &Bound<'_, PyAny>, nothing_written: bool) -> PyResult<()> {
    if value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<PyMemoryView>()
        || (nothing_written && !value.is_instance_of::<PyInt>())
    {
        return Err(PyTypeError::new_err(format!(
            "the pull function returned {}: write the event with writer.write(data) instead",
            value.get_type().name()?
        )));
    }
    Ok(())
}

impl PullInstance {
    /// One batch. `None` where another thread, or a pull function further up, is at it.
    pub(crate) fn fill(&self, py: Python<'_>, memory: &mut engine_batch::EventBatch) -> Option<Result<usize, Error>> {
        let mut running = try_lock(&self.running)?;
        let Running {
            engine,
            function,
            writer,
        } = &mut *running;
        let Some(function) = function.as_ref() else {
            return Some(Err(Error::Eof));
        };
        let mut function = Function {
            function: function.bind(py),
            context: self.context.bind(py),
            writer: writer.bind(py),
            left_out: self.left_out.as_ref(),
        };
        Some(engine.next_batch(&mut function, memory))
    }

    /// The error that the next call would have told.
    pub(crate) fn take_pending_error(&self) -> Option<Error> {
        try_lock(&self.running)?.engine.take_pending_error()
    }

    pub(crate) fn events_object(&self, py: Python<'_>) -> Py<EventBatch> {
        self.events
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone_ref(py)
    }
}

/// A lock that is never waited for: whoever holds it may be waiting for the GIL.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The error for a call while another one is under way; one that is closing the instance is its end.
pub(crate) fn already_running(context: &EngineContext) -> Error {
    if context.is_cancelled() {
        return Error::Eof;
    }
    Error::text(
        "next_batch of this instance is already running: a pull function must not call its own instance, nor two \
         threads the same one",
    )
}

/// Runs `fill` on the memory of a Python batch and puts it back whatever happens.
pub(crate) fn fill_batch(
    batch: &Bound<'_, EventBatch>,
    fill: impl FnOnce(&mut engine_batch::EventBatch) -> Result<usize, Error>,
) -> PyResult<usize> {
    let py = batch.py();
    let mut memory = batch.borrow_mut().take(py)?;
    let result = fill(&mut memory);
    batch.borrow_mut().put(memory);
    result.map_err(|error| to_python(py, error))
}

#[pymethods]
impl PullInstance {
    #[new]
    #[pyo3(
        signature = (
            function, /, *, context = None, timeout = None, close = None, batch_size = None, event_size = None,
            progress = None, on_error = None
        ),
        text_signature = "(function, /, *, context=None, timeout=0.03, close=None, batch_size=128, event_size=262144, \
                          progress=None, on_error='raise')"
    )]
    #[expect(clippy::too_many_arguments, reason = "keyword options of Python")]
    fn new(
        function: &Bound<'_, PyAny>,
        context: Option<Py<Context>>,
        timeout: Option<&Bound<'_, PyAny>>,
        close: Option<&Bound<'_, PyAny>>,
        batch_size: Option<&Bound<'_, PyAny>>,
        event_size: Option<&Bound<'_, PyAny>>,
        progress: Option<&Bound<'_, PyAny>>,
        on_error: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = function.py();
        if !function.is_callable() {
            return Err(PyTypeError::new_err(format!(
                "function must be callable with (context, writer), not {}",
                function.get_type().name()?
            )));
        }
        let timeout = timeout.map_or(Ok(DEFAULT_TIMEOUT), |value| options::duration("timeout", value))?;
        let events = Py::new(py, EventBatch::holding(batch::sized(batch_size, event_size)?))?;
        let callbacks = Callbacks::new(
            optional_callable("close", close)?,
            optional_callable("progress", progress)?,
        );
        let left_out = left_out::from_option(py, on_error)?;
        let writer = if left_out.is_some() {
            EventWriter::remembering()
        } else {
            EventWriter::idle()
        };
        let context = Context::for_instance(py, context.as_ref())?;
        Ok(Self {
            running: Mutex::new(Running {
                engine: engine::PullInstance::new(context.get().engine.clone(), timeout),
                function: Some(function.clone().unbind()),
                writer: Py::new(py, writer)?,
            }),
            context,
            events: Mutex::new(events),
            callbacks,
            driven: Driven::default(),
            closed: AtomicBool::new(false),
            left_out,
        })
    }

    /// The instance's context, cancelled when it is closed.
    #[getter]
    fn context(&self, py: Python<'_>) -> Py<Context> {
        self.context.clone_ref(py)
    }

    /// The batch that the host reads; another may be set before ``open`` returns (``sdk.Events``).
    #[getter]
    fn events(&self, py: Python<'_>) -> Py<EventBatch> {
        self.events_object(py)
    }

    #[setter]
    fn set_events(&self, events: Py<EventBatch>) {
        let mut held = self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let old = mem::replace(&mut *held, events);
        drop(held);
        drop(old);
    }

    /// Appends events to the batch until it is full or the timeout is over (``sdk.NextBatcher``).
    ///
    /// Returns:
    ///     How many were appended, at least 1.
    ///
    /// Raises:
    ///     Timeout: there is no event for now.
    ///     EOF: the source has ended.
    ///     BatchFullError: the batch was full already.
    ///     Exception: what the function raised, once; ``EOF`` from then on. What stops a call that has events is
    ///         raised by the next.
    #[pyo3(signature = (batch, /))]
    fn next_batch(&self, batch: &Bound<'_, EventBatch>) -> PyResult<usize> {
        self.driven.check(batch.py())?;
        fill_batch(batch, |memory| {
            let py = batch.py();
            self.fill(py, memory)
                .unwrap_or_else(|| Err(already_running(&self.context.get().engine)))
        })
    }

    /// How much of the source has been read, 0 to 1, and the same as a text; 0.0 and "" without a callback.
    fn progress(&self, py: Python<'_>) -> PyResult<(f64, String)> {
        self.callbacks.progress(py)
    }

    /// Cancels the context, then calls the close callback. Idempotent.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        py.detach(|| self.context.get().engine.cancel());
        if let Some(left_out) = &self.left_out {
            left_out.finish(py);
        }
        self.callbacks.close(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.context)?;
        self.callbacks.traverse(&visit)?;
        if let Ok(running) = self.running.try_lock() {
            visit.call(&running.function)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        let function = self
            .running
            .try_lock()
            .ok()
            .and_then(|mut running| running.function.take());
        drop(function);
        self.callbacks.clear();
    }
}
