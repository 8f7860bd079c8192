//! `split_json`: splits payloads that hold several JSON documents.

use falco_plugin_engine::json::documents::{Options, split};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::buffers::to_bytes;

/// The GIL is released while a payload of this many bytes or more is split.
const LARGE: usize = 64 << 10;

/// Splits a payload that may hold several JSON documents, so that each of them can become an event.
///
/// Fields are read from the first document of an event, so rules would not see a second one. Documents may follow each
/// other directly, or with white space, commas or byte order marks between them. An array whose elements are all
/// objects is split into its elements. Text after a document belongs to that document, up to the end of the line.
///
/// The payload may be damaged. Only matching brackets outside of strings decide where a document ends, and only
/// separators are left out. A damaged line does not hide the lines after it, if one of them is a document by itself.
///
/// Args:
///     payload: any buffer.
///     lines: whether each line is a record, which is so if the sender declares JSON lines. Several documents in a line
///         are split too.
///     items: the name of a top-level member. The elements of its array are records instead of the document, as in
///         ``{"kind": "EventList", "items": [...]}``.
///
/// Returns:
///     The records, in their order and without white space around them. A payload that does not hold several documents,
///     such as text, is one record with all its bytes. A blank payload has no records.
///
/// Raises:
///     TypeError: the payload is not a buffer.
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
