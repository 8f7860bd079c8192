//! The host's log, as seen from Python.

use std::io::{self, Write};

use falco_plugin_abi::{Log, Severity};
use pyo3::prelude::*;

// Python's logging goes through it, see `falco_plugin._log`.
/// The log of one initialised plugin, as the host takes it. Not public.
#[pyclass(frozen, module = "falco_plugin._core")]
pub(crate) struct HostLog(pub(crate) Log);

#[pymethods]
impl HostLog {
    /// Logs with a severity as Python's ``logging`` counts it.
    fn log(&self, py: Python<'_>, level: i32, text: &str) {
        py.detach(|| self.0.log(severity(level), text));
    }

    /// Whether the host still takes lines: until destroy.
    #[getter]
    fn open(&self) -> bool {
        self.0.is_open()
    }
}

fn severity(level: i32) -> Severity {
    match level {
        50.. => Severity::Critical,
        40..50 => Severity::Error,
        30..40 => Severity::Warning,
        25..30 => Severity::Notice,
        20..25 => Severity::Info,
        10..20 => Severity::Debug,
        _ => Severity::Trace,
    }
}

/// A warning of the SDK itself.
pub(crate) fn warn(py: Python<'_>, text: &str) {
    let logged = py
        .import("falco_plugin._failure")
        .and_then(|module| module.call_method1("warn", (text,)));
    if logged.is_err() {
        // Where stderr is gone too, there is nowhere left to say so.
        let _ = writeln!(io::stderr(), "{text}");
    }
}
