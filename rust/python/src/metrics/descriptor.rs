//! `Counter` and `Gauge` as descriptors: declared on a class, with one value for each object of it.
//!
//! The first access through an object stores the object's own metric in its `__dict__`, under the attribute's name. So
//! later accesses find it there, and cost what any attribute costs.

use std::sync::OnceLock;

use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{PyClass, intern};

use crate::errors::plugin_error;

/// The declaration of a metric.
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) desc: String,
    /// The attribute of the class that has the metric. `None` for a metric of an object, or without a class.
    attribute: OnceLock<Py<PyString>>,
}

impl Declaration {
    /// Reads the arguments of the class. Names are checked when the plugin is built.
    pub(crate) fn new(name: &Bound<'_, PyAny>, desc: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self {
            name: text("name", name)?,
            desc: desc.map_or_else(|| Ok(String::new()), |desc| text("desc", desc))?,
            attribute: OnceLock::new(),
        })
    }

    /// Returns the declaration for the metric of an object.
    pub(crate) fn for_object(&self) -> Self {
        Self {
            name: self.name.clone(),
            desc: self.desc.clone(),
            attribute: OnceLock::new(),
        }
    }

    /// Stores the attribute of the class. A second class, or a second name, changes nothing.
    pub(crate) fn set_attribute(&self, name: Bound<'_, PyString>) {
        let _ = self.attribute.set(name.unbind());
    }

    /// Fails if this is the declaration of a class, whose value the host never sees.
    #[inline]
    pub(crate) fn check(&self, py: Python<'_>) -> PyResult<()> {
        match self.attribute.get() {
            None => Ok(()),
            Some(attribute) => Err(plugin_error(
                py,
                format!(
                    "{attribute} of the class has no value, only that of a plugin object has one: use self.{attribute}"
                ),
            )),
        }
    }
}

/// Returns the metric of `object` for a declaration, and makes it at the first access. Returns the declaration itself if
/// it is accessed through its class.
pub(crate) fn of_object<'py, T>(
    declared: &Bound<'py, T>,
    declaration: &Declaration,
    object: Option<&Bound<'py, PyAny>>,
    make: impl FnOnce() -> T,
) -> PyResult<Bound<'py, PyAny>>
where
    T: PyClass + Into<PyClassInitializer<T>>,
{
    let py = declared.py();
    let (Some(object), Some(attribute)) = (object, declaration.attribute.get()) else {
        return Ok(declared.clone().into_any());
    };
    let attributes = object
        .getattr(intern!(py, "__dict__"))
        .map_err(|_| no_dictionary(object))?;
    let made = Bound::new(py, make())?;
    // If two threads make the first access at the same time, both get the metric that is stored first.
    attributes.call_method1(intern!(py, "setdefault"), (attribute, made))
}

#[cold]
fn no_dictionary(object: &Bound<'_, PyAny>) -> PyErr {
    let class = object.get_type();
    PyAttributeError::new_err(format!(
        "{class} has no __dict__, which holds the metrics of its objects: leave out __slots__"
    ))
}

fn text(parameter: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    match value.cast::<PyString>() {
        Ok(text) => Ok(text.to_string_lossy().into_owned()),
        Err(_) => Err(PyTypeError::new_err(format!(
            "{parameter} must be str, got {}",
            value.get_type().name()?
        ))),
    }
}
