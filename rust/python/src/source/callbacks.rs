//! The callbacks `close` and `progress` of ready-made instances.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::convert::text::replacing;
use crate::errors::with_parameters;

/// The callbacks of an instance. The locks are never held while Python code runs.
pub(crate) struct Callbacks {
    close: Mutex<Option<Py<PyAny>>>,
    progress: Mutex<Option<Py<PyAny>>>,
}

impl Callbacks {
    /// Reads the options `close` and `progress`.
    pub(crate) fn parse(close: Option<&Bound<'_, PyAny>>, progress: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self {
            close: Mutex::new(optional_callable("close", close)?),
            progress: Mutex::new(optional_callable("progress", progress)?),
        })
    }

    /// Calls the close callback, at most once.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        let callback = lock(&self.close).take();
        callback.map_or(Ok(()), |callback| call_without_arguments(callback.bind(py)).map(drop))
    }

    /// Returns the result of the progress callback; `None` if there is no callback.
    pub(crate) fn progress(&self, py: Python<'_>) -> Option<PyResult<(f64, String)>> {
        let callback = lock(&self.progress).as_ref().map(|callback| callback.clone_ref(py))?;
        Some(call_without_arguments(callback.bind(py)).and_then(|value| progress_from(&value)))
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for callback in [&self.close, &self.progress] {
            if let Ok(callback) = callback.try_lock() {
                visit.call(&*callback)?;
            }
        }
        Ok(())
    }

    pub(crate) fn clear(&self) {
        for callback in [&self.close, &self.progress] {
            let callback = lock(callback).take();
            drop(callback);
        }
    }
}

/// Converts the value that a progress callback or a method `progress` returned.
pub(crate) fn progress_from(value: &Bound<'_, PyAny>) -> PyResult<(f64, String)> {
    let Ok((fraction, text)) = value.extract::<(f64, Bound<'_, PyString>)>() else {
        return Err(PyTypeError::new_err(format!(
            "progress must return a (fraction from 0 to 1, str) tuple, got {}",
            value.get_type().name()?
        )));
    };
    Ok((fraction, replacing(&text)?.into_owned()))
}

fn call_without_arguments<'py>(callback: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    callback.call0().map_err(|error| with_parameters(callback, error, ""))
}

/// Returns a callable option, or `None` if it is absent or None.
fn optional_callable(name: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Py<PyAny>>> {
    match value.filter(|value| !value.is_none()) {
        None => Ok(None),
        Some(value) if value.is_callable() => Ok(Some(value.clone().unbind())),
        Some(value) => Err(PyTypeError::new_err(format!(
            "{name} must be callable without arguments, got {}",
            value.get_type().name()?
        ))),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
