//! Items: the Python objects that can become an event.

use pyo3::exceptions::{PyBaseException, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple, PyType};

use crate::convert::buffers::to_bytes;
use crate::convert::options;

/// An event, or an error in its place (``source.PushEvent`` of the Go SDK). Immutable.
///
/// Args:
///     data: the payload, any buffer. ``bytes`` are kept by reference, other buffers are copied.
///     timestamp: nanoseconds since the epoch, or an aware ``datetime``; without one the host fills in its time.
///     error: ``Timeout`` reports that there is no event for now; ``EOF`` and any other error end the source.
///
/// Raises:
///     TypeError: the data is not a buffer, the error is not an exception, or the timestamp has a wrong type.
///     ValueError: both data and an error are given, or neither; or the timestamp is out of range, or is given with an
///         error.
#[pyclass(frozen, module = "falco_plugin.source")]
pub(crate) struct PushEvent {
    pub(crate) data: Option<Py<PyBytes>>,
    pub(crate) timestamp: Option<u64>,
    pub(crate) error: Option<Py<PyBaseException>>,
}

impl PushEvent {
    pub(crate) fn event(data: Bound<'_, PyBytes>, timestamp: Option<u64>) -> Self {
        Self {
            data: Some(data.unbind()),
            timestamp,
            error: None,
        }
    }
}

#[pymethods]
impl PushEvent {
    #[new]
    #[pyo3(signature = (data = None, timestamp = None, *, error = None))]
    fn new(
        data: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
        error: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let timestamp = options::timestamp(timestamp)?;
        match (data, error) {
            (Some(data), None) => Ok(Self::event(to_bytes(data)?, timestamp)),
            (None, Some(error)) if timestamp.is_none() => Ok(Self {
                data: None,
                timestamp: None,
                error: Some(exception(error)?),
            }),
            (None, Some(_)) => Err(PyValueError::new_err(
                "a PushEvent with an error has no timestamp: leave the timestamp out",
            )),
            _ => Err(PyValueError::new_err(
                "a PushEvent has either data or an error: give exactly one of them",
            )),
        }
    }

    /// The payload; ``None`` if there is an error instead.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.data.as_ref().map(|data| data.bind(py).clone())
    }

    /// Nanoseconds since the epoch; with ``None`` the host sets its time.
    #[getter]
    fn timestamp(&self) -> Option<u64> {
        self.timestamp
    }

    /// The error; ``None`` if there is data instead.
    #[getter]
    fn error<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBaseException>> {
        self.error.as_ref().map(|error| error.bind(py).clone())
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(other) = other.cast_exact::<Self>() else {
            return Ok(false);
        };
        let other = other.get();
        Ok(self.timestamp == other.timestamp
            && self.data(py).map(|data| data.as_bytes().to_vec())
                == other.data(py).map(|data| data.as_bytes().to_vec())
            && match (&self.error, &other.error) {
                (None, None) => true,
                (Some(one), Some(two)) => one.is(two),
                _ => false,
            })
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyTuple::new(
            py,
            [
                self.data(py).into_pyobject(py)?.into_any(),
                self.timestamp.into_pyobject(py)?.into_any(),
            ],
        )?
        .hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(match (&self.data, &self.error, self.timestamp) {
            (Some(data), _, None) => format!("PushEvent({})", data.bind(py).repr()?),
            (Some(data), _, Some(timestamp)) => {
                format!("PushEvent({}, {timestamp})", data.bind(py).repr()?)
            }
            (None, Some(error), _) => format!("PushEvent(error={})", error.bind(py).repr()?),
            (None, None, _) => "PushEvent()".to_owned(),
        })
    }
}

/// Returns an exception. Makes an instance if `error` is an exception class.
pub(crate) fn exception(error: &Bound<'_, PyAny>) -> PyResult<Py<PyBaseException>> {
    if let Ok(class) = error.cast::<PyType>()
        && class.is_subclass_of::<PyBaseException>()?
    {
        return Ok(class.call0()?.cast_into::<PyBaseException>()?.unbind());
    }
    match error.cast::<PyBaseException>() {
        Ok(error) => Ok(error.clone().unbind()),
        Err(_) => Err(PyTypeError::new_err(format!(
            "error must be an exception, got {}",
            error.get_type().name()?
        ))),
    }
}

/// The payload and the timestamp of an item: a buffer, a `(buffer, timestamp)` tuple or a `PushEvent` with data.
pub(crate) struct Item<'py> {
    /// A buffer, which is not checked yet.
    pub(crate) data: Bound<'py, PyAny>,
    pub(crate) timestamp: Option<u64>,
}

impl<'py> Item<'py> {
    /// Reads an item. `timestamp` is the argument beside it, which is an error if the item has a timestamp itself.
    #[inline]
    pub(crate) fn new(item: &Bound<'py, PyAny>, timestamp: Option<&Bound<'py, PyAny>>) -> PyResult<Self> {
        if item.is_exact_instance_of::<PyBytes>() {
            return Ok(Self {
                data: item.clone(),
                timestamp: options::timestamp(timestamp)?,
            });
        }
        let given_twice = |item: &str| {
            PyTypeError::new_err(format!(
                "the timestamp is given twice, in the {item} and as an argument: leave one of them out"
            ))
        };
        if let Ok(event) = item.cast_exact::<PushEvent>() {
            let event = event.get();
            if timestamp.is_some_and(|timestamp| !timestamp.is_none()) {
                return Err(given_twice("PushEvent"));
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
                    "expected a (data, timestamp) tuple, got a tuple of length {}",
                    pair.len()
                )));
            }
            if timestamp.is_some_and(|timestamp| !timestamp.is_none()) {
                return Err(given_twice("tuple"));
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
