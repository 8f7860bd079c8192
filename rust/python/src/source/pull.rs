//! `PullInstance`: a Python function writes each event.

use std::sync::Arc;

use falco_plugin_abi::fork;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::{EventBatch as EngineBatch, EventWriter as EngineWriter};
use falco_plugin_engine::source::context::Context as EngineContext;
use falco_plugin_engine::source::pull as engine;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyInt, PyMemoryView, PyString};

use crate::convert::options;
use crate::errors::{from_python, from_repeated_call, with_location, with_parameters};
use crate::event::batch::EventBatch;
use crate::event::writer::EventWriter;
use crate::interpreter::log;
use crate::source::context::Context;
use crate::source::core::{CommonOptions, Core, Engine};
use crate::source::skipped_items::{self, SkippedItems};

/// An event source whose events a function writes, one per call (``source.NewPullInstance`` of the Go SDK).
///
/// Args:
///     function: is called with the instance's context and a writer, and writes one event. It raises ``Timeout`` if
///         there is no event for now, ``RetryLater`` so that it is called again after a pause, and ``EOF`` at the end.
///         Any other exception ends the source with that error.
///     context: the parent of the instance's context (``WithInstanceContext``). Cancelling it ends the source.
///     timeout: seconds or a ``timedelta`` after which a batch is delivered even if it is not full
///         (``WithInstanceTimeout``). With 0 the function is called once per batch.
///     close: is called once when the source is closed, after the context was cancelled (``WithInstanceClose``).
///     batch_size: the number of events in a batch at most, 1 to 2**32 - 1 (``WithInstanceBatchSize``).
///     event_size: bytes of the largest payload of one event, 1 to 2**32 - 39 (``WithInstanceEventSize``).
///     progress: returns how much has been read: a fraction from 0 to 1, and a string (``WithInstanceProgress``).
///     on_error: with ``"raise"``, an event that the writer refuses ends the source, unless the function catches the
///         exception; so does an event that is returned instead of written. With ``"log"``, such an event is skipped
///         and counted. The log reports each cause at most once a minute, and the remaining counts when the source
///         ends. In both cases any other exception of the function ends the source.
///
/// Raises:
///     TypeError: the function or a callback is not callable, or an option has a wrong type.
///     ValueError: an option is out of range.
#[pyclass(frozen, weakref, module = "falco_plugin.source")]
pub(crate) struct PullInstance {
    pub(crate) core: Arc<Core<Pull>>,
}

/// The engine's pull loop over a Python function.
pub(crate) struct Pull {
    engine: engine::PullInstance,
    /// `None` once the garbage collector has broken a cycle.
    function: Option<Py<PyAny>>,
    context: Py<Context>,
    /// The one writer, which the function borrows for each event.
    writer: Py<EventWriter>,
    skipped_items: Option<SkippedItems>,
}

impl Engine for Pull {
    const RUNS_PYTHON: bool = true;

    fn next_batch(&mut self, batch: &mut EngineBatch) -> Result<usize, Error> {
        // The caller has the GIL already (`RUNS_PYTHON`), so this costs next to nothing.
        Python::attach(|py| {
            let function = self.function.as_ref().ok_or(Error::Eof)?;
            let mut function = Function {
                function: function.bind(py),
                context: self.context.bind(py),
                writer: self.writer.bind(py),
                skipped_items: self.skipped_items.as_ref(),
            };
            self.engine.next_batch(&mut function, batch)
        })
    }

    fn take_pending_error(&mut self) -> Option<Error> {
        self.engine.take_pending_error()
    }

    /// The cancelled context ends the loop; there is nothing else to end.
    fn close(&mut self) {}

    fn cyclic(&self) -> Option<&Py<PyAny>> {
        self.function.as_ref()
    }

    fn take_cyclic(&mut self) -> Option<Py<PyAny>> {
        self.function.take()
    }
}

/// The Python function and its arguments, for one batch.
struct Function<'a, 'py> {
    function: &'a Bound<'py, PyAny>,
    context: &'a Bound<'py, Context>,
    writer: &'a Bound<'py, EventWriter>,
    skipped_items: Option<&'a SkippedItems>,
}

impl Function<'_, '_> {
    /// Handles an exception of the function. A refused event is skipped if `on_error` is `log`. Any other exception
    /// ends the source.
    #[cold]
    fn fail(&self, error: PyErr, writer: &mut EngineWriter, is_refusal: bool) -> Result<(), Error> {
        let py = self.context.py();
        let Some(skipped_items) = self.skipped_items else {
            return Err(from_repeated_call(py, error));
        };
        let refusal = self.writer.get().take_refusal();
        if !is_refusal && !refusal.is_some_and(|refusal| refusal.is(error.value(py))) {
            return Err(from_repeated_call(py, error));
        }
        writer.refuse();
        skipped_items.count_refused();
        skipped_items.report(py, error).map_err(|error| from_python(py, error))
    }
}

impl engine::PullFunction for Function<'_, '_> {
    #[inline]
    fn pull(&mut self, _context: &EngineContext, writer: Box<EngineWriter>) -> (Box<EngineWriter>, Result<(), Error>) {
        let borrowed = self.writer.get();
        if let Err(writer) = borrowed.lend(writer) {
            return (writer, Err(Error::text("the writer is already borrowed")));
        }
        let result = self.function.call1((self.context, self.writer));
        fork::end_child();
        let mut writer = borrowed.take_back().expect("only this function ends the loan");
        let result = match result {
            Ok(value) if value.is_none() => {
                if self.skipped_items.is_some() {
                    // The function caught the refusal. Drop it, because its traceback must not stay alive in the
                    // writer.
                    drop(borrowed.take_refusal());
                }
                Ok(())
            }
            Ok(value) => check_result(&value, writer.is_empty())
                .or_else(|error| self.fail(with_location(self.function, error), &mut writer, true)),
            Err(error) => {
                let error = with_parameters(self.function, error, "context, writer");
                self.fail(error, &mut writer, false)
            }
        };
        (writer, result)
    }

    fn warn_of_empty_events(&mut self, count: u32) {
        let message = format!(
            "the pull function returned {count} times in a row without writing anything, which makes empty events: if \
             there is no event for now, raise falco_plugin.Timeout"
        );
        log::warn(self.context.py(), &message);
    }
}

/// Refuses a returned value that looks like an event, which should have been written. Other values are ignored, such as
/// the int of `return writer.write(data)`.
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
                "function must be callable with (context, writer), got {}",
                function.get_type().name()?
            )));
        }
        let memory = options::batch(batch_size, event_size)?;
        let skipped_items = skipped_items::from_option(py, on_error)?;
        let options = CommonOptions::parse(py, context.as_ref(), timeout, close, progress)?;
        let writer = if skipped_items.is_some() {
            EventWriter::remembering()
        } else {
            EventWriter::idle()
        };
        let pull = Pull {
            engine: engine::PullInstance::new(options.context.get().engine.clone(), options.timeout),
            function: Some(function.clone().unbind()),
            context: options.context.clone_ref(py),
            writer: Py::new(py, writer)?,
            skipped_items: skipped_items.as_ref().map(|skipped_items| skipped_items.clone_ref(py)),
        };
        let core = Core::new(py, pull, options, memory, skipped_items)?;
        Ok(Self { core })
    }

    /// The instance's context, cancelled when the instance is closed.
    #[getter]
    fn context(&self, py: Python<'_>) -> Py<Context> {
        self.core.context(py)
    }

    /// The batch that the host reads. Another batch may be set before ``open`` returns (``sdk.Events``).
    #[getter]
    fn events(&self, py: Python<'_>) -> Py<EventBatch> {
        self.core.events(py)
    }

    #[setter]
    fn set_events(&self, events: Py<EventBatch>) {
        self.core.set_events(events);
    }

    /// Appends events to the batch until it is full or the timeout has passed (``sdk.NextBatcher``).
    ///
    /// Returns:
    ///     The number of appended events, at least 1.
    ///
    /// Raises:
    ///     Timeout: there is no event for now.
    ///     EOF: the source has ended.
    ///     BatchFullError: the batch was full already.
    ///     PluginError: ``open`` has returned this instance, so only the host may call this method; or another call is
    ///         in progress.
    ///     Exception: the exception of the function, raised once; later calls raise ``EOF``. If the call has appended
    ///         events before the exception, the next call raises it.
    #[pyo3(signature = (batch, /))]
    fn next_batch(&self, batch: &Bound<'_, EventBatch>) -> PyResult<usize> {
        self.core.next_batch(batch)
    }

    /// Returns how much of the source has been read: a fraction from 0 to 1, and a string that describes it.
    ///
    /// Without a ``progress`` callback both are empty: 0.0 and "".
    fn progress(&self, py: Python<'_>) -> PyResult<(f64, String)> {
        self.core.progress(py)
    }

    /// Cancels the context, then calls the ``close`` callback. Idempotent.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.core.close(py, || ())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.core.traverse(&visit)
    }

    fn __clear__(&self) {
        self.core.clear();
    }
}
