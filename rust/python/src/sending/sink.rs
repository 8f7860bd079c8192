//! `AsyncSink`: passes the async events of a method to the host.

use std::sync::Arc;

use falco_plugin_abi::fork;
use falco_plugin_engine::async_events::AsyncSink as Engine;
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use crate::metrics::of_plugin::PluginMetrics;
use crate::sending::sender::AsyncEventSender;
use crate::sending::target::{NotSent, Target};

/// Passes async events to the host until the host stops it. Not public.
///
/// It takes an ``AsyncEvent`` with a declared name. If there is one declared name only, it also takes what an event
/// source sends: a buffer, or a ``(buffer, timestamp)`` tuple.
#[pyclass(frozen, module = "falco_plugin._core")]
pub(crate) struct AsyncSink(Arc<Target>);

impl AsyncSink {
    pub(crate) fn new(engine: Arc<Engine>, counts: Arc<PluginMetrics>) -> Self {
        Self(Arc::new(Target::new(engine, counts)))
    }
}

#[pymethods]
impl AsyncSink {
    /// Returns a sink for events with these names.
    fn with_names(&self, py: Python<'_>, names: Vec<String>) -> PyResult<Self> {
        Ok(Self(Arc::new(self.0.with_names(py, &names)?)))
    }

    /// Returns a sender of the same events for user code.
    fn sender(&self) -> AsyncEventSender {
        AsyncEventSender(Arc::clone(&self.0))
    }

    /// Whether the host has stopped it.
    #[getter]
    fn closed(&self) -> bool {
        self.0.is_closed()
    }

    /// How many events the host has taken from this sink.
    #[getter]
    fn sent(&self) -> u64 {
        self.0.sent()
    }

    /// Sends one event. Does not wait.
    fn send(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        Ok(self.0.send_item(item)?)
    }

    /// Sends the items of an iterator, each as soon as it is available.
    ///
    /// Returns:
    ///     ``None`` at the end, or the exception for an item that was refused.
    fn send_each<'py>(&self, items: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = items.py();
        // The method that made the iterator may have forked, too.
        fork::end_child();
        // Do not call `iter(items)`: it may start again from the beginning.
        for item in items.cast::<PyIterator>()? {
            fork::end_child();
            match self.0.send_item(&item?) {
                Ok(()) => {}
                Err(NotSent::Ended(error)) => return Err(error),
                Err(NotSent::Refused(error)) => return Ok(Some(error.into_value(py).into_bound(py).into_any())),
            }
        }
        fork::end_child();
        Ok(None)
    }
}
