//! The declaration of a table, as the Python side lists it, and the class of its entries.

use std::sync::Arc;

use falco_plugin_engine::table::request::SubtableRequest;
use falco_plugin_engine::table::{FieldRequest, Kind, TableRequest};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::table::entry::Entry;

/// The Python side of a table's entries. All tables of one declaration share it.
#[derive(Debug)]
pub(crate) struct Shape {
    /// The subclass of `Entry`.
    pub(crate) entry_class: Py<PyType>,
    /// The name of the class, for messages.
    pub(crate) class_name: String,
    /// Whether the objects have nothing but their entry, so that an object can be reused for another entry.
    pub(crate) is_reusable: bool,
    /// The attributes, by their index in the class.
    pub(crate) attributes: Vec<ShapeAttribute>,
}

#[derive(Debug)]
pub(crate) struct ShapeAttribute {
    pub(crate) name: String,
    /// The shape of the entries of a sub-table.
    pub(crate) subtable: Option<Arc<Shape>>,
}

/// The declaration of a table: `falco_plugin._declare.tables.TableSpec`.
pub(crate) struct Spec {
    pub(crate) shape: Arc<Shape>,
    pub(crate) request: TableRequest,
    /// Whether a table of the plugin itself records the changes of others.
    pub(crate) records_changes: bool,
}

impl Spec {
    pub(crate) fn read(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (name, key, class, attributes, is_optional, records_changes): (
            String,
            String,
            Bound<'_, PyType>,
            Vec<Bound<'_, PyAny>>,
            bool,
            bool,
        ) = spec.extract()?;
        let mut fields = Vec::with_capacity(attributes.len());
        let mut shapes = Vec::with_capacity(attributes.len());
        for attribute in attributes {
            let (name, value_kind, is_added, is_optional, subtable): (
                String,
                String,
                bool,
                bool,
                Option<Bound<'_, PyAny>>,
            ) = attribute.extract()?;
            let subtable = subtable.as_ref().map(Self::read).transpose()?;
            shapes.push(ShapeAttribute {
                name: name.clone(),
                subtable: subtable.as_ref().map(|subtable| Arc::clone(&subtable.shape)),
            });
            fields.push(FieldRequest {
                name,
                kind: kind(&value_kind)?,
                is_added,
                is_optional,
                subtable: subtable.map(|subtable| SubtableRequest {
                    key: subtable.request.key,
                    fields: subtable.request.fields,
                }),
            });
        }
        Ok(Self {
            shape: Arc::new(Shape {
                class_name: class.name()?.to_string(),
                is_reusable: is_reusable(&class)?,
                entry_class: class.unbind(),
                attributes: shapes,
            }),
            request: TableRequest {
                name,
                key: kind(&key)?,
                fields,
                is_optional,
            },
            records_changes,
        })
    }
}

/// Returns whether the objects of a class of entries have no attributes, weak references or finalizers that a subclass has
/// added.
fn is_reusable(class: &Bound<'_, PyType>) -> PyResult<bool> {
    let number = |class: &Bound<'_, PyType>, name: &str| class.getattr(name)?.extract::<isize>();
    let base = class.py().get_type::<Entry>();
    // Dictionaries and weak references are not part of the size in newer Pythons.
    for name in ["__basicsize__", "__dictoffset__", "__weakrefoffset__"] {
        if number(class, name)? != number(&base, name)? {
            return Ok(false);
        }
    }
    Ok(!class.hasattr("__del__")?)
}

fn kind(name: &str) -> PyResult<Kind> {
    Ok(match name {
        "int" => Kind::Int,
        "str" => Kind::String,
        "bool" => Kind::Bool,
        "table" => Kind::Table,
        _ => return Err(PyValueError::new_err(format!("unknown kind {name:?}"))),
    })
}
