//! The state tables of the fake host: `threads` with the sub-table `args`, and `texts`. Each function can fail.
//!
//! A plugin must pass back what it got, use it only during a call of the host and on its thread, and release each entry.
//! Handles are separate allocations, so that the sanitizer detects the use of one that was released.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use arbitrary::Arbitrary;
use falco_plugin_api::*;

use super::owner::{Owner, report};

const SUCCESS: ss_plugin_rc = ss_plugin_rc_SS_PLUGIN_SUCCESS;
const FAILURE: ss_plugin_rc = ss_plugin_rc_SS_PLUGIN_FAILURE;
const INT64: ss_plugin_state_type = ss_plugin_state_type_SS_PLUGIN_ST_INT64;
const UINT32: ss_plugin_state_type = ss_plugin_state_type_SS_PLUGIN_ST_UINT32;
const UINT64: ss_plugin_state_type = ss_plugin_state_type_SS_PLUGIN_ST_UINT64;
const STRING: ss_plugin_state_type = ss_plugin_state_type_SS_PLUGIN_ST_STRING;
const TABLE: ss_plugin_state_type = ss_plugin_state_type_SS_PLUGIN_ST_TABLE;
const BOOL: ss_plugin_state_type = ss_plugin_state_type_SS_PLUGIN_ST_BOOL;

/// The number of entries at which the host refuses more.
const MOST_ENTRIES: usize = 16;

/// The functions that the host passes to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(super) enum Access {
    All,
    /// Only those that read.
    Reader,
    None,
    /// Tables of functions in which all members are NULL.
    Empty,
}

/// A host whose tables differ from what the plugin needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(super) enum HostTables {
    Good,
    Missing,
    WithoutFields,
    WithoutThreads,
    /// A field has a type that the plugin does not expect.
    OtherType,
    /// Names that are NULL, and a type that the plugin does not know.
    Odd,
    WithoutAccess,
    WithoutFunctions,
}

/// The fields of all tables of one kind.
struct Schema {
    fields: Mutex<Vec<Arc<Field>>>,
}

struct Field {
    name: CString,
    kind: ss_plugin_state_type,
    is_read_only: bool,
    index: usize,
}

/// A table. The plugin has its address.
#[repr(C)]
struct Table {
    /// The members that a plugin reads of a sub-table.
    input: ss_plugin_table_input,
    owner: &'static Owner,
    schema: Arc<Schema>,
    /// The schema of the sub-table of each entry.
    subtables: Option<Arc<Schema>>,
    rows: Mutex<BTreeMap<Key, Arc<Entry>>>,
}

// SAFETY: the addresses of `input` are those of statics, and what changes is in a lock.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Text(CString),
}

#[derive(Default)]
struct Entry {
    values: Mutex<BTreeMap<usize, Value>>,
    subtable: Option<Box<Table>>,
}

#[derive(Clone)]
enum Value {
    Number(u64),
    Text(CString),
}

/// A handle of an entry.
struct Taken {
    table: *const Table,
    entry: Arc<Entry>,
    /// Whether it must be added or destroyed.
    is_new: bool,
}

/// All tables of an owner.
pub(super) struct Tables {
    kind: HostTables,
    threads: Box<Table>,
    texts: Box<Table>,
    infos: Vec<ss_plugin_table_info>,
    field_infos: Vec<Vec<ss_plugin_table_fieldinfo>>,
    /// The thread of the call of the host, if there is one.
    caller: Option<ThreadId>,
    /// The number of handles that were not released.
    taken: isize,
    /// The tables that the plugin has added.
    pub(super) added: Vec<ss_plugin_table_input>,
}

// SAFETY: the addresses are those of the plugin's and of this module's statics and names, which are never changed.
unsafe impl Send for Tables {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Schema {
    fn new(fields: &[(&CStr, ss_plugin_state_type, bool)]) -> Arc<Self> {
        let fields = fields.iter().enumerate().map(|(index, (name, kind, is_read_only))| {
            Arc::new(Field {
                name: (*name).to_owned(),
                kind: *kind,
                is_read_only: *is_read_only,
                index,
            })
        });
        Arc::new(Self {
            fields: Mutex::new(fields.collect()),
        })
    }
}

impl Table {
    fn new(
        owner: &'static Owner,
        name: &'static CStr,
        key_type: ss_plugin_state_type,
        schema: &Arc<Schema>,
        subtables: Option<Arc<Schema>>,
    ) -> Box<Self> {
        let input = ss_plugin_table_input {
            name: name.as_ptr(),
            key_type,
            table: ptr::null_mut(),
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
            fields: PLAIN_FIELDS,
            reader_ext: (&raw const READER).cast_mut(),
            writer_ext: (&raw const WRITER).cast_mut(),
            fields_ext: (&raw const FIELDS).cast_mut(),
        };
        Box::new(Self {
            input,
            owner,
            schema: Arc::clone(schema),
            subtables,
            rows: Mutex::default(),
        })
    }

    fn as_ptr(&self) -> *mut ss_plugin_table_t {
        ptr::from_ref(self).cast_mut().cast()
    }

    fn new_entry(&self) -> Arc<Entry> {
        let subtable = self.subtables.as_ref().map(|schema| {
            let table = Self::new(self.owner, c"args", UINT64, schema, None);
            for (key, text) in [(0, c"-c"), (1, c"\xff")] {
                let entry = Arc::new(Entry::default());
                lock(&entry.values).insert(0, Value::Text(text.to_owned()));
                lock(&table.rows).insert(Key::Number(key), entry);
            }
            table
        });
        Arc::new(Entry {
            values: Mutex::default(),
            subtable,
        })
    }

    fn key(&self, key: *const ss_plugin_state_data) -> Key {
        // SAFETY: the plugin passes a key of the table's type.
        unsafe {
            match self.input.key_type {
                STRING => Key::Text(CStr::from_ptr((*key).str_).to_owned()),
                _ => Key::Number((*key).s64),
            }
        }
    }

    fn take(&self, entry: Arc<Entry>, is_new: bool) -> *mut ss_plugin_table_entry_t {
        self.owner.with_tables(|tables| tables.taken += 1);
        let taken = Taken {
            table: self,
            entry,
            is_new,
        };
        Box::into_raw(Box::new(taken)).cast()
    }
}

impl Tables {
    pub(super) fn new(owner: &'static Owner) -> Box<Self> {
        let args = Schema::new(&[(c"value", STRING, false)]);
        let threads = Schema::new(&[
            (c"comm", STRING, false),
            (c"uid", UINT32, false),
            (c"exe_writable", BOOL, false),
            (c"args", TABLE, true),
            (c"cwd", STRING, true),
        ]);
        let texts = Schema::new(&[(c"size", UINT64, false)]);
        let threads = Table::new(owner, c"threads", INT64, &threads, Some(args));
        for (key, comm) in [(1, c"bash"), (2, c"\xc3\xff"), (7, c"")] {
            let entry = threads.new_entry();
            lock(&entry.values).insert(0, Value::Text(comm.to_owned()));
            lock(&threads.rows).insert(Key::Number(key), entry);
        }
        Box::new(Self {
            kind: HostTables::Good,
            threads,
            texts: Table::new(owner, c"texts", STRING, &texts, None),
            infos: Vec::new(),
            field_infos: Vec::new(),
            caller: None,
            taken: 0,
            added: Vec::new(),
        })
    }

    /// Begins a call of the host on this thread.
    pub(super) fn begin_call(&mut self) {
        self.caller = Some(thread::current().id());
    }

    /// Ends it. The plugin must have released all entries.
    pub(super) fn end_call(&mut self) {
        self.caller = None;
        if self.taken != 0 {
            report(format!("{} entries were not released", self.taken));
        }
    }
}

/// Runs init with the tables of a host.
pub(super) fn with_init_input<R>(
    owner: &'static Owner,
    kind: HostTables,
    code: impl FnOnce(*const ss_plugin_init_tables_input) -> R,
) -> R {
    owner.with_tables(|tables| {
        tables.kind = kind;
        if kind == HostTables::OtherType {
            let fields = &mut *lock(&tables.threads.schema.fields);
            fields[0] = Arc::new(Field {
                name: c"comm".to_owned(),
                kind: UINT64,
                is_read_only: false,
                index: 0,
            });
        }
    });
    let has_functions = kind != HostTables::WithoutFunctions;
    let (reader, writer) = functions(if kind == HostTables::WithoutAccess {
        Access::None
    } else {
        Access::All
    });
    let input = ss_plugin_init_tables_input {
        list_tables: has_functions.then_some(list_tables as _),
        get_table: has_functions.then_some(get_table as _),
        add_table: has_functions.then_some(add_table as _),
        fields: PLAIN_FIELDS,
        fields_ext: if kind == HostTables::WithoutFields {
            ptr::null_mut()
        } else {
            (&raw const FIELDS).cast_mut()
        },
        reader_ext: reader.cast_mut(),
        writer_ext: writer.cast_mut(),
    };
    code(if kind == HostTables::Missing {
        ptr::null()
    } else {
        &raw const input
    })
}

/// Returns the functions that the host passes to a call.
pub(super) fn functions(
    access: Access,
) -> (
    *const ss_plugin_table_reader_vtable_ext,
    *const ss_plugin_table_writer_vtable_ext,
) {
    match access {
        Access::All => (&raw const READER, &raw const WRITER),
        Access::Reader => (&raw const READER, ptr::null()),
        Access::None => (ptr::null(), ptr::null()),
        Access::Empty => (&raw const NO_READER, &raw const NO_WRITER),
    }
}

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
const PLAIN_FIELDS: ss_plugin_table_fields_vtable = ss_plugin_table_fields_vtable {
    list_table_fields: Some(list_table_fields),
    get_table_field: Some(get_table_field),
    add_table_field: Some(add_table_field),
};
static NO_READER: ss_plugin_table_reader_vtable_ext = ss_plugin_table_reader_vtable_ext {
    get_table_name: None,
    get_table_size: None,
    get_table_entry: None,
    read_entry_field: None,
    release_table_entry: None,
    iterate_entries: None,
};
static NO_WRITER: ss_plugin_table_writer_vtable_ext = ss_plugin_table_writer_vtable_ext {
    clear_table: None,
    erase_table_entry: None,
    create_table_entry: None,
    destroy_table_entry: None,
    add_table_entry: None,
    write_entry_field: None,
};

// The plugin passes the owner, tables, entries and accessors that it got, and values of the right type. A function reports
// each mistake that it can see.

/// Returns a table of the host, after a check that the plugin may use it now.
fn table<'a>(table: *mut ss_plugin_table_t) -> &'a Table {
    // SAFETY: see above.
    let table = unsafe { &*table.cast::<Table>() };
    let is_allowed = table
        .owner
        .with_tables(|tables| tables.caller == Some(thread::current().id()));
    match is_allowed {
        Some(true) => {}
        Some(false) => report("a table was used outside a call of the host"),
        None => report("a table was used after destroy"),
    }
    table
}

fn taken<'a>(table: &Table, entry: *mut ss_plugin_table_entry_t) -> &'a mut Taken {
    // SAFETY: see above. Nothing else uses the handle during a function of the host.
    let taken = unsafe { &mut *entry.cast::<Taken>() };
    if !ptr::eq(taken.table, table) {
        report("an entry was passed with another table");
    }
    taken
}

/// Returns a field of a table by its accessor.
fn field(table: &Table, accessor: *const ss_plugin_table_field_t) -> Option<Arc<Field>> {
    let fields = lock(&table.schema.fields);
    let found = fields.iter().find(|field| ptr::eq(Arc::as_ptr(field).cast(), accessor));
    if found.is_none() {
        report("a field was passed with another table");
    }
    found.cloned()
}

unsafe extern "C-unwind" fn list_tables(owner: *mut ss_plugin_owner_t, count: *mut u32) -> *mut ss_plugin_table_info {
    // SAFETY: see above.
    let owner = unsafe { Owner::from_ptr(owner) };
    let fails = owner.fails();
    let listed = owner.with_tables(|tables| {
        let mut infos = vec![ss_plugin_table_info {
            name: c"texts".as_ptr(),
            key_type: STRING,
        }];
        if tables.kind != HostTables::WithoutThreads {
            infos.push(ss_plugin_table_info {
                name: c"threads".as_ptr(),
                key_type: INT64,
            });
        }
        if tables.kind == HostTables::Odd {
            infos.push(ss_plugin_table_info {
                name: ptr::null(),
                key_type: 99,
            });
        }
        tables.infos = infos;
        (tables.infos.as_mut_ptr(), tables.infos.len() as u32)
    });
    let (infos, len) = listed.filter(|_| !fails).unwrap_or((ptr::null_mut(), 1));
    // SAFETY: the plugin passes a place for the number.
    unsafe { count.write(len) };
    infos
}

unsafe extern "C-unwind" fn get_table(
    owner: *mut ss_plugin_owner_t,
    name: *const c_char,
    key_type: ss_plugin_state_type,
) -> *mut ss_plugin_table_t {
    // SAFETY: see above.
    let (owner, name) = unsafe { (Owner::from_ptr(owner), CStr::from_ptr(name)) };
    if owner.fails() {
        return ptr::null_mut();
    }
    let found = owner.with_tables(|tables| {
        let table = if name == c"threads" {
            &tables.threads
        } else {
            &tables.texts
        };
        (table.input.key_type == key_type).then(|| table.as_ptr())
    });
    found.flatten().unwrap_or(ptr::null_mut())
}

unsafe extern "C-unwind" fn add_table(
    owner: *mut ss_plugin_owner_t,
    input: *const ss_plugin_table_input,
) -> ss_plugin_rc {
    // SAFETY: see above.
    let (owner, input) = unsafe { (Owner::from_ptr(owner), *input) };
    if owner.fails() {
        return FAILURE;
    }
    owner.with_tables(|tables| tables.added.push(input));
    SUCCESS
}

unsafe extern "C-unwind" fn list_table_fields(
    of: *mut ss_plugin_table_t,
    count: *mut u32,
) -> *const ss_plugin_table_fieldinfo {
    let table = table(of);
    if table.owner.fails() {
        // SAFETY: the plugin passes a place for the number.
        unsafe { count.write(1) };
        return ptr::null();
    }
    let infos: Vec<_> = lock(&table.schema.fields)
        .iter()
        .map(|field| ss_plugin_table_fieldinfo {
            name: field.name.as_ptr(),
            field_type: field.kind,
            read_only: field.is_read_only.into(),
        })
        .collect();
    // SAFETY: as above.
    unsafe { count.write(infos.len() as u32) };
    let address = infos.as_ptr();
    table.owner.with_tables(|tables| tables.field_infos.push(infos));
    address
}

/// Returns the table and the name of a field that the plugin requests; `None` if the request fails.
///
/// # Safety
/// The name is NUL-terminated.
unsafe fn requested_field<'a>(of: *mut ss_plugin_table_t, name: *const c_char) -> Option<(&'a Table, &'a CStr)> {
    let table = table(of);
    // SAFETY: the caller's promise.
    (!table.owner.fails()).then(|| (table, unsafe { CStr::from_ptr(name) }))
}

unsafe extern "C-unwind" fn get_table_field(
    of: *mut ss_plugin_table_t,
    name: *const c_char,
    kind: ss_plugin_state_type,
) -> *mut ss_plugin_table_field_t {
    // SAFETY: see above.
    let Some((table, name)) = (unsafe { requested_field(of, name) }) else {
        return ptr::null_mut();
    };
    let fields = lock(&table.schema.fields);
    let found = fields
        .iter()
        .find(|field| field.name.as_c_str() == name && field.kind == kind);
    found.map_or(ptr::null_mut(), |field| Arc::as_ptr(field).cast_mut().cast())
}

unsafe extern "C-unwind" fn add_table_field(
    of: *mut ss_plugin_table_t,
    name: *const c_char,
    kind: ss_plugin_state_type,
) -> *mut ss_plugin_table_field_t {
    // SAFETY: see above.
    let Some((table, name)) = (unsafe { requested_field(of, name) }) else {
        return ptr::null_mut();
    };
    let mut fields = lock(&table.schema.fields);
    let field = Arc::new(Field {
        name: name.to_owned(),
        kind,
        is_read_only: false,
        index: fields.len(),
    });
    fields.push(Arc::clone(&field));
    Arc::as_ptr(&field).cast_mut().cast()
}

unsafe extern "C-unwind" fn get_table_name(of: *mut ss_plugin_table_t) -> *const c_char {
    table(of).input.name
}

unsafe extern "C-unwind" fn get_table_size(of: *mut ss_plugin_table_t) -> u64 {
    let table = table(of);
    if table.owner.fails() {
        u64::MAX
    } else {
        lock(&table.rows).len() as u64
    }
}

unsafe extern "C-unwind" fn get_table_entry(
    of: *mut ss_plugin_table_t,
    key: *const ss_plugin_state_data,
) -> *mut ss_plugin_table_entry_t {
    let table = table(of);
    if table.owner.fails() {
        return ptr::null_mut();
    }
    let found = lock(&table.rows).get(&table.key(key)).cloned();
    found.map_or(ptr::null_mut(), |entry| table.take(entry, false))
}

unsafe extern "C-unwind" fn read_entry_field(
    of: *mut ss_plugin_table_t,
    entry: *mut ss_plugin_table_entry_t,
    accessor: *const ss_plugin_table_field_t,
    out: *mut ss_plugin_state_data,
) -> ss_plugin_rc {
    let table = table(of);
    let taken = taken(table, entry);
    let Some(field) = field(table, accessor).filter(|_| !table.owner.fails()) else {
        return FAILURE;
    };
    let mut data = ss_plugin_state_data { u64_: u64::MAX };
    match (field.kind, lock(&taken.entry.values).get(&field.index)) {
        (TABLE, _) => {
            data.table = taken
                .entry
                .subtable
                .as_ref()
                .map_or(ptr::null_mut(), |table| table.as_ptr());
        }
        (_, Some(Value::Number(number))) => data.u64_ = *number,
        (_, Some(Value::Text(text))) => data.str_ = text.as_ptr(),
        // A string that was never written is NULL.
        (STRING, None) => data.str_ = ptr::null(),
        // Any bits, also in a boolean.
        (_, None) => {}
    }
    // SAFETY: the plugin passes a place for the value.
    unsafe { out.write(data) };
    SUCCESS
}

unsafe extern "C-unwind" fn release_table_entry(of: *mut ss_plugin_table_t, entry: *mut ss_plugin_table_entry_t) {
    let table = table(of);
    if taken(table, entry).is_new {
        report("a new entry was released");
    }
    table.owner.with_tables(|tables| tables.taken -= 1);
    // SAFETY: the handle came from `Table::take`, and is not used afterwards.
    drop(unsafe { Box::from_raw(entry.cast::<Taken>()) });
}

unsafe extern "C-unwind" fn iterate_entries(
    of: *mut ss_plugin_table_t,
    visit: ss_plugin_table_iterator_func_t,
    state: *mut ss_plugin_table_iterator_state_t,
) -> ss_plugin_bool {
    let table = table(of);
    if table.owner.fails() {
        return 0;
    }
    let visit = visit.expect("a function");
    let entries: Vec<_> = lock(&table.rows).values().cloned().collect();
    for entry in entries {
        let mut taken = Box::new(Taken {
            table,
            entry,
            is_new: false,
        });
        // SAFETY: the entry is valid during the call.
        if unsafe { visit(state, (&raw mut *taken).cast()) } == 0 {
            return 0;
        }
    }
    // Failing after the last entry.
    (!table.owner.fails()).into()
}

unsafe extern "C-unwind" fn clear_table(of: *mut ss_plugin_table_t) -> ss_plugin_rc {
    let table = table(of);
    if table.owner.fails() {
        return FAILURE;
    }
    lock(&table.rows).clear();
    SUCCESS
}

unsafe extern "C-unwind" fn erase_table_entry(
    of: *mut ss_plugin_table_t,
    key: *const ss_plugin_state_data,
) -> ss_plugin_rc {
    let table = table(of);
    if table.owner.fails() {
        return FAILURE;
    }
    match lock(&table.rows).remove(&table.key(key)) {
        Some(_) => SUCCESS,
        None => FAILURE,
    }
}

unsafe extern "C-unwind" fn create_table_entry(of: *mut ss_plugin_table_t) -> *mut ss_plugin_table_entry_t {
    let table = table(of);
    if table.owner.fails() {
        return ptr::null_mut();
    }
    table.take(table.new_entry(), true)
}

unsafe extern "C-unwind" fn destroy_table_entry(of: *mut ss_plugin_table_t, entry: *mut ss_plugin_table_entry_t) {
    let table = table(of);
    if !std::mem::take(&mut taken(table, entry).is_new) {
        report("an entry that is in a table was destroyed");
    }
    // SAFETY: the plugin's entry.
    unsafe { release_table_entry(of, entry) };
}

unsafe extern "C-unwind" fn add_table_entry(
    of: *mut ss_plugin_table_t,
    key: *const ss_plugin_state_data,
    entry: *mut ss_plugin_table_entry_t,
) -> *mut ss_plugin_table_entry_t {
    let table = table(of);
    if !std::mem::take(&mut taken(table, entry).is_new) {
        report("an entry that is in a table was added");
    }
    let added = Arc::clone(&taken(table, entry).entry);
    let key = table.key(key);
    // As in libs, the entry is the host's, also after a failure.
    // SAFETY: the plugin's entry.
    unsafe { release_table_entry(of, entry) };
    if table.owner.fails() || lock(&table.rows).len() >= MOST_ENTRIES {
        return ptr::null_mut();
    }
    lock(&table.rows).insert(key, Arc::clone(&added));
    table.take(added, false)
}

unsafe extern "C-unwind" fn write_entry_field(
    of: *mut ss_plugin_table_t,
    entry: *mut ss_plugin_table_entry_t,
    accessor: *const ss_plugin_table_field_t,
    value: *const ss_plugin_state_data,
) -> ss_plugin_rc {
    let table = table(of);
    let taken = taken(table, entry);
    let Some(field) = field(table, accessor).filter(|_| !table.owner.fails()) else {
        return FAILURE;
    };
    if field.is_read_only {
        report("a field was written that is read-only");
        return FAILURE;
    }
    // SAFETY: the plugin passes a value of the field's type.
    let value = unsafe {
        match field.kind {
            STRING => Value::Text(CStr::from_ptr((*value).str_).to_owned()),
            _ => Value::Number((*value).u64_),
        }
    };
    lock(&taken.entry.values).insert(field.index, value);
    SUCCESS
}
