//! `Counter`: a number that only increases.

use falco_plugin_engine::metrics as engine;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyType};

use crate::metrics::descriptor::{Declaration, of_object};

/// A metric that only increases, such as a number of requests (``SS_PLUGIN_METRIC_TYPE_MONOTONIC``).
///
/// Declare it in the class of the plugin. Each object of the class has its own value, which begins with 0 and wraps
/// around after 2**64 - 1. Any thread may use it, and the host reads it without Python.
///
/// Args:
///     name: the name in Falco's metrics, after that of the plugin: lower-case letters, digits and ``_``, such as
///         ``"lookups"``.
///     desc: the meaning, for readers of the code. The plugin API does not pass it on.
///
/// Raises:
///     TypeError: the name or the description is not a ``str``.
///
/// Example:
///     ```python
///     class Audit(Plugin):
///         name = "audit"
///         lookups = Counter("lookups", desc="Lookups of a user")
///
///         def find(self, user):
///             self.lookups.add()
///     ```
#[pyclass(frozen, module = "falco_plugin")]
pub(crate) struct Counter {
    declaration: Declaration,
    pub(crate) engine: engine::Counter,
}

#[pymethods]
impl Counter {
    #[new]
    #[pyo3(signature = (name, *, desc = None), text_signature = "(name, *, desc='')")]
    fn new(name: &Bound<'_, PyAny>, desc: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self {
            declaration: Declaration::new(name, desc)?,
            engine: engine::Counter::default(),
        })
    }

    fn __set_name__(&self, _owner: &Bound<'_, PyType>, name: Bound<'_, PyString>) {
        self.declaration.set_attribute(name);
    }

    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        instance: Option<&Bound<'py, PyAny>>,
        owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = owner;
        let declaration = &slf.get().declaration;
        of_object(slf, declaration, instance, || Self {
            declaration: declaration.for_object(),
            engine: engine::Counter::default(),
        })
    }

    /// Adds a number.
    ///
    /// Args:
    ///     n: 0 or more.
    ///
    /// Raises:
    ///     PluginError: this is the declaration of the class and not the counter of an object.
    ///     TypeError: the number is not an ``int``.
    ///     ValueError: the number is negative, or larger than 2**64 - 1.
    #[pyo3(signature = (n = None, /), text_signature = "($self, n=1, /)")]
    fn add(&self, py: Python<'_>, n: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.declaration.check(py)?;
        let n = match n {
            None => 1,
            Some(n) => n.extract().map_err(|_| refusal(n))?,
        };
        self.engine.add(n);
        Ok(())
    }

    /// The number so far.
    #[getter]
    fn value(&self) -> u64 {
        self.engine.value()
    }

    /// The name in Falco's metrics, without that of the plugin.
    #[getter]
    fn name(&self) -> &str {
        &self.declaration.name
    }

    /// The meaning.
    #[getter]
    fn desc(&self) -> &str {
        &self.declaration.desc
    }

    fn __repr__(&self) -> String {
        format!("Counter('{}', value={})", self.declaration.name, self.engine.value())
    }
}

#[cold]
fn refusal(n: &Bound<'_, PyAny>) -> PyErr {
    if n.is_instance_of::<PyInt>() {
        return PyValueError::new_err(format!(
            "n must be 0 to 2**64 - 1, got {n}: a counter only increases, so use a Gauge for a number that decreases"
        ));
    }
    let kind = n
        .get_type()
        .name()
        .map_or_else(|_| "object".into(), |name| name.to_string());
    PyTypeError::new_err(format!("n must be int, got {kind}"))
}
