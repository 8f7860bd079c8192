//! `Params`: the parameters of an event by name and by position.

use std::borrow::Cow;
use std::net::IpAddr;

use falco_plugin_engine::event::schema::{self, ParamType, SocketAddress, SocketTuple, Strings, Value};
use falco_plugin_engine::json::text;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyIterator, PyList, PyMapping, PyString, PyTuple};

use crate::event::reader::Event;
use crate::imports;
use crate::interpreter::gil_cell::GilCell;
use crate::interpreter::slots::Subscript;

/// The parameters of an event (``evt.arg`` in rules): a mapping of names to values. Positions are keys, too.
///
/// A value is decoded when it is read. It is ``None`` if the driver could not read it, or if it is NULL. A parameter
/// that the event does not have, because an older driver made it, is not in the mapping: use :meth:`get`. A parameter
/// that is newer than the SDK has its position as its name, such as ``"5"``, and is ``bytes``.
#[pyclass(frozen, mapping, module = "falco_plugin")]
pub(crate) struct Params {
    event: Py<Event>,
    /// The positions of names that were looked up. The object is reused for other events, of which most have the same
    /// type, and the code of a plugin has the same name in the same object.
    known: GilCell<KnownPositions>,
}

/// The positions of the names that were looked up last.
#[derive(Default)]
struct KnownPositions {
    names: [Option<KnownPosition>; 4],
    /// The next of them to replace.
    next: usize,
}

struct KnownPosition {
    name: Py<PyString>,
    /// The code of the event type.
    code: u16,
    position: usize,
}

impl KnownPositions {
    #[inline]
    fn find(&self, name: &Bound<'_, PyString>, code: u16) -> Option<usize> {
        let mut known = self.names.iter().flatten();
        let found = known.find(|known| known.name.as_ptr() == name.as_ptr() && known.code == code);
        found.map(|known| known.position)
    }

    /// Keeps a position. Returns the one that it replaces.
    fn keep(&mut self, known: KnownPosition) -> Option<KnownPosition> {
        let next = self.next;
        self.next = (next + 1) % self.names.len();
        self.names[next].replace(known)
    }
}

/// A value that is decoded, or the bytes of one that must be decoded without the lock of the payload: containers can start a
/// garbage collection, which can run Python code.
enum Found<'py> {
    Value(Bound<'py, PyAny>),
    Container(ParamType, Vec<u8>),
}

impl Params {
    pub(crate) fn new(event: &Bound<'_, Event>) -> Self {
        Self {
            event: event.clone().unbind(),
            known: GilCell::new(KnownPositions::default()),
        }
    }

    /// Makes the class known as a mapping to `collections.abc`.
    pub(crate) fn register(py: Python<'_>) -> PyResult<()> {
        PyMapping::register::<Self>(py)
    }

    /// Runs `read` on the encoded parameters. It must not run Python code or release the GIL.
    #[inline]
    fn with<R>(&self, py: Python<'_>, read: impl FnOnce(schema::Params<'_>) -> R) -> Option<R> {
        self.event.get().with_raw(py, |event| read(event.params()))
    }

    /// Returns the value of a key; `None` if the event has no such parameter.
    #[inline]
    fn look_up<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = key.py();
        if let Ok(name) = key.cast_exact::<PyString>() {
            let code = self.event.get().kind();
            let known = self.known.with(py, |known| known.find(name, code));
            let Some(position) = known.or_else(|| self.find_name(name, code)) else {
                return Ok(None);
            };
            return self.value(py, position);
        }
        let value = self.find(key)?.map(|position| self.value(py, position)).transpose()?;
        Ok(value.flatten())
    }

    /// Returns the position of a name, and keeps it for the next look-up. Returns `None` if the event has no such parameter.
    fn find_name(&self, name: &Bound<'_, PyString>, code: u16) -> Option<usize> {
        let py = name.py();
        let text = name.to_str().ok()?;
        let position = self.with(py, |params| params.find(text)).flatten()?;
        let known = KnownPosition {
            name: name.clone().unbind(),
            code,
            position,
        };
        let replaced = self.known.with(py, |positions| positions.keep(known));
        drop(replaced);
        Some(position)
    }

    /// Returns the value at a position; `None` if the event does not have it.
    #[inline]
    fn value<'py>(&self, py: Python<'py>, position: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = self.with(py, |params| {
            let value = params.value(position)?;
            Some(scalar(py, &value).map(|value| match value {
                Some(value) => Found::Value(value),
                None => Found::Container(
                    params.kind(position),
                    params.bytes(position).unwrap_or_default().to_vec(),
                ),
            }))
        });
        match found.flatten().transpose()? {
            None => Ok(None),
            Some(Found::Value(value)) => Ok(Some(value)),
            Some(Found::Container(kind, bytes)) => container(py, &Value::decode(kind, &bytes)).map(Some),
        }
    }

    /// Returns the position of a key; `None` if the event has no such parameter.
    #[inline]
    fn find(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let py = key.py();
        if let Ok(name) = key.cast::<PyString>() {
            let Ok(name) = name.to_str() else { return Ok(None) };
            return Ok(self.with(py, |params| params.find(name)).flatten());
        }
        if !key.is_instance_of::<PyInt>() || key.is_instance_of::<PyBool>() {
            let kind = key.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "a parameter is named by a str or an int, got {kind}"
            )));
        }
        let position: Option<usize> = key.extract().ok();
        Ok(position.filter(|&position| position < self.len(py)))
    }

    fn names(&self, py: Python<'_>) -> Vec<Cow<'static, str>> {
        let names = self.with(py, |params| {
            (0..params.len()).map(|position| params.name(position)).collect()
        });
        names.unwrap_or_default()
    }

    fn missing(&self, key: &Bound<'_, PyAny>) -> PyResult<PyErr> {
        let names = self.names(key.py()).join(", ");
        let names = if names.is_empty() { "none".to_owned() } else { names };
        let event = self.event.get();
        let name = event
            .with_raw(key.py(), |event| event.name().into_owned())
            .unwrap_or_default();
        Ok(PyKeyError::new_err(format!(
            "this {name} event has no parameter {}: it has {names}",
            key.repr()?
        )))
    }
}

impl Subscript for Params {
    #[inline]
    fn item<'py>(this: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        this.get().__getitem__(key)
    }
}

#[pymethods]
impl Params {
    fn __len__(&self, py: Python<'_>) -> usize {
        self.len(py)
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.look_up(key)?.map_or_else(|| Err(self.missing(key)?), Ok)
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.find(key)?.is_some())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.keys(py)?.try_iter()
    }

    /// Returns the value of a parameter, or ``default`` if the event does not have it.
    ///
    /// Args:
    ///     key: the name or the position.
    ///     default: the result for a parameter that the event does not have.
    #[pyo3(signature = (key, default = None, /))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.look_up(key)?.or(default))
    }

    /// Returns the bytes of a parameter as the driver encoded them.
    ///
    /// Args:
    ///     key: the name or the position.
    ///
    /// Raises:
    ///     KeyError: the event does not have the parameter.
    #[pyo3(signature = (key, /))]
    fn raw<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let Some(position) = self.find(key)? else {
            return Err(self.missing(key)?);
        };
        let bytes = self.with(py, |params| {
            PyBytes::new(py, params.bytes(position).unwrap_or_default())
        });
        bytes.map_or_else(|| Err(self.missing(key)?), Ok)
    }

    /// Returns the names of the event's parameters in their order.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.names(py))
    }

    /// Returns the values in their order.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let values = (0..self.len(py)).filter_map(|position| self.value(py, position).transpose());
        PyList::new(py, values.collect::<PyResult<Vec<_>>>()?)
    }

    /// Returns pairs of name and value in their order.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut items = Vec::new();
        for (position, name) in self.names(py).into_iter().enumerate() {
            if let Some(value) = self.value(py, position)? {
                items.push((name, value));
            }
        }
        PyList::new(py, items)
    }

    fn __eq__<'py>(&self, py: Python<'py>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let Ok(mapping) = other.cast::<PyMapping>() else {
            return Ok(py.NotImplemented().into_bound(py));
        };
        let own = PyDict::from_sequence(self.items(py)?.as_any())?;
        let others = PyDict::from_sequence(mapping.items()?.as_any())?;
        Ok(PyBool::new(py, own.eq(others)?).to_owned().into_any())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let items = PyDict::from_sequence(self.items(py)?.as_any())?;
        Ok(format!("Params({})", items.repr()?))
    }
}

impl Params {
    fn len(&self, py: Python<'_>) -> usize {
        self.with(py, |params| params.len()).unwrap_or(0)
    }
}

/// Converts a value to an object that is not a container; `None` if it becomes a container.
#[inline]
fn scalar<'py>(py: Python<'py>, value: &Value<'_>) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(Some(match *value {
        Value::Absent | Value::Malformed(_) => py.None().into_bound(py),
        Value::Signed(number) => number.into_pyobject(py)?.into_any(),
        Value::Unsigned(number) => number.into_pyobject(py)?.into_any(),
        Value::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
        Value::Text(bytes) => string(py, bytes).into_any(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        _ => return Ok(None),
    }))
}

/// Converts a value that becomes a container.
fn container<'py>(py: Python<'py>, value: &Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    let strings = |strings: &Strings<'_>| strings.iter().map(|bytes| string(py, bytes)).collect::<Vec<_>>();
    Ok(match value {
        Value::Strings(list) => PyList::new(py, strings(list))?.into_any(),
        Value::Pairs(list) => {
            let strings = strings(list);
            let pairs = strings.as_chunks::<2>().0.iter().map(|pair| PyTuple::new(py, pair));
            PyList::new(py, pairs.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        Value::Address(address) => ip_address(py, *address)?,
        Value::SocketAddress(address) => socket_address(py, address)?,
        Value::SocketTuple(tuple) => socket_tuple(py, tuple)?,
        Value::Descriptors(descriptors) => PyList::new(py, descriptors.iter())?.into_any(),
        other => scalar(py, other)?.unwrap_or_else(|| py.None().into_bound(py)),
    })
}

/// Converts text. Each byte that is not UTF-8 becomes U+FFFD.
#[inline]
fn string<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    // Python checks the bytes anyway.
    PyString::from_bytes(py, bytes).unwrap_or_else(|_| PyString::new(py, &text::decode_lossy(bytes).text))
}

fn ip_address(py: Python<'_>, address: IpAddr) -> PyResult<Bound<'_, PyAny>> {
    match address {
        IpAddr::V4(address) => imports::IPV4_ADDRESS.call(py, (PyBytes::new(py, &address.octets()),)),
        IpAddr::V6(address) => imports::IPV6_ADDRESS.call(py, (PyBytes::new(py, &address.octets()),)),
    }
}

fn socket_address<'py>(py: Python<'py>, address: &SocketAddress<'_>) -> PyResult<Bound<'py, PyAny>> {
    match *address {
        SocketAddress::Ip(address, port) => ip_end(py, address, port),
        SocketAddress::Unix(path) => unix_end(py, Some(path)),
        SocketAddress::Other(family) => other_end(py, family),
    }
}

fn socket_tuple<'py>(py: Python<'py>, tuple: &SocketTuple<'_>) -> PyResult<Bound<'py, PyAny>> {
    let ends = match *tuple {
        SocketTuple::Ip { source, destination } => (
            ip_end(py, source.0, source.1)?,
            ip_end(py, destination.0, destination.1)?,
        ),
        SocketTuple::Unix { path, .. } => (unix_end(py, None)?, unix_end(py, Some(path))?),
        SocketTuple::Other(family) => (other_end(py, family)?, other_end(py, family)?),
    };
    imports::SOCKET_TUPLE.call(py, ends)
}

fn ip_end(py: Python<'_>, address: IpAddr, port: u16) -> PyResult<Bound<'_, PyAny>> {
    let family = if address.is_ipv4() { "inet" } else { "inet6" };
    imports::SOCKET_ADDRESS.call(py, (family, ip_address(py, address)?, port))
}

fn unix_end<'py>(py: Python<'py>, path: Option<&[u8]>) -> PyResult<Bound<'py, PyAny>> {
    let path = path.map(|path| string(py, path));
    imports::SOCKET_ADDRESS.call(py, ("unix", py.None(), py.None(), path))
}

fn other_end(py: Python<'_>, family: u8) -> PyResult<Bound<'_, PyAny>> {
    imports::SOCKET_ADDRESS.call(py, (family.to_string(),))
}
