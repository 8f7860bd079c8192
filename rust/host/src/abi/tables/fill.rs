//! Fills tables of the host from JSON, for tests of plugins.

use std::ffi::CString;
use std::sync::Arc;

use falco_plugin_api::{
    ss_plugin_state_type_SS_PLUGIN_ST_BOOL as BOOL, ss_plugin_state_type_SS_PLUGIN_ST_INT64 as INT64,
    ss_plugin_state_type_SS_PLUGIN_ST_STRING as STRING, ss_plugin_state_type_SS_PLUGIN_ST_TABLE as TABLE,
};
use serde_json::{Map, Value as Json};

use crate::abi::tables::builtin::{BuiltIn, Field, Value};
use crate::abi::tables::registry::{Registry, Table};
use crate::abi::tables::threads;

/// Why a table cannot be filled. The string names the table and the field.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FillError(String);

/// The fields that are the key of an entry, too, by the name of the table.
const KEYS: &[(&str, &str)] = &[(threads::NAME, "tid"), ("file_descriptors", "fd")];

impl Registry {
    /// Fills tables of the host. `contents` is an object with a list of entries for each table. An entry is an object with
    /// values of its fields; that of a sub-table is a list of entries again, or of values if the sub-table has one field.
    ///
    /// The key of an entry is its field `tid` (threads) or `fd` (file descriptors); other sub-tables are numbered from 0.
    pub fn fill(&self, contents: &Json) -> Result<(), FillError> {
        let tables = contents.as_object().ok_or_else(|| {
            FillError("the contents of tables must be an object with a list for each table".to_owned())
        })?;
        for (name, entries) in tables {
            let found = CString::new(name.as_str()).ok().and_then(|name| self.find(&name));
            match found.map(|found| found.table) {
                Some(Table::BuiltIn(table)) => fill(&table, name, entries)?,
                _ => {
                    return Err(FillError(format!(
                        "the host has no table {name}: only threads can be filled"
                    )));
                }
            }
        }
        Ok(())
    }
}

fn fill(table: &BuiltIn, path: &str, entries: &Json) -> Result<(), FillError> {
    let entries = entries
        .as_array()
        .ok_or_else(|| FillError(format!("{path}: the entries of a table must be a list, got {entries}")))?;
    let name = table.schema.name.to_string_lossy();
    let key_field = KEYS.iter().find(|(table, _)| *table == name).map(|(_, field)| *field);
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let fields = table.schema.fields();
        let members = match (entry, fields.as_slice()) {
            (Json::Object(members), _) => members.clone(),
            (value, [field]) => Map::from_iter([(field.name.to_string_lossy().into_owned(), value.clone())]),
            (value, _) => return Err(FillError(format!("{path}: an entry must be an object, got {value}"))),
        };
        let key = match key_field {
            None => index as i128,
            Some(field) => {
                let key = members.get(field).and_then(Json::as_i64);
                key.ok_or_else(|| FillError(format!("{path}: the entry needs {field}, which is its key")))?
                    .into()
            }
        };
        let made = table.new_entry();
        for (name, value) in &members {
            let path = format!("{path}.{name}");
            let field = fields.iter().find(|field| field.name.to_bytes() == name.as_bytes());
            let field = field.ok_or_else(|| {
                let names: Vec<_> = fields.iter().map(|field| field.name.to_string_lossy()).collect();
                FillError(format!("{path}: there is no such field (fields: {})", names.join(", ")))
            })?;
            if field.kind == TABLE {
                let Value::Table(subtable) = made.get(field) else {
                    continue;
                };
                fill(&subtable, &path, value)?;
            } else {
                made.set(field, value_of(field, value, &path)?);
            }
        }
        table.insert(key, Arc::clone(&made));
    }
    Ok(())
}

fn value_of(field: &Field, value: &Json, path: &str) -> Result<Value, FillError> {
    let expected = |what: &str| FillError(format!("{path} must be {what}, got {value}"));
    match field.kind {
        STRING => {
            let text = value.as_str().ok_or_else(|| expected("a string"))?;
            CString::new(text)
                .map(Value::Text)
                .map_err(|_| expected("a string without NUL"))
        }
        BOOL => Ok(Value::Bits(
            value.as_bool().ok_or_else(|| expected("a boolean"))?.into(),
        )),
        INT64 => Ok(Value::Bits(value.as_i64().ok_or_else(|| expected("a number"))? as u64)),
        _ => Ok(Value::Bits(
            value.as_u64().ok_or_else(|| expected("a number that is 0 or more"))?,
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::abi::tables::Cell;

    #[test]
    fn fill_sets_fields_and_subtables() {
        let registry = Registry::new();
        let thread = json!({
            "tid": 7, "comm": "bash", "exe_writable": true, "uid": 1000, "args": ["-c", "ls"],
            "file_descriptors": [{"fd": 3, "name": "/etc/passwd"}],
        });
        registry.fill(&json!({ "threads": [thread] })).unwrap();
        let threads = registry.rows("threads").unwrap();
        let row = &threads.rows[0];
        let cell = |name: &str| &row.cells[threads.fields.iter().position(|field| field == name).unwrap()];
        assert_eq!((threads.rows.len(), row.key), (1, Some(7)));
        assert!(matches!(cell("comm"), Cell::Text(text) if text == "bash"));
        assert!(matches!(cell("exe_writable"), Cell::Bool(true)));
        assert!(matches!(cell("uid"), Cell::Number(1000)));
        assert!(matches!(cell("args"), Cell::Table(args) if args.rows.len() == 2));
        assert!(matches!(cell("file_descriptors"), Cell::Table(fds) if fds.rows[0].key == Some(3)));
    }

    #[test]
    fn fill_names_what_is_wrong() {
        for (contents, message) in [
            (
                json!([]),
                "the contents of tables must be an object with a list for each table",
            ),
            (
                json!({"other": []}),
                "the host has no table other: only threads can be filled",
            ),
            (
                json!({"threads": {}}),
                "threads: the entries of a table must be a list, got {}",
            ),
            (json!({"threads": [1]}), "threads[0]: an entry must be an object, got 1"),
            (
                json!({"threads": [{"comm": "a"}]}),
                "threads[0]: the entry needs tid, which is its key",
            ),
            (
                json!({"threads": [{"tid": 1, "comm": 5}]}),
                "threads[0].comm must be a string, got 5",
            ),
            (
                json!({"threads": [{"tid": 1, "args": [{"x": 1}]}]}),
                "threads[0].args[0].x: there is no such field (fields: value)",
            ),
            (
                json!({"threads": [{"tid": 1, "uid": -1}]}),
                "threads[0].uid must be a number that is 0 or more, got -1",
            ),
        ] {
            assert_eq!(Registry::new().fill(&contents).unwrap_err().to_string(), message);
        }
    }
}
