//! `EventBatch`: the memory in which the host reads events.

use falco_plugin_engine::event::{self as engine, NO_TIMESTAMP};
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
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

    /// Takes the memory out of this object. If a writer is open, it loses the memory, and its event is dropped.
    pub(crate) fn take(&mut self, py: Python<'_>) -> PyResult<engine::EventBatch> {
        let Some(writer) = &self.writer else {
            return self.memory.take().ok_or_else(|| self.elsewhere(py));
        };
        let memory = writer
            .get()
            .take_back()
            .map_err(|unusable| unusable_error(py, unusable))?;
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
                "this batch is in use elsewhere, for example by the host: use it only in next_batch"
            },
        )
    }
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
    fn full(&mut self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.memory(py)?.is_full())
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
        append(slf, item, timestamp)
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

    /// Returns a writer for one more event, for a ``with`` block. An exception in the block discards the event.
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
            return Err(PyTypeError::new_err("a batch cannot be sliced: give one index"));
        }
        let index = index.extract::<isize>()?;
        let mut this = slf.try_borrow_mut()?;
        let memory = this.memory(py)?;
        let index = if index < 0 {
            index + memory.len() as isize
        } else {
            index
        };
        let (timestamp, data) = usize::try_from(index)
            .ok()
            .and_then(|index| memory.get(index))
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

/// Appends the items of a list from index `taken` on, up to the first that is not `bytes`. Appending `bytes` runs no
/// Python code, so the batch is borrowed once for all of them.
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

/// The context manager that ``EventBatch.writer`` returns.
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
            // The thread that entered the block can still leave it, which makes the batch usable again.
            Some(Err(unusable @ Unusable::OtherThread)) => return Err(unusable_error(py, unusable)),
            _ => {
                return Err(plugin_error(
                    py,
                    "the batch was passed to the host while its writer was open, and the event was dropped: leave the \
                     'with' block before next_batch returns",
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
