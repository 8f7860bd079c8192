//! Conversion of errors between the engine and Python, and their report to log and host.

use std::fmt;
use std::io;
use std::time::Duration;

use falco_plugin_engine::error::Error;
use falco_plugin_engine::json::Fault;
use falco_plugin_engine::source::lines::ReadError;
use pyo3::exceptions::{PyEOFError, PyOSError, PyStopIteration, PyTimeoutError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::imports::{self, Import};
use crate::interpreter::log;

/// Makes an exception of an imported class.
fn raise<A>(py: Python<'_>, class: &Import, arguments: A) -> PyErr
where
    A: pyo3::PyErrArguments + Send + Sync + 'static,
{
    let class = class.get(py).and_then(|class| Ok(class.cast::<PyType>()?.clone()));
    match class {
        Ok(class) => PyErr::from_type(class, arguments),
        Err(error) => error,
    }
}

/// Makes a `PluginError`.
pub(crate) fn plugin_error(py: Python<'_>, message: impl Into<String>) -> PyErr {
    raise(py, &imports::PLUGIN_ERROR, message.into())
}

/// Makes the error for a sender that user code closed while its source is open, which is a mistake of that code.
pub(crate) fn sender_closed(py: Python<'_>) -> PyErr {
    raise(
        py,
        &imports::CHANNEL_CLOSED_ERROR,
        "the channel is closed: this sender was closed before; send before close(), or with a clone() of it",
    )
}

/// Makes the error for a sender whose source has ended. A producer may end with this error, which is then not logged
/// (`ChannelClosedError.source_ended`).
pub(crate) fn source_ended(py: Python<'_>) -> PyErr {
    let error = raise(
        py,
        &imports::CHANNEL_CLOSED_ERROR,
        "the channel is closed: the source has ended; stop sending",
    );
    let _ = error.value(py).setattr("source_ended", true);
    error
}

/// Makes the error for an async event after the end of the capture. A method may end with this error, which is then not
/// logged.
pub(crate) fn capture_closed(py: Python<'_>) -> PyErr {
    let error = raise(
        py,
        &imports::CHANNEL_CLOSED_ERROR,
        "the async event was not sent: the host has closed the capture; stop sending",
    );
    let _ = error.value(py).setattr("source_ended", true);
    error
}

/// Makes a `ChannelFullError`. `when` ends the sentence "the channel is full …".
pub(crate) fn channel_full(py: Python<'_>, when: &str) -> PyErr {
    let message = format!("the event was not sent: the channel is full {when}");
    raise(py, &imports::CHANNEL_FULL_ERROR, message)
}

/// Makes a `NoJsonError`.
pub(crate) fn no_json(py: Python<'_>, fault: Fault) -> PyErr {
    let Fault { offset, kind } = fault;
    let message = format!("the payload is not JSON: {kind} at byte {offset}");
    raise(py, &imports::NO_JSON_ERROR, message)
}

/// Returns whether an exception is a `NoJsonError`.
pub(crate) fn is_no_json(py: Python<'_>, error: &PyErr) -> bool {
    imports::NO_JSON_ERROR.is_class_of(error.value(py)).unwrap_or(false)
}

/// Converts an error of the engine to an exception. An exception that came from Python is returned unchanged.
pub(crate) fn to_python(py: Python<'_>, error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Eof => raise(py, &imports::EOF, message),
        Error::Timeout => raise(py, &imports::TIMEOUT, message),
        Error::RetryLater(_, cause) => match cause.downcast::<Raised>() {
            Ok(raised) => raised.error,
            Err(_) => plugin_error(py, message),
        },
        Error::EventTooLarge { size, event_size } => raise(py, &imports::EVENT_TOO_LARGE_ERROR, (size, event_size)),
        Error::BatchFull { .. } => raise(py, &imports::BATCH_FULL_ERROR, message),
        Error::SenderDropped => plugin_error(py, message),
        Error::InvalidOption(_) => PyValueError::new_err(message),
        Error::Source(source) => match source.downcast::<Raised>() {
            Ok(raised) => raised.error,
            Err(source) => match source.downcast::<ReadError>() {
                Ok(read) => os_error(py, &read.error, &read.name),
                Err(_) => plugin_error(py, message),
            },
        },
    }
}

/// Makes an `OSError` that names the file. Python chooses the subclass by the error's number.
pub(crate) fn os_error(py: Python<'_>, error: &io::Error, name: &str) -> PyErr {
    let Some(number) = error.raw_os_error() else {
        return PyOSError::new_err(format!("{name}: {error}"));
    };
    match imports::STRERROR.call(py, (number,)) {
        Ok(message) => PyOSError::new_err((number, message.unbind(), name.to_owned())),
        Err(error) => error,
    }
}

/// An exception of user code on its way through the engine.
#[derive(Debug)]
pub(crate) struct Raised {
    pub(crate) error: PyErr,
    /// Whether it was raised before the first event of the source. The host then reports a failure of `open`.
    pub(crate) opening: bool,
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Raised {}

/// Converts an exception of user code to an error of the engine. `EOF` and `Timeout` are signals to the SDK. An
/// exception that looks as if one of them was meant gets a message that names the right class.
pub(crate) fn from_python(py: Python<'_>, error: PyErr) -> Error {
    match signal(py, error) {
        Ok(signal) => signal,
        Err(error) => Error::Source(Box::new(Raised { error, opening: false })),
    }
}

/// As [`from_python`], for an exception of a function that is called again for further events. `RetryLater` is a signal,
/// too.
pub(crate) fn from_repeated_call(py: Python<'_>, error: PyErr) -> Error {
    match requested_pause(py, &error) {
        Ok(Some(pause)) => Error::RetryLater(pause, Box::new(Raised { error, opening: false })),
        _ => from_python(py, error),
    }
}

/// Returns the time of a `RetryLater`, or `None` for any other exception.
fn requested_pause(py: Python<'_>, error: &PyErr) -> PyResult<Option<Duration>> {
    let value = error.value(py);
    if !imports::RETRY_LATER.is_class_of(value)? {
        return Ok(None);
    }
    let seconds = value.getattr("seconds")?.extract()?;
    Ok(Duration::try_from_secs_f64(seconds).ok())
}

/// Returns `EOF` or `Timeout` as the engine knows them, or else the exception.
fn signal(py: Python<'_>, error: PyErr) -> Result<Error, PyErr> {
    if imports::EOF.is_class_of(error.value(py))? {
        return Ok(Error::Eof);
    }
    if imports::TIMEOUT.is_class_of(error.value(py))? {
        return Ok(Error::Timeout);
    }
    let meant = if error.is_instance_of::<PyEOFError>(py) || error.is_instance_of::<PyStopIteration>(py) {
        "to end the source, raise falco_plugin.EOF"
    } else if error.is_instance_of::<PyTimeoutError>(py) {
        "if there is no event for now, raise falco_plugin.Timeout"
    } else {
        return Err(error);
    };
    let name = error.get_type(py).name()?.to_string();
    let text = error.value(py).str()?.to_string();
    let separator = if text.is_empty() { "" } else { ": " };
    let wrapped = plugin_error(py, format!("{name}{separator}{text} ({meant})"));
    wrapped.set_traceback(py, error.traceback(py));
    wrapped.set_cause(py, Some(error));
    Err(wrapped)
}

/// Sets the attribute `taken` of an exception: how many items were consumed before it was raised.
pub(crate) fn with_taken(py: Python<'_>, error: PyErr, taken: usize) -> PyErr {
    let _ = error.value(py).setattr("taken", taken);
    error
}

/// Marks an exception that ends a source. The report of the source's error has the traceback, so the log line about the
/// thread that raised the exception leaves it out.
pub(crate) fn mark_as_source_error(error: &Bound<'_, PyAny>) {
    // An exception without attributes gets its traceback logged twice.
    let _ = error.setattr("_falco_plugin_ends_source", true);
}

/// Adds the location of a function of user code to an error that the SDK raises because of that function.
pub(crate) fn with_location(function: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = function.py();
    let located = imports::ADD_LOCATION.call(py, (error.value(py), function));
    located.map_or(error, PyErr::from_value)
}

/// If a call of user code failed because its parameters do not fit, adds how to define the function.
pub(crate) fn with_parameters(function: &Bound<'_, PyAny>, error: PyErr, parameters: &str) -> PyErr {
    let py = function.py();
    // Without a traceback the function was not entered.
    if !error.is_instance_of::<PyTypeError>(py) || error.traceback(py).is_some() {
        return error;
    }
    let explained = imports::ADD_PARAMETERS.call(py, (function, error.value(py), parameters));
    explained.map_or(error, PyErr::from_value)
}

/// Logs an exception with its traceback. Returns the message for the host: the cause, then its line in user code.
pub(crate) fn report(py: Python<'_>, doing: &str, error: PyErr) -> String {
    let fallback = error.to_string();
    imports::REPORT_FAILURE
        .call(py, (doing, error.into_value(py)))
        .and_then(|message| message.extract())
        .unwrap_or_else(|_| {
            log::warn(py, &format!("{doing} failed: {fallback}"));
            fallback
        })
}

/// Converts an error to one that the host can be given: logs an exception of user code and keeps its message.
pub(crate) fn for_host(py: Python<'_>, doing: &str, error: Error) -> Error {
    match error {
        Error::Source(source) => match source.downcast::<Raised>() {
            Ok(raised) if raised.opening => Error::text(format!("open: {}", report(py, "open", raised.error))),
            Ok(raised) => Error::text(report(py, doing, raised.error)),
            Err(source) => Error::Source(source),
        },
        other => other,
    }
}
