//! The bytes and the descriptors of Python objects.

use std::ffi::CStr;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;
#[cfg(Py_GIL_DISABLED)]
use std::sync::atomic::{Ordering, fence};

use falco_plugin_engine::source::channel;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString};

use crate::interpreter::gil_cell::GilCell;

/// Runs `copy` on the bytes of any buffer. Fails if `data` is not a buffer. `copy` must not run Python code or release
/// the GIL.
#[inline]
pub(crate) fn with_bytes<R>(data: &Bound<'_, PyAny>, copy: impl FnOnce(&[u8]) -> R) -> PyResult<R> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(copy(bytes.as_bytes()));
    }
    let py = data.py();
    match Contiguous::get(data) {
        Ok(buffer) => Ok(buffer.with_first(usize::MAX, copy)),
        Err(_) if data.is_instance_of::<PyMemoryView>() => {
            let bytes = data.call_method0("tobytes")?;
            Ok(copy(bytes.cast::<PyBytes>()?.as_bytes()))
        }
        Err(error) if error.is_instance_of::<PyTypeError>(py) => Err(not_a_buffer(data)),
        Err(error) => Err(error),
    }
}

/// Returns `bytes` as they are, and a copy of any other buffer. Fails if `data` is not a buffer.
#[inline]
pub(crate) fn to_bytes<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    // An instance of a subclass is copied, because dropping it could run Python code.
    if let Ok(bytes) = data.cast_exact::<PyBytes>() {
        return Ok(bytes.clone());
    }
    with_bytes(data, |bytes| PyBytes::new(data.py(), bytes))
}

fn not_a_buffer(data: &Bound<'_, PyAny>) -> PyErr {
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
    PyTypeError::new_err(format!("an event's data must be bytes, got {kind}: {remedy}"))
}

struct Contiguous(ffi::Py_buffer);

impl Contiguous {
    fn get(data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut view = MaybeUninit::<ffi::Py_buffer>::uninit();
        // SAFETY: `data` is a live object and the GIL is held. `view` is initialised if the result is 0.
        unsafe {
            if ffi::PyObject_GetBuffer(data.as_ptr(), view.as_mut_ptr(), ffi::PyBUF_SIMPLE) != 0 {
                return Err(PyErr::fetch(data.py()));
            }
            Ok(Self(view.assume_init()))
        }
    }

    /// Runs `copy` on the first bytes, at most `len` of them. `copy` must not run Python code or release the GIL.
    #[inline]
    fn with_first<R>(&self, len: usize, copy: impl FnOnce(&[u8]) -> R) -> R {
        let len = len.min(self.0.len as usize);
        if len == 0 {
            return copy(&[]);
        }
        let bytes: *const u8 = self.0.buf.cast();
        // SAFETY: a PyBUF_SIMPLE view has `self.0.len` contiguous bytes at `buf`, which are valid until it is released.
        // The GIL is held and `copy` runs no Python code, so nothing writes to them.
        #[cfg(not(Py_GIL_DISABLED))]
        unsafe {
            copy(std::slice::from_raw_parts(bytes, len))
        }
        #[cfg(Py_GIL_DISABLED)]
        {
            let mut snapshot = Vec::<u8>::with_capacity(len);
            // SAFETY: the view has `self.0.len` contiguous bytes at `buf`, which are valid until it is released. Without
            // the GIL other threads may write to them, so this makes no reference to them: it reads each byte once, into
            // memory that only this function owns.
            unsafe {
                bytes.copy_to_nonoverlapping(snapshot.as_mut_ptr(), len);
                snapshot.set_len(len);
            }
            copy(&snapshot)
        }
    }
}

impl Drop for Contiguous {
    fn drop(&mut self) {
        // SAFETY: PyObject_GetBuffer has filled the view, and it is released only here. The GIL is held, because the
        // value never leaves the function that made it.
        unsafe { ffi::PyBuffer_Release(&mut self.0) };
    }
}

/// Runs `copy` on the first `len` bytes of a bytearray. `copy` must not run Python code or release the GIL.
pub(crate) fn with_reserved<R>(
    memory: &Bound<'_, PyByteArray>,
    len: usize,
    copy: impl FnOnce(&[u8]) -> R,
) -> PyResult<R> {
    // While the view exists, no thread can resize the bytearray.
    Ok(Contiguous::get(memory)?.with_first(len, copy))
}

/// Returns a string as Python keeps it for C; `None` if it contains a NUL or half of a surrogate pair.
#[inline]
pub(crate) fn c_string<'a>(text: &'a Bound<'_, PyString>) -> Option<&'a CStr> {
    let mut len = 0;
    // SAFETY: the object is a live str, and the GIL is held. If the result is not NULL, it is `len` bytes of UTF-8 and a
    // NUL, which the object keeps as long as it lives, and never changes.
    let bytes = unsafe {
        let start = ffi::PyUnicode_AsUTF8AndSize(text.as_ptr(), &raw mut len);
        if start.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        std::slice::from_raw_parts(start.cast::<u8>(), len as usize + 1)
    };
    CStr::from_bytes_with_nul(bytes).ok()
}

/// Returns whether there may be another reference to an object whose only known one the caller has. If not, no thread
/// can make one, and what other threads did with the object has happened before.
#[cfg(not(Py_GIL_DISABLED))]
#[inline]
pub(crate) fn is_shared(object: &Bound<'_, PyAny>) -> bool {
    reference_count(object) > 1
}

/// Returns the number of references to an object.
#[inline]
pub(crate) fn reference_count<T>(object: &Bound<'_, T>) -> usize {
    // SAFETY: the object is live, and this only reads its reference count.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) as usize }
}

/// The same as [`is_shared`] without the GIL. Also returns true for an object that another thread has made, because the reference count of
/// such an object is in two parts, which cannot be read in one step.
#[cfg(Py_GIL_DISABLED)]
#[inline]
pub(crate) fn is_shared(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the object is live, and this only reads its reference counts.
    let is_unique = unsafe { ffi::PyUnstable_Object_IsUniquelyReferenced(object.as_ptr()) != 0 };
    // Pairs with the release order in which other threads give up their references.
    fence(Ordering::Acquire);
    !is_unique
}

/// Duplicates a descriptor, so that the duplicate stays open when the original is closed.
pub(crate) fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl accepts any number, and fails for one that is not a descriptor. The descriptor that it returns is
    // new, so this value is its only owner.
    unsafe {
        match libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) {
            -1 => Err(io::Error::last_os_error()),
            duplicate => Ok(OwnedFd::from_raw_fd(duplicate)),
        }
    }
}

/// The payload of an event: the host's memory during a call of the host, and a copy afterwards.
///
/// The copy is made only if something asks for it, or can still do so when the call ends.
pub(crate) struct Payload(GilCell<Bytes>);

enum Bytes {
    /// There is no payload: nothing asked for it during the call, and nothing could ask for it afterwards.
    Absent,
    /// The host's memory. The pointer is valid until `while_borrowed`, which stored it, removes it.
    Borrowed(*const [u8]),
    Copied(Py<PyBytes>),
}

// SAFETY: the pointer is dereferenced only in the cell, and the memory is only read.
unsafe impl Send for Bytes {}

impl Payload {
    pub(crate) fn copied(bytes: Py<PyBytes>) -> Self {
        Self(GilCell::new(Bytes::Copied(bytes)))
    }

    pub(crate) fn absent() -> Self {
        Self(GilCell::new(Bytes::Absent))
    }

    /// Runs `code` while the payload can be read from the host's memory. Afterwards makes a copy if `is_needed_later`
    /// returns true. If `is_new_event` is false, a copy that exists already is used, otherwise it is dropped.
    #[inline]
    pub(crate) fn while_borrowed<R>(
        &self,
        py: Python<'_>,
        bytes: &[u8],
        is_new_event: bool,
        is_needed_later: impl FnOnce() -> bool,
        code: impl FnOnce() -> R,
    ) -> R {
        /// Ends the borrow, even if `code` panics.
        struct End<'a, F: FnOnce() -> bool>(&'a Payload, Python<'a>, Option<F>);
        impl<F: FnOnce() -> bool> Drop for End<'_, F> {
            #[inline]
            fn drop(&mut self) {
                let is_needed = self.2.take().is_none_or(|is_needed_later| is_needed_later());
                self.0.end_borrow(self.1, is_needed);
            }
        }
        let old = self.0.with(py, |held| {
            let is_replaced = is_new_event || matches!(held, Bytes::Absent);
            is_replaced.then(|| mem::replace(held, Bytes::Borrowed(ptr::from_ref(bytes))))
        });
        drop(old);
        let _end = End(self, py, Some(is_needed_later));
        code()
    }

    #[inline]
    fn end_borrow(&self, py: Python<'_>, is_needed: bool) {
        self.0.with(py, |held| {
            if let Bytes::Borrowed(bytes) = *held {
                // Remove the pointer first, because making the copy may panic if memory is exhausted.
                *held = Bytes::Absent;
                if is_needed {
                    // SAFETY: `while_borrowed` calls this before the host's call ends, so the memory is still valid.
                    *held = Bytes::Copied(PyBytes::new(py, unsafe { &*bytes }).unbind());
                }
            }
        });
    }

    /// Returns the payload as an object that may be kept.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.0.with(py, |held| {
            let copy = match held {
                Bytes::Copied(bytes) => return bytes.bind(py).clone(),
                // SAFETY: `while_borrowed` removes the pointer in the cell before the host's call ends, so the memory is
                // still valid.
                Bytes::Borrowed(bytes) => PyBytes::new(py, unsafe { &**bytes }),
                Bytes::Absent => PyBytes::new(py, b""),
            };
            *held = Bytes::Copied(copy.clone().unbind());
            copy
        })
    }

    /// Runs `read` on the payload. `read` must not run Python code or release the GIL.
    #[inline]
    pub(crate) fn with<R>(&self, py: Python<'_>, read: impl FnOnce(&[u8]) -> R) -> R {
        self.0.with(py, |held| match held {
            Bytes::Copied(bytes) => read(bytes.bind(py).as_bytes()),
            // SAFETY: as in `get`.
            Bytes::Borrowed(bytes) => read(unsafe { &**bytes }),
            Bytes::Absent => read(b""),
        })
    }
}

/// The payload of a queued message. It can be read without the GIL, and is dropped with it.
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
        // SAFETY: `self` holds a reference, and a bytes object neither changes nor moves while there is one. So its
        // size and its bytes can be read without the GIL, and both calls only read them.
        unsafe { std::slice::from_raw_parts(ffi::PyBytes_AS_STRING(object).cast(), ffi::Py_SIZE(object) as usize) }
    }

    fn release(payloads: Vec<Self>) {
        Python::attach(|_| drop(payloads));
    }
}
