//! Fields whose values a method of the plugin makes.

use falco_plugin_engine::extract::{Argument, ArgumentMode, FieldType, Location, Values};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::convert::options;
use crate::event::reader::Event;
use crate::fields::names::python_name;
use crate::fields::values::push;
use crate::imports;

/// A method that makes the values of a field.
pub(crate) struct Method {
    /// The name of the field.
    pub(crate) name: String,
    pub(crate) function: Py<PyAny>,
    pub(crate) kind: FieldType,
    pub(crate) is_list: bool,
    pub(crate) index: ArgumentMode,
    pub(crate) key: ArgumentMode,
}

impl Method {
    /// Calls the method, and appends the values that it returns.
    #[inline]
    pub(crate) fn call(
        &self,
        event: &Bound<'_, Event>,
        payload_len: usize,
        argument: &Argument<'_>,
        values: &mut Values,
    ) -> PyResult<()> {
        let is_required = self.index == ArgumentMode::Required || self.key == ArgumentMode::Required;
        if is_required && *argument == Argument::default() {
            return Err(PyTypeError::new_err(
                "the host passed no argument, which the field requires",
            ));
        }
        let function = self.function.bind(event.py());
        let returned = match (self.index, self.key) {
            (ArgumentMode::None, ArgumentMode::None) => function.call1((event,)),
            (_, ArgumentMode::None) => function.call1((event, argument.index)),
            (ArgumentMode::None, _) => function.call1((event, argument.key)),
            (_, _) => function.call1((event, argument.index, argument.key)),
        }?;
        if returned.is_none() {
            return Ok(());
        }
        if !self.is_list {
            return self.push_located(&returned, payload_len, values);
        }
        let Ok(list) = returned.cast::<PyList>() else {
            return Err(self.wrong_type("it returned", &returned)?);
        };
        list.iter()
            .try_for_each(|value| self.push_located(&value, payload_len, values))
    }

    /// Appends one value, which may be a `Located`.
    #[inline]
    fn push_located(&self, value: &Bound<'_, PyAny>, payload_len: usize, values: &mut Values) -> PyResult<()> {
        if push(self.kind, value, Location::default(), values)? {
            return Ok(());
        }
        if !imports::LOCATED.is_class_of(value)? {
            return Err(self.wrong_value(value)?);
        }
        let offset = |name: &str| options::integer(name, &value.getattr(name)?, 0, u32::MAX.into());
        let location = Location {
            start: offset("start")? as u32,
            length: offset("length")? as u32,
        };
        if u64::from(location.start) + u64::from(location.length) > payload_len as u64 {
            return Err(PyValueError::new_err(format!(
                "Located at {} with length {} is outside of the event, which has {payload_len} bytes: count from the \
                 first byte of event.data",
                location.start, location.length
            )));
        }
        let inner = value.getattr("value")?;
        if push(self.kind, &inner, location, values)? {
            Ok(())
        } else {
            Err(self.wrong_value(&inner)?)
        }
    }

    fn wrong_value(&self, value: &Bound<'_, PyAny>) -> PyResult<PyErr> {
        let subject = if self.is_list { "an element is" } else { "it returned" };
        self.wrong_type(subject, value)
    }

    fn wrong_type(&self, subject: &str, value: &Bound<'_, PyAny>) -> PyResult<PyErr> {
        let found = value.get_type().name()?.to_string();
        let hint = match &*found {
            "float" => " (Falco has no floats: return str or int)",
            "bytes" | "bytearray" | "memoryview" => " (decode it)",
            "NoneType" => " (leave absent values out of the list)",
            _ => "",
        };
        let mut name = python_name(self.kind).to_owned();
        if self.is_list {
            name = format!("list[{name}]");
        }
        Ok(PyTypeError::new_err(format!(
            "it is declared as {name}, but {subject} {found}{hint}"
        )))
    }
}
