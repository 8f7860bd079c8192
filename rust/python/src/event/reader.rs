//! `Event`.

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

// One object serves event after event, as long as nobody keeps it: to make one costs more than to call a method.
/// One event as the host hands it to a plugin (``sdk.EventReader`` of the Go SDK). It can be kept.
///
/// Args:
///     data: the payload, any buffer.
///     number: the event's number in the host's stream.
///     timestamp: nanoseconds since the epoch.
///     source: the name of its event source.
#[pyclass(frozen, subclass, module = "falco_plugin")]
pub(crate) struct Event {
    // The atomics change with the GIL held, and where nobody else has the object: nobody reads half of another event, and
    // no order of theirs is needed.
    number: AtomicU64,
    timestamp: AtomicU64,
    source: String,
    payload: Payload,
    json: Mutex<Option<Py<PyAny>>>,
    has_json: AtomicBool,
    /// What fields have read of its JSON so far.
    document: Arc<Document>,
    /// Which of its thread's events it is (`EventState::serial`).
    turn: AtomicU64,
}

impl Event {
    /// Runs code on the object for an event: one, whatever code of the thread asks for it.
    pub(crate) fn while_current<R>(
        py: Python<'_>,
        event: &engine::Event<'_>,
        state: EventState<'_>,
        code: impl FnOnce(&Bound<'_, Self>) -> PyResult<R>,
    ) -> PyResult<R> {
        let turn = state.serial;
        let kept = state
            .user_state
            .as_ref()
            .and_then(|kept| kept.downcast_ref::<Py<Self>>())
            .filter(|kept| kept.get().becomes(kept.bind(py), event, &state));
        let object = match kept {
            Some(kept) => kept.bind(py),
            None => {
                let made = Py::new(py, Self::of(event, &state))?;
                let before = state.user_state.replace(Box::new(made));
                drop(before);
                let made = state
                    .user_state
                    .as_ref()
                    .and_then(|kept| kept.downcast_ref::<Py<Self>>());
                made.expect("just put there").bind(py)
            }
        };
        *state.is_exclusive = false;
        let is_kept = || is_shared(object);
        let Self {
            payload, turn: known, ..
        } = object.get();
        let is_another = known.load(Ordering::Relaxed) != turn;
        known.store(turn, Ordering::Relaxed);
        let result = payload.while_lent(py, event.data, is_another, is_kept, || code(object));
        *state.is_exclusive = !is_kept();
        result
    }

    fn of(event: &engine::Event<'_>, state: &EventState<'_>) -> Self {
        Self {
            number: event.number.into(),
            timestamp: event.timestamp.into(),
            source: String::from_utf8_lossy(event.source).into_owned(),
            payload: Payload::gone(),
            json: Mutex::default(),
            has_json: AtomicBool::new(false),
            document: state.document.clone(),
            turn: 0.into(),
        }
    }

    /// Makes this the object of the event, where it is not yet and nobody keeps it as what it was.
    fn becomes(&self, own: &Bound<'_, Self>, event: &engine::Event<'_>, state: &EventState<'_>) -> bool {
        if !Arc::ptr_eq(&self.document, state.document) {
            return false;
        }
        if self.turn.load(Ordering::Relaxed) == state.serial {
            return true;
        }
        if is_shared(own) || self.source.as_bytes() != event.source {
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

    /// Never held while Python code runs.
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
            turn: 0.into(),
        })
    }

    /// The event's number in the host's stream, from 1 on (``evt.num`` in rules).
    #[getter]
    fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// Nanoseconds since the epoch (``evt.time`` in rules).
    #[getter]
    fn timestamp(&self) -> u64 {
        self.timestamp.load(Ordering::Relaxed)
    }

    /// The name of its event source (``evt.source`` in rules).
    #[getter]
    fn source(&self) -> &str {
        &self.source
    }

    /// The payload.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.payload.get(py)
    }

    /// The payload as text; each byte that is not UTF-8 is replaced by U+FFFD.
    #[getter]
    fn text(&self, py: Python<'_>) -> String {
        self.payload
            .with(py, |bytes| text::decode_lossy(bytes).text.into_owned())
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
    /// A fault costs at most the value that contains it. Each byte that is not UTF-8 and each half of a surrogate pair
    /// becomes U+FFFD. An unknown escape stays as it is written. A word that JSON does not have is a ``str``. If the
    /// text ends early, the members before its end are there. Containers nested more deeply than 128 levels are
    /// ``None``.
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
        // Another thread may have been faster.
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
