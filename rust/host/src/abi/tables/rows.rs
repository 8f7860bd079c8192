//! The entries of a table, to show them.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use falco_plugin_api::{
    self as c, ss_plugin_bool, ss_plugin_state_data, ss_plugin_state_type, ss_plugin_table_entry_t,
    ss_plugin_table_fieldinfo, ss_plugin_table_iterator_state_t,
};

use crate::abi::tables::builtin::{BuiltIn, Entry, Value};
use crate::abi::tables::registry::{PluginTable, Registry, Table};

/// The entries of a table.
#[derive(Debug)]
pub struct Rows {
    /// The names of the fields.
    pub fields: Vec<String>,
    pub rows: Vec<Row>,
}

/// An entry.
#[derive(Debug)]
pub struct Row {
    /// The key. `None` if the table is one of a plugin: the plugin API does not pass its keys.
    pub key: Option<i128>,
    /// The values of the fields, in their order.
    pub cells: Vec<Cell>,
}

/// The value of a field.
#[derive(Debug)]
pub enum Cell {
    Number(i128),
    Bool(bool),
    Text(String),
    Table(Rows),
    /// The table failed to return the value, or the field has a type that this host does not show.
    Unreadable,
}

impl Registry {
    /// Returns the entries of a table in the order of their keys; those of a plugin's table in the order in which the plugin
    /// returns them. Returns `None` if there is no such table.
    ///
    /// All plugins that have added a table must be initialised.
    pub fn rows(&self, name: &str) -> Option<Rows> {
        let name = CString::new(name).ok()?;
        Some(match self.find(&name)?.table {
            Table::BuiltIn(table) => built_in(&table),
            Table::Plugin(table) => of_plugin(&table),
        })
    }
}

fn built_in(table: &BuiltIn) -> Rows {
    let fields = table.schema.fields();
    let cells = |entry: &Arc<Entry>| {
        let cells = fields.iter().map(|field| match entry.get(field) {
            Value::Bits(bits) => number(field.kind, bits),
            Value::Text(text) => Cell::Text(text.to_string_lossy().into_owned()),
            Value::Table(table) => Cell::Table(built_in(&table)),
        });
        cells.collect()
    };
    let rows = table.entries().into_iter().map(|(key, entry)| Row {
        key: Some(key),
        cells: cells(&entry),
    });
    Rows {
        rows: rows.collect(),
        fields: fields
            .iter()
            .map(|field| field.name.to_string_lossy().into_owned())
            .collect(),
    }
}

/// Returns a number or a boolean out of its bits.
fn number(kind: ss_plugin_state_type, bits: u64) -> Cell {
    match kind {
        c::ss_plugin_state_type_SS_PLUGIN_ST_BOOL => Cell::Bool(bits != 0),
        c::ss_plugin_state_type_SS_PLUGIN_ST_INT8
        | c::ss_plugin_state_type_SS_PLUGIN_ST_INT16
        | c::ss_plugin_state_type_SS_PLUGIN_ST_INT32
        | c::ss_plugin_state_type_SS_PLUGIN_ST_INT64 => Cell::Number((bits as i64).into()),
        _ => Cell::Number(bits.into()),
    }
}

/// An iteration over the entries of a plugin's table.
struct Reading<'a> {
    table: &'a PluginTable,
    fields: Vec<(CString, ss_plugin_state_type, *mut c::ss_plugin_table_field_t)>,
    rows: Vec<Row>,
}

fn of_plugin(table: &PluginTable) -> Rows {
    // SAFETY: `add_table` has checked that there are all functions. The plugin is initialised.
    unsafe {
        let PluginTable {
            reader_ext: reader,
            fields_ext: functions,
            table: address,
            ..
        } = *table;
        let mut count = 0;
        let infos = functions.list_table_fields.expect("checked")(address, &raw mut count);
        let infos: &[ss_plugin_table_fieldinfo] = if infos.is_null() || count == 0 {
            &[]
        } else {
            std::slice::from_raw_parts(infos, count as usize)
        };
        let infos: Vec<_> = infos
            .iter()
            .map(|info| (CStr::from_ptr(info.name).to_owned(), info.field_type))
            .collect();
        let get = functions.get_table_field.expect("checked");
        let fields = infos.into_iter().map(|(name, kind)| {
            let field = get(address, name.as_ptr(), kind);
            (name, kind, field)
        });
        let mut reading = Reading {
            table,
            fields: fields.collect(),
            rows: Vec::new(),
        };
        reader.iterate_entries.expect("checked")(address, Some(next), (&raw mut reading).cast());
        Rows {
            fields: reading
                .fields
                .iter()
                .map(|(name, ..)| name.to_string_lossy().into_owned())
                .collect(),
            rows: reading.rows,
        }
    }
}

/// # Safety
/// `state` is a `Reading` that nothing else uses, and `entry` is valid during the call.
unsafe extern "C-unwind" fn next(
    state: *mut ss_plugin_table_iterator_state_t,
    entry: *mut ss_plugin_table_entry_t,
) -> ss_plugin_bool {
    // SAFETY: the caller's promise, and the table's functions as in `of_plugin`.
    unsafe {
        let reading = &mut *state.cast::<Reading<'_>>();
        let PluginTable { table, reader_ext, .. } = *reading.table;
        let read = reader_ext.read_entry_field.expect("checked");
        let cells = reading.fields.iter().map(|(_, kind, field)| {
            let mut data = ss_plugin_state_data { u64_: 0 };
            if field.is_null() || read(table, entry, *field, &raw mut data) != c::ss_plugin_rc_SS_PLUGIN_SUCCESS {
                return Cell::Unreadable;
            }
            match *kind {
                c::ss_plugin_state_type_SS_PLUGIN_ST_STRING if data.str_.is_null() => Cell::Unreadable,
                c::ss_plugin_state_type_SS_PLUGIN_ST_STRING => {
                    Cell::Text(CStr::from_ptr(data.str_).to_string_lossy().into_owned())
                }
                c::ss_plugin_state_type_SS_PLUGIN_ST_TABLE => Cell::Unreadable,
                c::ss_plugin_state_type_SS_PLUGIN_ST_BOOL => Cell::Bool(data.b != 0),
                c::ss_plugin_state_type_SS_PLUGIN_ST_INT8 => Cell::Number(data.s8.into()),
                c::ss_plugin_state_type_SS_PLUGIN_ST_INT16 => Cell::Number(data.s16.into()),
                c::ss_plugin_state_type_SS_PLUGIN_ST_INT32 => Cell::Number(data.s32.into()),
                c::ss_plugin_state_type_SS_PLUGIN_ST_INT64 => Cell::Number(data.s64.into()),
                c::ss_plugin_state_type_SS_PLUGIN_ST_UINT8 => Cell::Number(data.u8_.into()),
                c::ss_plugin_state_type_SS_PLUGIN_ST_UINT16 => Cell::Number(data.u16_.into()),
                c::ss_plugin_state_type_SS_PLUGIN_ST_UINT32 => Cell::Number(data.u32_.into()),
                _ => Cell::Number(data.u64_.into()),
            }
        });
        let cells = cells.collect();
        reading.rows.push(Row { key: None, cells });
    }
    1
}
