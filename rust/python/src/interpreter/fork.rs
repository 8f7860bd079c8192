//! Children of the host's process, as far as Python code has to do with them: see `falco_plugin_abi::fork`.

use falco_plugin_abi::{fork, signals};
use pyo3::prelude::*;

/// Ends a child process that the author's code made by ``fork``, where that code returns. Not public.
#[pyfunction]
pub(crate) fn end_child() {
    fork::end_child();
}

/// Prepares the process for a child that Python is about to fork. Not public.
#[pyfunction]
pub(crate) fn before_fork() {
    fork::prepare();
}

/// Makes a child that Python has forked a process of its own: it has default signal handlers, ends with the host, and does
/// not end as the host does. Not public.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    fork::end_at_exit();
    signals::reset_in_child();
    fork::end_with_host();
}
