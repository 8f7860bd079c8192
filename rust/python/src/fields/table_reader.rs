//! `TableReader`: reads the value of a `table_field`.

use std::sync::Arc;

use falco_plugin_engine::extract::FieldType;
use falco_plugin_engine::table::{self as engine, TableKey};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::fields::names::field_type;
use crate::table::mapping::Table;

/// Reads the value of a ``table_field`` from the entry of a table. Not public.
///
/// Args:
///     table: the table; ``None`` if it is optional and the host does not have it.
///     attribute: the index of the attribute in the class of the entries.
///     kind: the type of the field, as the plugin API names it.
///     key: the index of the plugin's field whose value is the key; ``None`` for the id of the event's thread.
#[pyclass(frozen, module = "falco_plugin._core")]
pub(crate) struct TableReader {
    reader: Arc<engine::TableReader>,
}

impl TableReader {
    pub(crate) fn engine(&self) -> Arc<engine::TableReader> {
        Arc::clone(&self.reader)
    }
}

#[pymethods]
impl TableReader {
    #[new]
    #[pyo3(signature = (table, attribute, kind, key))]
    fn new(table: Option<&Bound<'_, Table>>, attribute: usize, kind: &str, key: Option<usize>) -> PyResult<Self> {
        let kind: FieldType = field_type(kind)?;
        let key = key.map_or(TableKey::Thread, TableKey::Field);
        let reader = match table.map(|table| table.get()) {
            None => engine::TableReader::absent(key, kind),
            Some(table) => match (table.engine_own(), table.own_field(attribute), table.engine_host()) {
                (Some(own), Some(field), _) => engine::TableReader::own(Arc::clone(own), field, key, kind),
                (_, _, Some(host)) => engine::TableReader::host(Arc::clone(host), attribute, key, kind),
                _ => return Err(PyValueError::new_err("the entries of the table have no such attribute")),
            },
        };
        Ok(Self {
            reader: Arc::new(reader),
        })
    }
}
