//! Fast paths for attributes, keys and descriptors that are used for every event: they enter Rust without the accounting
//! of PyO3, which costs more than the access itself.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::PySystemError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;
use pyo3::{PyTypeInfo, ffi};

/// A class with attributes that are read for every event. Its subclasses have them as PyO3 makes them.
pub(crate) trait Attributes: PyTypeInfo {
    /// The names of the attributes.
    const NAMES: &[&str];

    /// Holds the names as the code of Python has them, which are interned.
    fn interned() -> &'static PyOnceLock<Vec<Py<PyString>>>;

    /// Returns the value of the attribute whose name has this index.
    fn attribute<'py>(this: &Bound<'py, Self>, index: usize) -> PyResult<Bound<'py, PyAny>>;
}

/// A class whose objects have values by keys.
pub(crate) trait Subscript: PyTypeInfo {
    fn item<'py>(this: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>;
}

/// A class whose objects are attributes of other classes.
pub(crate) trait Descriptor: PyTypeInfo {
    /// Returns the value of the attribute of an object, or the descriptor itself if there is no object.
    fn get<'py>(this: &Bound<'py, Self>, object: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>>;

    /// Changes the value of the attribute of an object, or deletes it if there is no value.
    fn set(this: &Bound<'_, Self>, object: &Bound<'_, PyAny>, value: Option<&Bound<'_, PyAny>>) -> PyResult<()>;
}

/// Makes reading attributes of the class fast.
pub(crate) fn install_attributes<T: Attributes>(py: Python<'_>) {
    let intern = |name: &&str| PyString::intern(py, name).unbind();
    let _ = T::interned().set(py, T::NAMES.iter().map(intern).collect());
    let class = T::type_object(py).as_type_ptr();
    // SAFETY: the class is a live type that no other thread uses yet, because its module is being made.
    unsafe { (*class).tp_getattro = Some(get_attribute::<T>) };
}

/// Makes `object[key]` of the class fast. The class must be a mapping.
pub(crate) fn install_subscript<T: Subscript>(py: Python<'_>) {
    let class = T::type_object(py).as_type_ptr();
    // SAFETY: the class is a live type that no other thread uses yet, because its module is being made. The functions of a
    // mapping, if the class has them, live as long as the class.
    unsafe {
        if let Some(mapping) = (*class).tp_as_mapping.as_mut() {
            mapping.mp_subscript = Some(get_item::<T>);
        }
    }
}

/// Makes reading and writing the attributes fast that the objects of the class are.
pub(crate) fn install_descriptor<T: Descriptor>(py: Python<'_>) {
    let class = T::type_object(py).as_type_ptr();
    // SAFETY: the class is a live type that no other thread uses yet, because its module is being made.
    unsafe {
        (*class).tp_descr_get = Some(descriptor_get::<T>);
        (*class).tp_descr_set = Some(descriptor_set::<T>);
    }
}

/// # Safety
/// Python calls it with the GIL, for a `T` or an object of a subclass. `name` is an object.
unsafe extern "C" fn get_attribute<T: Attributes>(
    slf: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: both objects live during the call, and the caller has the GIL. `slf` is a `T` if that is its type.
    unsafe {
        let py = Python::assume_attached();
        if ffi::Py_TYPE(slf) == T::type_object_raw(py)
            && let Some(names) = T::interned().get(py)
            && let Some(index) = names.iter().position(|known| known.as_ptr() == name)
        {
            return object(|py| {
                let this = Borrowed::from_ptr(py, slf);
                T::attribute(&this.cast_unchecked(), index)
            });
        }
        ffi::PyObject_GenericGetAttr(slf, name)
    }
}

/// # Safety
/// Python calls it with the GIL, for a `T`.
unsafe extern "C" fn get_item<T: Subscript>(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: `slf` is a `T`, and both objects live during the call.
    unsafe {
        object(|py| {
            let this = Borrowed::from_ptr(py, slf);
            T::item(&this.cast_unchecked(), &Borrowed::from_ptr(py, key))
        })
    }
}

/// # Safety
/// Python calls it with the GIL, for a `T`. `owner` is NULL or an object.
unsafe extern "C" fn descriptor_get<T: Descriptor>(
    slf: *mut ffi::PyObject,
    owner: *mut ffi::PyObject,
    _class: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: `slf` is a `T`, and all objects live during the call.
    unsafe {
        object(|py| {
            let this = Borrowed::from_ptr(py, slf);
            let owner = Borrowed::from_ptr_or_opt(py, owner);
            T::get(&this.cast_unchecked(), owner.as_deref())
        })
    }
}

/// # Safety
/// Python calls it with the GIL, for a `T`. `value` is NULL or an object.
unsafe extern "C" fn descriptor_set<T: Descriptor>(
    slf: *mut ffi::PyObject,
    owner: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: `slf` is a `T`, and all objects live during the call.
    let set = unsafe {
        run(|py| {
            let this = Borrowed::from_ptr(py, slf);
            let value = Borrowed::from_ptr_or_opt(py, value);
            T::set(&this.cast_unchecked(), &Borrowed::from_ptr(py, owner), value.as_deref())
        })
    };
    if set.is_some() { 0 } else { -1 }
}

/// Runs code that makes an object. Returns NULL with an exception set if it fails.
///
/// # Safety
/// The calling thread has the GIL.
#[inline]
unsafe fn object<'py>(code: impl FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>>) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise.
    unsafe { run(code) }.map_or(ptr::null_mut(), Bound::into_ptr)
}

/// Runs code. Sets an exception and returns `None` if it fails or panics.
///
/// # Safety
/// The calling thread has the GIL.
#[inline]
unsafe fn run<'py, R>(code: impl FnOnce(Python<'py>) -> PyResult<R>) -> Option<R> {
    // SAFETY: the caller's promise.
    let py = unsafe { Python::assume_attached() };
    match catch_unwind(AssertUnwindSafe(|| code(py))) {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            error.restore(py);
            None
        }
        Err(_) => {
            PySystemError::new_err("panic in the plugin SDK: please report it").restore(py);
            None
        }
    }
}
