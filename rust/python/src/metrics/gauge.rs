//! `Gauge`: a number that can increase and decrease.

use falco_plugin_engine::metrics::{self as engine, Value};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString, PyType};

use crate::imports;
use crate::metrics::descriptor::{Declaration, of_object};

/// A metric that can increase and decrease, such as a number of open connections
/// (``SS_PLUGIN_METRIC_TYPE_NON_MONOTONIC``).
///
/// Declare it in the class of the plugin. Each object of the class has its own value, which begins with 0. Any thread
/// may use it, and the host reads it without Python. The host gets an ``int`` as such (64 bits), and a ``float`` as a
/// double.
///
/// Args:
///     name: the name in Falco's metrics, after that of the plugin: lower-case letters, digits and ``_``, such as
///         ``"connections"``.
///     desc: the meaning, for readers of the code. The plugin API does not pass it on.
///
/// Raises:
///     TypeError: the name or the description is not a ``str``.
#[pyclass(frozen, module = "falco_plugin")]
pub(crate) struct Gauge {
    declaration: Declaration,
    pub(crate) engine: engine::Gauge,
}

/// A number for a gauge.
enum Number {
    Int(i64),
    Float(f64),
}

#[pymethods]
impl Gauge {
    #[new]
    #[pyo3(signature = (name, *, desc = None), text_signature = "(name, *, desc='')")]
    fn new(name: &Bound<'_, PyAny>, desc: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self {
            declaration: Declaration::new(name, desc)?,
            engine: engine::Gauge::default(),
        })
    }

    /// Declares a gauge whose value a method returns. The method itself is not changed.
    ///
    /// The SDK calls the method at the end of init, and then every few seconds on its own thread. So the host never
    /// waits for it, and reads a value that is at most ``every`` seconds old, plus the duration of the call. If the
    /// method raises, or returns something else than a number, the last value stays. The first exception of each cause
    /// is logged, and further ones are counted.
    ///
    /// Args:
    ///     name: the name in Falco's metrics, as in :class:`Gauge`.
    ///     desc: the meaning.
    ///     every: seconds or a ``timedelta`` between two calls, more than 0.
    ///
    /// Raises:
    ///     TypeError: the decorated object is not a function, or an argument has a wrong type.
    ///     ValueError: ``every`` is 0 or less.
    ///
    /// Example:
    ///     ```python
    ///     @Gauge.computed("cached_users", desc="Users in the cache", every=30)
    ///     def cached_users(self) -> int:
    ///         return len(self.users)
    ///     ```
    #[staticmethod]
    #[pyo3(signature = (name, *, desc = None, every = None), text_signature = "(name, *, desc='', every=10)")]
    fn computed<'py>(
        name: &Bound<'py, PyAny>,
        desc: Option<&Bound<'py, PyAny>>,
        every: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        imports::COMPUTED_GAUGE.call(name.py(), (name, desc, every))
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
            engine: engine::Gauge::default(),
        })
    }

    /// Sets the value.
    ///
    /// Raises:
    ///     PluginError: this is the declaration of the class and not the gauge of an object.
    ///     TypeError: the value is not a number.
    ///     ValueError: an ``int`` is not from -2**63 to 2**63 - 1.
    #[pyo3(signature = (value, /))]
    fn set(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.declaration.check(value.py())?;
        match number("value", value)? {
            Number::Int(value) => self.engine.set_int(value),
            Number::Float(value) => self.engine.set_float(value),
        }
        Ok(())
    }

    /// Adds a number, which may be negative. Adding a ``float`` to an ``int`` makes the value a ``float``.
    ///
    /// Raises:
    ///     PluginError: this is the declaration of the class and not the gauge of an object.
    ///     TypeError: it is not a number.
    ///     ValueError: an ``int`` is not from -2**63 to 2**63 - 1.
    #[pyo3(signature = (n = None, /), text_signature = "($self, n=1, /)")]
    fn add(&self, py: Python<'_>, n: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.declaration.check(py)?;
        match n.map_or(Ok(Number::Int(1)), |n| number("n", n))? {
            Number::Int(n) => self.engine.add_int(n),
            Number::Float(n) => self.engine.add_float(n),
        }
        Ok(())
    }

    /// The current value, an ``int`` or a ``float`` as it was set.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self.engine.value() {
            Value::Float(value) => value.into_pyobject(py)?.into_any(),
            Value::Int(value) => value.into_pyobject(py)?.into_any(),
            Value::Counter(value) => value.into_pyobject(py)?.into_any(),
        })
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

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Gauge('{}', value={})", self.declaration.name, self.value(py)?))
    }
}

/// Reads a number. Objects of other types are whole numbers if they have `__index__`, and fractional ones if they have
/// `__float__`.
fn number(parameter: &str, value: &Bound<'_, PyAny>) -> PyResult<Number> {
    if let Ok(value) = value.cast::<PyFloat>() {
        return Ok(Number::Float(value.value()));
    }
    match value.extract() {
        Ok(value) => Ok(Number::Int(value)),
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => Err(PyValueError::new_err(format!(
            "{parameter} must be -2**63 to 2**63 - 1, got {value}"
        ))),
        Err(_) => value.extract().map(Number::Float).or_else(|_| {
            Err(PyTypeError::new_err(format!(
                "{parameter} must be int or float, got {}",
                value.get_type().name()?
            )))
        }),
    }
}
