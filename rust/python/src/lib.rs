//! `falco_plugin._core`: the engine's types as Python classes, and Python objects as plugins.

mod convert;
mod errors;
mod event;
mod fields;
mod interpreter;
mod plugin;
mod source;
mod start;

/// The library in front and the native host, as built with this module.
mod embedded {
    pub(crate) const STUB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub.so"));
    pub(crate) const HOST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/falco-plugin-host"));
}

// Other threads run wherever the GIL is let go of, so what is shared is locked, atomic or moved. What is said in one place
// each to hold by the GIL alone, a build of Python without it does not promise: `buffers` and `event`.
#[pyo3::pymodule(gil_used = true)]
mod _core {
    use std::collections::BTreeMap;

    use falco_plugin_abi::api::Capability;
    use pyo3::prelude::*;
    use pyo3::types::PyBytes;

    #[pymodule_export]
    use crate::convert::documents::split_json;
    #[pymodule_export]
    use crate::convert::timestamp::parse_timestamp;
    #[pymodule_export]
    use crate::event::batch::{EventBatch, EventWriter};
    #[pymodule_export]
    use crate::event::reader::Event;
    #[pymodule_export]
    use crate::fields::JsonReader;
    #[pymodule_export]
    use crate::interpreter::fork::{after_fork_in_child, before_fork, end_child};
    #[pymodule_export]
    use crate::interpreter::log::{HostLog, current_plugin, set_current_plugin};
    #[pymodule_export]
    use crate::interpreter::watch::Watch;
    #[pymodule_export]
    use crate::source::channel::{PushEvent, Receiver, Sender, channel};
    #[pymodule_export]
    use crate::source::context::Context;
    #[pymodule_export]
    use crate::source::iter::{AsyncSender, IterInstance, fail, position, send_each};
    #[pymodule_export]
    use crate::source::lines::LinesInstance;
    #[pymodule_export]
    use crate::source::pull::PullInstance;
    #[pymodule_export]
    use crate::source::push::PushInstance;

    #[pymodule_export]
    const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

    /// Returns the symbols of each capability that a plugin library can export. Not public.
    #[pyfunction]
    fn capability_symbols() -> BTreeMap<&'static str, Vec<&'static str>> {
        let symbols = |capability: Capability| {
            let functions = capability.functions().filter(|function| function.is_implemented);
            (capability.name(), functions.map(|function| function.symbol).collect())
        };
        Capability::ALL.into_iter().map(symbols).collect()
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::interpreter::fast::install::<EventWriter>(module.py())?;
        crate::interpreter::fast::install::<Sender>(module.py())
    }

    /// The library in front, before a plugin was put into it. Not public.
    #[pyfunction]
    fn stub(py: Python<'_>) -> Bound<'_, PyBytes> {
        PyBytes::new(py, crate::embedded::STUB)
    }

    /// The native host, a program. Not public.
    #[pyfunction]
    fn host(py: Python<'_>) -> Bound<'_, PyBytes> {
        PyBytes::new(py, crate::embedded::HOST)
    }
}
