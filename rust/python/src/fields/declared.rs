//! The fields that a plugin declares, as the runtime lists them.

use falco_plugin_engine::extract::{self as engine, ArgumentMode, FieldType};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::fields::json_reader::JsonReader;
use crate::fields::method::Method;

/// Reads `Runtime.fields`. Returns each field for the engine, and beside it the method that makes its values; `None`
/// for a field that is read from JSON.
pub(crate) fn from_runtime(runtime: &Bound<'_, PyAny>) -> PyResult<(Vec<engine::Field>, Vec<Option<Method>>)> {
    /// Name, type, whether it is a list, mode of the index, mode of the key, and a `JsonReader` or a function.
    type Declared<'py> = (String, String, bool, String, String, Bound<'py, PyAny>);
    let declared: Vec<Declared<'_>> = runtime.getattr("fields")?.extract()?;
    let mut fields = Vec::new();
    let mut methods = Vec::new();
    for (name, kind, is_list, index, key, reader) in declared {
        let (kind, index, key) = (field_type(&kind)?, argument_mode(&index)?, argument_mode(&key)?);
        let (reader, method) = if let Ok(json) = reader.cast::<JsonReader>() {
            (engine::Reader::Json(json.get().engine()), None)
        } else {
            let method = Method {
                name: name.clone(),
                function: reader.unbind(),
                kind,
                is_list,
                index,
                key,
            };
            (engine::Reader::Code, Some(method))
        };
        fields.push(engine::Field {
            name,
            kind,
            index,
            key,
            reader,
        });
        methods.push(method);
    }
    Ok((fields, methods))
}

pub(crate) fn field_type(name: &str) -> PyResult<FieldType> {
    Ok(match name {
        "string" => FieldType::String,
        "uint64" => FieldType::Uint64,
        "bool" => FieldType::Bool,
        "abstime" => FieldType::AbsTime,
        "reltime" => FieldType::RelTime,
        "ipaddr" => FieldType::IpAddr,
        "ipnet" => FieldType::IpNet,
        _ => return Err(PyValueError::new_err(format!("unknown field type {name:?}"))),
    })
}

fn argument_mode(name: &str) -> PyResult<ArgumentMode> {
    [ArgumentMode::None, ArgumentMode::Optional, ArgumentMode::Required]
        .into_iter()
        .find(|&mode| mode_name(mode) == name)
        .ok_or_else(|| PyValueError::new_err(format!("unknown mode of an argument {name:?}")))
}

pub(crate) fn mode_name(mode: ArgumentMode) -> &'static str {
    match mode {
        ArgumentMode::None => "no",
        ArgumentMode::Optional => "optional",
        ArgumentMode::Required => "required",
    }
}
