//! Children of the host's process, as far as Python code has to do with them: see `falco_plugin_abi::fork`.

use falco_plugin_abi::fork;
use pyo3::prelude::*;

/// Ends a child process that the author's code made by ``fork``, where that code returns. Not public.
#[pyfunction]
pub(crate) fn end_child() {
    fork::end_child();
}

/// To be called in a child that Python has made: it must not end as the host does. Not public.
#[pyfunction]
pub(crate) fn end_child_at_exit() {
    fork::end_at_exit();
}
