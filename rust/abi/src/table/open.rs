//! Finds a table of the host or of another plugin, and its fields, during init.

use std::ffi::{CStr, CString, c_char};
use std::sync::Arc;

use falco_plugin_api::{ss_plugin_state_data, ss_plugin_table_input, ss_plugin_table_t};
use falco_plugin_api_table::SUCCESS;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::table::request::{
    Choice, FieldInfo, FieldRequest, SubtableRequest, TableInfo, check_key, choose_field, choose_table,
};
use falco_plugin_engine::table::{BoundField, DataType, TableRequest};

use super::data::{from_c_type, to_c_type};
use super::foreign::Foreign;
use super::host::{Host, Init};
use super::schema::{Accessor, Schema};

/// Opens the table of a request. Returns `None` if there is none and the request is optional.
pub(super) fn table(host: &Arc<Host>, init: &Init, request: &TableRequest) -> Result<Option<Arc<Foreign>>, Error> {
    let Some(key_type) = choose_table(request, &tables(host, init)?)? else {
        return Ok(None);
    };
    let name = c_string(&request.name)?;
    let doing = || format!("opening the table {}", request.name);
    let get = init.tables.get_table.ok_or_else(|| host.failure(&doing()))?;
    // SAFETY: during init, on its thread, with a NUL-terminated name.
    let table = unsafe { get(host.owner(), name.as_ptr(), to_c_type(key_type)) };
    if table.is_null() {
        return Err(host.failure(&doing()));
    }
    // SAFETY: the host's table, during init.
    let schema = unsafe { schema(host, init, table, &request.name, key_type, &request.fields)? };
    // SAFETY: the host's table, which exists as long as the plugin, with its fields.
    Ok(Some(Arc::new(unsafe { Foreign::new(host, schema, table) })))
}

/// Returns the tables that exist.
fn tables(host: &Host, init: &Init) -> Result<Vec<TableInfo>, Error> {
    const DOING: &str = "listing the tables";
    let list = init.tables.list_tables.ok_or_else(|| host.failure(DOING))?;
    let mut count = 0;
    // SAFETY: during init, on its thread. The host returns NULL, or an array of `count` elements, whose names are NULL or
    // NUL-terminated. All of it is valid until the next call.
    unsafe {
        let infos = list(host.owner(), &raw mut count);
        if count == 0 {
            // The host has no table. Falco then returns an address that must not be read.
            return Ok(Vec::new());
        }
        if infos.is_null() {
            return Err(host.failure(DOING));
        }
        let infos = std::slice::from_raw_parts(infos, count as usize);
        Ok(infos
            .iter()
            .map(|info| TableInfo {
                name: text(info.name),
                key: from_c_type(info.key_type),
            })
            .collect())
    }
}

/// Returns the accessors of the requested fields of a table.
///
/// # Safety
/// `table` is a table of the host, and init runs on this thread.
unsafe fn schema(
    host: &Host,
    init: &Init,
    table: *mut ss_plugin_table_t,
    name: &str,
    key_type: DataType,
    requests: &[FieldRequest],
) -> Result<Arc<Schema>, Error> {
    // SAFETY: the caller's promise.
    let existing = unsafe { fields(host, init, table, name)? };
    let mut bound = Vec::with_capacity(requests.len());
    let mut accessors = Vec::with_capacity(requests.len());
    for request in requests {
        let choice = choose_field(name, request, &existing)?;
        let (kind, is_read_only, is_added) = match choice {
            Choice::Existing { kind, is_read_only } => (Some(kind), is_read_only, false),
            Choice::Add(kind) => (Some(kind), false, true),
            Choice::Absent => (None, true, false),
        };
        let accessor = match kind {
            // SAFETY: the caller's promise.
            Some(kind) => unsafe { accessor(host, init, table, name, request, kind, is_added)? },
            None => Accessor::absent(),
        };
        accessors.push(accessor);
        bound.push(BoundField {
            name: request.name.clone(),
            kind,
            is_read_only,
        });
    }
    Ok(Arc::new(Schema {
        name: name.to_owned(),
        key_type,
        fields: bound,
        accessors,
    }))
}

/// Returns the fields that a table has.
///
/// # Safety
/// `table` is a table of the host, and init runs on this thread.
unsafe fn fields(host: &Host, init: &Init, table: *mut ss_plugin_table_t, name: &str) -> Result<Vec<FieldInfo>, Error> {
    let doing = || format!("listing the fields of the table {name}");
    let list = init.fields.list_table_fields.ok_or_else(|| host.failure(&doing()))?;
    let mut count = 0;
    // SAFETY: as in `tables`.
    unsafe {
        let infos = list(table, &raw mut count);
        if count == 0 {
            return Ok(Vec::new());
        }
        if infos.is_null() {
            return Err(host.failure(&doing()));
        }
        let infos = std::slice::from_raw_parts(infos, count as usize);
        Ok(infos
            .iter()
            .map(|info| FieldInfo {
                name: text(info.name),
                kind: from_c_type(info.field_type),
                is_read_only: info.read_only != 0,
            })
            .collect())
    }
}

/// Returns the accessor of one field, which is added if the request asks for that.
///
/// # Safety
/// `table` is a table of the host, and init runs on this thread.
unsafe fn accessor(
    host: &Host,
    init: &Init,
    table: *mut ss_plugin_table_t,
    name: &str,
    request: &FieldRequest,
    kind: DataType,
    is_added: bool,
) -> Result<Accessor, Error> {
    let verb = if is_added { "adding" } else { "opening" };
    let doing = || format!("{verb} the field {} of the table {name}", request.name);
    let get = if is_added {
        init.fields.add_table_field
    } else {
        init.fields.get_table_field
    };
    let get = get.ok_or_else(|| host.failure(&doing()))?;
    let field_name = c_string(&request.name)?;
    // SAFETY: the caller's promise; the name is NUL-terminated.
    let field = unsafe { get(table, field_name.as_ptr(), to_c_type(kind)) };
    if field.is_null() {
        return Err(host.failure(&doing()));
    }
    let subtable = match &request.subtable {
        Some(subtable) if kind == DataType::Table => {
            let path = format!("{name}.{}", request.name);
            // SAFETY: the caller's promise, and the field is one of this table.
            Some(unsafe { subschema(host, init, table, field, &path, subtable)? })
        }
        _ => None,
    };
    Ok(Accessor { field, subtable })
}

/// Returns the accessors of the fields of a sub-table. Hosts have no direct way to them: they come from the sub-table of a
/// temporary entry.
///
/// # Safety
/// `table` is a table of the host, `field` one of its fields with the type of a table, and init runs on this thread.
unsafe fn subschema(
    host: &Host,
    init: &Init,
    table: *mut ss_plugin_table_t,
    field: *mut falco_plugin_api::ss_plugin_table_field_t,
    name: &str,
    request: &SubtableRequest,
) -> Result<Arc<Schema>, Error> {
    let doing = || format!("opening the sub-table {name}");
    // SAFETY: the host's functions for init, each NULL or valid.
    let (reader, writer) = unsafe { (init.tables.reader_ext.as_ref(), init.tables.writer_ext.as_ref()) };
    let create = writer.and_then(|writer| writer.create_table_entry);
    let destroy = writer.and_then(|writer| writer.destroy_table_entry);
    let read = reader.and_then(|reader| reader.read_entry_field);
    let (Some(create), Some(destroy), Some(read)) = (create, destroy, read) else {
        return Err(host.failure(&doing()));
    };
    // SAFETY: the caller's promise. The entry is destroyed after its sub-table was used.
    unsafe {
        let entry = create(table);
        if entry.is_null() {
            return Err(host.failure(&doing()));
        }
        let mut data = ss_plugin_state_data { u64_: 0 };
        let rc = read(table, entry, field, &raw mut data);
        // All hosts and SDKs pass a table as the address of such a struct.
        let input = data.table.cast::<ss_plugin_table_input>();
        let opened = match input.as_ref() {
            Some(subtable) if rc == SUCCESS => check_key(name, request.key, from_c_type(subtable.key_type))
                .and_then(|key_type| schema(host, init, input.cast(), name, key_type, &request.fields)),
            _ => Err(host.failure(&doing())),
        };
        destroy(table, entry);
        opened
    }
}

fn c_string(name: &str) -> Result<CString, Error> {
    CString::new(name).map_err(|_| Error::text(format!("the name {name:?} must not contain NUL")))
}

/// # Safety
/// `string` is NULL or a NUL-terminated string.
unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}
