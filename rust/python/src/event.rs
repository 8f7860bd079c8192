//! `Event`.

use falco_plugin_engine::event as engine;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

// The payload is a copy of its own, so that it can be kept.
/// One event as the host hands it to a plugin (``sdk.EventReader`` of the Go SDK). A copy: it can be kept.
///
/// Args:
///     data: the payload, any buffer.
///     number: the event's number in the host's stream.
///     timestamp: nanoseconds since the epoch.
///     source: the name of its event source.
#[pyclass(frozen, module = "falco_plugin")]
pub(crate) struct Event {
    /// The event's number in the host's stream, from 1 on (``evt.num`` in rules).
    #[pyo3(get)]
    number: u64,
    /// Nanoseconds since the epoch (``evt.time`` in rules).
    #[pyo3(get)]
    timestamp: u64,
    /// The name of its event source (``evt.source`` in rules).
    #[pyo3(get)]
    source: String,
    data: Py<PyBytes>,
}

impl Event {
    pub(crate) fn copy(py: Python<'_>, event: &engine::Event<'_>) -> Self {
        Self {
            number: event.number,
            timestamp: event.timestamp,
            source: event.source.to_owned(),
            data: PyBytes::new(py, event.data).unbind(),
        }
    }
}

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (data, /, *, number = 1, timestamp = 0, source = ""))]
    fn new(data: &Bound<'_, PyAny>, number: u64, timestamp: u64, source: &str) -> PyResult<Self> {
        Ok(Self {
            number,
            timestamp,
            source: source.to_owned(),
            data: crate::buffers::to_bytes(data)?.unbind(),
        })
    }

    /// The payload.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.data.bind(py).clone()
    }

    /// The payload as text; what is not UTF-8 is replaced.
    #[getter]
    fn text(&self, py: Python<'_>) -> String {
        String::from_utf8_lossy(self.data.bind(py).as_bytes()).into_owned()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "Event({}, number={}, timestamp={}, source={:?})",
            self.data.bind(py).repr()?,
            self.number,
            self.timestamp,
            self.source
        ))
    }
}
