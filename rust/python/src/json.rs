//! JSON payloads as Python objects, read by the same rules as fields: of duplicate keys the first counts.

use falco_plugin_engine::extract::{scan, text};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

use crate::errors::no_json;

/// Python refuses to read longer integers, since that takes more than linear time; as a float they do no harm.
const MOST_DIGITS: usize = 4000;

/// The whole payload as one JSON value.
pub(crate) fn decode<'py>(py: Python<'py>, payload: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let start = scan::space(payload, 0);
    let whole = std::str::from_utf8(payload)
        .ok()
        .filter(|_| scan::value(payload, start).is_some_and(|end| scan::space(payload, end) == payload.len()));
    let json = whole.ok_or_else(|| no_json(py))?;
    Ok(Builder { py, json }.value(start)?.0)
}

/// Makes objects of a text that was checked: its depth is bounded, and each value complete.
struct Builder<'a, 'py> {
    py: Python<'py>,
    json: &'a str,
}

impl<'py> Builder<'_, 'py> {
    /// The value that begins at `pos`, and where it ends.
    fn value(&self, pos: usize) -> PyResult<(Bound<'py, PyAny>, usize)> {
        let py = self.py;
        let bytes = self.json.as_bytes();
        match bytes[pos] {
            b'{' => self.object(pos + 1),
            b'[' => self.array(pos + 1),
            first => {
                let end = scan::value(bytes, pos).unwrap_or(bytes.len());
                let text = &self.json[pos..end];
                let value = match first {
                    b'"' => self.string(text)?.into_any(),
                    b't' | b'f' => PyBool::new(py, first == b't').to_owned().into_any(),
                    b'n' => py.None().into_bound(py),
                    _ => number(py, text)?,
                };
                Ok((value, end))
            }
        }
    }

    fn object(&self, pos: usize) -> PyResult<(Bound<'py, PyAny>, usize)> {
        let bytes = self.json.as_bytes();
        let dict = PyDict::new(self.py);
        let mut pos = scan::space(bytes, pos);
        while bytes[pos] != b'}' {
            let (key_end, start) = scan::key(bytes, pos).unwrap_or((bytes.len(), bytes.len()));
            let key = self.string(&self.json[pos..key_end])?;
            let (value, end) = self.value(start)?;
            if !dict.contains(&key)? {
                dict.set_item(key, value)?;
            }
            pos = self.after(end);
        }
        Ok((dict.into_any(), pos + 1))
    }

    fn array(&self, pos: usize) -> PyResult<(Bound<'py, PyAny>, usize)> {
        let bytes = self.json.as_bytes();
        let list = PyList::empty(self.py);
        let mut pos = scan::space(bytes, pos);
        while bytes[pos] != b']' {
            let (value, end) = self.value(pos)?;
            list.append(value)?;
            pos = self.after(end);
        }
        Ok((list.into_any(), pos + 1))
    }

    /// The next key or element, or the closing bracket.
    fn after(&self, end: usize) -> usize {
        let bytes = self.json.as_bytes();
        match scan::space(bytes, end) {
            pos if bytes[pos] == b',' => scan::space(bytes, pos + 1),
            pos => pos,
        }
    }

    fn string(&self, quoted: &str) -> PyResult<Bound<'py, PyString>> {
        if let Some(text) = text::decode(quoted) {
            return Ok(PyString::new(self.py, &text));
        }
        // Half of a surrogate pair: Python can hold it, UTF-8 cannot.
        let loads = self.py.import("json")?.getattr("loads")?;
        Ok(loads.call1((quoted,))?.cast_into()?)
    }
}

fn number<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    let is_integer = !text.contains(['.', 'e', 'E']);
    match text.parse::<i64>() {
        Ok(number) => Ok(number.into_pyobject(py)?.into_any()),
        Err(_) if is_integer && text.len() <= MOST_DIGITS => py.get_type::<PyInt>().call1((text,)),
        Err(_) => Ok(PyFloat::new(py, text.parse().unwrap_or(f64::INFINITY)).into_any()),
    }
}
