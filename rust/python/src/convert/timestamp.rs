//! `parse_timestamp`: reads times in the forms that logs have.

use falco_plugin_engine::time::{self, TimeError};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};

use crate::convert::text::replacing;

/// Characters of a wrong value that an error message shows.
const MAX_SHOWN: usize = 100;

/// Returns nanoseconds since the epoch, and whether the value has a time zone. Not public.
///
/// ``falco_plugin.source.parse_timestamp`` is the public function.
#[pyfunction]
#[pyo3(signature = (value, /))]
pub(crate) fn parse_timestamp(value: &Bound<'_, PyAny>) -> PyResult<(u64, bool)> {
    let parsed = if let Ok(text) = value.cast::<PyString>() {
        time::parse(&replacing(text)?)
    } else if value.is_instance_of::<PyBool>() {
        return Err(wrong_type(value)?);
    } else if value.is_instance_of::<PyInt>() {
        let number = value.extract::<u64>().map_err(|_| TimeError::OutOfRange);
        number.and_then(|number| time::parse(&number.to_string()))
    } else if value.is_instance_of::<PyFloat>() {
        time::parse(&value.extract::<f64>()?.to_string())
    } else {
        return Err(wrong_type(value)?);
    };
    match parsed {
        Ok(time) => Ok((time.nanoseconds, time.has_zone)),
        Err(error) => Err(unreadable(value, error)),
    }
}

fn wrong_type(value: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let kind = value.get_type().name()?;
    Ok(PyTypeError::new_err(format!(
        "value must be a str, int or float, got {kind}"
    )))
}

fn unreadable(value: &Bound<'_, PyAny>, error: TimeError) -> PyErr {
    let expected = match error {
        TimeError::NotATime => "a time such as 2026-11-25T08:00:00Z, or a number since the epoch",
        TimeError::OutOfRange => "a time from 1970 to 2554",
    };
    PyValueError::new_err(format!("value must be {expected}, got {}", shown(value)))
}

/// Returns the representation of a value, shortened if it is long.
fn shown(value: &Bound<'_, PyAny>) -> String {
    // Python refuses to write out an integer of thousands of digits.
    let Ok(text) = value.repr() else {
        return "an int of thousands of digits".into();
    };
    let text = text.to_string_lossy();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
