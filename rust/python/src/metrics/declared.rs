//! The metrics that a plugin declares, as the runtime lists them.

use std::ffi::CString;

use falco_plugin_engine::metrics::Metrics;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::metrics::counter::Counter;
use crate::metrics::gauge::Gauge;

/// Adds the metrics of `Runtime.metrics`, pairs of a name and a `Counter` or a `Gauge`.
pub(crate) fn add_from_runtime(runtime: &Bound<'_, PyAny>, metrics: &mut Metrics) -> PyResult<()> {
    let declared: Vec<(String, Bound<'_, PyAny>)> = runtime.getattr("metrics")?.extract()?;
    for (name, object) in declared {
        // The build has checked the name.
        let name = CString::new(name).map_err(|error| PyValueError::new_err(error.to_string()))?;
        match object.cast::<Counter>() {
            Ok(counter) => metrics.add_counter(name, &counter.get().engine),
            Err(_) => metrics.add_gauge(name, &object.cast::<Gauge>()?.get().engine),
        }
    }
    Ok(())
}
