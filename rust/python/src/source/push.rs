//! `PushInstance`.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::EventBatch as EngineBatch;
use falco_plugin_engine::source::channel::{Closer, Receiver as EngineReceiver};
use falco_plugin_engine::source::clock::DEFAULT_TIMEOUT;
use falco_plugin_engine::source::push as engine;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::convert::buffers::BytesPayload;
use crate::convert::options;
use crate::errors::{describe, to_python};
use crate::event::batch::{self, EventBatch};
use crate::interpreter::log;
use crate::source::channel::Receiver;
use crate::source::context::Context;
use crate::source::driver::{Callbacks, Driven, optional_callable};
use crate::source::left_out::LeftOut;
use crate::source::pull::{already_running, fill_batch, try_lock};

/// An event source that threads fill through a channel (``source.NewPushInstance`` of the Go SDK).
///
/// What there is is delivered at once. The event size is the channel's.
///
/// Args:
///     receiver: the receiving end of a channel; one instance reads from it.
///     context: parent of the instance's context (``WithInstanceContext``); cancelling it ends the source.
///     timeout: seconds or a ``timedelta`` that ``next_batch`` waits for an event at most (``WithInstanceTimeout``); 0
///         takes what is there.
///     close: is called once when the source is closed, after context and channel (``WithInstanceClose``).
///     batch_size: events in a batch, 1 to 2**32 - 1 (``WithInstanceBatchSize``).
///     progress: returns how much has been read, 0 to 1, and a text (``WithInstanceProgress``).
///
/// Raises:
///     PluginError: another instance reads from the receiver.
///     TypeError: a callback is not callable, or an option is of a wrong type.
///     ValueError: an option is out of range.
#[pyclass(frozen, weakref, subclass, module = "falco_plugin.source")]
pub(crate) struct PushInstance {
    engine: Mutex<engine::PushInstance<BytesPayload>>,
    closer: Closer<BytesPayload>,
    event_size: u32,
    pub(crate) context: Py<Context>,
    events: Mutex<Py<EventBatch>>,
    pub(crate) callbacks: Callbacks,
    pub(crate) driven: Driven,
    closed: AtomicBool,
    left_out: Option<LeftOut>,
}

impl PushInstance {
    pub(crate) fn build(
        py: Python<'_>,
        receiver: EngineReceiver<BytesPayload>,
        context: Py<Context>,
        timeout: Duration,
        callbacks: Callbacks,
        memory: EngineBatch,
        left_out: Option<LeftOut>,
    ) -> PyResult<Self> {
        let closer = receiver.closer();
        let event_size = receiver.event_size();
        let engine = engine::PushInstance::new(receiver, context.get().engine.clone(), timeout, log_dropped);
        Ok(Self {
            engine: Mutex::new(engine),
            closer,
            event_size,
            context,
            events: Mutex::new(Py::new(py, EventBatch::holding(memory))?),
            callbacks,
            driven: Driven::default(),
            closed: AtomicBool::new(false),
            left_out,
        })
    }

    /// One batch, without the GIL. `None` where another thread is at it.
    pub(crate) fn fill(&self, memory: &mut EngineBatch) -> Option<Result<usize, Error>> {
        let result = try_lock(&self.engine)?.next_batch(memory);
        // With the one in `close`: either that finds the lock free, or this that it is closed.
        fence(Ordering::SeqCst);
        if self.closed.load(Ordering::Relaxed) {
            // Closed meanwhile, when `close` found the lock held: nobody may come again to count what is left.
            if let Some(mut engine) = try_lock(&self.engine) {
                engine.close();
            }
        }
        Some(result)
    }

    /// The error that the next call would have told.
    pub(crate) fn take_pending_error(&self) -> Option<Error> {
        try_lock(&self.engine)?.take_pending_error()
    }

    pub(crate) fn events_object(&self, py: Python<'_>) -> Py<EventBatch> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone_ref(py)
    }

    /// Waits for the producers to let go of their senders; logs those that do not.
    pub(crate) fn wait_for_senders(&self, deadline: Instant) {
        if !self.closer.wait_for_senders(deadline) {
            let senders = self.closer.senders();
            Python::attach(|py| {
                log::warn(
                    py,
                    &format!(
                        "{senders} sender(s) of the closed source{} are still open: a producer did not stop in time and \
                         is left behind: let it look at its context, and close its sender",
                        log::source_name(py)
                    ),
                );
            });
        }
    }
}

/// Says what was still in the channel when the source ended.
fn log_dropped(events: usize, errors: Vec<Error>) {
    Python::attach(|py| {
        if events > 0 {
            let source = log::source_name(py);
            let text =
                format!("{events} event(s) were still in the channel when the source{source} ended; they are dropped");
            log::warn(py, &text);
        }
        for error in errors {
            describe(py, "a producer", to_python(py, error));
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
        let timeout = timeout.map_or(Ok(DEFAULT_TIMEOUT), |value| options::duration("timeout", value))?;
        let callbacks = Callbacks::new(
            optional_callable("close", close)?,
            optional_callable("progress", progress)?,
        );
        let batch_size = batch_size.map_or(Ok(falco_plugin_engine::event::DEFAULT_BATCH_SIZE), batch::batch_size)?;
        let context = Context::for_instance(py, context.as_ref())?;
        let left_out = receiver.get().left_out(py);
        let receiver = receiver.get().take(py)?;
        let memory = EngineBatch::new(batch_size, receiver.event_size()).map_err(|error| to_python(py, error))?;
        Self::build(py, receiver, context, timeout, callbacks, memory, left_out)
    }

    /// The instance's context, cancelled when it is closed.
    #[getter]
    fn context(&self, py: Python<'_>) -> Py<Context> {
        self.context.clone_ref(py)
    }

    /// The batch that the host reads; another may be set before ``open`` returns (``sdk.Events``).
    ///
    /// Raises:
    ///     ValueError: the batch's event size is smaller than the channel's.
    #[getter]
    fn events(&self, py: Python<'_>) -> Py<EventBatch> {
        self.events_object(py)
    }

    #[setter]
    fn set_events(&self, py: Python<'_>, events: Py<EventBatch>) -> PyResult<()> {
        let (_, event_size) = events.bind(py).borrow().sizes();
        if event_size < self.event_size {
            return Err(to_python(py, engine::event_size_mismatch(event_size, self.event_size)));
        }
        let mut held = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let old = mem::replace(&mut *held, events);
        drop(held);
        drop(old);
        Ok(())
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
    ///     Exception: what a producer sent as the source's error, once; ``EOF`` from then on. What stops a call that
    ///         has events is raised by the next.
    #[pyo3(signature = (batch, /))]
    fn next_batch(&self, batch: &Bound<'_, EventBatch>) -> PyResult<usize> {
        self.driven.check(batch.py())?;
        let py = batch.py();
        fill_batch(batch, |memory| {
            py.detach(|| {
                self.fill(memory)
                    .unwrap_or_else(|| Err(already_running(&self.context.get().engine)))
            })
        })
    }

    /// How much of the source has been read, 0 to 1, and the same as a text; 0.0 and "" without a callback.
    fn progress(&self, py: Python<'_>) -> PyResult<(f64, String)> {
        self.callbacks.progress(py)
    }

    /// Cancels the context, closes the channel, which wakes its senders, then calls the close callback.
    ///
    /// Idempotent.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.closed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        fence(Ordering::SeqCst);
        py.detach(|| {
            self.context.get().engine.cancel();
            self.closer.close();
            // Where next_batch runs on another thread, it sees the cancelled context and does this itself.
            if let Some(mut engine) = try_lock(&self.engine) {
                engine.close();
            }
        });
        if let Some(left_out) = &self.left_out {
            left_out.finish(py);
        }
        self.callbacks.close(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.context)?;
        self.callbacks.traverse(&visit)
    }

    fn __clear__(&self) {
        self.callbacks.clear();
    }
}
