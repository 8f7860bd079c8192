//! The names of field types and of argument modes.

use falco_plugin_engine::extract::{ArgumentMode, FieldType};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Reads the type of a field, as the plugin API names it.
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

/// Reads the mode of an argument. The inverse of [`mode_name`].
pub(crate) fn argument_mode(name: &str) -> PyResult<ArgumentMode> {
    [ArgumentMode::None, ArgumentMode::Optional, ArgumentMode::Required]
        .into_iter()
        .find(|&mode| mode_name(mode) == name)
        .ok_or_else(|| PyValueError::new_err(format!("unknown mode of an argument {name:?}")))
}

/// Returns the name of a mode, as the Python declaration of a field has it.
pub(crate) fn mode_name(mode: ArgumentMode) -> &'static str {
    match mode {
        ArgumentMode::None => "no",
        ArgumentMode::Optional => "optional",
        ArgumentMode::Required => "required",
    }
}

/// The Python type of a field's values, as annotations have it.
pub(crate) fn python_name(kind: FieldType) -> &'static str {
    match kind {
        FieldType::String => "str",
        FieldType::Uint64 => "int",
        FieldType::Bool => "bool",
        FieldType::AbsTime => "datetime",
        FieldType::RelTime => "timedelta",
        FieldType::IpAddr => "IPv4Address | IPv6Address",
        FieldType::IpNet => "IPv4Network | IPv6Network",
    }
}
