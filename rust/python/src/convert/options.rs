//! Options and values of several classes: sizes, durations, timestamps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use falco_plugin_engine::event::{DEFAULT_BATCH_SIZE, DEFAULT_EVENT_SIZE, EventBatch, MAX_EVENT_SIZE, NO_TIMESTAMP};
use pyo3::exceptions::{PyRuntimeWarning, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDateTime, PyDelta, PyDeltaAccess, PyFloat, PyInt, PyTzInfo, PyTzInfoAccess};

const YEAR: u64 = 365 * 24 * 3600;

/// Reads the options `batch_size` and `event_size`. Returns an empty batch of that size.
pub(crate) fn batch(batch: Option<&Bound<'_, PyAny>>, event: Option<&Bound<'_, PyAny>>) -> PyResult<EventBatch> {
    let batch_size = batch.map_or(Ok(DEFAULT_BATCH_SIZE), batch_size)?;
    let event_size = event.map_or(Ok(DEFAULT_EVENT_SIZE), event_size)?;
    Ok(EventBatch::new(batch_size, event_size).expect("both sizes are in range"))
}

pub(crate) fn batch_size(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    integer("batch_size", value, 1, u64::from(u32::MAX)).map(|size| size as u32)
}

pub(crate) fn event_size(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    integer("event_size", value, 1, u64::from(MAX_EVENT_SIZE)).map(|size| size as u32)
}

/// Reads an integer from `min` to `max`. An error names the option and the range.
pub(crate) fn integer(name: &str, value: &Bound<'_, PyAny>, min: u64, max: u64) -> PyResult<u64> {
    if !value.is_instance_of::<PyInt>() || value.is_instance_of::<PyBool>() {
        return Err(PyTypeError::new_err(format!(
            "{name} must be an int, got {}",
            value.get_type().name()?
        )));
    }
    match value.extract::<u64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(PyValueError::new_err(format!(
            "{name} must be {min} to {max}, got {value}"
        ))),
    }
}

/// Reads a duration, which is a number of seconds or a timedelta, and not negative.
pub(crate) fn duration(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let refused = || {
        Err(PyValueError::new_err(format!(
            "{name} must be 0 seconds or more, got {value}"
        )))
    };
    if let Ok(delta) = value.cast::<PyDelta>() {
        return match u64::try_from(delta.get_days()) {
            Ok(days) => Ok(Duration::new(
                days * 24 * 3600 + delta.get_seconds() as u64,
                delta.get_microseconds() as u32 * 1000,
            )),
            Err(_) => refused(),
        };
    }
    if value.is_instance_of::<PyBool>() || !(value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>()) {
        return Err(PyTypeError::new_err(format!(
            "{name} must be a number of seconds or a timedelta, got {}",
            value.get_type().name()?
        )));
    }
    let seconds = value.extract::<f64>().unwrap_or(f64::NAN);
    if seconds.is_nan() || seconds < 0.0 {
        return refused();
    }
    Ok(Duration::try_from_secs_f64(seconds)
        .unwrap_or(Duration::MAX)
        .min(Duration::from_secs(100 * YEAR)))
}

/// Returns the instant at which an optional timeout ends.
pub(crate) fn deadline(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Instant>> {
    match timeout {
        None => Ok(None),
        Some(value) => Ok(Instant::now().checked_add(duration("timeout", value)?)),
    }
}

/// Reads an optional timestamp, which is an int of nanoseconds since the epoch or an aware datetime.
#[inline]
pub(crate) fn timestamp(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<u64>> {
    match value {
        None => Ok(None),
        Some(value) if value.is_none() => Ok(None),
        Some(value) => nanoseconds(value).map(Some),
    }
}

/// Converts an aware datetime to nanoseconds since the epoch. `name` is the subject of an error message.
pub(crate) fn since_epoch(name: &str, moment: &Bound<'_, PyDateTime>) -> PyResult<u64> {
    let py = moment.py();
    if moment.get_tzinfo().is_none() || moment.call_method0("utcoffset")?.is_none() {
        return Err(PyValueError::new_err(format!(
            "{name} must not be a naive datetime, whose time zone is unknown: give an aware one, such as \
             datetime.now(timezone.utc)",
        )));
    }
    let utc = PyTzInfo::utc(py)?;
    let epoch = PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&utc.to_owned()))?;
    let delta = moment.sub(epoch)?.cast_into::<PyDelta>()?;
    let seconds = i128::from(delta.get_days()) * 86_400 + i128::from(delta.get_seconds());
    let total = (seconds * 1_000_000 + i128::from(delta.get_microseconds())) * 1_000;
    u64::try_from(total).map_err(|_| {
        let bound = if total < 0 { "before 1970" } else { "after 2554" };
        PyValueError::new_err(format!("{name} must not be {bound}, got {moment}"))
    })
}

fn nanoseconds(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    let py = value.py();
    if let Ok(moment) = value.cast::<PyDateTime>() {
        return since_epoch("a timestamp", moment);
    }
    if value.is_instance_of::<PyBool>() || !value.is_instance_of::<PyInt>() {
        let hint = if value.is_instance_of::<PyFloat>() {
            ": convert seconds with int(seconds * 1_000_000_000)"
        } else {
            ""
        };
        return Err(PyTypeError::new_err(format!(
            "a timestamp must be an int of nanoseconds since the epoch or an aware datetime, got {}{hint}",
            value.get_type().name()?
        )));
    }
    let nanoseconds = match value.extract::<u64>() {
        Ok(nanoseconds) if nanoseconds != NO_TIMESTAMP => nanoseconds,
        _ => {
            return Err(PyValueError::new_err(format!(
                "a timestamp must be 0 to 2**64 - 2 nanoseconds since the epoch, got {value}: leave it out for the \
                 host's time"
            )));
        }
    };
    warn_of_other_unit(py, nanoseconds)?;
    Ok(nanoseconds)
}

/// Warns, once in a process, of a timestamp that is in 1970 as nanoseconds, but in the present in another unit.
fn warn_of_other_unit(py: Python<'_>, nanoseconds: u64) -> PyResult<()> {
    static WARNED: AtomicBool = AtomicBool::new(false);
    let (unit, factor) = match nanoseconds {
        100_000_000..100_000_000_000 => ("seconds", "1_000_000_000"),
        100_000_000_000..100_000_000_000_000 => ("milliseconds", "1_000_000"),
        100_000_000_000_000..100_000_000_000_000_000 => ("microseconds", "1_000"),
        _ => return Ok(()),
    };
    if WARNED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let text = format!(
        "the timestamp {nanoseconds} looks like {unit} since the epoch, but is read as nanoseconds: multiply it by \
         {factor}"
    );
    let text = std::ffi::CString::new(text).unwrap_or_default();
    PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 2)
}
