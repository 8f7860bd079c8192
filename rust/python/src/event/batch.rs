//! `EventBatch` and `EventWriter`.

use std::sync::{Mutex, PoisonError};

use falco_plugin_engine::event as engine;
use falco_plugin_engine::event::{MAX_EVENT_SIZE, NO_TIMESTAMP};
use pyo3::exceptions::{PyBaseException, PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyList, PyMemoryView, PySlice, PyTuple};

use crate::convert::buffers::{with_bytes, with_reserved};
use crate::convert::options;
use crate::errors::{plugin_error, to_python, with_taken};
use crate::interpreter::fast::OneArgument;
use crate::interpreter::threads::{Lent, Unusable};
use crate::source::channel::PushEvent;

pub(crate) fn batch_size(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    options::integer("batch_size", value, 1, u64::from(u32::MAX)).map(|size| size as u32)
}

pub(crate) fn event_size(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    options::integer("event_size", value, 1, u64::from(MAX_EVENT_SIZE)).map(|size| size as u32)
}

/// An `EventBatch` from two optional sizes.
pub(crate) fn sized(
    batch: Option<&Bound<'_, PyAny>>,
    event: Option<&Bound<'_, PyAny>>,
) -> PyResult<engine::EventBatch> {
    let batch = batch.map_or(Ok(engine::DEFAULT_BATCH_SIZE), batch_size)?;
    let event = event.map_or(Ok(falco_plugin_engine::event::DEFAULT_EVENT_SIZE), event_size)?;
    Ok(engine::EventBatch::new(batch, event).expect("both sizes were checked"))
}

// The memory is in one place at a time: here, in an open writer, or with the host. That is what keeps it from being
// touched while the host reads it.
/// Events on their way to the host (``sdk.EventWriters`` of the Go SDK).
///
/// Bounded by count and, softly, by bytes: with 1 MiB it is full, and a larger event goes alone. Both are limits:
/// memory follows use. The batch of an instance belongs to the host outside of ``next_batch``; its use then raises
/// ``PluginError``.
///
/// Args:
///     batch_size: events that it takes, 1 to 2**32 - 1.
///     event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
///
/// Raises:
///     TypeError: a size is no ``int``.
///     ValueError: a size is out of range.
#[pyclass(module = "falco_plugin.source")]
pub(crate) struct EventBatch {
    memory: Option<engine::EventBatch>,
    writer: Option<Py<EventWriter>>,
    batch_size: u32,
    event_size: u32,
}

impl EventBatch {
    pub(crate) fn holding(memory: engine::EventBatch) -> Self {
        Self {
            batch_size: memory.batch_size(),
            event_size: memory.event_size(),
            memory: Some(memory),
            writer: None,
        }
    }

    /// Takes the memory away, from an open writer too, whose event is dropped.
    pub(crate) fn take(&mut self, py: Python<'_>) -> PyResult<engine::EventBatch> {
        let Some(writer) = &self.writer else {
            return self.memory.take().ok_or_else(|| self.elsewhere(py));
        };
        let memory = writer.get().take_back().map_err(|unusable| explain(py, unusable))?;
        self.writer = None;
        Ok(memory.into_batch())
    }

    pub(crate) fn put(&mut self, memory: engine::EventBatch) {
        self.memory = Some(memory);
    }

    pub(crate) fn sizes(&self) -> (u32, u32) {
        (self.batch_size, self.event_size)
    }

    fn memory(&mut self, py: Python<'_>) -> PyResult<&mut engine::EventBatch> {
        if self.memory.is_none() {
            return Err(self.elsewhere(py));
        }
        Ok(self.memory.as_mut().expect("just checked"))
    }

    fn elsewhere(&self, py: Python<'_>) -> PyErr {
        plugin_error(
            py,
            if self.writer.is_some() {
                "a writer of this batch is open: leave its 'with' block first"
            } else {
                "this batch is in use elsewhere: outside of next_batch it belongs to the host"
            },
        )
    }
}

#[pymethods]
impl EventBatch {
    #[new]
    #[pyo3(signature = (batch_size = None, event_size = None), text_signature = "(batch_size=128, event_size=262144)")]
    fn new(batch_size: Option<&Bound<'_, PyAny>>, event_size: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self::holding(sized(batch_size, event_size)?))
    }

    /// Events that it takes.
    #[getter]
    fn batch_size(&self) -> u32 {
        self.batch_size
    }

    /// Bytes of the largest payload of one event.
    #[getter]
    fn event_size(&self) -> u32 {
        self.event_size
    }

    /// Whether it takes no further event. Look before adding one.
    #[getter]
    fn full(&mut self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.memory(py)?.is_full())
    }

    /// Adds one event. Its bytes are copied.
    ///
    /// Args:
    ///     item: any buffer, ``(buffer, timestamp)`` or a ``PushEvent`` with data.
    ///     timestamp: ns since the epoch or an aware ``datetime``; without one the host fills in its time.
    ///
    /// Raises:
    ///     BatchFullError: the batch is full.
    ///     EventTooLargeError: the payload is larger than the event size; the batch is as before.
    ///     TypeError: the item is none, such as a ``str``; or it has a timestamp of its own and one is given.
    ///     ValueError: the timestamp is out of range, or a naive ``datetime``.
    #[pyo3(signature = (item, timestamp = None))]
    fn append(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>, timestamp: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        append(slf, item, timestamp)
    }

    /// Adds events until the batch is full. No item is consumed that is not taken.
    ///
    /// Returns:
    ///     How many were taken.
    ///
    /// Raises:
    ///     Exception: as of :meth:`append`, or the iterable's own; its ``taken`` says how many went before it.
    fn extend(slf: &Bound<'_, Self>, items: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = slf.py();
        let mut taken = 0;
        let result = (|| {
            let is_full = || Ok::<_, PyErr>(slf.borrow_mut().memory(py)?.is_full());
            if let Ok(list) = items.cast_exact::<PyList>() {
                loop {
                    append_run(slf, list, &mut taken)?;
                    if taken >= list.len() || is_full()? {
                        return Ok(());
                    }
                    append(slf, &list.get_item(taken)?, None)?;
                    taken += 1;
                }
            }
            let mut items = items.try_iter()?;
            while !is_full()? {
                let Some(item) = items.next() else { break };
                append(slf, &item?, None)?;
                taken += 1;
            }
            Ok(())
        })();
        result.map(|()| taken).map_err(|error| with_taken(py, error, taken))
    }

    /// A writer for one more event, for a ``with`` block. The event counts on a clean exit only.
    ///
    /// Raises:
    ///     BatchFullError: the batch is full.
    fn writer(slf: &Bound<'_, Self>) -> PyResult<BatchWriter> {
        if slf.borrow_mut().memory(slf.py())?.is_full() {
            let error = slf.borrow_mut().memory(slf.py())?.full_error();
            return Err(to_python(slf.py(), error));
        }
        Ok(BatchWriter {
            batch: slf.clone().unbind(),
            writer: None,
        })
    }

    /// Removes all events.
    fn clear(&mut self, py: Python<'_>) -> PyResult<()> {
        self.memory(py)?.clear();
        Ok(())
    }

    fn __len__(&mut self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.memory(py)?.len())
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, index: &Bound<'py, PyAny>) -> PyResult<PushEvent> {
        let py = slf.py();
        if index.is_instance_of::<PySlice>() {
            return Err(PyTypeError::new_err("a batch has no slices: give one index"));
        }
        let index = index.extract::<isize>()?;
        let mut this = slf.try_borrow_mut()?;
        let memory = this.memory(py)?;
        let place = if index < 0 {
            index + memory.len() as isize
        } else {
            index
        };
        let (timestamp, data) = usize::try_from(place)
            .ok()
            .and_then(|place| memory.get(place))
            .ok_or_else(|| PyIndexError::new_err("batch index out of range"))?;
        Ok(PushEvent::event(
            PyBytes::new(py, data),
            (timestamp != NO_TIMESTAMP).then_some(timestamp),
        ))
    }

    fn __repr__(&self) -> String {
        let len = self.memory.as_ref().map(engine::EventBatch::len);
        format!(
            "EventBatch(batch_size={}, event_size={}, {})",
            self.batch_size,
            self.event_size,
            len.map_or_else(|| "in use elsewhere".to_owned(), |len| format!("events={len}")),
        )
    }
}

/// Appends the items from `taken` on that are `bytes`, as far as they go. They run no Python code, so the batch is
/// borrowed once for all of them.
fn append_run(batch: &Bound<'_, EventBatch>, list: &Bound<'_, PyList>, taken: &mut usize) -> PyResult<()> {
    let py = batch.py();
    let mut batch = batch.try_borrow_mut()?;
    let memory = batch.memory(py)?;
    while *taken < list.len() {
        let item = list.get_item(*taken)?;
        let Ok(bytes) = item.cast_exact::<PyBytes>() else { break };
        if memory.is_full() {
            break;
        }
        memory
            .append(bytes.as_bytes(), NO_TIMESTAMP)
            .map_err(|error| to_python(py, error))?;
        *taken += 1;
    }
    Ok(())
}

#[inline]
fn append(
    batch: &Bound<'_, EventBatch>,
    item: &Bound<'_, PyAny>,
    timestamp: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = batch.py();
    let item = Item::new(item, timestamp)?;
    let appended = with_bytes(&item.data, |data| {
        let mut batch = batch.try_borrow_mut()?;
        let memory = batch.memory(py)?;
        memory
            .append(data, item.timestamp.unwrap_or(NO_TIMESTAMP))
            .map_err(|error| to_python(py, error))
    });
    appended?
}

/// A buffer, `(buffer, timestamp)` or a `PushEvent` with data, taken apart.
pub(crate) struct Item<'py> {
    pub(crate) data: Bound<'py, PyAny>,
    pub(crate) timestamp: Option<u64>,
}

impl<'py> Item<'py> {
    #[inline]
    pub(crate) fn new(item: &Bound<'py, PyAny>, timestamp: Option<&Bound<'py, PyAny>>) -> PyResult<Self> {
        if item.is_exact_instance_of::<PyBytes>() {
            return Ok(Self {
                data: item.clone(),
                timestamp: options::timestamp(timestamp)?,
            });
        }
        let twice =
            |what: &str| PyTypeError::new_err(format!("the timestamp is given twice: in {what} and as an argument"));
        if let Ok(event) = item.cast_exact::<PushEvent>() {
            let event = event.get();
            if timestamp.is_some_and(|timestamp| !timestamp.is_none()) {
                return Err(twice("the PushEvent"));
            }
            let Some(data) = &event.data else {
                return Err(PyTypeError::new_err(
                    "a batch holds events only: raise the error of a PushEvent instead",
                ));
            };
            return Ok(Self {
                data: data.bind(item.py()).clone().into_any(),
                timestamp: event.timestamp,
            });
        }
        if let Ok(pair) = item.cast::<PyTuple>() {
            if pair.len() != 2 {
                return Err(PyTypeError::new_err(format!(
                    "an item that is a tuple must be (data, timestamp), not one of {} elements",
                    pair.len()
                )));
            }
            if timestamp.is_some_and(|timestamp| !timestamp.is_none()) {
                return Err(twice("the tuple"));
            }
            return Ok(Self {
                data: pair.get_item(0)?,
                timestamp: options::timestamp(Some(&pair.get_item(1)?))?,
            });
        }
        Ok(Self {
            data: item.clone(),
            timestamp: options::timestamp(timestamp)?,
        })
    }
}

// Lent for one call, on one thread; outside of it every use raises.
/// Writes the payload of one event (``sdk.EventWriter`` of the Go SDK).
///
/// Works only during the call that it was given to, and on its thread; elsewhere every use raises ``PluginError``.
/// ``len()`` is the bytes written so far.
#[pyclass(frozen, module = "falco_plugin.source")]
pub(crate) struct EventWriter {
    lent: Lent<Writing>,
    /// Reused from event to event, unless a view of it is still held.
    memory: Mutex<Option<Py<PyByteArray>>>,
    /// The last exception of a method that refused its argument. `None` if this writer does not remember them.
    refusal: Option<Mutex<Option<Py<PyBaseException>>>>,
}

struct Writing {
    writer: Box<engine::EventWriter>,
    /// Bytes that were reserved and not committed yet.
    reserved: Option<usize>,
}

impl EventWriter {
    pub(crate) fn idle() -> Self {
        Self {
            lent: Lent::nothing(),
            memory: Mutex::new(None),
            refusal: None,
        }
    }

    /// A writer that remembers what it refused, for [`Self::take_refusal`].
    pub(crate) fn remembering() -> Self {
        Self {
            refusal: Some(Mutex::default()),
            ..Self::idle()
        }
    }

    /// Returns the last exception of a method that refused its argument since the last call of this function.
    pub(crate) fn take_refusal(&self) -> Option<Py<PyBaseException>> {
        self.refusal
            .as_ref()?
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Remembers an exception that a method is about to raise.
    #[cold]
    fn refuse(&self, py: Python<'_>, error: PyErr) -> PyErr {
        if let Some(refusal) = &self.refusal {
            let value = error.value(py).clone().unbind();
            let old = refusal.lock().unwrap_or_else(PoisonError::into_inner).replace(value);
            drop(old);
        }
        error
    }

    /// Lends the engine's writer for one event; gives it back where another is lent already.
    #[inline]
    pub(crate) fn lend(&self, writer: Box<engine::EventWriter>) -> Result<(), Box<engine::EventWriter>> {
        let writing = Writing { writer, reserved: None };
        self.lent.lend(writing).map_err(|writing| writing.writer)
    }

    #[inline]
    pub(crate) fn take_back(&self) -> Result<Box<engine::EventWriter>, Unusable> {
        self.lent.take_back().map(|writing| writing.writer)
    }

    #[inline]
    fn with<R>(&self, py: Python<'_>, code: impl FnOnce(&mut Writing) -> R) -> PyResult<R> {
        self.lent.with(code).map_err(|unusable| explain(py, unusable))
    }

    #[inline]
    fn write_bytes(&self, py: Python<'_>, data: &[u8]) -> PyResult<usize> {
        self.with(py, |writing| writing.writer.write(data))?
            .map_err(|error| to_python(py, error))
    }
}

impl OneArgument for EventWriter {
    const NAME: &str = "write";

    #[inline]
    fn call<'py>(this: &Bound<'py, Self>, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        Ok(this.get().write(data)?.into_pyobject(this.py())?.into_any())
    }

    fn general() -> &'static PyOnceLock<Py<PyAny>> {
        static GENERAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        &GENERAL
    }
}

#[pymethods]
impl EventWriter {
    /// Adds bytes to the payload; several calls make one event.
    ///
    /// Returns:
    ///     How many bytes were written: all.
    ///
    /// Raises:
    ///     EventTooLargeError: the payload would be larger than the event size; nothing of the event is kept.
    ///     TypeError: the data is no buffer.
    #[pyo3(signature = (data, /))]
    fn write(&self, data: &Bound<'_, PyAny>) -> PyResult<usize> {
        with_bytes(data, |bytes| self.write_bytes(data.py(), bytes))
            .flatten()
            .map_err(|error| self.refuse(data.py(), error))
    }

    /// Memory to fill in place, such as with ``readinto``; :meth:`commit` then adds it to the payload.
    ///
    /// It is Python's own: a view that is kept can never touch what the host reads.
    ///
    /// Args:
    ///     size: bytes.
    ///
    /// Raises:
    ///     EventTooLargeError: the payload would be larger than the event size.
    ///     ValueError: the size is negative or too large.
    #[pyo3(signature = (size, /))]
    fn reserve<'py>(&self, size: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.reserve_bytes(size).map_err(|error| self.refuse(size.py(), error))
    }

    /// Adds the first bytes of what was reserved to the payload.
    ///
    /// Args:
    ///     size: bytes, at most what was reserved.
    ///
    /// Returns:
    ///     How many bytes were written: all.
    ///
    /// Raises:
    ///     PluginError: nothing is reserved.
    ///     ValueError: the size is negative, or more than was reserved.
    #[pyo3(signature = (size, /))]
    fn commit(&self, size: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = size.py();
        let size = options::integer("size", size, 0, u64::from(u32::MAX))? as usize;
        let reserved = self.with(py, |writing| writing.reserved)?;
        let memory = self.reserved_memory().as_ref().map(|memory| memory.clone_ref(py));
        let (Some(reserved), Some(memory)) = (reserved, memory) else {
            return Err(plugin_error(py, "commit without reserve: call reserve first"));
        };
        if size > reserved {
            return Err(PyValueError::new_err(format!(
                "cannot commit {size} bytes: only {reserved} were reserved: reserve more"
            )));
        }
        self.with(py, |writing| writing.reserved = None)?;
        with_reserved(memory.bind(py), size, |data| self.write_bytes(py, data)).map_err(|error| self.refuse(py, error))
    }

    /// Nanoseconds since the epoch; ``None``: the host fills in its time. An aware ``datetime`` may be set too.
    #[getter]
    fn timestamp(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.with(py, |writing| writing.writer.timestamp())
    }

    #[setter]
    fn set_timestamp(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let timestamp = options::timestamp(Some(value)).map_err(|error| self.refuse(value.py(), error))?;
        self.with(value.py(), |writing| writing.writer.set_timestamp(timestamp))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |writing| writing.writer.len())
    }

    fn __bool__(&self) -> bool {
        true
    }
}

impl EventWriter {
    fn reserve_bytes<'py>(&self, size: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = size.py();
        let size = options::integer("size", size, 0, u64::from(u32::MAX))? as usize;
        self.with(py, |writing| writing.writer.check(size))?
            .map_err(|error| to_python(py, error))?;
        let kept = self.reserved_memory().as_ref().map(|memory| memory.clone_ref(py));
        let memory = match kept.map(|memory| memory.into_bound(py)) {
            Some(memory) if memory.len() >= size && !is_viewed(&memory) => memory,
            _ => {
                let memory = PyByteArray::new_with(py, size, |_| Ok(()))?;
                let old = self.reserved_memory().replace(memory.clone().unbind());
                drop(old);
                memory
            }
        };
        self.with(py, |writing| writing.reserved = Some(size))?;
        // Not `PySlice::new`, which leaks the numbers that it makes.
        let beginning = py.get_type::<PySlice>().call1((size,))?;
        PyMemoryView::from(memory.as_any())?.get_item(beginning)
    }

    /// Never held while Python code runs.
    fn reserved_memory(&self) -> std::sync::MutexGuard<'_, Option<Py<PyByteArray>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn explain(py: Python<'_>, unusable: Unusable) -> PyErr {
    plugin_error(
        py,
        match unusable {
            Unusable::NotLent => "an EventWriter works only during the call that it was given to; do not keep it",
            Unusable::OtherThread => {
                "an EventWriter works only on the thread that it was given to; to send from other threads use \
                 source.channel()"
            }
        },
    )
}

/// Whether a view of the memory is still held: a bytearray refuses to be resized then.
fn is_viewed(memory: &Bound<'_, PyByteArray>) -> bool {
    let len = memory.len();
    memory.resize(len + 1).is_err() || memory.resize(len).is_err()
}

/// ``with batch.writer() as writer``: the event counts on a clean exit.
#[pyclass(module = "falco_plugin.source")]
pub(crate) struct BatchWriter {
    batch: Py<EventBatch>,
    writer: Option<Py<EventWriter>>,
}

#[pymethods]
impl BatchWriter {
    fn __enter__(&mut self, py: Python<'_>) -> PyResult<Py<EventWriter>> {
        let mut batch = self.batch.bind(py).borrow_mut();
        let memory = batch.memory(py)?;
        if memory.is_full() {
            return Err(to_python(py, memory.full_error()));
        }
        let writer = Py::new(py, EventWriter::idle())?;
        let mut engine = Box::new(engine::EventWriter::new(batch.take(py)?));
        engine.begin();
        let _ = writer.get().lend(engine);
        batch.writer = Some(writer.clone_ref(py));
        self.writer = Some(writer.clone_ref(py));
        Ok(writer)
    }

    fn __exit__(
        &mut self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let lent = self.writer.as_ref().map(|writer| writer.get().take_back());
        let mut writer = match lent {
            Some(Ok(writer)) => writer,
            // The batch is whole again once it is left where it was entered.
            Some(Err(unusable @ Unusable::OtherThread)) => return Err(explain(py, unusable)),
            _ => {
                return Err(plugin_error(
                    py,
                    "the batch was handed to the host while its writer was open, and the event was dropped: leave the 'with' block first",
                ));
            }
        };
        self.writer = None;
        let mut batch = self.batch.bind(py).borrow_mut();
        batch.writer = None;
        if kind.is_none() {
            writer.finish();
        }
        batch.put(writer.into_batch());
        Ok(())
    }
}
