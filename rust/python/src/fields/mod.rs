//! Fields: what reads them, and their values between Python and the engine.

use std::net::IpAddr;
use std::sync::Arc;

use falco_plugin_engine::extract::{
    self as engine, Argument, ArgumentMode, Family, FieldType, Location, Problem, Value, Values,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDateTime, PyDelta, PyInt, PyList, PyString, PyType, PyTzInfo};

use crate::convert::options;
use crate::convert::text::replacing;
use crate::event::reader::Event;
use crate::interpreter::once::get_or_make;

const NANOS_A_MICROSECOND: u64 = 1_000;
const MICROSECONDS_A_SECOND: u64 = 1_000_000;
const SECONDS_A_DAY: u64 = 24 * 3600;

/// Reads the values of a ``json_field``, without Python. Not public.
#[pyclass(frozen, module = "falco_plugin._core")]
pub(crate) struct JsonReader {
    reader: Arc<engine::JsonReader>,
}

#[pymethods]
impl JsonReader {
    #[new]
    #[pyo3(signature = (pointer, kind, is_list, family = None))]
    fn new(pointer: &str, kind: &str, is_list: bool, family: Option<u8>) -> PyResult<Self> {
        let mut reader = engine::JsonReader::new(pointer, field_type(kind)?)
            .map_err(|problem| PyValueError::new_err(format!("the pointer {problem}")))?;
        if let Some(version) = family {
            reader = reader.with_family(if version == 4 { Family::V4 } else { Family::V6 });
        }
        match (is_list, reader.pattern().is_list()) {
            (true, false) => Err(PyValueError::new_err(format!(
                "the pointer {pointer:?} names one value, but the type is a list: give it a * for \"each element\", or a \
                 type that is no list"
            ))),
            (false, true) => Err(PyValueError::new_err(format!(
                "the pointer {pointer:?} names several values, but the type is no list: use list[…]"
            ))),
            _ => Ok(Self {
                reader: Arc::new(reader),
            }),
        }
    }

    /// ``no``, ``optional`` or ``required``.
    #[getter]
    fn index(&self) -> &'static str {
        name_of(self.reader.pattern().index())
    }

    /// ``no``, ``optional`` or ``required``.
    #[getter]
    fn key(&self) -> &'static str {
        name_of(self.reader.pattern().key())
    }

    /// The value, or the list of values; ``None`` where there is none.
    #[pyo3(signature = (event, index, key))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        event: &Bound<'py, Event>,
        index: Option<&Bound<'py, PyAny>>,
        key: Option<&str>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let pattern = self.reader.pattern();
        check("index", pattern.index(), index.is_some())?;
        check("key", pattern.key(), key.is_some())?;
        let index = index
            .map(|index| options::integer("index", index, 0, u64::MAX))
            .transpose()?;
        let mut values = Values::default();
        let event = event.get();
        event.payload().with(py, |payload| {
            let argument = Argument { index, key };
            let problem = self.reader.read(event.document(), payload, &argument, &mut values);
            if let Some(Problem::Fault(fault)) = problem {
                event.document().record_fault(fault);
            }
        });
        to_python(py, self.reader.kind(), pattern.is_list(), &values)
    }
}

fn check(argument: &str, takes: ArgumentMode, given: bool) -> PyResult<()> {
    match (takes, given) {
        (ArgumentMode::None, true) => Err(PyTypeError::new_err(format!("it takes no {argument}: leave it out"))),
        (ArgumentMode::Required, false) => Err(PyTypeError::new_err(format!(
            "it needs its {argument}: give it as {argument}=…"
        ))),
        _ => Ok(()),
    }
}

/// A field that a method of the author's plugin makes.
pub(crate) struct Method {
    pub(crate) name: String,
    function: Py<PyAny>,
    kind: FieldType,
    is_list: bool,
    index: ArgumentMode,
    key: ArgumentMode,
}

impl Method {
    /// Calls the method and takes over what it returns.
    pub(crate) fn call(
        &self,
        event: &Bound<'_, Event>,
        payload_len: usize,
        argument: &Argument<'_>,
        values: &mut Values,
    ) -> PyResult<()> {
        let required = self.index == ArgumentMode::Required || self.key == ArgumentMode::Required;
        if required && *argument == Argument::default() {
            return Err(PyTypeError::new_err(
                "the host gave no argument, which the field requires",
            ));
        }
        let function = self.function.bind(event.py());
        let returned = match (self.index, self.key) {
            (ArgumentMode::None, ArgumentMode::None) => function.call1((event,)),
            (_, ArgumentMode::None) => function.call1((event, argument.index)),
            (ArgumentMode::None, _) => function.call1((event, argument.key)),
            (_, _) => function.call1((event, argument.index, argument.key)),
        }?;
        self.take_over(&returned, payload_len, values)
    }

    fn take_over(&self, returned: &Bound<'_, PyAny>, payload_len: usize, values: &mut Values) -> PyResult<()> {
        if returned.is_none() {
            return Ok(());
        }
        if !self.is_list {
            return self.push(returned, payload_len, values);
        }
        let Ok(list) = returned.cast::<PyList>() else {
            return Err(self.wrong_type("it returned", returned)?);
        };
        list.iter().try_for_each(|value| self.push(&value, payload_len, values))
    }

    /// Takes over one value.
    fn push(&self, value: &Bound<'_, PyAny>, payload_len: usize, values: &mut Values) -> PyResult<()> {
        if push_value(self.kind, value, Location::default(), values)? {
            return Ok(());
        }
        let located = classes(value.py())?.located.bind(value.py());
        if !value.is_instance(located)? {
            return Err(self.wrong_value(value)?);
        }
        let part = |name: &str| options::integer(name, &value.getattr(name)?, 0, u32::MAX.into());
        let place = Location {
            start: part("start")? as u32,
            length: part("length")? as u32,
        };
        if u64::from(place.start) + u64::from(place.length) > payload_len as u64 {
            return Err(PyValueError::new_err(format!(
                "Located at {} with length {} lies outside of the event, which has {payload_len} bytes: count from the first byte \
                 of event.data",
                place.start, place.length
            )));
        }
        let inner = value.getattr("value")?;
        if push_value(self.kind, &inner, place, values)? {
            Ok(())
        } else {
            Err(self.wrong_value(&inner)?)
        }
    }

    fn wrong_value(&self, value: &Bound<'_, PyAny>) -> PyResult<PyErr> {
        let what = if self.is_list { "an element is" } else { "it returned" };
        self.wrong_type(what, value)
    }

    fn wrong_type(&self, what: &str, value: &Bound<'_, PyAny>) -> PyResult<PyErr> {
        let found = value.get_type().name()?.to_string();
        let hint = match &*found {
            "float" => " (Falco has no floats: return str or int)",
            "bytes" | "bytearray" | "memoryview" => " (decode it)",
            "NoneType" => " (leave out what is absent)",
            _ => "",
        };
        let mut name = python_name(self.kind).to_owned();
        if self.is_list {
            name = format!("list[{name}]");
        }
        Ok(PyTypeError::new_err(format!(
            "it is declared as {name}, but {what} {found}{hint}"
        )))
    }
}

/// The fields of a plugin, as `Runtime.fields` has them, for the engine and for calls.
pub(crate) fn from_runtime(runtime: &Bound<'_, PyAny>) -> PyResult<(Vec<engine::Field>, Vec<Option<Method>>)> {
    type Declared<'py> = (String, String, bool, String, String, Bound<'py, PyAny>);
    let declared: Vec<Declared<'_>> = runtime.getattr("fields")?.extract()?;
    let mut fields = Vec::new();
    let mut methods = Vec::new();
    for (name, kind, is_list, index, key, reader) in declared {
        let (kind, index, key) = (field_type(&kind)?, takes(&index)?, takes(&key)?);
        let field_name = name.clone();
        let (reader, method) = if let Ok(json) = reader.cast::<JsonReader>() {
            (engine::Reader::Json(json.get().reader.clone()), None)
        } else {
            let method = Method {
                name,
                function: reader.unbind(),
                kind,
                is_list,
                index,
                key,
            };
            (engine::Reader::Code, Some(method))
        };
        fields.push(engine::Field {
            name: field_name,
            kind,
            index,
            key,
            reader,
        });
        methods.push(method);
    }
    Ok((fields, methods))
}

fn field_type(name: &str) -> PyResult<FieldType> {
    Ok(match name {
        "string" => FieldType::String,
        "uint64" => FieldType::Uint64,
        "bool" => FieldType::Bool,
        "abstime" => FieldType::AbsTime,
        "reltime" => FieldType::RelTime,
        "ipaddr" => FieldType::IpAddr,
        "ipnet" => FieldType::IpNet,
        _ => return Err(PyValueError::new_err(format!("there is no field type {name:?}"))),
    })
}

fn python_name(kind: FieldType) -> &'static str {
    match kind {
        FieldType::String => "str",
        FieldType::Uint64 => "int",
        FieldType::Bool => "bool",
        FieldType::AbsTime => "datetime",
        FieldType::RelTime => "timedelta",
        FieldType::IpAddr => "IPv4Address | IPv6Address",
        FieldType::IpNet => "IPv4Network | IPv6Network",
    }
}

fn takes(name: &str) -> PyResult<ArgumentMode> {
    [ArgumentMode::None, ArgumentMode::Optional, ArgumentMode::Required]
        .into_iter()
        .find(|&takes| name_of(takes) == name)
        .ok_or_else(|| PyValueError::new_err(format!("an argument is not {name:?}")))
}

fn name_of(takes: ArgumentMode) -> &'static str {
    match takes {
        ArgumentMode::None => "no",
        ArgumentMode::Optional => "optional",
        ArgumentMode::Required => "required",
    }
}

/// Classes of Python that values are made of, or may be.
struct Classes {
    located: Py<PyType>,
    addresses: [Py<PyType>; 2],
    networks: [Py<PyType>; 2],
    epoch: Py<PyAny>,
}

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();
    get_or_make(py, &CLASSES, || {
        let ipaddress = py.import("ipaddress")?;
        let class = |name: &str| Ok::<_, PyErr>(ipaddress.getattr(name)?.cast_into::<PyType>()?.unbind());
        let utc = PyTzInfo::utc(py)?.to_owned();
        Ok(Classes {
            located: py
                .import("falco_plugin.fields")?
                .getattr("Located")?
                .cast_into::<PyType>()?
                .unbind(),
            addresses: [class("IPv4Address")?, class("IPv6Address")?],
            networks: [class("IPv4Network")?, class("IPv6Network")?],
            epoch: PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&utc))?
                .into_any()
                .unbind(),
        })
    })
}

/// Takes over one value where it is of the type, and says whether it was.
fn push_value(kind: FieldType, value: &Bound<'_, PyAny>, place: Location, values: &mut Values) -> PyResult<bool> {
    match kind {
        FieldType::String => match value.cast::<PyString>() {
            Ok(text) => values.push_text(&replacing(text)?, place),
            Err(_) => return Ok(false),
        },
        FieldType::Uint64 if value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>() => {
            let number = value
                .extract()
                .map_err(|_| PyValueError::new_err("an int of a field is 0 to 2**64 - 1; return str for others"))?;
            values.push_number(number, place);
        }
        FieldType::Bool => match value.cast::<PyBool>() {
            Ok(value) => values.push_bool(value.is_true(), place),
            Err(_) => return Ok(false),
        },
        FieldType::AbsTime => match value.cast::<PyDateTime>() {
            Ok(moment) => values.push_number(options::since_epoch("the datetime of a field", moment)?, place),
            Err(_) => return Ok(false),
        },
        FieldType::RelTime => match value.cast::<PyDelta>() {
            Ok(_) => {
                let nanos = options::duration("the timedelta of a field", value)?.as_nanos();
                let nanos = u64::try_from(nanos).map_err(|_| {
                    PyValueError::new_err("the timedelta of a field is longer than 584 years: return str")
                })?;
                values.push_number(nanos, place);
            }
            Err(_) => return Ok(false),
        },
        FieldType::IpAddr if is_one_of(value, &classes(value.py())?.addresses)? => {
            values.push_address(address(value)?, place);
        }
        FieldType::IpNet if is_one_of(value, &classes(value.py())?.networks)? => {
            let prefix = value.getattr("prefixlen")?.extract()?;
            values.push_network(address(&value.getattr("network_address")?)?, prefix, place);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn is_one_of(value: &Bound<'_, PyAny>, classes: &[Py<PyType>; 2]) -> PyResult<bool> {
    let py = value.py();
    Ok(value.is_instance(classes[0].bind(py))? || value.is_instance(classes[1].bind(py))?)
}

fn address(value: &Bound<'_, PyAny>) -> PyResult<IpAddr> {
    let packed = value.getattr("packed")?;
    if let Ok(octets) = packed.extract::<[u8; 4]>() {
        return Ok(octets.into());
    }
    Ok(packed.extract::<[u8; 16]>()?.into())
}

/// What an extraction gave, as the value or the list that a field declares.
fn to_python<'py>(
    py: Python<'py>,
    kind: FieldType,
    is_list: bool,
    values: &Values,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut found = values.as_slice().iter().map(|&value| one(py, kind, values, value));
    if !is_list {
        return found.next().transpose();
    }
    if values.is_empty() {
        return Ok(None);
    }
    Ok(Some(PyList::new(py, found.collect::<PyResult<Vec<_>>>()?)?.into_any()))
}

fn one<'py>(py: Python<'py>, kind: FieldType, values: &Values, value: Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Text { start } => PyString::from_bytes(py, values.text(start))?.into_any(),
        Value::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
        Value::Number(number) => match kind {
            FieldType::AbsTime => classes(py)?.epoch.bind(py).add(delta(py, number)?)?,
            FieldType::RelTime => delta(py, number)?.into_any(),
            _ => number.into_pyobject(py)?.into_any(),
        },
        Value::Address { start, len, prefix } => {
            let packed = pyo3::types::PyBytes::new(py, &values.bytes()[start..start + len as usize]);
            let family = usize::from(len == 16);
            if kind == FieldType::IpNet {
                classes(py)?.networks[family].bind(py).call1(((packed, prefix),))?
            } else {
                classes(py)?.addresses[family].bind(py).call1((packed,))?
            }
        }
    })
}

/// What is finer than a microsecond is cut off: Python has no finer times.
fn delta(py: Python<'_>, nanos: u64) -> PyResult<Bound<'_, PyDelta>> {
    let micros = nanos / NANOS_A_MICROSECOND;
    let seconds = micros / MICROSECONDS_A_SECOND;
    PyDelta::new(
        py,
        (seconds / SECONDS_A_DAY) as i32,
        (seconds % SECONDS_A_DAY) as i32,
        (micros % MICROSECONDS_A_SECOND) as i32,
        false,
    )
}
