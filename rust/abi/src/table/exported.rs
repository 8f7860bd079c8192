//! A table of this plugin, as the functions that other plugins and the host call (`ss_plugin_table_input`).
//!
//! All functions may be called from any thread while the plugin exists. None of them needs Python.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use falco_plugin_api::{
    ss_plugin_bool, ss_plugin_rc, ss_plugin_state_data, ss_plugin_state_type, ss_plugin_table_entry_t,
    ss_plugin_table_field_t, ss_plugin_table_fieldinfo, ss_plugin_table_fields_vtable,
    ss_plugin_table_fields_vtable_ext, ss_plugin_table_input, ss_plugin_table_iterator_func_t,
    ss_plugin_table_iterator_state_t, ss_plugin_table_reader_vtable, ss_plugin_table_reader_vtable_ext,
    ss_plugin_table_t, ss_plugin_table_writer_vtable, ss_plugin_table_writer_vtable_ext,
};
use falco_plugin_api_table::{FAILURE, SUCCESS};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::table::{Data, OwnTable, Stored};

use super::data::{from_c_data, from_c_type, to_c_data, to_c_type};
use super::handle::{Handle, HandleState, drop_handle, from_accessor, handle, into_accessor, into_handle};
use crate::fork;
use crate::guard::guard;
use crate::strings::Errors;

/// A table that was offered to the host. The host keeps its address, and that of its name, until it destroys the plugin.
pub(super) struct Exported {
    table: Arc<OwnTable>,
    /// The errors of the plugin, which the host asks for after a failure.
    errors: Arc<Errors>,
    /// The arrays that `list_table_fields` has returned, one for each number of fields. The host may keep them.
    lists: Mutex<Vec<FieldList>>,
}

struct FieldList(Box<[ss_plugin_table_fieldinfo]>);

// SAFETY: the pointers are those of the names of fields, which exist as long as their table and are never changed.
unsafe impl Send for FieldList {}

static READER: ss_plugin_table_reader_vtable_ext = ss_plugin_table_reader_vtable_ext {
    get_table_name: Some(get_table_name),
    get_table_size: Some(get_table_size),
    get_table_entry: Some(get_table_entry),
    read_entry_field: Some(read_entry_field),
    release_table_entry: Some(release_table_entry),
    iterate_entries: Some(iterate_entries),
};

static WRITER: ss_plugin_table_writer_vtable_ext = ss_plugin_table_writer_vtable_ext {
    clear_table: Some(clear_table),
    erase_table_entry: Some(erase_table_entry),
    create_table_entry: Some(create_table_entry),
    destroy_table_entry: Some(destroy_table_entry),
    add_table_entry: Some(add_table_entry),
    write_entry_field: Some(write_entry_field),
};

static FIELDS: ss_plugin_table_fields_vtable_ext = ss_plugin_table_fields_vtable_ext {
    list_table_fields: Some(list_table_fields),
    get_table_field: Some(get_table_field),
    add_table_field: Some(add_table_field),
};

impl Exported {
    pub(super) fn new(table: Arc<OwnTable>, errors: Arc<Errors>) -> Arc<Self> {
        Arc::new(Self {
            table,
            errors,
            lists: Mutex::default(),
        })
    }

    /// Returns the struct to pass to `add_table`. The host copies it, but keeps its pointers: they are valid as long as
    /// this object. It compares the functions of the plain and the extended tables, which must be the same.
    pub(super) fn input(&self) -> ss_plugin_table_input {
        ss_plugin_table_input {
            name: self.table.name().as_ptr(),
            key_type: to_c_type(self.table.key_type()),
            table: ptr::from_ref(self).cast_mut().cast(),
            reader: ss_plugin_table_reader_vtable {
                get_table_name: READER.get_table_name,
                get_table_size: READER.get_table_size,
                get_table_entry: READER.get_table_entry,
                read_entry_field: READER.read_entry_field,
            },
            writer: ss_plugin_table_writer_vtable {
                clear_table: WRITER.clear_table,
                erase_table_entry: WRITER.erase_table_entry,
                create_table_entry: WRITER.create_table_entry,
                destroy_table_entry: WRITER.destroy_table_entry,
                add_table_entry: WRITER.add_table_entry,
                write_entry_field: WRITER.write_entry_field,
            },
            fields: ss_plugin_table_fields_vtable {
                list_table_fields: FIELDS.list_table_fields,
                get_table_field: FIELDS.get_table_field,
                add_table_field: FIELDS.add_table_field,
            },
            // Hosts only read them.
            reader_ext: (&raw const READER).cast_mut(),
            writer_ext: (&raw const WRITER).cast_mut(),
            fields_ext: (&raw const FIELDS).cast_mut(),
        }
    }

    /// # Safety
    /// `table` is NULL, or the address of an object that exists during `'a`.
    #[inline]
    unsafe fn from_handle<'a>(table: *mut ss_plugin_table_t) -> Option<&'a Self> {
        // SAFETY: the caller's promise.
        unsafe { table.cast::<Self>().as_ref() }
    }

    /// Reads a key.
    ///
    /// # Safety
    /// `key` is NULL, or a value of the type of the table's keys that is valid during `'a`.
    #[inline]
    unsafe fn key<'a>(&self, key: *const ss_plugin_state_data) -> Result<Data<'a>, Error> {
        // SAFETY: the caller's promise.
        let data = unsafe { key.as_ref() }.and_then(|key| unsafe { from_c_data(self.table.key_type(), key) });
        data.ok_or_else(|| Error::text("the key is NULL"))
    }
}

/// Runs a function of a table inside the guard. If it fails, keeps the error for `plugin_get_last_error` and returns
/// `failed`.
///
/// # Safety
/// `table` is NULL, or the address of an [`Exported`] that exists during the call.
#[inline]
unsafe fn run<T>(table: *mut ss_plugin_table_t, failed: T, code: impl FnOnce(&Exported) -> Result<T, Error>) -> T {
    // SAFETY: the caller's promise.
    let Some(exported) = (unsafe { Exported::from_handle(table) }) else {
        return failed;
    };
    match guard(|| code(exported)) {
        Ok(result) => result,
        Err(error) => {
            if !fork::is_child() {
                exported.errors.set(&error.to_string());
            }
            failed
        }
    }
}

// In all functions below, the host passes tables, entries, fields and values as the plugin API requires: each is NULL or
// one that a function of this module returned and that is still valid.

unsafe extern "C-unwind" fn get_table_name(table: *mut ss_plugin_table_t) -> *const c_char {
    // SAFETY: see above.
    unsafe { run(table, ptr::null(), |exported| Ok(exported.table.name().as_ptr())) }
}

unsafe extern "C-unwind" fn get_table_size(table: *mut ss_plugin_table_t) -> u64 {
    // SAFETY: see above.
    unsafe { run(table, u64::MAX, |exported| Ok(exported.table.len() as u64)) }
}

unsafe extern "C-unwind" fn get_table_entry(
    table: *mut ss_plugin_table_t,
    key: *const ss_plugin_state_data,
) -> *mut ss_plugin_table_entry_t {
    // SAFETY: see above.
    unsafe {
        run(table, ptr::null_mut(), |exported| {
            let key = exported.key(key)?;
            match exported.table.get(key)? {
                Some(entry) => Ok(into_handle(
                    Handle::new(entry, HandleState::Taken).with_key(&exported.table, key),
                )),
                None => Err(Error::text("the table has no entry with this key")),
            }
        })
    }
}

unsafe extern "C-unwind" fn read_entry_field(
    table: *mut ss_plugin_table_t,
    entry: *mut ss_plugin_table_entry_t,
    field: *const ss_plugin_table_field_t,
    out: *mut ss_plugin_state_data,
) -> ss_plugin_rc {
    // SAFETY: see above.
    unsafe {
        run(table, FAILURE, |_| {
            let (handle, field) = (handle(entry)?, from_accessor(field)?);
            let out = out
                .as_mut()
                .ok_or_else(|| Error::text("the pointer for the value is NULL"))?;
            let stored = handle.entry.get(field)?;
            *out = to_c_data(field.kind, stored.data());
            if let Stored::Text(Some(text)) = stored {
                handle.keep(field.index, text);
            }
            Ok(SUCCESS)
        })
    }
}

unsafe extern "C-unwind" fn release_table_entry(table: *mut ss_plugin_table_t, entry: *mut ss_plugin_table_entry_t) {
    // SAFETY: see above.
    unsafe {
        run(table, (), |_| {
            drop_handle(entry);
            Ok(())
        });
    }
}

unsafe extern "C-unwind" fn iterate_entries(
    table: *mut ss_plugin_table_t,
    visit: ss_plugin_table_iterator_func_t,
    state: *mut ss_plugin_table_iterator_state_t,
) -> ss_plugin_bool {
    // SAFETY: see above. The caller's function must not unwind, because that would be undefined in C.
    unsafe {
        run(table, 0, |exported| {
            let visit = visit.ok_or_else(|| Error::text("the function to call with each entry is NULL"))?;
            for (key, entry) in exported.table.entries() {
                let mut handle = Handle::new(entry, HandleState::Visited).with_key(&exported.table, key.borrowed());
                if visit(state, (&raw mut handle).cast()) == 0 {
                    return Ok(0);
                }
            }
            Ok(1)
        })
    }
}

unsafe extern "C-unwind" fn clear_table(table: *mut ss_plugin_table_t) -> ss_plugin_rc {
    // SAFETY: see above.
    unsafe {
        run(table, FAILURE, |exported| {
            exported.table.outside().clear();
            Ok(SUCCESS)
        })
    }
}

unsafe extern "C-unwind" fn erase_table_entry(
    table: *mut ss_plugin_table_t,
    key: *const ss_plugin_state_data,
) -> ss_plugin_rc {
    // SAFETY: see above.
    unsafe {
        run(table, FAILURE, |exported| {
            if exported.table.outside().remove(exported.key(key)?)? {
                Ok(SUCCESS)
            } else {
                Err(Error::text("the table has no entry with this key"))
            }
        })
    }
}

unsafe extern "C-unwind" fn create_table_entry(table: *mut ss_plugin_table_t) -> *mut ss_plugin_table_entry_t {
    // SAFETY: see above.
    unsafe {
        run(table, ptr::null_mut(), |exported| {
            Ok(into_handle(Handle::new(
                exported.table.new_entry(),
                HandleState::Created,
            )))
        })
    }
}

unsafe extern "C-unwind" fn destroy_table_entry(table: *mut ss_plugin_table_t, entry: *mut ss_plugin_table_entry_t) {
    // SAFETY: see above.
    unsafe { release_table_entry(table, entry) }
}

unsafe extern "C-unwind" fn add_table_entry(
    table: *mut ss_plugin_table_t,
    key: *const ss_plugin_state_data,
    entry: *mut ss_plugin_table_entry_t,
) -> *mut ss_plugin_table_entry_t {
    // SAFETY: see above. After a failure, the entry still belongs to the caller.
    unsafe {
        run(table, ptr::null_mut(), |exported| {
            let handle = handle(entry)?;
            if handle.state != HandleState::Created {
                return Err(Error::text("the entry is in a table already: create a new one"));
            }
            let key = exported.key(key)?;
            let outside = exported.table.outside();
            outside.insert(key, handle.entry.clone())?;
            handle.state = HandleState::Taken;
            if outside.is_recorded() {
                handle.key = Some(Box::new(key.to_owned()));
            }
            Ok(entry)
        })
    }
}

unsafe extern "C-unwind" fn write_entry_field(
    table: *mut ss_plugin_table_t,
    entry: *mut ss_plugin_table_entry_t,
    field: *const ss_plugin_table_field_t,
    value: *const ss_plugin_state_data,
) -> ss_plugin_rc {
    // SAFETY: see above.
    unsafe {
        run(table, FAILURE, |exported| {
            let (handle, field) = (handle(entry)?, from_accessor(field)?);
            let value = value.as_ref().and_then(|value| from_c_data(field.kind, value));
            handle
                .entry
                .set(field, value.ok_or_else(|| Error::text("the value is NULL"))?)?;
            if let Some(key) = &handle.key {
                exported.table.outside().record_write(key.borrowed(), &handle.entry);
            }
            Ok(SUCCESS)
        })
    }
}

unsafe extern "C-unwind" fn list_table_fields(
    table: *mut ss_plugin_table_t,
    count: *mut u32,
) -> *const ss_plugin_table_fieldinfo {
    // SAFETY: see above. `count` is NULL or the caller's to be written.
    unsafe {
        run(table, ptr::null(), |exported| {
            let fields = exported.table.fields();
            let mut lists = exported.lists.lock().unwrap_or_else(PoisonError::into_inner);
            let known = lists.iter().position(|list| list.0.len() == fields.len());
            let index = known.unwrap_or_else(|| {
                let infos = fields.iter().map(|field| ss_plugin_table_fieldinfo {
                    name: field.name.as_ptr(),
                    field_type: to_c_type(field.id.kind),
                    read_only: 0,
                });
                lists.push(FieldList(infos.collect()));
                lists.len() - 1
            });
            falco_plugin_api_table::write(count, fields.len() as u32);
            Ok(lists[index].0.as_ptr())
        })
    }
}

unsafe extern "C-unwind" fn get_table_field(
    table: *mut ss_plugin_table_t,
    name: *const c_char,
    kind: ss_plugin_state_type,
) -> *mut ss_plugin_table_field_t {
    // SAFETY: see above. The name is NULL or NUL-terminated.
    unsafe {
        run(table, ptr::null_mut(), |exported| {
            let name = field_name(name)?;
            let field = exported.table.field(name).ok_or_else(|| {
                let (table, name) = (exported.table.name().to_string_lossy(), name.to_string_lossy());
                Error::text(format!("the table {table} has no field {name}"))
            })?;
            if to_c_type(field.kind) != kind {
                let name = name.to_string_lossy();
                return Err(Error::text(format!(
                    "the field {name} has the type {}, not {}",
                    field.kind,
                    from_c_type(kind).map_or("unknown", |kind| kind.name())
                )));
            }
            Ok(into_accessor(field))
        })
    }
}

unsafe extern "C-unwind" fn add_table_field(
    table: *mut ss_plugin_table_t,
    name: *const c_char,
    kind: ss_plugin_state_type,
) -> *mut ss_plugin_table_field_t {
    // SAFETY: see above. The name is NULL or NUL-terminated.
    unsafe {
        run(table, ptr::null_mut(), |exported| {
            let kind = from_c_type(kind).ok_or_else(|| Error::text("the type of the field is unknown"))?;
            let field = exported.table.add_field(field_name(name)?, kind)?;
            Ok(into_accessor(field))
        })
    }
}

/// # Safety
/// `name` is NULL or a NUL-terminated string that is valid during `'a`.
unsafe fn field_name<'a>(name: *const c_char) -> Result<&'a CStr, Error> {
    if name.is_null() {
        return Err(Error::text("the name of the field is NULL"));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { CStr::from_ptr(name) })
}
