//! Errors between the engine and Python: the one place where one becomes the other.

use std::fmt;
use std::io;

use falco_plugin_engine::error::Error;
use falco_plugin_engine::json::Fault;
use falco_plugin_engine::source::lines::ReadError;
use pyo3::exceptions::{PyOSError, PyStopIteration, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::interpreter::once::get_or_make;

/// The Python classes of `falco_plugin.errors`.
struct Classes {
    plugin_error: Py<PyType>,
    eof: Py<PyType>,
    timeout: Py<PyType>,
    event_too_large: Py<PyType>,
    batch_full: Py<PyType>,
    channel_closed: Py<PyType>,
    channel_full: Py<PyType>,
    no_json: Py<PyType>,
}

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();
    get_or_make(py, &CLASSES, || {
        let module = py.import("falco_plugin.errors")?;
        let class = |name: &str| Ok::<_, PyErr>(module.getattr(name)?.cast_into::<PyType>()?.unbind());
        Ok(Classes {
            plugin_error: class("PluginError")?,
            eof: class("EOF")?,
            timeout: class("Timeout")?,
            event_too_large: class("EventTooLargeError")?,
            batch_full: class("BatchFullError")?,
            channel_closed: class("ChannelClosedError")?,
            channel_full: class("ChannelFullError")?,
            no_json: class("NoJsonError")?,
        })
    })
}

fn raise<A>(py: Python<'_>, class: impl FnOnce(&Classes) -> &Py<PyType>, args: A) -> PyErr
where
    A: pyo3::PyErrArguments + Send + Sync + 'static,
{
    match classes(py) {
        Ok(classes) => PyErr::from_type(class(classes).bind(py).clone(), args),
        Err(error) => error,
    }
}

/// A `PluginError` with a text.
pub(crate) fn plugin_error(py: Python<'_>, text: impl Into<String>) -> PyErr {
    raise(py, |classes| &classes.plugin_error, text.into())
}

/// The error for a sender that was closed by user code while its source is open, which is a mistake of that code.
pub(crate) fn sender_closed(py: Python<'_>) -> PyErr {
    raise(
        py,
        |classes| &classes.channel_closed,
        "the channel is closed: this sender was closed before; send before close(), or with a clone() of it",
    )
}

/// The error for a sender whose source has ended. A producer may end with it, and it is then not logged
/// (`source_ended`).
pub(crate) fn source_ended(py: Python<'_>) -> PyErr {
    let error = raise(
        py,
        |classes| &classes.channel_closed,
        "the channel is closed: the source has ended; stop sending",
    );
    let _ = error.value(py).setattr("source_ended", true);
    error
}

pub(crate) fn channel_full(py: Python<'_>, when: &str) -> PyErr {
    raise(
        py,
        |classes| &classes.channel_full,
        format!("the event was not sent: the channel is full {when}"),
    )
}

pub(crate) fn no_json(py: Python<'_>, fault: Fault) -> PyErr {
    let Fault { offset, kind } = fault;
    let message = format!("the payload is not JSON: {kind} at byte {offset}");
    raise(py, |classes| &classes.no_json, message)
}

/// Whether a payload was not JSON.
pub(crate) fn is_no_json(py: Python<'_>, error: &PyErr) -> bool {
    classes(py).is_ok_and(|classes| error.is_instance(py, classes.no_json.bind(py)))
}

/// The engine's error as an exception. What came from Python goes back unchanged.
pub(crate) fn to_python(py: Python<'_>, error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Eof => raise(py, |classes| &classes.eof, text),
        Error::Timeout => raise(py, |classes| &classes.timeout, text),
        Error::EventTooLarge { size, event_size } => raise(py, |classes| &classes.event_too_large, (size, event_size)),
        Error::BatchFull { .. } => raise(py, |classes| &classes.batch_full, text),
        Error::SenderDropped => plugin_error(py, text),
        Error::InvalidOption(_) => PyValueError::new_err(text),
        Error::Source(source) => match source.downcast::<Raised>() {
            Ok(raised) => raised.error,
            Err(source) => match source.downcast::<ReadError>() {
                Ok(read) => os_error(py, &read.error, &read.name),
                Err(_) => plugin_error(py, text),
            },
        },
    }
}

/// An `OSError` with the name of what it is about, of the class that its number stands for.
pub(crate) fn os_error(py: Python<'_>, error: &io::Error, name: &str) -> PyErr {
    let Some(number) = error.raw_os_error() else {
        return PyOSError::new_err(format!("{name}: {error}"));
    };
    let text = py.import("os").and_then(|os| os.call_method1("strerror", (number,)));
    match text {
        Ok(text) => PyOSError::new_err((number, text.unbind(), name.to_owned())),
        Err(error) => error,
    }
}

/// An exception of the author's code on its way through the engine.
#[derive(Debug)]
pub(crate) struct Raised {
    pub(crate) error: PyErr,
    /// It came before the source's first event: the host is told that the source could not be opened.
    pub(crate) opening: bool,
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Raised {}

/// An exception of the author's code as the engine's error. Only `EOF` and `Timeout` steer a source; an exception that
/// looks as if one of them was meant says so.
pub(crate) fn from_python(py: Python<'_>, error: PyErr) -> Error {
    match signal(py, error) {
        Ok(signal) => signal,
        Err(error) => Error::Source(Box::new(Raised { error, opening: false })),
    }
}

fn signal(py: Python<'_>, error: PyErr) -> Result<Error, PyErr> {
    let classes = classes(py)?;
    if error.is_instance(py, classes.eof.bind(py)) {
        return Ok(Error::Eof);
    }
    if error.is_instance(py, classes.timeout.bind(py)) {
        return Ok(Error::Timeout);
    }
    let meant =
        if error.is_instance_of::<pyo3::exceptions::PyEOFError>(py) || error.is_instance_of::<PyStopIteration>(py) {
            "to end the source, raise falco_plugin.EOF"
        } else if error.is_instance_of::<pyo3::exceptions::PyTimeoutError>(py) {
            "to say that there is no event for now, raise falco_plugin.Timeout"
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

/// Adds to an exception how many items went before it.
pub(crate) fn with_taken(py: Python<'_>, error: PyErr, taken: usize) -> PyErr {
    let _ = error.value(py).setattr("taken", taken);
    error
}

/// Marks an exception that ends a source. The source's error has its traceback, so the log line about the thread that
/// it ends leaves the traceback out.
pub(crate) fn mark_as_source_error(error: &Bound<'_, PyAny>) {
    // An exception without attributes is reported twice.
    let _ = error.setattr("_falco_plugin_ends_source", true);
}

/// Names a function of user code as the place of an error that the SDK raises.
pub(crate) fn at(function: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = function.py();
    let named = py
        .import("falco_plugin._runtime.failures")
        .and_then(|module| module.call_method1("at", (error.value(py), function)));
    named.map_or(error, PyErr::from_value)
}

/// If a call of user code failed because the parameters do not fit, adds how to define the function.
pub(crate) fn with_parameters(function: &Bound<'_, PyAny>, error: PyErr, parameters: &str) -> PyErr {
    let py = function.py();
    // Without a traceback the function was not entered.
    if !error.is_instance_of::<PyTypeError>(py) || error.traceback(py).is_some() {
        return error;
    }
    let explained = py
        .import("falco_plugin._runtime.failures")
        .and_then(|module| module.call_method1("with_parameters", (function, error.value(py), parameters)));
    explained.map_or(error, PyErr::from_value)
}

/// The text of an exception for the host: cause first, then the place in the author's code. Its traceback is logged.
pub(crate) fn describe(py: Python<'_>, doing: &str, error: PyErr) -> String {
    let fallback = error.to_string();
    py.import("falco_plugin._runtime.failures")
        .and_then(|module| module.call_method1("report", (doing, error.into_value(py))))
        .and_then(|text| text.extract())
        .unwrap_or_else(|_| {
            crate::interpreter::log::warn(py, &format!("{doing} failed: {fallback}"));
            fallback
        })
}

/// An error on its way to the host, as text where it came from Python.
pub(crate) fn for_host(py: Python<'_>, doing: &str, error: Error) -> Error {
    match error {
        Error::Source(source) => match source.downcast::<Raised>() {
            Ok(raised) if raised.opening => Error::text(format!("open: {}", describe(py, "open", raised.error))),
            Ok(raised) => Error::text(describe(py, doing, raised.error)),
            Err(source) => Error::Source(source),
        },
        other => other,
    }
}
