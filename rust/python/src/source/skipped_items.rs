//! `on_error`: items that cannot be events raise, or are skipped, counted and logged (`_runtime.skipped_items`).

use std::sync::Arc;

use falco_plugin_engine::source::metrics::SourceMetrics;
use pyo3::exceptions::{PyException, PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::errors::report;
use crate::imports;
use crate::metrics::of_plugin::sources_of_current;

/// Counts and logs the items that one source skips.
pub(crate) struct SkippedItems {
    report: Py<PyAny>,
    metrics: Option<Arc<SourceMetrics>>,
}

/// Reads the option `on_error`. Returns `None` for "raise", which is the default.
pub(crate) fn from_option(py: Python<'_>, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<SkippedItems>> {
    let Some(value) = value else { return Ok(None) };
    let Ok(text) = value.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!(
            "on_error must be \"raise\" or \"log\", got {}",
            value.get_type().name()?
        )));
    };
    match &*text.to_string_lossy() {
        "raise" => Ok(None),
        "log" => Ok(Some(SkippedItems {
            report: imports::SKIPPED_ITEMS.call(py, ())?.unbind(),
            metrics: sources_of_current(),
        })),
        _ => Err(PyValueError::new_err(format!(
            "on_error must be \"raise\" or \"log\", got {}",
            value.repr()?
        ))),
    }
}

impl SkippedItems {
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            report: self.report.clone_ref(py),
            metrics: self.metrics.clone(),
        }
    }

    /// Counts an item of a source without a channel, which counts such items itself.
    pub(crate) fn count_refused(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.refused.add(1);
        }
    }

    /// Counts an item that was refused with `error`, and logs it if it is time. Returns the error if it is not about
    /// the item, such as an interrupt.
    #[cold]
    pub(crate) fn report(&self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        if !error.is_instance_of::<PyException>(py) || error.is_instance_of::<PyMemoryError>(py) {
            return Err(error);
        }
        self.report
            .call_method1(py, "report", (error.into_value(py),))
            .map(drop)
    }

    /// Logs the counts that were not logged yet. Called when the source is closed.
    pub(crate) fn finish(&self, py: Python<'_>) {
        if let Err(error) = self.report.call_method0(py, "finish") {
            report(py, "the report of skipped items", error);
        }
    }
}
