//! Conversion of a field's values between Python and the engine.

use std::net::IpAddr;

use falco_plugin_engine::extract::{FieldType, Location, Value, Values};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDateTime, PyDelta, PyInt, PyList, PyString, PyTzInfo};

use crate::convert::options;
use crate::convert::text::replacing;
use crate::imports::{self, Import, get_or_make};

const NANOS_PER_MICROSECOND: u64 = 1_000;
const MICROSECONDS_PER_SECOND: u64 = 1_000_000;
const SECONDS_PER_DAY: u64 = 24 * 3600;

/// Appends a Python value if it has the type of the field. Returns whether it has.
#[inline]
pub(crate) fn push(
    kind: FieldType,
    value: &Bound<'_, PyAny>,
    location: Location,
    values: &mut Values,
) -> PyResult<bool> {
    match kind {
        FieldType::String => match value.cast::<PyString>() {
            Ok(text) => values.push_text(&replacing(text)?, location),
            Err(_) => return Ok(false),
        },
        FieldType::Uint64 if value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>() => {
            let number = value.extract().map_err(|_| {
                PyValueError::new_err("the int of a field must be 0 to 2**64 - 1: return str for other numbers")
            })?;
            values.push_number(number, location);
        }
        FieldType::Bool => match value.cast::<PyBool>() {
            Ok(value) => values.push_bool(value.is_true(), location),
            Err(_) => return Ok(false),
        },
        FieldType::AbsTime => match value.cast::<PyDateTime>() {
            Ok(moment) => values.push_number(options::since_epoch("the datetime of a field", moment)?, location),
            Err(_) => return Ok(false),
        },
        FieldType::RelTime => match value.cast::<PyDelta>() {
            Ok(_) => {
                let nanos = options::duration("the timedelta of a field", value)?.as_nanos();
                let nanos = u64::try_from(nanos).map_err(|_| {
                    PyValueError::new_err("the timedelta of a field is longer than 584 years: return str")
                })?;
                values.push_number(nanos, location);
            }
            Err(_) => return Ok(false),
        },
        FieldType::IpAddr if is_one_of(value, [&imports::IPV4_ADDRESS, &imports::IPV6_ADDRESS])? => {
            values.push_address(address(value)?, location);
        }
        FieldType::IpNet if is_one_of(value, [&imports::IPV4_NETWORK, &imports::IPV6_NETWORK])? => {
            let prefix = value.getattr("prefixlen")?.extract()?;
            values.push_network(address(&value.getattr("network_address")?)?, prefix, location);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn is_one_of(value: &Bound<'_, PyAny>, classes: [&Import; 2]) -> PyResult<bool> {
    Ok(classes[0].is_class_of(value)? || classes[1].is_class_of(value)?)
}

fn address(value: &Bound<'_, PyAny>) -> PyResult<IpAddr> {
    let packed = value.getattr("packed")?;
    if let Ok(octets) = packed.extract::<[u8; 4]>() {
        return Ok(octets.into());
    }
    Ok(packed.extract::<[u8; 16]>()?.into())
}

/// Converts values to the value or the list that the field declares. Returns `None` if the field is absent.
pub(crate) fn to_python<'py>(
    py: Python<'py>,
    kind: FieldType,
    is_list: bool,
    values: &Values,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut found = values
        .as_slice()
        .iter()
        .map(|&value| one_to_python(py, kind, values, value));
    if !is_list {
        return found.next().transpose();
    }
    if values.is_empty() {
        return Ok(None);
    }
    Ok(Some(PyList::new(py, found.collect::<PyResult<Vec<_>>>()?)?.into_any()))
}

fn one_to_python<'py>(py: Python<'py>, kind: FieldType, values: &Values, value: Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Text { start } => PyString::from_bytes(py, values.text(start))?.into_any(),
        Value::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
        Value::Number(number) => match kind {
            FieldType::AbsTime => epoch(py)?.add(delta(py, number)?)?,
            FieldType::RelTime => delta(py, number)?.into_any(),
            _ => number.into_pyobject(py)?.into_any(),
        },
        Value::Address { start, len, prefix } => {
            let packed = PyBytes::new(py, &values.bytes()[start..start + len as usize]);
            match (kind, len) {
                (FieldType::IpNet, 16) => imports::IPV6_NETWORK.call(py, ((packed, prefix),))?,
                (FieldType::IpNet, _) => imports::IPV4_NETWORK.call(py, ((packed, prefix),))?,
                (_, 16) => imports::IPV6_ADDRESS.call(py, (packed,))?,
                (_, _) => imports::IPV4_ADDRESS.call(py, (packed,))?,
            }
        }
    })
}

/// Returns the epoch as an aware `datetime`.
fn epoch(py: Python<'_>) -> PyResult<&Bound<'_, PyDateTime>> {
    static EPOCH: PyOnceLock<Py<PyDateTime>> = PyOnceLock::new();
    let make = || {
        let utc = PyTzInfo::utc(py)?.to_owned();
        Ok(PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&utc))?.unbind())
    };
    get_or_make(py, &EPOCH, make).map(|epoch| epoch.bind(py))
}

/// Converts nanoseconds to a `timedelta`. Python has no finer times than microseconds, so the rest is cut off.
fn delta(py: Python<'_>, nanos: u64) -> PyResult<Bound<'_, PyDelta>> {
    let micros = nanos / NANOS_PER_MICROSECOND;
    let seconds = micros / MICROSECONDS_PER_SECOND;
    PyDelta::new(
        py,
        (seconds / SECONDS_PER_DAY) as i32,
        (seconds % SECONDS_PER_DAY) as i32,
        (micros % MICROSECONDS_PER_SECOND) as i32,
        false,
    )
}
