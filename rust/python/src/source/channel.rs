//! `channel` and `Receiver`.

use std::sync::{Mutex, PoisonError};

use falco_plugin_engine::event::DEFAULT_EVENT_SIZE;
use falco_plugin_engine::source::channel as engine;
use pyo3::prelude::*;

use crate::convert::buffers::BytesPayload;
use crate::convert::options;
use crate::errors::{plugin_error, to_python};
use crate::metrics::of_plugin::sources_of_current;
use crate::source::sender::Sender;
use crate::source::skipped_items::{self, SkippedItems};

/// Makes a channel from producer threads to a ``PushInstance`` (``chan source.PushEvent`` of the Go SDK).
///
/// Args:
///     capacity: the number of events that are queued at most.
///     max_bytes: bytes of payload that are queued at most. A larger event is queued only alone.
///     event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
///     on_error: with ``"raise"``, sending an item that cannot be an event raises. With ``"log"``, the item is skipped
///         and counted. The log reports each cause at most once a minute, and the remaining counts when the source
///         ends.
///
/// Returns:
///     The two ends of the channel: a ``Sender`` for the producers, and a ``Receiver`` for the ``PushInstance``.
///
/// Raises:
///     TypeError: a size is not an ``int``, or ``on_error`` is not a ``str``.
///     ValueError: a size is out of range, or ``on_error`` is neither ``"raise"`` nor ``"log"``.
#[pyfunction]
#[pyo3(
    signature = (capacity = None, *, max_bytes = None, event_size = None, on_error = None),
    text_signature = "(capacity=1024, *, max_bytes=67108864, event_size=262144, on_error='raise')"
)]
pub(crate) fn channel(
    py: Python<'_>,
    capacity: Option<&Bound<'_, PyAny>>,
    max_bytes: Option<&Bound<'_, PyAny>>,
    event_size: Option<&Bound<'_, PyAny>>,
    on_error: Option<&Bound<'_, PyAny>>,
) -> PyResult<(Sender, Receiver)> {
    let size = |name, value: Option<&Bound<'_, PyAny>>, default: usize| {
        value.map_or(Ok(default), |value| {
            options::integer(name, value, 1, isize::MAX as u64).map(|size| size as usize)
        })
    };
    let capacity = size("capacity", capacity, engine::DEFAULT_CAPACITY)?;
    let max_bytes = size("max_bytes", max_bytes, engine::DEFAULT_MAX_BYTES)?;
    let event_size = event_size.map_or(Ok(DEFAULT_EVENT_SIZE), options::event_size)?;
    let skipped_items = skipped_items::from_option(py, on_error)?;
    let (sender, receiver) = engine::channel(capacity, max_bytes, event_size).map_err(|error| to_python(py, error))?;
    if let Some(metrics) = sources_of_current() {
        sender.count_in(&metrics);
    }
    let receiver = Receiver {
        engine: Mutex::new(Some(receiver)),
        event_size,
        skipped_items: skipped_items.as_ref().map(|skipped_items| skipped_items.clone_ref(py)),
    };
    Ok((Sender::new(sender, skipped_items), receiver))
}

/// The receiving end of a channel. One ``PushInstance`` reads from it.
#[pyclass(frozen, module = "falco_plugin.source")]
pub(crate) struct Receiver {
    engine: Mutex<Option<engine::Receiver<BytesPayload>>>,
    event_size: u32,
    skipped_items: Option<SkippedItems>,
}

impl Receiver {
    /// Returns the counter of items that are skipped, if items that cannot be events do not raise.
    pub(crate) fn skipped_items(&self, py: Python<'_>) -> Option<SkippedItems> {
        self.skipped_items
            .as_ref()
            .map(|skipped_items| skipped_items.clone_ref(py))
    }

    /// Passes the receiving end to the one instance that reads from it.
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<engine::Receiver<BytesPayload>> {
        let receiver = self.engine.lock().unwrap_or_else(PoisonError::into_inner).take();
        receiver.ok_or_else(|| {
            plugin_error(
                py,
                "another PushInstance reads from this receiver: make a channel for each instance",
            )
        })
    }
}

#[pymethods]
impl Receiver {
    /// Bytes of the largest payload of one event.
    #[getter]
    fn event_size(&self) -> u32 {
        self.event_size
    }
}
