//! The fields that a plugin declares, as the runtime lists them.

use falco_plugin_engine::extract as engine;
use pyo3::prelude::*;

use crate::fields::json_reader::JsonReader;
use crate::fields::method::Method;
use crate::fields::names::{argument_mode, field_type};
use crate::fields::table_reader::TableReader;

/// Reads `Runtime.fields`. Returns each field for the engine, and beside it the method that makes its values; `None`
/// for a field that is read from JSON or from a table.
pub(crate) fn from_runtime(runtime: &Bound<'_, PyAny>) -> PyResult<(Vec<engine::Field>, Vec<Option<Method>>)> {
    /// Name, type, whether it is a list, mode of the index, mode of the key, and a `JsonReader`, a `TableReader` or a function.
    type Declared<'py> = (String, String, bool, String, String, Bound<'py, PyAny>);
    let declared: Vec<Declared<'_>> = runtime.getattr("fields")?.extract()?;
    let mut fields = Vec::new();
    let mut methods = Vec::new();
    for (name, kind, is_list, index, key, reader) in declared {
        let (kind, index, key) = (field_type(&kind)?, argument_mode(&index)?, argument_mode(&key)?);
        let (reader, method) = if let Ok(json) = reader.cast::<JsonReader>() {
            (engine::Reader::Json(json.get().engine()), None)
        } else if let Ok(table) = reader.cast::<TableReader>() {
            (engine::Reader::Table(table.get().engine()), None)
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
