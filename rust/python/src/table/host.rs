//! `HostTables`: opens and adds tables while a plugin is initialised.

use std::sync::Arc;

use falco_plugin_engine::table as engine;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors::to_python as engine_error;
use crate::table::mapping::Table;
use crate::table::shape::Spec;

/// The tables of the host, while a plugin is initialised. Not public.
#[pyclass(frozen, module = "falco_plugin._core")]
pub(crate) struct HostTables {
    tables: Arc<dyn engine::HostTables>,
}

impl HostTables {
    pub(crate) fn new(tables: Arc<dyn engine::HostTables>) -> Self {
        Self { tables }
    }
}

#[pymethods]
impl HostTables {
    /// Opens a table of the host or of another plugin. Returns ``None`` if there is none and it is optional.
    ///
    /// Args:
    ///     spec: a ``TableSpec``.
    ///
    /// Raises:
    ///     PluginError: there is no such table or field, or the host passes no tables.
    fn open(&self, py: Python<'_>, spec: &Bound<'_, PyAny>) -> PyResult<Option<Table>> {
        let Spec { shape, request, .. } = Spec::read(spec)?;
        let opened = self.tables.open(&request).map_err(|error| engine_error(py, error))?;
        Ok(opened.map(|table| Table::host(table, shape)))
    }

    /// Offers a table of the plugin to the host and to other plugins.
    ///
    /// Raises:
    ///     PluginError: there is a table with this name already, or the host passes no tables.
    fn add(&self, py: Python<'_>, table: &Bound<'_, Table>) -> PyResult<()> {
        let Some(own) = table.get().engine_own() else {
            return Err(PyTypeError::new_err("only a table of the plugin itself can be added"));
        };
        self.tables
            .add(Arc::clone(own))
            .map_err(|error| engine_error(py, error))
    }
}

/// Makes a table of a plugin, empty and not known to a host. Not public.
///
/// Args:
///     spec: a ``TableSpec``.
///
/// Raises:
///     PluginError: the name or the fields cannot be those of a table.
#[pyfunction]
pub(crate) fn make_table(py: Python<'_>, spec: &Bound<'_, PyAny>) -> PyResult<Table> {
    Table::own(py, spec)
}
