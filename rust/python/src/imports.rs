//! The Python objects that Rust looks up by name, all in one list. Each is imported when it is first needed.

use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

pub(crate) static BATCH_FULL_ERROR: Import = Import::new("falco_plugin.errors", "BatchFullError");
pub(crate) static CHANNEL_CLOSED_ERROR: Import = Import::new("falco_plugin.errors", "ChannelClosedError");
pub(crate) static CHANNEL_FULL_ERROR: Import = Import::new("falco_plugin.errors", "ChannelFullError");
pub(crate) static EOF: Import = Import::new("falco_plugin.errors", "EOF");
pub(crate) static EVENT_TOO_LARGE_ERROR: Import = Import::new("falco_plugin.errors", "EventTooLargeError");
pub(crate) static NO_JSON_ERROR: Import = Import::new("falco_plugin.errors", "NoJsonError");
pub(crate) static PLUGIN_ERROR: Import = Import::new("falco_plugin.errors", "PluginError");
pub(crate) static RETRY_LATER: Import = Import::new("falco_plugin.errors", "RetryLater");
pub(crate) static TIMEOUT: Import = Import::new("falco_plugin.errors", "Timeout");

pub(crate) static COMPUTED_GAUGE: Import = Import::new("falco_plugin._declare.metrics", "computed");
pub(crate) static MISSING_ATTRIBUTES: Import = Import::new("falco_plugin._declare.tables", "missing_attributes");
pub(crate) static LOCATED: Import = Import::new("falco_plugin.fields", "Located");

pub(crate) static DECLARED_TABLE: Import = Import::new("falco_plugin.tables", "DeclaredTable");
pub(crate) static SOCKET_ADDRESS: Import = Import::new("falco_plugin.params", "SocketAddress");
pub(crate) static SOCKET_TUPLE: Import = Import::new("falco_plugin.params", "SocketTuple");

pub(crate) static ADD_LOCATION: Import = Import::new("falco_plugin._runtime.failures", "add_location");
pub(crate) static ADD_PARAMETERS: Import = Import::new("falco_plugin._runtime.failures", "add_parameters");
pub(crate) static REPORT_RETRY_LATER: Import = Import::new("falco_plugin._runtime.failures", "report_retry_later");
pub(crate) static REPORT_FAILURE: Import = Import::new("falco_plugin._runtime.failures", "report");
pub(crate) static WARN: Import = Import::new("falco_plugin._runtime.failures", "warn");
pub(crate) static SOURCE_NAME: Import = Import::new("falco_plugin._runtime.log", "source_name");
pub(crate) static START_PRODUCER: Import = Import::new("falco_plugin._runtime.producer", "start");
pub(crate) static RUNTIME: Import = Import::new("falco_plugin._runtime.runtime", "Runtime");
pub(crate) static SKIPPED_ITEMS: Import = Import::new("falco_plugin._runtime.skipped_items", "SkippedItems");

pub(crate) static IPV4_ADDRESS: Import = Import::new("ipaddress", "IPv4Address");
pub(crate) static IPV4_NETWORK: Import = Import::new("ipaddress", "IPv4Network");
pub(crate) static IPV6_ADDRESS: Import = Import::new("ipaddress", "IPv6Address");
pub(crate) static IPV6_NETWORK: Import = Import::new("ipaddress", "IPv6Network");

pub(crate) static COLLECT_GARBAGE: Import = Import::new("gc", "collect");
pub(crate) static FSDECODE: Import = Import::new("os", "fsdecode");
pub(crate) static FSENCODE: Import = Import::new("os", "fsencode");
pub(crate) static GENERIC_ALIAS: Import = Import::new("types", "GenericAlias");
pub(crate) static STRERROR: Import = Import::new("os", "strerror");

/// An attribute of a module, imported at its first use.
pub(crate) struct Import {
    module: &'static str,
    name: &'static str,
    object: PyOnceLock<Py<PyAny>>,
}

impl Import {
    const fn new(module: &'static str, name: &'static str) -> Self {
        Self {
            module,
            name,
            object: PyOnceLock::new(),
        }
    }

    /// Returns the object. Fails if the module cannot be imported; the next call then tries again.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        let import = || Ok(py.import(self.module)?.getattr(self.name)?.unbind());
        get_or_make(py, &self.object, import).map(|object| object.bind(py))
    }

    /// Calls the object with positional arguments.
    pub(crate) fn call<'py>(&self, py: Python<'py>, arguments: impl PyCallArgs<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.get(py)?.call1(arguments)
    }

    /// Returns whether a value is an instance of the object, which is a class.
    pub(crate) fn is_class_of(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        value.is_instance(self.get(value.py())?)
    }
}

/// Returns the value of a cell, which `make` makes if the cell is empty.
///
/// `make` may run any Python code, which may call this function for the same cell, for example in a garbage collection.
/// So nothing is locked while it runs, and the value of the first call that completes is kept.
pub(crate) fn get_or_make<'a, T>(
    py: Python<'_>,
    cell: &'a PyOnceLock<T>,
    make: impl FnOnce() -> PyResult<T>,
) -> PyResult<&'a T> {
    if cell.get(py).is_none() {
        let _ = cell.set(py, make()?);
    }
    Ok(cell.get(py).expect("the cell was filled above"))
}
