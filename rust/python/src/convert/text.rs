//! Conversion of Python strings for the host.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::PyString;

/// Returns a string with U+FFFD for each half of a surrogate pair, which Python can hold and UTF-8 cannot.
pub(crate) fn replacing<'a>(text: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, str>> {
    if let Ok(text) = text.to_str() {
        return Ok(text.into());
    }
    let bytes: Vec<u8> = text.call_method1("encode", ("utf-16-le", "surrogatepass"))?.extract()?;
    let units: Vec<u16> = bytes
        .as_chunks()
        .0
        .iter()
        .map(|&unit| u16::from_le_bytes(unit))
        .collect();
    Ok(String::from_utf16_lossy(&units).into())
}
