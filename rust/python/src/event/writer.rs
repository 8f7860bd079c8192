//! `EventWriter`: writes the payload of one event into a batch.

use std::sync::{Mutex, MutexGuard, PoisonError};

use falco_plugin_engine::event as engine;
use pyo3::exceptions::{PyBaseException, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyMemoryView, PySlice};

use crate::convert::buffers::{with_bytes, with_reserved};
use crate::convert::options;
use crate::errors::{plugin_error, to_python};
use crate::interpreter::fast::OneArgument;
use crate::interpreter::threads::{Loan, Unusable};

/// Writes the payload of one event (``sdk.EventWriter`` of the Go SDK).
///
/// A writer works only during the call that it was passed to, or in the ``with`` block that made it, and only on that
/// thread. Elsewhere every use raises ``PluginError``. ``len(writer)`` is the number of bytes written so far.
#[pyclass(frozen, module = "falco_plugin.source")]
pub(crate) struct EventWriter {
    /// The engine's writer and its batch, which Python code borrows for one event.
    loan: Loan<Writing>,
    /// The memory of `reserve`. It is used again for the next event, unless a view of it still exists.
    memory: Mutex<Option<Py<PyByteArray>>>,
    /// The last exception of a method that refused its argument. `None` if this writer does not remember refusals.
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
            loan: Loan::none(),
            memory: Mutex::new(None),
            refusal: None,
        }
    }

    /// Makes a writer that remembers what it refused, for [`Self::take_refusal`].
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

    /// Lends the engine's writer to Python code for one event. Returns it if another one is borrowed already.
    #[inline]
    pub(crate) fn lend(&self, writer: Box<engine::EventWriter>) -> Result<(), Box<engine::EventWriter>> {
        let writing = Writing { writer, reserved: None };
        self.loan.lend(writing).map_err(|writing| writing.writer)
    }

    /// Ends the loan. Fails on any other thread than the borrower, and if no writer is borrowed.
    #[inline]
    pub(crate) fn take_back(&self) -> Result<Box<engine::EventWriter>, Unusable> {
        self.loan.take_back().map(|writing| writing.writer)
    }

    #[inline]
    fn with<R>(&self, py: Python<'_>, code: impl FnOnce(&mut Writing) -> R) -> PyResult<R> {
        self.loan.with(code).map_err(|unusable| unusable_error(py, unusable))
    }

    #[inline]
    fn write_bytes(&self, py: Python<'_>, data: &[u8]) -> PyResult<usize> {
        self.with(py, |writing| writing.writer.write(data))?
            .map_err(|error| to_python(py, error))
    }

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
        // Do not use `PySlice::new`: it leaks the numbers that it makes.
        let beginning = py.get_type::<PySlice>().call1((size,))?;
        PyMemoryView::from(memory.as_any())?.get_item(beginning)
    }

    /// Locks the memory of `reserve`. The lock is never held while Python code runs.
    fn reserved_memory(&self) -> MutexGuard<'_, Option<Py<PyByteArray>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Appends bytes to the payload. Several calls make one event.
    ///
    /// Returns:
    ///     The number of bytes written, which is always all of them.
    ///
    /// Raises:
    ///     EventTooLargeError: the payload would be larger than the event size. All of the event is discarded.
    ///     TypeError: the data is not a buffer.
    #[pyo3(signature = (data, /))]
    fn write(&self, data: &Bound<'_, PyAny>) -> PyResult<usize> {
        with_bytes(data, |bytes| self.write_bytes(data.py(), bytes))
            .flatten()
            .map_err(|error| self.refuse(data.py(), error))
    }

    /// Returns memory to fill in place, such as with ``readinto``. Then :meth:`commit` appends it to the payload.
    ///
    /// The memory belongs to Python: a view that is kept can never change what the host reads.
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

    /// Appends the first bytes of the reserved memory to the payload.
    ///
    /// Args:
    ///     size: bytes, at most as many as were reserved.
    ///
    /// Returns:
    ///     The number of bytes written, which is always all of them.
    ///
    /// Raises:
    ///     PluginError: no memory is reserved.
    ///     ValueError: the size is negative, or larger than the reserved memory.
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
                "cannot commit {size} bytes, because only {reserved} were reserved: reserve more"
            )));
        }
        self.with(py, |writing| writing.reserved = None)?;
        with_reserved(memory.bind(py), size, |data| self.write_bytes(py, data))
            .flatten()
            .map_err(|error| self.refuse(py, error))
    }

    /// Nanoseconds since the epoch; with ``None`` the host sets its time. An aware ``datetime`` may be set too.
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

/// Makes the error for a writer that is used outside of its call or thread.
pub(crate) fn unusable_error(py: Python<'_>, unusable: Unusable) -> PyErr {
    plugin_error(
        py,
        match unusable {
            Unusable::NotBorrowed => "an EventWriter works only during the call that it was passed to: do not keep it",
            Unusable::OtherThread => {
                "an EventWriter works only on the thread that it was passed to: to send from other threads, use \
                 source.channel()"
            }
        },
    )
}

/// Returns whether a view of the memory still exists. A bytearray with views refuses to be resized.
fn is_viewed(memory: &Bound<'_, PyByteArray>) -> bool {
    let len = memory.len();
    memory.resize(len + 1).is_err() || memory.resize(len).is_err()
}
