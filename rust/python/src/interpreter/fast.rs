//! Fast paths for methods and constructors that are called for every event: their arguments are not parsed. And objects
//! that are made without arguments.
//!
//! Every other call goes to what PyO3 makes.

use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::PySystemError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use pyo3::{PyClass, PyTypeInfo, ffi};

/// A class with a method that is mostly called with one positional argument.
pub(crate) trait OneArgument: PyTypeInfo + Sized {
    /// The name of the method.
    const NAME: &str;

    /// The method with one argument.
    fn call<'py>(this: &Bound<'py, Self>, argument: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>;

    /// Holds the method as PyO3 makes it, which takes all arguments.
    fn general() -> &'static PyOnceLock<Py<PyAny>>;
}

/// Replaces the method of the class by the fast one.
pub(crate) fn install<T: OneArgument>(py: Python<'_>) -> PyResult<()> {
    let class = T::type_object(py);
    let general = class.getattr(T::NAME)?;
    let signature: String = general.getattr("__text_signature__")?.extract()?;
    let doc: String = general.getattr("__doc__")?.extract()?;
    let _ = T::general().set(py, general.unbind());
    // These strings and the definition are leaked, because the class lives as long as the process.
    let text = |text: String| -> PyResult<*const c_char> { Ok(CString::new(text)?.into_raw()) };
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: text(T::NAME.to_owned())?,
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: entry::<T>,
        },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: text(format!("{}{signature}\n--\n\n{doc}", T::NAME))?,
    }));
    // SAFETY: the class is a live type, the definition is never freed, and `entry` has the signature that its flags
    // declare. The result is a new reference, or NULL with an exception set.
    let method = unsafe {
        let method = ffi::PyDescr_NewMethod(class.as_type_ptr(), definition);
        Bound::from_owned_ptr_or_err(py, method)?
    };
    class.setattr(T::NAME, method)
}

/// Makes an object of a class by its `__new__`, without arguments. The class must not have an `__init__`, which is not
/// called.
#[inline]
pub(crate) fn new_object<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let arguments = PyTuple::empty(py);
    // SAFETY: the class is a live type, and its function for `__new__` takes the class, a tuple and NULL for no named
    // arguments. The result is a new reference, or NULL with an exception set.
    unsafe {
        let Some(new) = (*class.as_type_ptr()).tp_new else {
            return class.call0();
        };
        Bound::from_owned_ptr_or_err(py, new(class.as_type_ptr(), arguments.as_ptr(), ptr::null_mut()))
    }
}

/// # Safety
/// Python calls it as a method of `T`, with the GIL and after it has checked the type of `slf`. `arguments` has `count`
/// positional arguments, then one for each name in `names`, which may be NULL.
unsafe extern "C" fn entry<T: OneArgument>(
    slf: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: Python calls with the GIL.
    let py = unsafe { Python::assume_attached() };
    let called = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: all objects live during the call, and `slf` is a `T`, because Python checks that for a method.
        unsafe {
            let this = Borrowed::from_ptr(py, slf);
            if count == 1 && names.is_null() {
                let argument = Borrowed::from_ptr(py, *arguments);
                return T::call(&this.cast_unchecked(), &argument);
            }
            let Some(general) = T::general().get(py) else {
                return Err(PySystemError::new_err("the method is not installed"));
            };
            let named = if names.is_null() { 0 } else { ffi::PyTuple_Size(names) };
            let mut all = vec![slf];
            // Without arguments the pointer may be NULL.
            if count + named > 0 {
                all.extend_from_slice(std::slice::from_raw_parts(arguments, (count + named) as usize));
            }
            let positional = all.len() - named as usize;
            let result = ffi::PyObject_Vectorcall(general.as_ptr(), all.as_ptr(), positional, names);
            Bound::from_owned_ptr_or_err(py, result)
        }
    }));
    returned(py, called)
}

/// A class whose objects are mostly made of a few positional arguments.
pub(crate) trait Constructor: PyClass {
    /// The most arguments of [`Self::make`].
    const MOST: usize;

    /// Makes the value of an object. Returns `None` if the constructor that PyO3 makes has to read the arguments.
    fn make<'py>(arguments: &[Borrowed<'_, 'py, PyAny>]) -> Option<PyClassInitializer<Self>>;
}

/// Adds the fast constructor to the class, which must not have an `__init__`.
pub(crate) fn install_constructor<T: Constructor>(py: Python<'_>) {
    let class = T::type_object(py).as_type_ptr();
    // SAFETY: the class is a live type that no other thread uses yet, because its module is being made. `construct` makes
    // objects of this class only: Python does not pass it on to subclasses.
    unsafe { (*class).tp_vectorcall = Some(construct::<T>) };
}

/// # Safety
/// Python calls it as the constructor of `T`, with the GIL. `arguments` has the positional arguments, then one for each
/// name in `names`, which may be NULL.
unsafe extern "C" fn construct<T: Constructor>(
    class: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    flags: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: Python calls with the GIL.
    let py = unsafe { Python::assume_attached() };
    let called = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: all objects live during the call, and there are as many as Python states. A reference is a pointer.
        unsafe {
            let positional = ffi::PyVectorcall_NARGS(flags as _) as usize;
            let named = if names.is_null() {
                0
            } else {
                ffi::PyTuple_Size(names) as usize
            };
            // Without arguments the pointer may be NULL.
            let all: &[Borrowed<'_, '_, PyAny>] = match positional + named {
                0 => &[],
                count => std::slice::from_raw_parts(arguments.cast(), count),
            };
            if named == 0
                && positional <= T::MOST
                && let Some(value) = T::make(all)
            {
                return Ok(Bound::new(py, value)?.into_any());
            }
            let Some(new) = (*class.cast::<ffi::PyTypeObject>()).tp_new else {
                return Err(PySystemError::new_err("the class has no constructor"));
            };
            let keywords = PyDict::new(py);
            for (index, value) in all[positional..].iter().enumerate() {
                let name = Borrowed::from_ptr(py, ffi::PyTuple_GetItem(names, index as ffi::Py_ssize_t));
                keywords.set_item(name, value)?;
            }
            let positional = PyTuple::new(py, &all[..positional])?;
            let made = new(class.cast(), positional.as_ptr(), keywords.as_ptr());
            Bound::from_owned_ptr_or_err(py, made)
        }
    }));
    returned(py, called)
}

/// Returns the result of a call to Python.
fn returned(py: Python<'_>, called: std::thread::Result<PyResult<Bound<'_, PyAny>>>) -> *mut ffi::PyObject {
    match called.unwrap_or_else(|_| Err(PySystemError::new_err("panic in the plugin SDK: please report it"))) {
        Ok(value) => value.into_ptr(),
        Err(error) => {
            error.restore(py);
            ptr::null_mut()
        }
    }
}
