//! `Attribute`: an attribute of an `Entry` subclass, which reads and writes a field of the table.

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;

use crate::interpreter::slots::Descriptor;
use crate::table::entry::Entry;

/// An attribute of an ``Entry`` subclass. Not public.
///
/// Args:
///     index: the position among the attributes of the class.
///     name: the name.
///     default: the value in an entry that user code makes without one; ``None`` for the table's default.
///     required: whether user code must pass a value when it makes an entry.
#[pyclass(frozen, module = "falco_plugin._core")]
pub(crate) struct Attribute {
    index: usize,
    name: String,
    default: Option<Py<PyAny>>,
    is_required: bool,
}

impl Attribute {
    pub(crate) fn is_required(&self) -> bool {
        self.is_required
    }

    pub(crate) fn default_of<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.default.as_ref().map(|default| default.bind(py).clone())
    }
}

impl Descriptor for Attribute {
    #[inline]
    fn get<'py>(this: &Bound<'py, Self>, object: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        match object {
            Some(entry) => entry.cast::<Entry>()?.get().read(this.py(), this.get().index),
            None => Ok(this.clone().into_any()),
        }
    }

    #[inline]
    fn set(this: &Bound<'_, Self>, object: &Bound<'_, PyAny>, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        match value {
            Some(value) => object.cast::<Entry>()?.get().write(this.get().index, value),
            None => Err(PyAttributeError::new_err(format!(
                "the field {} of an entry cannot be deleted: set another value",
                this.get().name
            ))),
        }
    }
}

#[pymethods]
impl Attribute {
    #[new]
    #[pyo3(signature = (index, name, default, required))]
    fn new(index: usize, name: String, default: Option<Py<PyAny>>, required: bool) -> Self {
        Self {
            index,
            name,
            default,
            is_required: required,
        }
    }

    /// The name of the attribute.
    #[getter]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        entry: &Bound<'py, PyAny>,
        _class: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::get(slf, (!entry.is_none()).then_some(entry))
    }

    fn __set__(slf: &Bound<'_, Self>, entry: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::set(slf, entry, Some(value))
    }

    fn __delete__(slf: &Bound<'_, Self>, entry: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::set(slf, entry, None)
    }
}
