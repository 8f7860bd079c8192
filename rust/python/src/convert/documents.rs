//! Splitting payloads that hold several JSON documents.

use falco_plugin_engine::json::documents::{Options, split};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::buffers::to_bytes;

/// The GIL is released while a payload of this many bytes or more is split.
const LARGE: usize = 64 << 10;

#[pyfunction]
#[pyo3(signature = (payload, /, *, lines = false, items = None))]
pub(crate) fn split_json<'py>(
    payload: &Bound<'py, PyAny>,
    lines: bool,
    items: Option<&str>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let py = payload.py();
    let payload = to_bytes(payload)?;
    let bytes = payload.as_bytes();
    let options = Options {
        lines,
        items: items.map(str::as_bytes),
    };
    let records = if bytes.len() < LARGE {
        split(bytes, options)
    } else {
        py.detach(|| split(bytes, options))
    };
    if let [record] = records.as_slice()
        && record.len() == bytes.len()
    {
        return Ok(vec![payload]);
    }
    Ok(records
        .into_iter()
        .map(|record| PyBytes::new(py, &bytes[record]))
        .collect())
}
