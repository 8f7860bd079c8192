//! `on_error`: items that cannot be events raise, or are left out, counted and logged (`_runtime.skipped_items`).

use pyo3::exceptions::{PyException, PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Counts and logs the items that one source leaves out.
pub(crate) struct LeftOut(Py<PyAny>);

/// Reads the option `on_error`. Returns `None` for "raise", which is the default.
pub(crate) fn from_option(py: Python<'_>, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<LeftOut>> {
    let Some(value) = value else { return Ok(None) };
    let Ok(text) = value.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!(
            "on_error must be \"raise\" or \"log\", got {}",
            value.get_type().name()?
        )));
    };
    match &*text.to_string_lossy() {
        "raise" => Ok(None),
        "log" => {
            let module = py.import("falco_plugin._runtime.skipped_items")?;
            Ok(Some(LeftOut(module.getattr("SkippedItems")?.call0()?.unbind())))
        }
        _ => Err(PyValueError::new_err(format!(
            "on_error must be \"raise\" or \"log\", not {}",
            value.repr()?
        ))),
    }
}

impl LeftOut {
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self(self.0.clone_ref(py))
    }

    /// Counts an item that was refused with `error`, and logs it if it is time. Returns the error if it is not about the
    /// item, such as an interrupt.
    #[cold]
    pub(crate) fn report(&self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        if !error.is_instance_of::<PyException>(py) || error.is_instance_of::<PyMemoryError>(py) {
            return Err(error);
        }
        self.0.call_method1(py, "report", (error.into_value(py),)).map(drop)
    }

    /// Logs the counts that were not logged yet. Called when the source is closed.
    pub(crate) fn finish(&self, py: Python<'_>) {
        if let Err(error) = self.0.call_method0(py, "finish") {
            crate::errors::describe(py, "the report of what was left out", error);
        }
    }
}
