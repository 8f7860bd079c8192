//! Conversion of keys and values of fields between Python and the engine.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use falco_plugin_engine::json::text::decode_lossy;
use falco_plugin_engine::table::{Data, DataType};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString};

use crate::convert::buffers::c_string;
use crate::convert::text::replacing;

/// A converted value. A string is that of the Python object, or a copy.
pub(crate) enum Converted<'a> {
    Number(Data<'static>),
    Text(Cow<'a, CStr>),
}

impl Converted<'_> {
    /// Returns the value with its own memory.
    pub(crate) fn into_owned(self) -> Converted<'static> {
        match self {
            Self::Number(data) => Converted::Number(data),
            Self::Text(text) => Converted::Text(text.into_owned().into()),
        }
    }

    #[inline]
    pub(crate) fn data(&self) -> Data<'_> {
        match self {
            Self::Number(data) => *data,
            Self::Text(text) => Data::Text(text),
        }
    }
}

/// Converts a value to one of the type. `subject` names it in messages.
///
/// A NUL in a string becomes U+FFFD, and so does each half of a surrogate pair: the plugin API's strings end at
/// a NUL.
///
/// # Errors
/// `TypeError` for a value of another type, `ValueError` for an int that the type does not have.
#[inline]
pub(crate) fn from_python<'a>(
    kind: DataType,
    value: &'a Bound<'_, PyAny>,
    subject: impl Fn() -> String,
) -> PyResult<Converted<'a>> {
    match kind {
        DataType::String => {
            if let Ok(text) = value.cast::<PyString>() {
                let text = match c_string(text) {
                    Some(text) => text.into(),
                    None => CString::new(replacing(text)?.replace('\0', "\u{fffd}"))?.into(),
                };
                return Ok(Converted::Text(text));
            }
        }
        DataType::Bool => {
            if let Ok(value) = value.cast::<PyBool>() {
                return Ok(Converted::Number(Data::Bool(value.is_true())));
            }
        }
        DataType::Table => {
            return Err(PyTypeError::new_err(format!(
                "{} is a sub-table, which cannot be set: change the entries of the sub-table",
                subject()
            )));
        }
        _ => {
            if value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>() {
                let data = if kind.is_signed() {
                    value.extract().ok().map(Data::Int)
                } else {
                    value.extract().ok().map(Data::Uint)
                };
                return match data.filter(|data| kind.accepts(*data)) {
                    Some(data) => Ok(Converted::Number(data)),
                    None => Err(out_of_range(kind, value, &subject())),
                };
            }
        }
    }
    let expected = match kind {
        DataType::String => "str",
        DataType::Bool => "bool",
        _ => "int",
    };
    Err(PyTypeError::new_err(format!(
        "{} must be {expected}, got {}",
        subject(),
        value.get_type().name()?
    )))
}

#[cold]
fn out_of_range(kind: DataType, value: &Bound<'_, PyAny>, subject: &str) -> PyErr {
    let (least, most) = kind.range().unwrap_or_default();
    PyValueError::new_err(format!("{subject} must be {least} to {most} ({kind}), got {value}"))
}

/// Converts a value to a Python object. Each byte of a string that is not UTF-8 becomes U+FFFD.
#[inline]
pub(crate) fn to_python<'py>(py: Python<'py>, data: Data<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match data {
        Data::Int(number) => number.into_pyobject(py)?.into_any(),
        Data::Uint(number) => number.into_pyobject(py)?.into_any(),
        Data::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
        Data::Text(text) => match text.to_str() {
            Ok(text) => PyString::new(py, text).into_any(),
            Err(_) => PyString::new(py, &decode_lossy(text.to_bytes()).text).into_any(),
        },
    })
}
