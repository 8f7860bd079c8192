//! `PushInstance`: threads send events through a channel.

use std::sync::Arc;
use std::time::Instant;

use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::{DEFAULT_BATCH_SIZE, EventBatch as EngineBatch};
use falco_plugin_engine::source::channel::{Closer, Receiver as EngineReceiver};
use falco_plugin_engine::source::metrics::SourceMetrics;
use falco_plugin_engine::source::push as engine;
use falco_plugin_engine::words::counted;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::convert::buffers::BytesPayload;
use crate::convert::options;
use crate::errors::{report, to_python};
use crate::event::batch::EventBatch;
use crate::interpreter::log;
use crate::source::channel::Receiver;
use crate::source::context::Context;
use crate::source::core::{CommonOptions, Core, Engine};
use crate::source::skipped_items::SkippedItems;

/// An event source whose events threads send through a channel (``source.NewPushInstance`` of the Go SDK).
///
/// Batches are delivered immediately: ``next_batch`` returns as soon as the channel is empty, and does not wait for a
/// full batch. The event size is the channel's.
///
/// Args:
///     receiver: the receiving end of a channel. Only one instance can read from it.
///     context: the parent of the instance's context (``WithInstanceContext``). Cancelling it ends the source.
///     timeout: seconds or a ``timedelta`` that ``next_batch`` waits for a first event (``WithInstanceTimeout``). With
///         0 it takes the queued events and does not wait.
///     close: is called once when the source is closed, after context and channel (``WithInstanceClose``).
///     batch_size: the number of events in a batch at most, 1 to 2**32 - 1 (``WithInstanceBatchSize``).
///     progress: returns how much has been read: a fraction from 0 to 1, and a string (``WithInstanceProgress``).
///
/// Raises:
///     PluginError: another instance reads from the receiver.
///     TypeError: a callback is not callable, or an option has a wrong type.
///     ValueError: an option is out of range.
#[pyclass(frozen, weakref, subclass, module = "falco_plugin.source")]
pub(crate) struct PushInstance {
    pub(crate) core: Arc<Core<Push>>,
    closer: Closer<BytesPayload>,
    /// The event size of the channel, in bytes.
    event_size: u32,
}

type Push = engine::PushInstance<BytesPayload>;

impl Engine for Push {
    const RUNS_PYTHON: bool = false;

    fn next_batch(&mut self, batch: &mut EngineBatch) -> Result<usize, Error> {
        self.next_batch(batch)
    }

    fn take_pending_error(&mut self) -> Option<Error> {
        self.take_pending_error()
    }

    fn close(&mut self) {
        self.close();
    }
}

impl PushInstance {
    pub(crate) fn build(
        py: Python<'_>,
        receiver: EngineReceiver<BytesPayload>,
        options: CommonOptions,
        memory: EngineBatch,
        skipped_items: Option<SkippedItems>,
    ) -> PyResult<Self> {
        let closer = receiver.closer();
        let event_size = receiver.event_size();
        let context = options.context.get().engine.clone();
        let push = engine::PushInstance::new(receiver, context, options.timeout, log_dropped);
        Ok(Self {
            core: Core::new(py, push, options, memory, skipped_items)?,
            closer,
            event_size,
        })
    }

    /// Counts the events of the channel in the metrics of a plugin.
    pub(crate) fn count_in(&self, metrics: &Arc<SourceMetrics>) {
        self.closer.count_in(metrics);
    }

    /// Waits until the producers have closed or dropped their senders. Logs a warning if some have not by the deadline.
    pub(crate) fn wait_for_senders(&self, deadline: Instant) {
        if !self.closer.wait_for_senders(deadline) {
            let senders = self.closer.senders();
            Python::attach(|py| {
                log::warn(
                    py,
                    &format!(
                        "a producer of the closed source{} did not stop in time and is left running, with {} still open: \
                         let it check its context, and close its sender",
                        log::source_name(py),
                        counted(senders, "sender")
                    ),
                );
            });
        }
    }
}

/// Logs the events and errors that were still in the channel when the source ended.
fn log_dropped(events: usize, errors: Vec<Error>) {
    Python::attach(|py| {
        if events > 0 {
            let source = log::source_name(py);
            let events = counted(events, "event");
            let message = format!("dropped {events} still in the channel when the source{source} ended");
            log::warn(py, &message);
        }
        for error in errors {
            report(py, "a producer", to_python(py, error));
        }
    });
}

#[pymethods]
impl PushInstance {
    #[new]
    #[pyo3(
        signature = (receiver, /, *, context = None, timeout = None, close = None, batch_size = None, progress = None),
        text_signature = "(receiver, /, *, context=None, timeout=0.03, close=None, batch_size=128, progress=None)"
    )]
    fn new(
        receiver: &Bound<'_, Receiver>,
        context: Option<Py<Context>>,
        timeout: Option<&Bound<'_, PyAny>>,
        close: Option<&Bound<'_, PyAny>>,
        batch_size: Option<&Bound<'_, PyAny>>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = receiver.py();
        let batch_size = batch_size.map_or(Ok(DEFAULT_BATCH_SIZE), options::batch_size)?;
        let options = CommonOptions::parse(py, context.as_ref(), timeout, close, progress)?;
        let skipped_items = receiver.get().skipped_items(py);
        let receiver = receiver.get().take(py)?;
        let memory = EngineBatch::new(batch_size, receiver.event_size()).map_err(|error| to_python(py, error))?;
        Self::build(py, receiver, options, memory, skipped_items)
    }

    /// The instance's context, cancelled when the instance is closed.
    #[getter]
    fn context(&self, py: Python<'_>) -> Py<Context> {
        self.core.context(py)
    }

    /// The batch that the host reads. Another batch may be set before ``open`` returns (``sdk.Events``).
    ///
    /// Raises:
    ///     ValueError: the batch's event size is smaller than the channel's.
    #[getter]
    fn events(&self, py: Python<'_>) -> Py<EventBatch> {
        self.core.events(py)
    }

    #[setter]
    fn set_events(&self, py: Python<'_>, events: Py<EventBatch>) -> PyResult<()> {
        let (_, event_size) = events.get().sizes();
        if event_size < self.event_size {
            return Err(to_python(py, engine::event_size_mismatch(event_size, self.event_size)));
        }
        self.core.set_events(events);
        Ok(())
    }

    /// Appends the queued events to the batch until it is full; waits for a first event (``sdk.NextBatcher``).
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
    ///     Exception: the error that a producer sent, raised once; later calls raise ``EOF``. If the call has appended
    ///         events before the error, the next call raises it.
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

    /// Cancels the context, closes the channel, which wakes its senders, then calls the ``close`` callback.
    ///
    /// Calling it again does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.core.close(py, || self.closer.close())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.core.traverse(&visit)
    }

    fn __clear__(&self) {
        self.core.clear();
    }
}
