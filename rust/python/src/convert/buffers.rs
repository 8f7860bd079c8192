//! The bytes of Python objects, and their descriptors. One of the three modules with `unsafe`.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use falco_plugin_engine::source::channel;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString};

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
    let remedy = if data.is_instance_of::<PyString>() {
        "give text.encode(), or write b\"...\""
    } else if data.is_instance_of::<PyDict>() || data.is_instance_of::<PyList>() {
        "give json.dumps(data).encode()"
    } else if data.is_instance_of::<PyInt>() || data.is_instance_of::<PyFloat>() {
        "give str(data).encode()"
    } else if data.is_none() {
        "leave it out if there is no event"
    } else {
        "give bytes or another buffer"
    };
    PyTypeError::new_err(format!("an event's data must be bytes, not {kind}: {remedy}"))
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

/// Whether anybody has the object beside the one who asks. While the GIL is held nobody else can come by a reference.
pub(crate) fn is_shared(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: reads the count of a live object.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) > 1 }
}

/// Another descriptor of what an object's `fileno` says, to keep when the object is closed.
pub(crate) fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: any number may be given, one that is no descriptor is an error; a descriptor that is returned is new, so
    // nobody else closes it.
    unsafe {
        match libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) {
            -1 => Err(io::Error::last_os_error()),
            duplicate => Ok(OwnedFd::from_raw_fd(duplicate)),
        }
    }
}

/// The payload of an event: the host's own memory while a call of the host lasts, else a copy, made once somebody asks.
pub(crate) struct Payload(Mutex<Bytes>);

enum Bytes {
    /// Nobody asked for it during the host's call, and nobody is left who could.
    Gone,
    /// Valid until `while_lent`, which put it here, takes it away.
    Lent(*const [u8]),
    Copied(Py<PyBytes>),
}

// SAFETY: the pointer is followed under the lock alone, and what it points to is only read.
unsafe impl Send for Bytes {}

impl Payload {
    pub(crate) fn copied(bytes: Py<PyBytes>) -> Self {
        Self(Mutex::new(Bytes::Copied(bytes)))
    }

    pub(crate) fn gone() -> Self {
        Self(Mutex::new(Bytes::Gone))
    }

    /// Runs code while the payload can be read from the host's memory. A copy is left behind where there is one, or
    /// where somebody `may_ask` for it later. Where it `is_another` event's payload, a copy of the one before is let go.
    pub(crate) fn while_lent<R>(
        &self,
        py: Python<'_>,
        bytes: &[u8],
        is_another: bool,
        may_ask: impl FnOnce() -> bool,
        code: impl FnOnce() -> R,
    ) -> R {
        struct End<'a, M: FnOnce() -> bool>(&'a Payload, Python<'a>, Option<M>);
        impl<M: FnOnce() -> bool> Drop for End<'_, M> {
            fn drop(&mut self) {
                let may_ask = self.2.take().is_none_or(|may_ask| may_ask());
                self.0.end(self.1, may_ask);
            }
        }
        let mut held = self.lock();
        if is_another || matches!(*held, Bytes::Gone) {
            let before = mem::replace(&mut *held, Bytes::Lent(ptr::from_ref(bytes)));
            drop(held);
            drop(before);
        } else {
            drop(held);
        }
        let _end = End(self, py, Some(may_ask));
        code()
    }

    fn end(&self, py: Python<'_>, may_ask: bool) {
        let mut held = self.lock();
        if let Bytes::Lent(bytes) = *held {
            // Taken away first: there may be no memory for a copy.
            *held = Bytes::Gone;
            if may_ask {
                // SAFETY: called by `while_lent`, before the host's call is over.
                *held = Bytes::Copied(PyBytes::new(py, unsafe { &*bytes }).unbind());
            }
        }
    }

    /// The payload as an object that can be kept.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut held = self.lock();
        let copy = match &*held {
            Bytes::Copied(bytes) => return bytes.bind(py).clone(),
            // SAFETY: `while_lent` takes it away, under the lock, before the host's call is over.
            Bytes::Lent(bytes) => PyBytes::new(py, unsafe { &**bytes }),
            Bytes::Gone => PyBytes::new(py, b""),
        };
        *held = Bytes::Copied(copy.clone().unbind());
        copy
    }

    /// Runs `read` on the payload. It must only read: it runs no Python code and keeps the GIL.
    pub(crate) fn with<R>(&self, py: Python<'_>, read: impl FnOnce(&[u8]) -> R) -> R {
        match &*self.lock() {
            Bytes::Copied(bytes) => read(bytes.bind(py).as_bytes()),
            // SAFETY: as in `get`.
            Bytes::Lent(bytes) => read(unsafe { &**bytes }),
            Bytes::Gone => read(b""),
        }
    }

    /// Never held while Python code runs.
    fn lock(&self) -> MutexGuard<'_, Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The payload of a message: readable without the GIL, dropped with it.
pub(crate) struct BytesPayload(Py<PyBytes>);

impl From<Bound<'_, PyBytes>> for BytesPayload {
    #[inline]
    fn from(bytes: Bound<'_, PyBytes>) -> Self {
        Self(bytes.unbind())
    }
}

impl channel::Payload for BytesPayload {
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
