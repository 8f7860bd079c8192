//! The entries of a table between Python and the engine: conversion of their values, and copies of all of them.

use std::sync::{Arc, Mutex};

use falco_plugin_engine::table::{Entry as EngineEntry, FieldId, HostTable, OwnTable};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors::to_python as engine_error;
use crate::table::convert::{Converted, from_python, to_python};
use crate::table::entry::{Entry, State, read_host, subject};
use crate::table::mapping::Table;
use crate::table::target::Target;

impl Table {
    /// Returns the values of an entry, converted to the types of the table's fields, with the indices of the
    /// fields. Leaves out sub-tables and read-only fields, if the entry is one of a table.
    pub(super) fn values_of(&self, entry: &Bound<'_, PyAny>) -> PyResult<Vec<(usize, Converted<'static>)>> {
        let py = entry.py();
        let class = self.shape.entry_class.bind(py);
        if !entry.is_instance(class)? {
            return Err(PyTypeError::new_err(format!(
                "an entry of the table {} must be {}, got {}",
                self.target.name(),
                self.shape.class_name,
                entry.get_type().name()?
            )));
        }
        let entry = entry.cast::<Entry>()?.get();
        let values = entry.values(py, self.shape.attributes.len())?;
        let mut converted = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let field = self.target.field(index);
            let (Some(value), Some((kind, is_read_only))) = (value, field) else {
                continue;
            };
            // The entry may be one of a table in which the field is optional and missing.
            if value.is_none() {
                continue;
            }
            if is_read_only {
                if entry.is_made_by_user() {
                    return Err(self.read_only(index));
                }
                continue;
            }
            let value = from_python(kind, &value, || subject(&self.shape, index))?;
            converted.push((index, value.into_owned()));
        }
        Ok(converted)
    }

    #[cold]
    fn read_only(&self, attribute: usize) -> PyErr {
        PyTypeError::new_err(format!(
            "{subject} is read-only in the table {table}, so new entries cannot have it: declare it with | None = None, \
             and leave it out",
            subject = subject(&self.shape, attribute),
            table = self.target.name()
        ))
    }

    /// Makes an entry of the engine with values.
    pub(super) fn new_entry(
        py: Python<'_>,
        table: &OwnTable,
        fields: &[FieldId],
        values: &[(usize, Converted<'_>)],
    ) -> PyResult<Arc<EngineEntry>> {
        let entry = table.new_entry();
        for (index, value) in values {
            entry
                .set(fields[*index], value.data())
                .map_err(|error| engine_error(py, error))?;
        }
        Ok(entry)
    }

    /// Copies the values of all entries of a host's table, because each is valid only while the host visits it.
    pub(super) fn copies<'py>(&self, py: Python<'py>, table: &Arc<dyn HostTable>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.release_last(py);
        let mut rows = Vec::new();
        let mut failed = None;
        let visited = table.for_each(&mut |entry| {
            let attributes = self.shape.attributes.iter().enumerate();
            let row: PyResult<Vec<_>> = attributes
                .map(|(index, attribute)| {
                    if attribute.subtable.is_some() {
                        return Ok(None);
                    }
                    let value = read_host(py, table, entry, &self.shape, index)?;
                    Ok(Some(value.unbind()))
                })
                .collect();
            match row {
                Ok(row) => rows.push(row),
                Err(error) => failed = Some(error),
            }
            failed.is_none()
        });
        if let Some(error) = failed {
            return Err(error);
        }
        visited.map_err(|error| engine_error(py, error))?;
        rows.into_iter()
            .map(|row| {
                let state = State::Detached {
                    values: Mutex::new(row),
                    is_copy: true,
                };
                Entry::make(py, &self.shape, state)
            })
            .collect()
    }

    /// Returns the keys and entries of a table of this plugin.
    pub(super) fn own_items<'py>(&self, py: Python<'py>) -> PyResult<Vec<(Bound<'py, PyAny>, State)>> {
        match &self.target {
            Target::Own { table, fields } => table
                .entries()
                .into_iter()
                .map(|(key, entry)| Ok((to_python(py, key.borrowed())?, self.own_state(entry, fields))))
                .collect(),
            Target::Host(table) => Err(PyTypeError::new_err(format!(
                "the keys of the table {} cannot be listed, because the plugin API passes only entries: use values(), and a \
                 field that has the key",
                table.name()
            ))),
        }
    }
}
