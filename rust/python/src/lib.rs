//! `falco_plugin._core`: the engine's types as Python classes, and Python objects as plugins.
//!
//! [`start`] is the entry point for the stub, and [`plugin`] is what it makes; [`source`] drives what `open` returns, and
//! [`table`] has the state tables.

mod convert;
mod errors;
mod event;
mod fields;
mod imports;
mod interpreter;
mod metrics;
mod parsing;
mod plugin;
mod sending;
mod source;
mod start;
mod table;

// The stub, the native host and the packer, which are built with this module and needed only outside of Falco. Their
// sections are not loaded: the flags are empty. `falco_plugin._build.embedded` reads them from the file.
std::arch::global_asm!(
    ".pushsection .falco_stub, \"\", @progbits",
    concat!(".incbin \"", env!("OUT_DIR"), "/stub.so\""),
    ".popsection",
    ".pushsection .falco_host, \"\", @progbits",
    concat!(".incbin \"", env!("OUT_DIR"), "/falco-plugin-host\""),
    ".popsection",
    ".pushsection .falco_packer, \"\", @progbits",
    concat!(".incbin \"", env!("OUT_DIR"), "/falco-plugin-packer\""),
    ".popsection",
);

// Other threads run at any time, so shared state is locked, atomic or moved.
/// The native core. Its public names are imported from ``falco_plugin`` and ``falco_plugin.source``.
#[pyo3::pymodule(gil_used = false)]
mod _core {
    use std::collections::BTreeMap;

    use falco_plugin_abi::api::Capability;
    use falco_plugin_engine::event::schema;
    use pyo3::prelude::*;
    use pyo3::types::PyBytes;

    use crate::interpreter::{fast, slots};

    #[pymodule_export]
    use crate::convert::documents::split_json;
    #[pymodule_export]
    use crate::convert::timestamp::parse_timestamp;
    #[pymodule_export]
    use crate::event::batch::EventBatch;
    #[pymodule_export]
    use crate::event::item::PushEvent;
    #[pymodule_export]
    use crate::event::params::Params;
    #[pymodule_export]
    use crate::event::reader::Event;
    #[pymodule_export]
    use crate::event::writer::EventWriter;
    #[pymodule_export]
    use crate::fields::json_reader::JsonReader;
    #[pymodule_export]
    use crate::fields::table_reader::TableReader;
    #[pymodule_export]
    use crate::interpreter::contents::Bundle;
    #[pymodule_export]
    use crate::interpreter::exit::remove_at_exit;
    #[pymodule_export]
    use crate::interpreter::fork::{after_fork_in_child, before_fork, end_child};
    #[pymodule_export]
    use crate::interpreter::log::{HostLog, current_plugin, set_current_plugin};
    #[pymodule_export]
    use crate::interpreter::watch::Watch;
    #[pymodule_export]
    use crate::metrics::counter::Counter;
    #[pymodule_export]
    use crate::metrics::gauge::Gauge;
    #[pymodule_export]
    use crate::sending::event::AsyncEvent;
    #[pymodule_export]
    use crate::sending::sender::AsyncEventSender;
    #[pymodule_export]
    use crate::sending::sink::AsyncSink;
    #[pymodule_export]
    use crate::source::channel::{Receiver, channel};
    #[pymodule_export]
    use crate::source::context::Context;
    #[pymodule_export]
    use crate::source::iter::IterInstance;
    #[pymodule_export]
    use crate::source::lines::LinesInstance;
    #[pymodule_export]
    use crate::source::producer::{AsyncSender, fail, position, send_each};
    #[pymodule_export]
    use crate::source::pull::PullInstance;
    #[pymodule_export]
    use crate::source::push::PushInstance;
    #[pymodule_export]
    use crate::source::sender::Sender;
    #[pymodule_export]
    use crate::table::attribute::Attribute;
    #[pymodule_export]
    use crate::table::entry::Entry;
    #[pymodule_export]
    use crate::table::host::{HostTables, make_table};
    #[pymodule_export]
    use crate::table::mapping::Table;

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

    /// Returns the codes of the events with a name, as a library declares them to the host. Not public.
    ///
    /// The name is that of an event type or of a system call. Without such a one, the list is empty.
    #[pyfunction]
    fn event_codes(name: &str) -> Vec<u16> {
        match schema::select(name) {
            Some(schema::Selection::Types(codes)) => codes,
            Some(schema::Selection::Syscall(_)) => vec![schema::GENERIC_EVENT],
            None => Vec::new(),
        }
    }

    /// Returns whether Falco, or plugins by async events, make the events with a name. Not public.
    #[pyfunction]
    fn is_meta_event(name: &str) -> bool {
        schema::is_meta(name)
    }

    /// Returns the names of all event types and system calls, sorted. Not public.
    #[pyfunction]
    fn event_names() -> Vec<&'static str> {
        schema::selectable_names().into_iter().collect()
    }

    /// Returns the hash by which the stub recognises the manifest and the archive of a plugin library. Not public.
    #[pyfunction]
    fn blake3<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, ::blake3::hash(data).as_bytes())
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        Params::register(py)?;
        fast::install::<EventWriter>(py)?;
        fast::install::<Sender>(py)?;
        fast::install::<AsyncEventSender>(py)?;
        fast::install::<Table>(py)?;
        fast::install_constructor::<AsyncEvent>(py);
        slots::install_attributes::<Event>(py);
        slots::install_subscript::<Params>(py);
        slots::install_descriptor::<Attribute>(py);
        Ok(())
    }
}
