//! `Event`: an event as fields and `event_to_string` read it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use falco_plugin_engine::event as engine;
use falco_plugin_engine::extract::{Document, EventState};
use falco_plugin_engine::json::text;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::buffers::{Payload, is_shared, to_bytes};
use crate::convert::json;
use crate::errors::no_json;

// The object is reused for the next event of its thread, unless something keeps a reference to it. Without this, an
// extraction by a method takes 1.7 times as long (measured with a method that keeps the event): the object, its strings
// and a copy of the payload are then made for each event.
/// An event that the host passes to the plugin (``sdk.EventReader`` of the Go SDK). The object may be kept.
///
/// Args:
///     data: the payload, any buffer.
///     number: the number of the event in the host's stream, from 1.
///     timestamp: nanoseconds since the epoch.
///     source: the name of the event source.
#[pyclass(frozen, subclass, module = "falco_plugin")]
pub(crate) struct Event {
    // `number`, `timestamp`, `has_json` and `serial` change only while nothing else has a reference to the object. So no
    // thread sees parts of two events, and `Relaxed` is enough.
    number: AtomicU64,
    timestamp: AtomicU64,
    source: String,
    payload: Payload,
    json: Mutex<Option<Py<PyAny>>>,
    has_json: AtomicBool,
    /// The values that fields have read from the payload so far.
    document: Arc<Document>,
    /// The number of the event among those of its thread (`EventState::serial`).
    serial: AtomicU64,
}

impl Event {
    /// Calls `code` with the object for an event. All calls for the same event get the same object.
    #[inline]
    pub(crate) fn while_current<R>(
        py: Python<'_>,
        event: &engine::Event<'_>,
        state: EventState<'_>,
        code: impl FnOnce(&Bound<'_, Self>) -> PyResult<R>,
    ) -> PyResult<R> {
        let serial = state.serial;
        let reused = state
            .user_state
            .as_ref()
            .and_then(|object| object.downcast_ref::<Py<Self>>())
            .filter(|object| object.get().change_to(object.bind(py), event, &state));
        let object = match reused {
            Some(object) => object.bind(py),
            None => {
                let object = Py::new(py, Self::from_host(event, &state))?;
                let old = state.user_state.replace(Box::new(object));
                drop(old);
                let object = state
                    .user_state
                    .as_ref()
                    .and_then(|object| object.downcast_ref::<Py<Self>>());
                object.expect("the object was stored above").bind(py)
            }
        };
        *state.is_exclusive = false;
        let is_kept = || is_shared(object);
        let this = object.get();
        let is_new_event = this.serial.load(Ordering::Relaxed) != serial;
        this.serial.store(serial, Ordering::Relaxed);
        let result = this
            .payload
            .while_borrowed(py, event.data, is_new_event, is_kept, || code(object));
        *state.is_exclusive = !is_kept();
        result
    }

    fn from_host(event: &engine::Event<'_>, state: &EventState<'_>) -> Self {
        Self {
            number: event.number.into(),
            timestamp: event.timestamp.into(),
            source: String::from_utf8_lossy(event.source).into_owned(),
            payload: Payload::absent(),
            json: Mutex::default(),
            has_json: AtomicBool::new(false),
            document: state.document.clone(),
            serial: 0.into(),
        }
    }

    /// Makes this the object of `event`. Returns false if that is impossible, because something keeps the object as a
    /// preceding event, or because `event` has another source.
    #[inline]
    fn change_to(&self, object: &Bound<'_, Self>, event: &engine::Event<'_>, state: &EventState<'_>) -> bool {
        if !Arc::ptr_eq(&self.document, state.document) {
            return false;
        }
        if self.serial.load(Ordering::Relaxed) == state.serial {
            return true;
        }
        if is_shared(object) || self.source.as_bytes() != event.source {
            return false;
        }
        self.number.store(event.number, Ordering::Relaxed);
        self.timestamp.store(event.timestamp, Ordering::Relaxed);
        if self.has_json.load(Ordering::Relaxed) {
            self.has_json.store(false, Ordering::Relaxed);
            let json = self.kept_json().take();
            drop(json);
        }
        true
    }

    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    pub(crate) fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Locks the decoded payload. The lock is never held while Python code runs.
    fn kept_json(&self) -> MutexGuard<'_, Option<Py<PyAny>>> {
        self.json.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (data, /, *, number = 1, timestamp = 0, source = ""))]
    fn new(data: &Bound<'_, PyAny>, number: u64, timestamp: u64, source: &str) -> PyResult<Self> {
        Ok(Self {
            number: number.into(),
            timestamp: timestamp.into(),
            source: source.to_owned(),
            payload: Payload::copied(to_bytes(data)?.unbind()),
            json: Mutex::default(),
            has_json: AtomicBool::new(false),
            document: Arc::default(),
            serial: 0.into(),
        })
    }

    /// The number of the event in the host's stream, from 1 (``evt.num`` in rules).
    #[getter]
    fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// Nanoseconds since the epoch (``evt.time`` in rules).
    #[getter]
    fn timestamp(&self) -> u64 {
        self.timestamp.load(Ordering::Relaxed)
    }

    /// The name of the event source (``evt.source`` in rules).
    #[getter]
    fn source(&self) -> &str {
        &self.source
    }

    /// The payload.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.payload.get(py)
    }

    /// The payload as text. Each byte that is not UTF-8 is replaced by U+FFFD.
    #[getter]
    fn text(&self, py: Python<'_>) -> String {
        self.payload
            .with(py, |bytes| text::decode_lossy(bytes).text.into_owned())
    }

    /// The type of the event, which is always 322 (``PPME_PLUGINEVENT_E``).
    #[getter(r#type)]
    fn kind(&self) -> u16 {
        engine::PLUGIN_EVENT_TYPE
    }

    /// The payload as JSON: a ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` or ``None``.
    ///
    /// The payload is decoded once, and each access returns the same object, so do not change it. If a key occurs more
    /// than once in an object, its first value counts, as for ``json_field``. An integer of more than 4,000 digits
    /// becomes a ``float``.
    ///
    /// A fault costs at most the value that contains it. Each byte that is not UTF-8, and each half of a surrogate
    /// pair, becomes U+FFFD. An unknown escape is kept as it is written. A word that JSON does not have becomes a
    /// ``str``. If the payload ends early, the members before its end are present. A container nested more deeply than
    /// 128 levels becomes ``None``.
    ///
    /// Raises:
    ///     NoJsonError: the payload does not begin with a JSON value. If a field's method does not catch this error,
    ///         the field is absent, and the payload is counted and reported as one that is not JSON.
    #[getter]
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let kept = self.kept_json().as_ref().map(|json| json.bind(py).clone());
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let made = match json::decode(py, self.payload.get(py).as_bytes())? {
            Ok(json::Decoded { value, fault }) => {
                if let Some(fault) = fault {
                    self.document.record_fault(fault);
                }
                value
            }
            Err(fault) => {
                self.document.record_fault(fault);
                return Err(no_json(py, fault));
            }
        };
        // If another thread has decoded the payload in the meantime, return its object.
        let mut kept = self.kept_json();
        self.has_json.store(true, Ordering::Relaxed);
        Ok(kept.get_or_insert_with(|| made.clone().unbind()).bind(py).clone())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "Event({}, number={}, timestamp={}, source={:?})",
            self.payload.get(py).repr()?,
            self.number(),
            self.timestamp(),
            self.source
        ))
    }
}
