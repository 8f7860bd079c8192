//! `Event`.

use std::sync::Arc;

use falco_plugin_engine::event as engine;
use falco_plugin_engine::extract::Document;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;

use crate::json;
use crate::once::get_or_make;

// The payload is a copy of its own, so that it can be kept.
/// One event as the host hands it to a plugin (``sdk.EventReader`` of the Go SDK). A copy: it can be kept.
///
/// Args:
///     data: the payload, any buffer.
///     number: the event's number in the host's stream.
///     timestamp: nanoseconds since the epoch.
///     source: the name of its event source.
#[pyclass(frozen, subclass, module = "falco_plugin")]
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
    json: PyOnceLock<Py<PyAny>>,
    /// What fields have read of its JSON so far.
    document: Arc<Document>,
}

impl Event {
    pub(crate) fn copy(py: Python<'_>, event: &engine::Event<'_>, document: Arc<Document>) -> Self {
        Self {
            number: event.number,
            timestamp: event.timestamp,
            source: event.source.to_string(),
            data: PyBytes::new(py, event.data).unbind(),
            json: PyOnceLock::new(),
            document,
        }
    }

    pub(crate) fn document(&self) -> &Arc<Document> {
        &self.document
    }

    pub(crate) fn payload<'a>(&'a self, py: Python<'a>) -> &'a [u8] {
        self.data.bind(py).as_bytes()
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
            json: PyOnceLock::new(),
            document: Arc::default(),
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

    /// The type of plugin events, 322 (``PPME_PLUGINEVENT_E``).
    #[getter(r#type)]
    fn kind(&self) -> u16 {
        engine::PLUGIN_EVENT_TYPE
    }

    /// The payload as JSON: ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` or ``None``.
    ///
    /// Decoded once, and the same object each time: do not change it. Of duplicate keys the first counts, as for
    /// ``json_field``. An integer of more than 4,000 digits is a ``float``.
    ///
    /// Raises:
    ///     NoJsonError: the payload is no JSON, is no UTF-8, or is deeper than 128 levels. Where it leaves a field's
    ///         method, the field is absent, and nothing is logged.
    #[getter]
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let made = get_or_make(py, &self.json, || json::decode(py, self.payload(py)).map(Bound::unbind))?;
        Ok(made.bind(py).clone())
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
