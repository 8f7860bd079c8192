//! Functions for child processes that Python code forks. See `falco_plugin_abi::fork`.

use falco_plugin_abi::{fork, signals};
use pyo3::prelude::*;

/// Ends the process if it is a child that user code has forked. Called when that code returns. Not public.
#[pyfunction]
pub(crate) fn end_child() {
    fork::end_child();
}

/// Prepares the process for a child, which Python is about to fork. Not public.
#[pyfunction]
pub(crate) fn before_fork() {
    fork::prepare();
}

/// Separates a child that Python has forked from the host. Not public.
///
/// The child gets default signal handlers, ends when the host ends, and skips the host's exit handlers.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    fork::end_at_exit();
    signals::reset_in_child();
    fork::end_with_host();
}
