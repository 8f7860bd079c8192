//! `split_json`: splits payloads that hold several JSON documents.

use std::ops::Range;

use falco_plugin_engine::extract::TimestampReader;
use falco_plugin_engine::json::documents::{Options, split};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

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
///     timestamp: a JSON pointer to the time of a record, such as ``"/time"``. The time has one of the forms that
///         ``parse_timestamp`` reads.
///
/// Returns:
///     The records, in their order and without white space around them. A payload that does not hold several documents,
///     such as text, is one record with all its bytes. A blank payload has no records. With ``timestamp``, each record
///     is a tuple with its time in nanoseconds since the epoch, or with ``None`` if it has no such time. These tuples
///     can be sent or appended as events.
///
/// Raises:
///     TypeError: the payload is not a buffer.
///     ValueError: the pointer is not valid, or leads to several values.
#[pyfunction]
#[pyo3(signature = (payload, /, *, lines = false, items = None, timestamp = None))]
pub(crate) fn split_json<'py>(
    payload: &Bound<'py, PyAny>,
    lines: bool,
    items: Option<&str>,
    timestamp: Option<&str>,
) -> PyResult<Bound<'py, PyList>> {
    let py = payload.py();
    let payload = to_bytes(payload)?;
    let bytes = payload.as_bytes();
    let options = Options {
        lines,
        items: items.map(str::as_bytes),
    };
    let times = timestamp
        .map(TimestampReader::new)
        .transpose()
        .map_err(PyValueError::new_err)?;
    let read = || {
        let records = split(bytes, options);
        let times = times.map(|mut times| {
            let read = |record: &Range<usize>| times.read(&bytes[record.clone()]).ok().map(|time| time.nanoseconds);
            records.iter().map(read).collect::<Vec<_>>()
        });
        (records, times)
    };
    let (records, times) = if bytes.len() < LARGE { read() } else { py.detach(read) };
    let is_whole = matches!(records.as_slice(), [record] if record.len() == bytes.len());
    let records = records.into_iter().map(|record| match is_whole {
        true => payload.clone(),
        false => PyBytes::new(py, &bytes[record]),
    });
    match times {
        Some(times) => PyList::new(py, records.zip(times)),
        None => PyList::new(py, records),
    }
}
