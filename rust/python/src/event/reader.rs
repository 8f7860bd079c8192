//! `Event`: an event as fields and `event_to_string` read it.

use std::borrow::Cow;
use std::cell::Cell;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use falco_plugin_engine::event as engine;
use falco_plugin_engine::event::schema::RawEvent;
use falco_plugin_engine::extract::{Document, EventState};
use falco_plugin_engine::json::text;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::convert::buffers::{Payload, is_shared, reference_count, to_bytes};
use crate::convert::json;
use crate::errors::no_json;
use crate::event::params::Params;
use crate::interpreter::gil_cell::GilCell;
use crate::interpreter::slots::Attributes;

/// The thread id of an event that belongs to no thread.
const NO_THREAD: i64 = -1;
/// The position of the plugin's id in a plugin event.
const PLUGIN_ID: std::ops::Range<usize> = 34..38;

// The object is reused for the next event of its thread, unless something keeps a reference to it. Without this, an
// extraction by a method takes 1.7 times as long (measured with a method that keeps the event): the object, its strings
// and a copy of the payload are then made for each event.
/// An event that the host passes to the plugin (``sdk.EventReader`` of the Go SDK). The object may be kept.
///
/// Args:
///     data: the payload of an event that a plugin makes, any buffer.
///     number: the number of the event in the host's stream, from 1.
///     timestamp: nanoseconds since the epoch.
///     source: the name of the event source.
///     raw: instead of data and timestamp, a whole event as drivers encode it, any buffer.
///
/// Raises:
///     ValueError: ``raw`` is not a whole event.
#[pyclass(frozen, subclass, module = "falco_plugin")]
pub(crate) struct Event {
    // The atomics change only while nothing else has a reference to the object. So no
    // thread sees parts of two events, and `Relaxed` is enough.
    number: AtomicU64,
    timestamp: AtomicU64,
    code: AtomicU16,
    thread_id: AtomicI64,
    /// The id in a plugin event.
    plugin_id: AtomicU32,
    source: String,
    /// The payload of a plugin event. The whole event if it has another type.
    payload: Payload,
    kept: Mutex<Kept>,
    /// Whether anything is kept, so that an event for which nothing was made costs no lock.
    has_kept: AtomicBool,
    /// The values that fields have read from the payload so far.
    document: Arc<Document>,
    /// The number of the event among those of its thread (`EventState::serial`).
    serial: AtomicU64,
    /// The parameters, which all accesses during a call of the host share; `None` outside of calls.
    params: GilCell<Option<Option<Py<Params>>>>,
}

/// The object of the last event of a thread, and that of its parameters. Both are reused for the next event. The parameters
/// refer to the event, so the event does not refer to them outside of calls.
struct LastEvent {
    event: Py<Event>,
    params: Cell<Option<Py<Params>>>,
}

impl LastEvent {
    /// Returns whether anything else refers to one of the objects. Must not be called during a call of the host.
    #[inline]
    fn is_kept(&self, py: Python<'_>) -> bool {
        let params = self.params.take();
        let is_kept = match &params {
            None => is_shared(self.event.bind(py)),
            // The parameters have one of the references to the event.
            Some(params) => reference_count(params.bind(py)) > 1 || reference_count(self.event.bind(py)) > 2,
        };
        self.params.set(params);
        is_kept
    }
}

/// The Python objects that were made of one event.
#[derive(Default)]
struct Kept {
    json: Option<Py<PyAny>>,
    cache: Option<Py<PyDict>>,
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
            .and_then(|last| last.downcast_ref::<LastEvent>())
            .filter(|last| last.event.get().change_to(event, &state, || last.is_kept(py)));
        let last = match reused {
            Some(last) => last,
            None => {
                let last = LastEvent {
                    event: Py::new(py, Self::from_host(event, &state))?,
                    params: Cell::default(),
                };
                let old = state.user_state.replace(Box::new(last));
                drop(old);
                let last = state.user_state.as_ref().and_then(|last| last.downcast_ref());
                last.expect("the object was stored above")
            }
        };
        *state.is_exclusive = false;
        let object = last.event.bind(py);
        let this = object.get();
        // Without the GIL, the references to the two objects cannot be counted.
        let is_shareable = cfg!(not(Py_GIL_DISABLED));
        this.params.replace(py, is_shareable.then(|| last.params.take()));
        let is_kept = Cell::new(true);
        let end = || {
            last.params.set(this.params.replace(py, None).flatten());
            is_kept.set(last.is_kept(py));
            if is_kept.get() {
                drop(last.params.take());
            }
            is_kept.get()
        };
        let is_new_event = this.serial.load(Ordering::Relaxed) != serial;
        this.serial.store(serial, Ordering::Relaxed);
        let result = this
            .payload
            .while_borrowed(py, kept_bytes(event), is_new_event, end, || code(object));
        *state.is_exclusive = !is_kept.get();
        result
    }

    fn from_host(event: &engine::Event<'_>, state: &EventState<'_>) -> Self {
        Self {
            number: event.number.into(),
            timestamp: event.timestamp.into(),
            code: event.code.into(),
            thread_id: event.thread_id.into(),
            plugin_id: plugin_id(event).into(),
            source: String::from_utf8_lossy(event.source).into_owned(),
            payload: Payload::absent(),
            kept: Mutex::default(),
            has_kept: AtomicBool::new(false),
            document: state.document.clone(),
            serial: 0.into(),
            params: GilCell::new(None),
        }
    }

    /// Returns the object of the parameters. All accesses during a call of the host get the same one.
    #[inline]
    fn params_of<'py>(event: &Bound<'py, Self>) -> PyResult<Bound<'py, Params>> {
        let py = event.py();
        let kept = event.get().params.with(py, |params| {
            let params = params.as_ref()?.as_ref()?;
            Some(params.bind(py).clone())
        });
        if let Some(params) = kept {
            return Ok(params);
        }
        let made = Bound::new(py, Params::new(event))?;
        event.get().params.with(py, |params| {
            if let Some(params) = params {
                *params = Some(made.clone().unbind());
            }
        });
        Ok(made)
    }

    /// Makes this the object of `event`. Returns false if that is impossible, because something keeps the object as a
    /// preceding event, or because `event` has another source.
    #[inline]
    fn change_to(&self, event: &engine::Event<'_>, state: &EventState<'_>, is_kept: impl FnOnce() -> bool) -> bool {
        if !Arc::ptr_eq(&self.document, state.document) {
            return false;
        }
        if self.serial.load(Ordering::Relaxed) == state.serial {
            return true;
        }
        if is_kept() || self.source.as_bytes() != event.source {
            return false;
        }
        self.number.store(event.number, Ordering::Relaxed);
        self.timestamp.store(event.timestamp, Ordering::Relaxed);
        self.code.store(event.code, Ordering::Relaxed);
        self.thread_id.store(event.thread_id, Ordering::Relaxed);
        self.plugin_id.store(plugin_id(event), Ordering::Relaxed);
        if self.has_kept.load(Ordering::Relaxed) {
            self.forget();
        }
        true
    }

    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// Runs `read` on the payload of a plugin event, or the data of an async event; nothing for other events. `read` must
    /// not run Python code or release the GIL.
    pub(crate) fn with_data<R>(&self, py: Python<'_>, read: impl FnOnce(&[u8]) -> R) -> R {
        self.payload.with(py, |bytes| match self.kind() {
            engine::PLUGIN_EVENT_TYPE => read(bytes),
            _ => read(RawEvent::new(bytes).and_then(|event| event.data()).unwrap_or_default()),
        })
    }

    /// Runs `read` on the encoded event; `None` if it is malformed, which is impossible. `read` must not run Python code or
    /// release the GIL.
    pub(crate) fn with_raw<R>(&self, py: Python<'_>, read: impl FnOnce(RawEvent<'_>) -> R) -> Option<R> {
        self.payload.with(py, |bytes| {
            let mut raw = Cow::Borrowed(bytes);
            if self.kind() == engine::PLUGIN_EVENT_TYPE {
                let mut event = engine::encode_header(self.timestamp(), bytes.len() as u32).to_vec();
                event[PLUGIN_ID].copy_from_slice(&self.plugin_id.load(Ordering::Relaxed).to_le_bytes());
                event.extend_from_slice(bytes);
                raw = event.into();
            }
            RawEvent::new(&raw).map(read)
        })
    }

    /// Locks what is kept of the event. The lock is never held while Python code runs.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what is kept of the event. This may run finalizers.
    fn forget(&self) {
        self.has_kept.store(false, Ordering::Relaxed);
        let kept = mem::take(&mut *self.kept());
        drop(kept);
    }
}

/// Returns the bytes that the object of an event holds.
#[inline]
fn kept_bytes<'a>(event: &engine::Event<'a>) -> &'a [u8] {
    match event.code {
        engine::PLUGIN_EVENT_TYPE => event.data,
        _ => event.raw,
    }
}

/// Returns the id in a plugin event. In other events the bytes have another meaning, and are not read.
#[inline]
fn plugin_id(event: &engine::Event<'_>) -> u32 {
    let id = event.raw.get(PLUGIN_ID).and_then(|id| id.first_chunk());
    id.map_or(0, |id| u32::from_le_bytes(*id))
}

impl Attributes for Event {
    const NAMES: &[&str] = &["params", "thread_id", "json", "data"];

    fn interned() -> &'static PyOnceLock<Vec<Py<PyString>>> {
        static INTERNED: PyOnceLock<Vec<Py<PyString>>> = PyOnceLock::new();
        &INTERNED
    }

    #[inline]
    fn attribute<'py>(this: &Bound<'py, Self>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        let (event, py) = (this.get(), this.py());
        Ok(match index {
            0 => Self::params(this)?.into_any(),
            1 => event.thread_id().into_bound_py_any(py)?,
            2 => event.json(py)?,
            _ => event.data(py).into_any(),
        })
    }
}

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (data = None, /, *, number = 1, timestamp = 0, source = "", raw = None))]
    fn new(
        data: Option<&Bound<'_, PyAny>>,
        number: u64,
        timestamp: u64,
        source: &str,
        raw: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (mut code, mut timestamp, mut thread_id, mut plugin) = (engine::PLUGIN_EVENT_TYPE, timestamp, NO_THREAD, 0);
        let bytes = match (data, raw) {
            (Some(data), None) => to_bytes(data)?,
            (None, Some(raw)) => {
                let raw = to_bytes(raw)?;
                let decoded = engine::Event::decode(raw.as_bytes(), 0, number, b"");
                let event = decoded.ok_or_else(|| PyValueError::new_err("raw is not a whole encoded event"))?;
                (code, timestamp, thread_id) = (event.code, event.timestamp, event.thread_id);
                plugin = plugin_id(&event);
                match code {
                    engine::PLUGIN_EVENT_TYPE => PyBytes::new(raw.py(), event.data),
                    _ => raw.clone(),
                }
            }
            _ => return Err(PyTypeError::new_err("an event needs either data or raw=…")),
        };
        Ok(Self {
            number: number.into(),
            timestamp: timestamp.into(),
            code: code.into(),
            thread_id: thread_id.into(),
            plugin_id: plugin.into(),
            source: source.to_owned(),
            payload: Payload::copied(bytes.unbind()),
            kept: Mutex::default(),
            has_kept: AtomicBool::new(false),
            document: Arc::default(),
            serial: 0.into(),
            params: GilCell::new(None),
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

    /// The payload of a plugin event, or the data of an async event. Empty for all other events, which have
    /// :attr:`params`.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        match self.kind() {
            engine::PLUGIN_EVENT_TYPE => self.payload.get(py),
            _ => self.with_data(py, |data| PyBytes::new(py, data)),
        }
    }

    /// The payload as text. Each byte that is not UTF-8 is replaced by U+FFFD.
    #[getter]
    fn text(&self, py: Python<'_>) -> String {
        self.with_data(py, |bytes| text::decode_lossy(bytes).text.into_owned())
    }

    /// The code of the event's type, such as 293 for the end of ``execve``. The code of a plugin event is 322
    /// (``ppm_event_code``).
    #[getter(r#type)]
    pub(crate) fn kind(&self) -> u16 {
        self.code.load(Ordering::Relaxed)
    }

    /// The name of the event as rules have it, such as ``"execve"`` (``evt.type`` in rules).
    ///
    /// It is ``"pluginevent"`` for the events of plugins, and an async event has its own name. If the type is newer
    /// than the SDK, the name is its code in digits.
    #[getter]
    fn name(&self, py: Python<'_>) -> String {
        let name = self.with_raw(py, |event| event.name().into_owned());
        name.unwrap_or_else(|| self.kind().to_string())
    }

    /// The id of the thread that made the event (``thread.tid`` in rules).
    ///
    /// It is ``None`` if the event belongs to no thread, such as the events of plugins.
    #[getter]
    fn thread_id(&self) -> Option<i64> {
        let id = self.thread_id.load(Ordering::Relaxed);
        (id != NO_THREAD).then_some(id)
    }

    /// The parameters of the event by name and by position, as ``evt.arg`` and ``evt.rawarg`` name them in rules.
    #[getter]
    fn params<'py>(event: &Bound<'py, Self>) -> PyResult<Bound<'py, Params>> {
        Self::params_of(event)
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
        let kept = self.kept().json.as_ref().map(|json| json.bind(py).clone());
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let made = match json::decode(py, self.data(py).as_bytes())? {
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
        let mut kept = self.kept();
        self.has_kept.store(true, Ordering::Relaxed);
        Ok(kept.json.get_or_insert_with(|| made.clone().unbind()).bind(py).clone())
    }

    /// A ``dict`` for values that several methods of the plugin make of this event, such as a decoded payload.
    ///
    /// It is empty when the first method is called for an event. All fields, methods with ``@parse`` and
    /// ``event_to_string`` that are called for this event on the same thread share it, because they get the same event.
    /// An event that is kept also keeps its ``dict``. An event whose ``cache`` is not used costs nothing.
    ///
    /// Example:
    ///     ```python
    ///     def message(self, event):
    ///         if "message" not in event.cache:
    ///             event.cache["message"] = Message.FromString(event.data)
    ///         return event.cache["message"]
    ///     ```
    #[getter]
    fn cache<'py>(&self, py: Python<'py>) -> Bound<'py, PyDict> {
        let kept = self.kept().cache.as_ref().map(|cache| cache.bind(py).clone());
        if let Some(kept) = kept {
            return kept;
        }
        let made = PyDict::new(py);
        // If another thread has made one in the meantime, return that one.
        let mut kept = self.kept();
        self.has_kept.store(true, Ordering::Relaxed);
        kept.cache.get_or_insert_with(|| made.clone().unbind()).bind(py).clone()
    }

    // User code may store the event itself in its cache.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.kept.try_lock() {
            Ok(kept) => visit.call(&kept.cache),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        self.forget();
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (number, timestamp, source) = (self.number(), self.timestamp(), &self.source);
        let content = match self.kind() {
            engine::PLUGIN_EVENT_TYPE => self.payload.get(py).repr()?.to_string(),
            _ => format!("<{}>", self.name(py)),
        };
        Ok(format!(
            "Event({content}, number={number}, timestamp={timestamp}, source={source:?})"
        ))
    }
}
