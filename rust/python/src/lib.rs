//! `falco_plugin._core`: the engine's types as Python classes, and Python objects as plugins.

mod batch;
mod buffers;
mod channel;
mod context;
mod documents;
mod errors;
mod event;
mod fast;
mod fields;
mod fork;
mod instance;
mod iter;
mod json;
mod left_out;
mod lines;
mod log;
mod once;
mod options;
mod plugin;
mod pull;
mod push;
mod start;
mod text;
mod threads;
mod timestamp;

/// The library in front and the native host, as built with this module.
mod embedded {
    pub(crate) const STUB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub.so"));
    pub(crate) const HOST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/falco-plugin-host"));
}

// Other threads run wherever the GIL is let go of, so what is shared is locked, atomic or moved. What is said in one place
// each to hold by the GIL alone, a build of Python without it does not promise: `buffers` and `event`.
#[pyo3::pymodule(gil_used = true)]
mod _core {
    use pyo3::prelude::*;
    use pyo3::types::PyBytes;

    #[pymodule_export]
    use crate::batch::{EventBatch, EventWriter};
    #[pymodule_export]
    use crate::channel::{PushEvent, Receiver, Sender, channel};
    #[pymodule_export]
    use crate::context::Context;
    #[pymodule_export]
    use crate::documents::split_json;
    #[pymodule_export]
    use crate::event::Event;
    #[pymodule_export]
    use crate::fields::JsonReader;
    #[pymodule_export]
    use crate::fork::{after_fork_in_child, before_fork, end_child};
    #[pymodule_export]
    use crate::iter::{AsyncSender, IterInstance, fail, position, send_each};
    #[pymodule_export]
    use crate::lines::LinesInstance;
    #[pymodule_export]
    use crate::log::HostLog;
    #[pymodule_export]
    use crate::pull::PullInstance;
    #[pymodule_export]
    use crate::push::PushInstance;
    #[pymodule_export]
    use crate::timestamp::parse_timestamp;

    #[pymodule_export]
    const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::fast::install::<EventWriter>(module.py())?;
        crate::fast::install::<Sender>(module.py())
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
