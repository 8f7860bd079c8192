//! Values that are made once in a process.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The value of a cell, made where it is not there yet. Making it may run any code, this function among it, in a garbage
/// collection for example: nothing is locked meanwhile, and the first that is done counts.
pub(crate) fn get_or_make<'a, T>(
    py: Python<'_>,
    cell: &'a PyOnceLock<T>,
    make: impl FnOnce() -> PyResult<T>,
) -> PyResult<&'a T> {
    if cell.get(py).is_none() {
        let _ = cell.set(py, make()?);
    }
    Ok(cell.get(py).expect("it was set"))
}
