//! The host's log, and the plugin that a thread logs for.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use falco_plugin_abi::{Log, Severity};
use pyo3::prelude::*;

use crate::imports;

// `falco_plugin._runtime.log` sends the records of Python's `logging` through it.
/// The host's log for one initialised plugin. Not public.
#[pyclass(frozen, module = "falco_plugin._core")]
pub(crate) struct HostLog {
    log: Log,
    number: PluginNumber,
}

/// The number of an initialised plugin of this process, from 1 on.
pub(crate) type PluginNumber = u64;

thread_local! {
    /// The plugin whose code this thread runs; 0 if it runs none.
    static CURRENT: Cell<PluginNumber> = const { Cell::new(0) };
}

impl HostLog {
    pub(crate) fn new(log: Log) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self {
            log,
            number: LAST.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }

    pub(crate) fn number(&self) -> PluginNumber {
        self.number
    }
}

/// A guard that attributes the calling thread to a plugin until it is dropped.
pub(crate) struct CurrentPlugin {
    previous: PluginNumber,
}

impl CurrentPlugin {
    #[inline]
    pub(crate) fn enter(number: PluginNumber) -> Self {
        // The slot is usable until the thread ends, even in destructors, because it has no destructor itself.
        Self {
            previous: CURRENT.replace(number),
        }
    }
}

impl Drop for CurrentPlugin {
    #[inline]
    fn drop(&mut self) {
        CURRENT.set(self.previous);
    }
}

/// Returns the number of the plugin whose code the calling thread runs, 0 if it is not known. Not public.
#[pyfunction]
pub(crate) fn current_plugin() -> PluginNumber {
    CURRENT.get()
}

/// Attributes the calling thread to a plugin, until the thread ends. Not public.
#[pyfunction]
pub(crate) fn set_current_plugin(number: PluginNumber) {
    CURRENT.set(number);
}

#[pymethods]
impl HostLog {
    /// The number of the plugin, as ``current_plugin`` returns it.
    #[getter(number)]
    fn python_number(&self) -> PluginNumber {
        self.number
    }

    /// Logs a message with a level of Python's ``logging``.
    fn log(&self, py: Python<'_>, level: i32, text: &str) {
        py.detach(|| self.log.log(severity(level), text));
    }

    /// Whether the host still accepts messages. It does until the plugin is destroyed.
    #[getter]
    fn open(&self) -> bool {
        self.log.is_open()
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

/// Returns the event source of the current plugin with a leading space, for use in a message; empty if it is not known.
pub(crate) fn source_name(py: Python<'_>) -> String {
    imports::SOURCE_NAME
        .call(py, ())
        .and_then(|name| name.extract::<String>())
        .map_or_else(
            |_| String::new(),
            |name| if name.is_empty() { name } else { format!(" {name}") },
        )
}

/// Logs a warning of the SDK itself.
pub(crate) fn warn(py: Python<'_>, message: &str) {
    if imports::WARN.call(py, (message,)).is_err() {
        // If stderr cannot be written to either, the warning is lost.
        let _ = writeln!(io::stderr(), "{message}");
    }
}
