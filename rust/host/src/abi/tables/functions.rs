//! The functions that plugins call for tables. They behave as those of libs.
//!
//! A table is the address of a `ss_plugin_table_input`. The functions that a plugin gets with each call pass on to those
//! of the struct, as the plugin itself can do. The struct's own functions get an accessor.

use std::ffi::{CStr, c_char};
use std::ptr;

use falco_plugin_api::*;

use crate::abi::owner::Owner;
use crate::abi::tables::accessor;
use crate::abi::tables::registry::{PluginTable, Registered, Table};

const SUCCESS: ss_plugin_rc = ss_plugin_rc_SS_PLUGIN_SUCCESS;
const FAILURE: ss_plugin_rc = ss_plugin_rc_SS_PLUGIN_FAILURE;

/// Functions to pass a call on to the struct that a table is.
mod dispatch {
    use super::*;

    macro_rules! dispatch {
        ($($name:ident: $vtable:ident($($param:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
            $(
                /// # Safety
                /// The table is one that this host has passed to the plugin and that is still valid.
                pub(super) unsafe extern "C-unwind" fn $name(
                    table: *mut ss_plugin_table_t, $($param: $type),*
                ) $(-> $result)? {
                    // SAFETY: the caller's promise. `table_input` sets all functions.
                    unsafe {
                        let input = &*table.cast::<ss_plugin_table_input>();
                        ((*input.$vtable).$name.expect("the host sets all functions"))(input.table, $($param),*)
                    }
                }
            )*
        };
    }

    dispatch! {
        list_table_fields: fields_ext(count: *mut u32) -> *const ss_plugin_table_fieldinfo;
        get_table_field: fields_ext(name: *const c_char, kind: ss_plugin_state_type) -> *mut ss_plugin_table_field_t;
        add_table_field: fields_ext(name: *const c_char, kind: ss_plugin_state_type) -> *mut ss_plugin_table_field_t;
        get_table_name: reader_ext() -> *const c_char;
        get_table_size: reader_ext() -> u64;
        get_table_entry: reader_ext(key: *const ss_plugin_state_data) -> *mut ss_plugin_table_entry_t;
        read_entry_field: reader_ext(
            entry: *mut ss_plugin_table_entry_t,
            field: *const ss_plugin_table_field_t,
            out: *mut ss_plugin_state_data
        ) -> ss_plugin_rc;
        release_table_entry: reader_ext(entry: *mut ss_plugin_table_entry_t);
        iterate_entries: reader_ext(
            visit: ss_plugin_table_iterator_func_t,
            state: *mut ss_plugin_table_iterator_state_t
        ) -> ss_plugin_bool;
        clear_table: writer_ext() -> ss_plugin_rc;
        erase_table_entry: writer_ext(key: *const ss_plugin_state_data) -> ss_plugin_rc;
        create_table_entry: writer_ext() -> *mut ss_plugin_table_entry_t;
        destroy_table_entry: writer_ext(entry: *mut ss_plugin_table_entry_t);
        add_table_entry: writer_ext(
            key: *const ss_plugin_state_data,
            entry: *mut ss_plugin_table_entry_t
        ) -> *mut ss_plugin_table_entry_t;
        write_entry_field: writer_ext(
            entry: *mut ss_plugin_table_entry_t,
            field: *const ss_plugin_table_field_t,
            value: *const ss_plugin_state_data
        ) -> ss_plugin_rc;
    }
}

/// Makes the tables of functions out of the functions in a module.
macro_rules! vtables {
    ($module:ident: $reader:ident $writer:ident $fields:ident) => {
        pub(in crate::abi) static $reader: ss_plugin_table_reader_vtable_ext = ss_plugin_table_reader_vtable_ext {
            get_table_name: Some($module::get_table_name),
            get_table_size: Some($module::get_table_size),
            get_table_entry: Some($module::get_table_entry),
            read_entry_field: Some($module::read_entry_field),
            release_table_entry: Some($module::release_table_entry),
            iterate_entries: Some($module::iterate_entries),
        };
        pub(in crate::abi) static $writer: ss_plugin_table_writer_vtable_ext = ss_plugin_table_writer_vtable_ext {
            clear_table: Some($module::clear_table),
            erase_table_entry: Some($module::erase_table_entry),
            create_table_entry: Some($module::create_table_entry),
            destroy_table_entry: Some($module::destroy_table_entry),
            add_table_entry: Some($module::add_table_entry),
            write_entry_field: Some($module::write_entry_field),
        };
        pub(in crate::abi) static $fields: ss_plugin_table_fields_vtable_ext = ss_plugin_table_fields_vtable_ext {
            list_table_fields: Some($module::list_table_fields),
            get_table_field: Some($module::get_table_field),
            add_table_field: Some($module::add_table_field),
        };
    };
}

vtables!(dispatch: READER WRITER FIELDS);
vtables!(accessor: OWN_READER OWN_WRITER OWN_FIELDS);

/// Returns the plain table of the same functions.
pub(in crate::abi) fn plain_reader(ext: &ss_plugin_table_reader_vtable_ext) -> ss_plugin_table_reader_vtable {
    ss_plugin_table_reader_vtable {
        get_table_name: ext.get_table_name,
        get_table_size: ext.get_table_size,
        get_table_entry: ext.get_table_entry,
        read_entry_field: ext.read_entry_field,
    }
}

/// Returns the plain table of the same functions.
pub(in crate::abi) fn plain_writer(ext: &ss_plugin_table_writer_vtable_ext) -> ss_plugin_table_writer_vtable {
    ss_plugin_table_writer_vtable {
        clear_table: ext.clear_table,
        erase_table_entry: ext.erase_table_entry,
        create_table_entry: ext.create_table_entry,
        destroy_table_entry: ext.destroy_table_entry,
        add_table_entry: ext.add_table_entry,
        write_entry_field: ext.write_entry_field,
    }
}

fn plain_fields(ext: &ss_plugin_table_fields_vtable_ext) -> ss_plugin_table_fields_vtable {
    ss_plugin_table_fields_vtable {
        list_table_fields: ext.list_table_fields,
        get_table_field: ext.get_table_field,
        add_table_field: ext.add_table_field,
    }
}

/// Returns the struct of an opened table. The caller sets its `table`.
pub(super) fn table_input(name: *const c_char, key_type: ss_plugin_state_type) -> ss_plugin_table_input {
    ss_plugin_table_input {
        name,
        key_type,
        table: ptr::null_mut(),
        reader: plain_reader(&OWN_READER),
        writer: plain_writer(&OWN_WRITER),
        fields: plain_fields(&OWN_FIELDS),
        // Plugins only read them.
        reader_ext: (&raw const OWN_READER).cast_mut(),
        writer_ext: (&raw const OWN_WRITER).cast_mut(),
        fields_ext: (&raw const OWN_FIELDS).cast_mut(),
    }
}

/// Returns the input for init of a plugin that may use tables.
pub(in crate::abi) fn init_input() -> ss_plugin_init_tables_input {
    ss_plugin_init_tables_input {
        list_tables: Some(list_tables),
        get_table: Some(get_table),
        add_table: Some(add_table),
        fields: plain_fields(&FIELDS),
        fields_ext: (&raw const FIELDS).cast_mut(),
        reader_ext: (&raw const READER).cast_mut(),
        writer_ext: (&raw const WRITER).cast_mut(),
    }
}

/// # Safety
/// `owner` came from [`Owner::as_ptr`].
unsafe extern "C-unwind" fn list_tables(owner: *mut ss_plugin_owner_t, count: *mut u32) -> *mut ss_plugin_table_info {
    // SAFETY: the caller's promise. `count` is writable.
    unsafe { Owner::from_ptr(owner).tables().list(&mut *count) }
}

/// # Safety
/// `owner` came from [`Owner::as_ptr`], and the name is NUL-terminated.
unsafe extern "C-unwind" fn get_table(
    owner: *mut ss_plugin_owner_t,
    name: *const c_char,
    key_type: ss_plugin_state_type,
) -> *mut ss_plugin_table_t {
    // SAFETY: the caller's promise.
    unsafe { Owner::from_ptr(owner).tables().open(CStr::from_ptr(name), key_type) }
}

/// Makes the checks of libs (`copy_and_check_table_input`), and adds the table.
///
/// # Safety
/// `owner` came from [`Owner::as_ptr`]; the input and all that it points to are valid until the plugin is destroyed.
unsafe extern "C-unwind" fn add_table(
    owner: *mut ss_plugin_owner_t,
    input: *const ss_plugin_table_input,
) -> ss_plugin_rc {
    // SAFETY: the caller's promise.
    unsafe {
        let tables = Owner::from_ptr(owner).tables();
        let added = check(input).and_then(|input| {
            tables.registry.add(Registered {
                name: CStr::from_ptr(input.name).to_owned(),
                key_type: input.key_type,
                table: Table::Plugin(PluginTable {
                    name: input.name,
                    table: input.table,
                    reader_ext: *input.reader_ext,
                    writer_ext: *input.writer_ext,
                    fields_ext: *input.fields_ext,
                }),
            })
        });
        match added {
            Ok(()) => SUCCESS,
            Err(message) => {
                tables.fail(message);
                FAILURE
            }
        }
    }
}

/// # Safety
/// The input is NULL, or valid with all that it points to.
unsafe fn check<'a>(input: *const ss_plugin_table_input) -> Result<&'a ss_plugin_table_input, String> {
    macro_rules! check {
        ($what:literal $plain:expr, $ext:expr => $($name:ident),*) => {
            if $($ext.$name.is_none()
                || $ext.$name.map(|function| function as usize) != $plain.$name.map(|function| function as usize))||*
            {
                return Err(concat!("broken or inconsistent ", $what, " vtables").to_owned());
            }
        };
    }
    // SAFETY: the caller's promise.
    unsafe {
        let input = input.as_ref().ok_or("input is null")?;
        if input.name.is_null() {
            return Err("name is null".to_owned());
        }
        if input.key_type == ss_plugin_state_type_SS_PLUGIN_ST_TABLE {
            return Err("invalid key type".to_owned());
        }
        let (Some(reader), Some(writer), Some(fields)) = (
            input.reader_ext.as_ref(),
            input.writer_ext.as_ref(),
            input.fields_ext.as_ref(),
        ) else {
            return Err("extended vtables must all be defined".to_owned());
        };
        check!("reader" input.reader, reader => get_table_name, get_table_size, get_table_entry, read_entry_field);
        if reader.release_table_entry.is_none() || reader.iterate_entries.is_none() {
            return Err("broken or inconsistent reader vtables".to_owned());
        }
        check!("writer" input.writer, writer => clear_table, erase_table_entry, create_table_entry);
        check!("writer" input.writer, writer => destroy_table_entry, add_table_entry, write_entry_field);
        check!("fields" input.fields, fields => list_table_fields, get_table_field, add_table_field);
        Ok(input)
    }
}
