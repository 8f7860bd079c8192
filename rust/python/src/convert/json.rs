//! Conversion of JSON payloads to Python objects, by the same rules as fields.

use falco_plugin_engine::json::scan::{self, Continuation, Extent, NextEntry};
use falco_plugin_engine::json::text::{self, DecodedText};
use falco_plugin_engine::json::{Fault, FaultKind, Spans, number, string_end};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

/// Digits of the longest integer that becomes an `int`. Python refuses to read longer ones, because that takes more
/// than linear time. They become a `float`.
const MOST_DIGITS: usize = 4000;
/// Levels of nested containers. There is a limit because most code that walks over Python objects is recursive.
const MAX_DEPTH: usize = 128;

/// A payload as Python objects, and its first fault.
pub(crate) struct Decoded<'py> {
    pub(crate) value: Bound<'py, PyAny>,
    pub(crate) fault: Option<Fault>,
}

/// Converts a payload to Python objects as far as it can be read. A fault costs only the value that contains it.
///
/// # Errors
/// Returns the inner error if the payload does not begin with a JSON value.
pub(crate) fn decode<'py>(py: Python<'py>, payload: &[u8]) -> PyResult<Result<Decoded<'py>, Fault>> {
    let start = scan::find_start(payload);
    let mut spans = Spans::default();
    let extent = match scan::read_root(payload, start, &mut spans) {
        Ok(extent) => extent,
        Err(fault) => return Ok(Err(fault)),
    };
    let mut builder = Builder {
        py,
        json: payload,
        spans,
        fault: None,
    };
    let value = builder.value(start, extent, 0)?;
    if let Extent::Finished(end) = extent {
        let rest = scan::skip_space(payload, end);
        if rest < payload.len() {
            builder.note(rest, FaultKind::TextAfter);
        }
    }
    let fault = builder.fault;
    Ok(Ok(Decoded { value, fault }))
}

struct Builder<'a, 'py> {
    py: Python<'py>,
    json: &'a [u8],
    spans: Spans,
    fault: Option<Fault>,
}

impl<'py> Builder<'_, 'py> {
    fn value(&mut self, start: usize, extent: Extent, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        match (self.json[start], extent) {
            (b'{' | b'[', _) if depth == MAX_DEPTH => {
                self.note(start, FaultKind::TooDeep);
                Ok(self.py.None().into_bound(self.py))
            }
            (b'{', _) => self.object(start + 1, depth + 1),
            (b'[', _) => self.array(start + 1, depth + 1),
            (b'"', Extent::Finished(end)) => Ok(self.string(start + 1, end - 1).into_any()),
            (_, Extent::Finished(end)) => self.bare(start, end),
            (_, Extent::Unfinished) => unreachable!("only a container is unfinished"),
        }
    }

    fn object(&mut self, mut pos: usize, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        let dict = PyDict::new(self.py);
        while let Some(entry) = self.entry(true, pos) {
            let end = string_end(self.json, entry.key).map_or(entry.key, |end| end - 1);
            let key = self.string(entry.key, end);
            let value = self.value(entry.start, entry.extent, depth)?;
            if !dict.contains(&key)? {
                dict.set_item(key, value)?;
            }
            let Some(next) = self.next(entry.continuation) else {
                break;
            };
            pos = next;
        }
        Ok(dict.into_any())
    }

    fn array(&mut self, mut pos: usize, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        let list = PyList::empty(self.py);
        while let Some(entry) = self.entry(false, pos) {
            list.append(self.value(entry.start, entry.extent, depth)?)?;
            let Some(next) = self.next(entry.continuation) else {
                break;
            };
            pos = next;
        }
        Ok(list.into_any())
    }

    fn entry(&mut self, object: bool, pos: usize) -> Option<scan::Entry> {
        match scan::read_entry(self.json, object, pos, &mut self.spans) {
            NextEntry::Entry(entry) => Some(entry),
            NextEntry::End(_) => None,
            NextEntry::Fault(Fault { offset, kind }) => {
                self.note(offset, kind);
                None
            }
        }
    }

    fn next(&mut self, behind: Continuation) -> Option<usize> {
        match behind {
            Continuation::Entry(pos) => Some(pos),
            Continuation::End(_) => None,
            Continuation::Fault(Fault { offset, kind }) => {
                self.note(offset, kind);
                None
            }
        }
    }

    /// Converts the bytes between the quotes to a Python string.
    fn string(&mut self, start: usize, end: usize) -> Bound<'py, PyString> {
        let DecodedText { text, fault } = text::decode(&self.json[start..end]);
        if let Some(Fault { offset, kind }) = fault {
            self.note(start + offset, kind);
        }
        PyString::new(self.py, &text)
    }

    fn bare(&mut self, start: usize, end: usize) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        let DecodedText { text, fault } = text::decode_lossy(&self.json[start..end]);
        if let Some(Fault { offset, kind }) = fault {
            self.note(start + offset, kind);
        }
        Ok(match &*text {
            "true" | "false" => PyBool::new(py, text == "true").to_owned().into_any(),
            "null" => py.None().into_bound(py),
            "" => {
                self.note(start, FaultKind::NoValue);
                py.None().into_bound(py)
            }
            "NaN" => PyFloat::new(py, f64::NAN).into_any(),
            "Infinity" => PyFloat::new(py, f64::INFINITY).into_any(),
            "-Infinity" => PyFloat::new(py, f64::NEG_INFINITY).into_any(),
            text if number::is_json_number(text) => json_number(py, text)?,
            text => {
                self.note(start, FaultKind::UnknownWord);
                PyString::new(py, text).into_any()
            }
        })
    }

    /// Keeps the fault if it is before the one that is kept.
    fn note(&mut self, offset: usize, kind: FaultKind) {
        if self.fault.is_none_or(|first| offset < first.offset) {
            self.fault = Some(Fault { offset, kind });
        }
    }
}

fn json_number<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    let is_integer = !text.contains(['.', 'e', 'E']);
    match text.parse::<i64>() {
        Ok(number) => Ok(number.into_pyobject(py)?.into_any()),
        Err(_) if is_integer && text.trim_start_matches('-').len() <= MOST_DIGITS => {
            py.get_type::<PyInt>().call1((text,))
        }
        Err(_) => Ok(PyFloat::new(py, text.parse().unwrap_or(f64::INFINITY)).into_any()),
    }
}
