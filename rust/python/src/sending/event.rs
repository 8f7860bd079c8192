//! `AsyncEvent`: an async event to send.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::convert::buffers::to_bytes;
use crate::convert::options;
use crate::interpreter::fast::Constructor;

/// An async event, which a method of :func:`falco_plugin.async_events` or ``dump_state`` yields. Immutable.
///
/// Args:
///     name: the name, which the method declares.
///     data: the payload, any buffer; empty by default. ``bytes`` are kept by reference, other buffers are copied.
///     timestamp: nanoseconds since the epoch, or an aware ``datetime``. Without one the host sets the time at which it
///         takes the event from its queue. Falco drops an event whose time is more than 10 seconds in the future, and
///         reports that in its log only.
///
/// Raises:
///     TypeError: the name is not a ``str``, the data is not a buffer, or the timestamp has a wrong type.
///     ValueError: the timestamp is out of range, or a naive ``datetime``.
#[pyclass(frozen, module = "falco_plugin.sending")]
pub(crate) struct AsyncEvent {
    pub(crate) name: Py<PyString>,
    /// `None` for an empty payload.
    pub(crate) data: Option<Py<PyBytes>>,
    pub(crate) timestamp: Option<u64>,
}

impl Constructor for AsyncEvent {
    const MOST: usize = 3;

    #[inline]
    fn make<'py>(arguments: &[Borrowed<'_, 'py, PyAny>]) -> Option<PyClassInitializer<Self>> {
        let (name, rest) = arguments.split_first()?;
        let data = match rest.first() {
            Some(data) => Some(data.cast_exact::<PyBytes>().ok()?.to_owned().unbind()),
            None => None,
        };
        Some(PyClassInitializer::from(Self {
            name: name.cast_exact::<PyString>().ok()?.to_owned().unbind(),
            data,
            timestamp: options::timestamp(rest.get(1).map(|timestamp| &**timestamp)).ok()?,
        }))
    }
}

#[pymethods]
impl AsyncEvent {
    #[new]
    #[pyo3(signature = (name, data = None, timestamp = None), text_signature = "(name, data=b'', timestamp=None)")]
    fn new(
        name: Py<PyString>,
        data: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self {
            name,
            data: data.map(|data| to_bytes(data).map(Bound::unbind)).transpose()?,
            timestamp: options::timestamp(timestamp)?,
        })
    }

    /// The name.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        self.name.bind(py).clone()
    }

    /// The payload.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let data = self.data.as_ref().map(|data| data.bind(py).clone());
        data.unwrap_or_else(|| PyBytes::new(py, b""))
    }

    /// Nanoseconds since the epoch; with ``None`` the host sets its time.
    #[getter]
    fn timestamp(&self) -> Option<u64> {
        self.timestamp
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(other) = other.cast_exact::<Self>() else {
            return Ok(false);
        };
        let other = other.get();
        Ok(self.timestamp == other.timestamp
            && self.name.bind(py).as_any().eq(other.name.bind(py))?
            && self.data(py).as_bytes() == other.data(py).as_bytes())
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        let (name, data) = (self.name(py).into_any(), self.data(py).into_any());
        PyTuple::new(py, [name, data, self.timestamp.into_pyobject(py)?.into_any()])?.hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (name, data) = (self.name.bind(py).repr()?, self.data(py).repr()?);
        Ok(match self.timestamp {
            None => format!("AsyncEvent({name}, {data})"),
            Some(timestamp) => format!("AsyncEvent({name}, {data}, {timestamp})"),
        })
    }
}
