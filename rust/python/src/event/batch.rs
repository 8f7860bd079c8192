//! `EventBatch`: the memory in which the host reads events.

use std::sync::{Mutex, MutexGuard, PoisonError};

use falco_plugin_engine::event::{self as engine, NO_TIMESTAMP};
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList, PySlice};

use crate::convert::buffers::with_bytes;
use crate::convert::options;
use crate::errors::{plugin_error, to_python, with_taken};
use crate::event::item::{Item, PushEvent};
use crate::event::writer::{EventWriter, unusable_error};
use crate::interpreter::threads::Unusable;

// The memory is owned by one party at a time: by this object, by an open writer, or by the host. So nothing can change
// it while the host reads it.
/// A batch: the events that are delivered to the host together (``sdk.EventWriters`` of the Go SDK).
///
/// A batch is full with ``batch_size`` events, or with 1 MiB of events. An event that is larger than 1 MiB is in a
/// batch alone. Both sizes are limits, not allocations: the memory grows with use. Outside of ``next_batch`` the batch
/// of an instance belongs to the host, and using it raises ``PluginError``.
///
/// Args:
///     batch_size: the number of events that the batch holds at most, 1 to 2**32 - 1.
///     event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
///
/// Raises:
///     TypeError: a size is not an ``int``.
///     ValueError: a size is out of range.
#[pyclass(frozen, module = "falco_plugin.source")]
pub(crate) struct EventBatch {
    state: Mutex<State>,
    batch_size: u32,
    event_size: u32,
}

struct State {
    memory: Option<engine::EventBatch>,
    /// The open writer, which has the memory.
    writer: Option<Py<EventWriter>>,
}

impl EventBatch {
    pub(crate) fn holding(memory: engine::EventBatch) -> Self {
        Self {
            batch_size: memory.batch_size(),
            event_size: memory.event_size(),
            state: Mutex::new(State {
                memory: Some(memory),
                writer: None,
            }),
        }
    }

    /// Takes the memory out of this object. If a writer is open, it loses the memory, and its event is dropped.
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<engine::EventBatch> {
        let mut state = self.lock(py);
        let Some(writer) = &state.writer else {
            let memory = state.memory.take();
            drop(state);
            return memory.ok_or_else(|| elsewhere(py, false));
        };
        let taken = writer.get().take_back();
        let closed = if taken.is_ok() { state.writer.take() } else { None };
        drop(state);
        drop(closed);
        taken
            .map(|writer| writer.into_batch())
            .map_err(|unusable| unusable_error(py, unusable))
    }

    pub(crate) fn put(&self, py: Python<'_>, memory: engine::EventBatch) {
        self.lock(py).memory = Some(memory);
    }

    pub(crate) fn sizes(&self) -> (u32, u32) {
        (self.batch_size, self.event_size)
    }

    /// Runs code on the memory. The code must not run Python code.
    #[inline]
    fn with_memory<R>(&self, py: Python<'_>, code: impl FnOnce(&mut engine::EventBatch) -> R) -> PyResult<R> {
        let mut state = self.lock(py);
        let result = state.memory.as_mut().map(code);
        let is_written = state.writer.is_some();
        drop(state);
        result.ok_or_else(|| elsewhere(py, is_written))
    }

    /// Locks the state. The lock is never held while Python code runs.
    #[inline]
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, State> {
        self.state.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the error for a batch that does not have its memory. `is_written` states whether a writer has it.
#[cold]
fn elsewhere(py: Python<'_>, is_written: bool) -> PyErr {
    plugin_error(
        py,
        if is_written {
            "a writer of this batch is open: leave its 'with' block first"
        } else {
            "this batch is in use elsewhere, for example by the host: use it only in next_batch"
        },
    )
}

#[pymethods]
impl EventBatch {
    #[new]
    #[pyo3(signature = (batch_size = None, event_size = None), text_signature = "(batch_size=128, event_size=262144)")]
    fn new(batch_size: Option<&Bound<'_, PyAny>>, event_size: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        options::batch(batch_size, event_size).map(Self::holding)
    }

    /// The number of events that the batch holds at most.
    #[getter]
    fn batch_size(&self) -> u32 {
        self.batch_size
    }

    /// Bytes of the largest payload of one event.
    #[getter]
    fn event_size(&self) -> u32 {
        self.event_size
    }

    /// Whether the batch is full. Check it before you append an event.
    #[getter]
    fn full(&self, py: Python<'_>) -> PyResult<bool> {
        self.with_memory(py, |memory| memory.is_full())
    }

    /// Appends one event. Its bytes are copied.
    ///
    /// Args:
    ///     item: any buffer, a ``(buffer, timestamp)`` tuple, or a ``PushEvent`` with data.
    ///     timestamp: nanoseconds since the epoch, or an aware ``datetime``; without one the host fills in its time.
    ///
    /// Raises:
    ///     BatchFullError: the batch is full.
    ///     EventTooLargeError: the payload is larger than the event size. The batch is unchanged.
    ///     TypeError: the item cannot be an event, such as a ``str``; or there is a timestamp both in the item and as
    ///         an argument.
    ///     ValueError: the timestamp is out of range, or a naive ``datetime``.
    #[pyo3(signature = (item, timestamp = None))]
    fn append(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>, timestamp: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        append(slf, item, timestamp).map(drop)
    }

    /// Appends events until the batch is full. Items that are not appended are not consumed from an iterator.
    ///
    /// Args:
    ///     items: an iterable of items, each as in :meth:`append`.
    ///
    /// Returns:
    ///     The number of appended events.
    ///
    /// Raises:
    ///     Exception: an exception of :meth:`append` or of the iterable. Its attribute ``taken`` is the number of
    ///         events that were appended before it.
    fn extend(slf: &Bound<'_, Self>, items: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = slf.py();
        let mut taken = 0;
        let result = (|| {
            let is_full = || slf.get().full(py);
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
            let mut has_capacity = !is_full()?;
            while has_capacity && let Some(item) = items.next() {
                has_capacity = !append(slf, &item?, None)?;
                taken += 1;
            }
            Ok(())
        })();
        result.map(|()| taken).map_err(|error| with_taken(py, error, taken))
    }

    /// Returns a writer for one more event, for a ``with`` block. An exception in the block discards the event.
    ///
    /// Raises:
    ///     BatchFullError: the batch is full.
    fn writer(slf: &Bound<'_, Self>) -> PyResult<BatchWriter> {
        let py = slf.py();
        let is_refused = slf
            .get()
            .with_memory(py, |memory| memory.is_full().then(|| memory.full_error()))?;
        match is_refused {
            Some(error) => Err(to_python(py, error)),
            None => Ok(BatchWriter {
                batch: slf.clone().unbind(),
                writer: Mutex::new(None),
            }),
        }
    }

    /// Removes all events.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.with_memory(py, engine::EventBatch::clear)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.with_memory(py, |memory| memory.len())
    }

    fn __getitem__(&self, py: Python<'_>, index: &Bound<'_, PyAny>) -> PyResult<PushEvent> {
        if index.is_instance_of::<PySlice>() {
            return Err(PyTypeError::new_err("a batch cannot be sliced: give one index"));
        }
        let index = index.extract::<isize>()?;
        let found = self.with_memory(py, |memory| {
            let index = if index < 0 {
                index + memory.len() as isize
            } else {
                index
            };
            let (timestamp, data) = usize::try_from(index).ok().and_then(|index| memory.get(index))?;
            Some((PyBytes::new(py, data), timestamp))
        })?;
        let (data, timestamp) = found.ok_or_else(|| PyIndexError::new_err("batch index out of range"))?;
        Ok(PushEvent::event(data, (timestamp != NO_TIMESTAMP).then_some(timestamp)))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let len = self.lock(py).memory.as_ref().map(engine::EventBatch::len);
        format!(
            "EventBatch(batch_size={}, event_size={}, {})",
            self.batch_size,
            self.event_size,
            len.map_or_else(|| "in use elsewhere".to_owned(), |len| format!("events={len}")),
        )
    }
}

/// Appends the items of a list from index `taken` on, up to the first that is not `bytes`. Appending `bytes` runs no
/// Python code, so the batch is locked once for all of them.
fn append_run(batch: &Bound<'_, EventBatch>, list: &Bound<'_, PyList>, taken: &mut usize) -> PyResult<()> {
    let py = batch.py();
    // If another thread changes the list, this may be the last reference to an object whose finalizer runs Python code.
    let mut other = None;
    let result = batch.get().with_memory(py, |memory| {
        while *taken < list.len() && !memory.is_full() {
            let Ok(item) = list.get_item(*taken) else { break };
            match item.cast_into_exact::<PyBytes>() {
                Ok(bytes) => memory.append(bytes.as_bytes(), NO_TIMESTAMP)?,
                Err(error) => {
                    other = Some(error.into_inner());
                    break;
                }
            }
            *taken += 1;
        }
        Ok(())
    });
    drop(other);
    result?.map_err(|error| to_python(py, error))
}

/// Appends an item. Returns whether the batch is full afterwards.
#[inline]
fn append(
    batch: &Bound<'_, EventBatch>,
    item: &Bound<'_, PyAny>,
    timestamp: Option<&Bound<'_, PyAny>>,
) -> PyResult<bool> {
    let py = batch.py();
    let item = Item::new(item, timestamp)?;
    let timestamp = item.timestamp.unwrap_or(NO_TIMESTAMP);
    let appended = with_bytes(&item.data, |data| {
        batch
            .get()
            .with_memory(py, |memory| memory.append(data, timestamp).map(|()| memory.is_full()))
    });
    appended??.map_err(|error| to_python(py, error))
}

/// The context manager that ``EventBatch.writer`` returns.
#[pyclass(frozen, module = "falco_plugin.source")]
pub(crate) struct BatchWriter {
    batch: Py<EventBatch>,
    /// The writer of the block that was entered.
    writer: Mutex<Option<Py<EventWriter>>>,
}

impl BatchWriter {
    /// Locks the writer. The lock is never held while Python code runs.
    fn writer(&self, py: Python<'_>) -> MutexGuard<'_, Option<Py<EventWriter>>> {
        self.writer.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl BatchWriter {
    fn __enter__(&self, py: Python<'_>) -> PyResult<Py<EventWriter>> {
        let writer = Py::new(py, EventWriter::idle())?;
        let batch = self.batch.get();
        let mut state = batch.lock(py);
        let refused = match &state.memory {
            None => Some(None),
            Some(memory) if memory.is_full() => Some(Some(memory.full_error())),
            Some(_) => None,
        };
        if let Some(refused) = refused {
            let is_written = state.writer.is_some();
            drop(state);
            return Err(refused.map_or_else(|| elsewhere(py, is_written), |full| to_python(py, full)));
        }
        let mut engine = Box::new(engine::EventWriter::new(state.memory.take().expect("checked above")));
        engine.begin();
        let _ = writer.get().lend(engine);
        state.writer = Some(writer.clone_ref(py));
        drop(state);
        let old = self.writer(py).replace(writer.clone_ref(py));
        drop(old);
        Ok(writer)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let entered = self.writer(py).as_ref().map(|writer| writer.clone_ref(py));
        let batch = self.batch.get();
        let mut state = batch.lock(py);
        let lent = entered.as_ref().map(|writer| writer.get().take_back());
        let closed = match lent {
            Some(Ok(mut writer)) => {
                if kind.is_none() {
                    writer.finish();
                }
                state.memory = Some(writer.into_batch());
                state.writer.take()
            }
            lent => {
                drop(state);
                return Err(match lent {
                    // The thread that entered the block can still leave it, which makes the batch usable again.
                    Some(Err(unusable @ Unusable::OtherThread)) => unusable_error(py, unusable),
                    _ => plugin_error(
                        py,
                        "the batch was passed to the host while its writer was open, and the event was dropped: leave \
                         the 'with' block before next_batch returns",
                    ),
                });
            }
        };
        drop(state);
        drop(closed);
        let old = self.writer(py).take();
        drop(old);
        Ok(())
    }
}
