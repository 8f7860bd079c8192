//! Functions for the exit of the process. See `falco_plugin_abi::exit`.

use std::path::PathBuf;

use falco_plugin_abi::exit;
use pyo3::prelude::*;

/// Removes a folder with everything in it when the process exits, although Python is not finalised. Not public.
#[pyfunction]
pub(crate) fn remove_at_exit(folder: PathBuf) {
    exit::remove_at_exit(folder);
}
