//! The bytes of Python objects. One of the two modules with `unsafe`.

use std::mem::MaybeUninit;

use falco_plugin_engine::channel::Payload;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};

/// Runs `copy` on the bytes of any buffer. `copy` must only copy: it runs no Python code and keeps the GIL.
#[inline]
pub(crate) fn with_bytes<R>(data: &Bound<'_, PyAny>, copy: impl FnOnce(&[u8]) -> R) -> PyResult<R> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(copy(bytes.as_bytes()));
    }
    let py = data.py();
    match Contiguous::get(data) {
        // SAFETY: the buffer is exported while `buffer` lives, and the GIL is held, so nobody writes to it.
        Ok(buffer) => Ok(copy(unsafe { buffer.bytes() })),
        Err(_) if data.is_instance_of::<PyMemoryView>() => {
            let bytes = data.call_method0("tobytes")?;
            Ok(copy(bytes.cast::<PyBytes>()?.as_bytes()))
        }
        Err(error) if error.is_instance_of::<PyTypeError>(py) => Err(no_buffer(data)),
        Err(error) => Err(error),
    }
}

/// Immutable bytes are kept by reference, the bytes of any other buffer are copied.
#[inline]
pub(crate) fn to_bytes<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    // Only exact bytes: dropping them runs no Python code.
    if let Ok(bytes) = data.cast_exact::<PyBytes>() {
        return Ok(bytes.clone());
    }
    with_bytes(data, |bytes| PyBytes::new(data.py(), bytes))
}

fn no_buffer(data: &Bound<'_, PyAny>) -> PyErr {
    let kind = data
        .get_type()
        .name()
        .map_or_else(|_| "object".to_owned(), |name| name.to_string());
    if data.is_instance_of::<PyString>() {
        return PyTypeError::new_err("an event's data must be bytes, not str: give text.encode(), or write b\"...\"");
    }
    PyTypeError::new_err(format!("an event's data must be bytes or another buffer, not {kind}"))
}

struct Contiguous(ffi::Py_buffer);

impl Contiguous {
    fn get(data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut view = MaybeUninit::<ffi::Py_buffer>::uninit();
        // SAFETY: `data` is a live object, the GIL is held, and `view` is filled where the result is 0.
        unsafe {
            if ffi::PyObject_GetBuffer(data.as_ptr(), view.as_mut_ptr(), ffi::PyBUF_SIMPLE) != 0 {
                return Err(PyErr::fetch(data.py()));
            }
            Ok(Self(view.assume_init()))
        }
    }

    /// # Safety
    /// The GIL is held while the slice is used, and no Python code runs.
    unsafe fn bytes(&self) -> &[u8] {
        if self.0.len == 0 {
            return &[];
        }
        // SAFETY: PyBUF_SIMPLE gives `len` contiguous bytes at `buf`, which stay while the buffer is exported.
        unsafe { std::slice::from_raw_parts(self.0.buf.cast(), self.0.len as usize) }
    }
}

impl Drop for Contiguous {
    fn drop(&mut self) {
        // SAFETY: filled by PyObject_GetBuffer, released once; made and dropped within one hold of the GIL.
        unsafe { ffi::PyBuffer_Release(&mut self.0) };
    }
}

/// Copies the first `len` bytes of a bytearray of the SDK's own.
pub(crate) fn with_reserved<R>(memory: &Bound<'_, PyByteArray>, len: usize, copy: impl FnOnce(&[u8]) -> R) -> R {
    // SAFETY: the GIL is held and `copy` runs no Python code, so the bytearray is neither written nor resized.
    let bytes = unsafe { memory.as_bytes() };
    copy(&bytes[..len.min(bytes.len())])
}

/// The payload of a message: readable without the GIL, dropped with it.
pub(crate) struct BytesPayload(Py<PyBytes>);

impl From<Bound<'_, PyBytes>> for BytesPayload {
    #[inline]
    fn from(bytes: Bound<'_, PyBytes>) -> Self {
        Self(bytes.unbind())
    }
}

impl Payload for BytesPayload {
    #[inline]
    fn bytes(&self) -> &[u8] {
        let object = self.0.as_ptr();
        // SAFETY: a bytes object neither changes nor moves while there is a reference to it, which `self` holds; so its
        // size and its bytes can be read without the GIL. Neither call does more than that.
        unsafe { std::slice::from_raw_parts(ffi::PyBytes_AS_STRING(object).cast(), ffi::Py_SIZE(object) as usize) }
    }

    fn release(payloads: Vec<Self>) {
        Python::attach(|_| drop(payloads));
    }
}
