//! The engine's table of a Python `Table`: one of this plugin, or one of the host or of another plugin.

use std::borrow::Cow;
use std::sync::Arc;

use falco_plugin_engine::error::Error;
use falco_plugin_engine::table::{Data, DataType, FieldId, HostTable, OwnTable, TableRequest};

#[derive(Debug, Clone)]
pub(crate) enum Target {
    Own {
        table: Arc<OwnTable>,
        /// The fields by the index of their attributes.
        fields: Arc<[FieldId]>,
    },
    Host(Arc<dyn HostTable>),
}

impl Target {
    /// Makes an empty table of this plugin.
    pub(crate) fn new(request: &TableRequest, records_changes: bool) -> Result<Self, Error> {
        let key = request.key.own_type().unwrap_or(DataType::Int64);
        let fields: Vec<_> = request
            .fields
            .iter()
            .filter_map(|field| Some((field.name.as_str(), field.kind.own_type()?)))
            .collect();
        let mut table = OwnTable::new(&request.name, key, &fields)?;
        if records_changes {
            table = table.recording();
        }
        let mut ids = table.fields().into_iter().map(|field| field.id);
        // A table that replaces one of the host has no sub-tables.
        let absent = FieldId {
            index: u32::MAX,
            kind: DataType::Table,
        };
        let fields = request.fields.iter().map(|field| match field.kind.own_type() {
            Some(_) => ids.next().unwrap_or(absent),
            None => absent,
        });
        let fields = fields.collect();
        Ok(Self::Own {
            table: Arc::new(table),
            fields,
        })
    }

    pub(crate) fn key_type(&self) -> DataType {
        match self {
            Self::Own { table, .. } => table.key_type(),
            Self::Host(table) => table.key_type(),
        }
    }

    pub(crate) fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Own { table, .. } => table.name().to_string_lossy(),
            Self::Host(table) => table.name().into(),
        }
    }

    /// Returns the type of an attribute's field, and whether it is a value that plugins can only read. `None` if the
    /// table does not have the field.
    pub(crate) fn field(&self, attribute: usize) -> Option<(DataType, bool)> {
        match self {
            Self::Own { fields, .. } => fields.get(attribute).map(|field| (field.kind, false)),
            Self::Host(table) => {
                let field = table.fields().get(attribute)?;
                let kind = field.kind?;
                Some((kind, field.is_read_only && kind != DataType::Table))
            }
        }
    }

    pub(crate) fn contains(&self, key: Data<'_>) -> Result<bool, Error> {
        match self {
            Self::Own { table, .. } => table.get(key).map(|entry| entry.is_some()),
            Self::Host(table) => table.get(key).map(|entry| {
                if let Some(entry) = entry {
                    table.release(entry);
                }
                entry.is_some()
            }),
        }
    }

    /// Removes an entry. Returns whether there was one.
    pub(crate) fn remove(&self, key: Data<'_>) -> Result<bool, Error> {
        match self {
            Self::Own { table, .. } => table.remove(key),
            Self::Host(table) => table.remove(key),
        }
    }

    pub(crate) fn len(&self) -> Result<u64, Error> {
        match self {
            Self::Own { table, .. } => Ok(table.len() as u64),
            Self::Host(table) => table.len(),
        }
    }

    pub(crate) fn clear(&self) -> Result<(), Error> {
        match self {
            Self::Own { table, .. } => table.clear(),
            Self::Host(table) => table.clear()?,
        }
        Ok(())
    }
}
