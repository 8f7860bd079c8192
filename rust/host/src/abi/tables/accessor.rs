//! The functions of the struct of an opened table (see [`super::functions`]).
//!
//! A plugin passes the tables, entries, fields and values that it got, as the plugin API requires.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::Arc;

use falco_plugin_api::*;

use crate::abi::tables::builtin::{BuiltIn, Entry, Field, Value, value_of};
use crate::abi::tables::owner::Accessor;
use crate::abi::tables::registry::Table;

const SUCCESS: ss_plugin_rc = ss_plugin_rc_SS_PLUGIN_SUCCESS;
const FAILURE: ss_plugin_rc = ss_plugin_rc_SS_PLUGIN_FAILURE;

/// # Safety
/// The table is the address of an [`Accessor`] that is still valid.
unsafe fn accessor<'a>(table: *mut ss_plugin_table_t) -> &'a Accessor {
    // SAFETY: the caller's promise.
    unsafe { &*table.cast::<Accessor>() }
}

/// Runs code on a table of the host, or calls the function of the plugin that owns the table.
macro_rules! by_owner {
    ($table:ident, $vtable:ident.$name:ident($($argument:expr),*), $built_in:expr) => {{
        // SAFETY: see the functions below.
        let accessor = unsafe { accessor($table) };
        match &accessor.table {
            Table::BuiltIn(table) => $built_in(accessor, table),
            // SAFETY: `add_table` has checked that there are all functions. The plugin is not destroyed, and the
            // arguments are the caller's.
            Table::Plugin(plugin) => unsafe {
                (plugin.$vtable.$name.expect("checked"))(plugin.table, $($argument),*)
            },
        }
    }};
}

/// Returns the result of code that may fail. Keeps its error for the plugin.
fn or_fail<T>(accessor: &Accessor, failed: T, result: Result<T, String>) -> T {
    result.unwrap_or_else(|message| {
        accessor.owner.fail(message);
        failed
    })
}

/// # Safety
/// `entry` is an entry that the plugin has taken from a table of the host and not released.
unsafe fn entry<'a>(entry: *mut ss_plugin_table_entry_t) -> &'a Entry {
    // SAFETY: the caller's promise. libs would crash on NULL, so this host reports it.
    unsafe { entry.cast::<Entry>().as_ref() }.unwrap_or_else(|| report("an entry that is NULL"))
}

/// # Safety
/// `field` is NULL or an accessor of a table of the host.
unsafe fn field<'a>(entry: &Entry, field: *const ss_plugin_table_field_t) -> &'a Field {
    if !entry.has(field.cast()) {
        report("a field that is not one of the table")
    }
    // SAFETY: the entry's table has the field, so it exists.
    unsafe { &*field.cast::<Field>() }
}

/// Ends the process: libs would access memory that is not the plugin's.
fn report(what: &str) -> ! {
    eprintln!("falco-plugin-host: the plugin passed {what}, at which Falco crashes");
    std::process::abort()
}

pub(super) unsafe extern "C-unwind" fn list_table_fields(
    table: *mut ss_plugin_table_t,
    count: *mut u32,
) -> *const ss_plugin_table_fieldinfo {
    by_owner!(
        table,
        fields_ext.list_table_fields(count),
        |accessor: &Accessor, table: &BuiltIn| {
            // SAFETY: see above; `count` is writable.
            accessor.owner.list_fields(table, unsafe { &mut *count })
        }
    )
}

/// Returns the address of the field that `find` returns.
///
/// # Safety
/// `name` is NUL-terminated.
unsafe fn field_address(
    accessor: &Accessor,
    name: *const c_char,
    find: impl FnOnce(&CStr) -> Result<Arc<Field>, String>,
) -> *mut ss_plugin_table_field_t {
    // SAFETY: the caller's promise.
    let found = find(unsafe { CStr::from_ptr(name) });
    or_fail(
        accessor,
        ptr::null_mut(),
        found.map(|field| Arc::as_ptr(&field).cast_mut().cast()),
    )
}

pub(super) unsafe extern "C-unwind" fn get_table_field(
    table: *mut ss_plugin_table_t,
    name: *const c_char,
    kind: ss_plugin_state_type,
) -> *mut ss_plugin_table_field_t {
    by_owner!(
        table,
        fields_ext.get_table_field(name, kind),
        // SAFETY: see above.
        |accessor, table: &BuiltIn| unsafe { field_address(accessor, name, |name| table.schema.field(name, kind)) }
    )
}

pub(super) unsafe extern "C-unwind" fn add_table_field(
    table: *mut ss_plugin_table_t,
    name: *const c_char,
    kind: ss_plugin_state_type,
) -> *mut ss_plugin_table_field_t {
    by_owner!(
        table,
        fields_ext.add_table_field(name, kind),
        // SAFETY: see above.
        |accessor, table: &BuiltIn| unsafe { field_address(accessor, name, |name| table.schema.add_field(name, kind)) }
    )
}

pub(super) unsafe extern "C-unwind" fn get_table_name(table: *mut ss_plugin_table_t) -> *const c_char {
    by_owner!(table, reader_ext.get_table_name(), |_: &Accessor, table: &BuiltIn| {
        table.schema.name.as_ptr()
    })
}

pub(super) unsafe extern "C-unwind" fn get_table_size(table: *mut ss_plugin_table_t) -> u64 {
    by_owner!(
        table,
        reader_ext.get_table_size(),
        |_: &Accessor, table: &BuiltIn| table.len() as u64
    )
}

pub(super) unsafe extern "C-unwind" fn get_table_entry(
    table: *mut ss_plugin_table_t,
    key: *const ss_plugin_state_data,
) -> *mut ss_plugin_table_entry_t {
    // SAFETY: see above.
    let owner = unsafe { accessor(table) };
    let entry = by_owner!(
        table,
        reader_ext.get_table_entry(key),
        |accessor: &Accessor, table: &BuiltIn| {
            // SAFETY: see above; the key has the type of the table's.
            let found = unsafe { table.key(&*key) }.and_then(|key| {
                table
                    .get(key)
                    .ok_or_else(|| "get_entry found no element at given key".to_owned())
            });
            or_fail(accessor, ptr::null_mut(), found.map(|entry| accessor.owner.take(entry)))
        }
    );
    if matches!(owner.table, Table::Plugin(_)) && !entry.is_null() {
        owner.owner.count_of_plugins(1);
    }
    entry
}

pub(super) unsafe extern "C-unwind" fn read_entry_field(
    table: *mut ss_plugin_table_t,
    entry_: *mut ss_plugin_table_entry_t,
    field_: *const ss_plugin_table_field_t,
    out: *mut ss_plugin_state_data,
) -> ss_plugin_rc {
    by_owner!(
        table,
        reader_ext.read_entry_field(entry_, field_, out),
        |accessor: &Accessor, _: &BuiltIn| {
            // SAFETY: see above; `out` is writable.
            unsafe {
                let entry = entry(entry_);
                let field = field(entry, field_);
                *out = if field.kind == ss_plugin_state_type_SS_PLUGIN_ST_TABLE {
                    let Value::Table(subtable) = entry.get(field) else {
                        return FAILURE;
                    };
                    ss_plugin_state_data {
                        table: accessor.owner.open_subtable(subtable),
                    }
                } else {
                    entry.read(field)
                };
            }
            SUCCESS
        }
    )
}

pub(super) unsafe extern "C-unwind" fn release_table_entry(
    table: *mut ss_plugin_table_t,
    entry: *mut ss_plugin_table_entry_t,
) {
    // SAFETY: see above.
    let owner = unsafe { accessor(table) };
    if matches!(owner.table, Table::Plugin(_)) {
        owner.owner.count_of_plugins(-1);
    }
    by_owner!(
        table,
        reader_ext.release_table_entry(entry),
        |accessor: &Accessor, _: &BuiltIn| {
            accessor.owner.release(entry);
        }
    );
}

pub(super) unsafe extern "C-unwind" fn iterate_entries(
    table: *mut ss_plugin_table_t,
    visit: ss_plugin_table_iterator_func_t,
    state: *mut ss_plugin_table_iterator_state_t,
) -> ss_plugin_bool {
    by_owner!(
        table,
        reader_ext.iterate_entries(visit, state),
        |_: &Accessor, table: &BuiltIn| {
            let Some(visit) = visit else { return 0 };
            for (_, entry) in table.entries() {
                // SAFETY: see above; the entry is valid during the call.
                if unsafe { visit(state, Arc::as_ptr(&entry).cast_mut().cast()) } == 0 {
                    return 0;
                }
            }
            1
        }
    )
}

pub(super) unsafe extern "C-unwind" fn clear_table(table: *mut ss_plugin_table_t) -> ss_plugin_rc {
    by_owner!(table, writer_ext.clear_table(), |_: &Accessor, table: &BuiltIn| {
        table.clear();
        SUCCESS
    })
}

pub(super) unsafe extern "C-unwind" fn erase_table_entry(
    table: *mut ss_plugin_table_t,
    key: *const ss_plugin_state_data,
) -> ss_plugin_rc {
    by_owner!(
        table,
        writer_ext.erase_table_entry(key),
        |accessor: &Accessor, table: &BuiltIn| {
            // SAFETY: see above; the key has the type of the table's.
            let erased = unsafe { table.key(&*key) }.and_then(|key| match table.remove(key) {
                true => Ok(SUCCESS),
                false => Err("table entry not found".to_owned()),
            });
            or_fail(accessor, FAILURE, erased)
        }
    )
}

pub(super) unsafe extern "C-unwind" fn create_table_entry(
    table: *mut ss_plugin_table_t,
) -> *mut ss_plugin_table_entry_t {
    by_owner!(
        table,
        writer_ext.create_table_entry(),
        |accessor: &Accessor, table: &BuiltIn| { accessor.owner.create(table.new_entry()) }
    )
}

pub(super) unsafe extern "C-unwind" fn destroy_table_entry(
    table: *mut ss_plugin_table_t,
    entry: *mut ss_plugin_table_entry_t,
) {
    by_owner!(
        table,
        writer_ext.destroy_table_entry(entry),
        |accessor: &Accessor, _: &BuiltIn| {
            if accessor.owner.take_created(entry).is_none() {
                accessor
                    .owner
                    .fail("destroy_table_entry called on entry not created by create_table_entry".to_owned());
            }
        }
    );
}

pub(super) unsafe extern "C-unwind" fn add_table_entry(
    table: *mut ss_plugin_table_t,
    key: *const ss_plugin_state_data,
    entry: *mut ss_plugin_table_entry_t,
) -> *mut ss_plugin_table_entry_t {
    // SAFETY: see above.
    let owner = unsafe { accessor(table) };
    let added = by_owner!(
        table,
        writer_ext.add_table_entry(key, entry),
        |accessor: &Accessor, table: &BuiltIn| {
            // SAFETY: see above; the key has the type of the table's.
            let added = unsafe { table.key(&*key) }.and_then(|key| {
                let created = accessor.owner.take_created(entry);
                let created =
                    created.ok_or_else(|| "add_entry called on entry not created by create_table_entry".to_owned())?;
                table.insert(key, created.clone());
                Ok(accessor.owner.take(created))
            });
            or_fail(accessor, ptr::null_mut(), added)
        }
    );
    if matches!(owner.table, Table::Plugin(_)) && !added.is_null() {
        owner.owner.count_of_plugins(1);
    }
    added
}

pub(super) unsafe extern "C-unwind" fn write_entry_field(
    table: *mut ss_plugin_table_t,
    entry_: *mut ss_plugin_table_entry_t,
    field_: *const ss_plugin_table_field_t,
    value: *const ss_plugin_state_data,
) -> ss_plugin_rc {
    by_owner!(
        table,
        writer_ext.write_entry_field(entry_, field_, value),
        |accessor: &Accessor, _: &BuiltIn| {
            // SAFETY: see above; the value has the type of the field.
            let written = unsafe {
                let entry = entry(entry_);
                let field = field(entry, field_);
                if field.kind == ss_plugin_state_type_SS_PLUGIN_ST_TABLE {
                    Err("writing to table fields is currently not supported".to_owned())
                } else if field.is_read_only {
                    Err(format!(
                        "attempt to write to read-only static struct field: {}",
                        field.name.to_string_lossy()
                    ))
                } else {
                    value_of(field.kind, &*value).map(|value| {
                        entry.set(field, value);
                        SUCCESS
                    })
                }
            };
            or_fail(accessor, FAILURE, written)
        }
    )
}
