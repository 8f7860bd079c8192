//! `JsonReader`: reads the values of a `json_field`.

use std::sync::Arc;

use falco_plugin_engine::extract::{self as engine, Argument, ArgumentMode, Family, Problem, Values};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::convert::options;
use crate::event::reader::Event;
use crate::fields::names::{field_type, mode_name};
use crate::fields::values::to_python;
use crate::interpreter::gil_cell::GilCell;

/// The base class of ``JsonField``. Not public.
///
/// The host's own requests are answered in Rust. Python code calls the object to get the field of an event.
///
/// Args:
///     name: the name of the field, for messages.
///     pointer: a JSON pointer, whose tokens may be ``*``, ``{index}``, ``{key}``, ``{index|*}`` or ``{key|*}``.
///     kind: the type of the values, as the plugin API names it.
///     is_list: whether the field is a list.
///     family: 4 or 6, if only addresses or networks of that IP version are values.
///
/// Raises:
///     ValueError: the pointer is malformed, or does not fit ``is_list``.
#[pyclass(frozen, subclass, module = "falco_plugin._core")]
pub(crate) struct JsonReader {
    name: String,
    reader: Arc<engine::JsonReader>,
    is_list: bool,
    index: ArgumentMode,
    key: ArgumentMode,
    /// Memory that is reused for each call. It is taken out during a call, because making Python objects may run code that
    /// calls the same object.
    values: GilCell<Values>,
}

impl JsonReader {
    pub(crate) fn engine(&self) -> Arc<engine::JsonReader> {
        Arc::clone(&self.reader)
    }

    /// Checks the arguments of a call.
    fn argument<'a>(&self, index: Option<&Bound<'_, PyAny>>, key: Option<&'a str>) -> PyResult<Argument<'a>> {
        check("index", self.index, index.is_some())?;
        check("key", self.key, key.is_some())?;
        let index = index.map(|index| options::integer("index", index, 0, u64::MAX));
        Ok(Argument {
            index: index.transpose()?,
            key,
        })
    }

    /// Puts the name of the field before the message of a `TypeError` or `ValueError`.
    #[cold]
    fn with_name(&self, py: Python<'_>, error: PyErr) -> PyErr {
        let text = format!("field {}: {}", self.name, error.value(py));
        match error.is_instance_of::<PyTypeError>(py) {
            true => PyTypeError::new_err(text),
            false => PyValueError::new_err(text),
        }
    }
}

#[pymethods]
impl JsonReader {
    #[new]
    #[pyo3(signature = (name, pointer, kind, is_list, family = None))]
    fn new(name: String, pointer: &str, kind: &str, is_list: bool, family: Option<u8>) -> PyResult<Self> {
        let mut reader = engine::JsonReader::new(pointer, field_type(kind)?)
            .map_err(|problem| PyValueError::new_err(format!("the pointer {problem}")))?;
        if let Some(version) = family {
            reader = reader.with_family(if version == 4 { Family::V4 } else { Family::V6 });
        }
        let pattern = reader.pattern();
        match (is_list, pattern.is_list()) {
            (true, false) => Err(PyValueError::new_err(format!(
                "the pointer {pointer:?} leads to one value, but the type is a list: add a * for \"each element\" to \
                 the pointer, or use a type that is not a list"
            ))),
            (false, true) => Err(PyValueError::new_err(format!(
                "the pointer {pointer:?} leads to several values, but the type is not a list: use list[…]"
            ))),
            _ => Ok(Self {
                name,
                is_list,
                index: pattern.index(),
                key: pattern.key(),
                reader: Arc::new(reader),
                values: GilCell::new(Values::default()),
            }),
        }
    }

    /// Whether the field has an index as its argument: ``no``, ``optional`` or ``required``.
    #[getter]
    fn index(&self) -> &'static str {
        mode_name(self.index)
    }

    /// Whether the field has a key as its argument: ``no``, ``optional`` or ``required``.
    #[getter]
    fn key(&self) -> &'static str {
        mode_name(self.key)
    }

    /// Returns the value of an event, or the list of values; ``None`` if the field is absent.
    #[pyo3(signature = (event, index = None, key = None))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        event: &Bound<'py, Event>,
        index: Option<&Bound<'py, PyAny>>,
        key: Option<&str>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let argument = self.argument(index, key).map_err(|error| self.with_name(py, error))?;
        let event = event.get();
        let mut values = self.values.replace(py, Values::default());
        event.with_data(py, |payload| {
            let problem = self.reader.read(event.document(), payload, &argument, &mut values);
            if let Some(Problem::Fault(fault)) = problem {
                event.document().record_fault(fault);
            }
        });
        let found = to_python(py, self.reader.kind(), self.is_list, &values);
        values.clear();
        self.values.replace(py, values);
        found
    }
}

/// Checks that an argument is present if and only if the field's pointer has it.
#[inline]
fn check(argument: &str, mode: ArgumentMode, is_present: bool) -> PyResult<()> {
    match (mode, is_present) {
        (ArgumentMode::None, true) => Err(PyTypeError::new_err(format!(
            "{} {argument} is not expected: leave it out",
            if argument == "index" { "an" } else { "a" }
        ))),
        (ArgumentMode::Required, false) => Err(PyTypeError::new_err(format!(
            "the {argument} is missing: pass it as {argument}=…"
        ))),
        _ => Ok(()),
    }
}
