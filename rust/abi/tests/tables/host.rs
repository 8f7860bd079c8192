//! A host that passes the tables of one plugin to another, as libs does.

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use falco_plugin_abi::api::{FAILURE, SUCCESS};
use falco_plugin_abi::init::TABLE;
use falco_plugin_api::*;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::plugin::Plugin;
use falco_plugin_engine::table::HostTables;

use crate::support::start_with;

pub type State = *mut ss_plugin_t;

/// Checks that functions are present in an extended table, and the same in the plain one.
macro_rules! same {
    ($ext:expr, $plain:expr => $($name:ident),*) => {
        $(
            assert!($ext.$name.is_some());
            assert_eq!($ext.$name.map(|function| function as usize), $plain.$name.map(|function| function as usize));
        )*
    };
}

/// The host's side of one plugin.
#[derive(Default)]
pub struct Host {
    pub tables: Mutex<Vec<(CString, ss_plugin_table_input)>>,
    infos: Mutex<Vec<ss_plugin_table_info>>,
    pub taken: AtomicUsize,
    pub released: AtomicUsize,
    /// The owner of the tables, which is asked for errors.
    pub owner: AtomicPtr<ss_plugin_t>,
}

// SAFETY: each test uses its host on one thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

unsafe fn host<'a>(owner: *mut ss_plugin_owner_t) -> &'a Host {
    // SAFETY: the tests pass their host as the owner.
    unsafe { &*owner.cast::<Host>() }
}

/// The host that counts the entries of the running test.
pub static COUNTING: AtomicPtr<Host> = AtomicPtr::new(ptr::null_mut());
/// Tests that count take turns.
pub static TURN: Mutex<()> = Mutex::new(());

unsafe extern "C-unwind" fn list_tables(owner: *mut ss_plugin_owner_t, count: *mut u32) -> *mut ss_plugin_table_info {
    // SAFETY: see `host`.
    unsafe {
        let host = host(owner);
        let tables = host.tables.lock().unwrap();
        let mut infos = host.infos.lock().unwrap();
        *infos = tables
            .iter()
            .map(|(name, input)| ss_plugin_table_info {
                name: name.as_ptr(),
                key_type: input.key_type,
            })
            .collect();
        *count = infos.len() as u32;
        infos.as_mut_ptr()
    }
}

unsafe extern "C-unwind" fn get_table(
    owner: *mut ss_plugin_owner_t,
    name: *const c_char,
    key_type: ss_plugin_state_type,
) -> *mut ss_plugin_table_t {
    // SAFETY: see `host`. No table is added any more, so the address of the struct stays.
    unsafe {
        let tables = host(owner).tables.lock().unwrap();
        let found = tables
            .iter()
            .find(|(known, input)| known.as_c_str() == CStr::from_ptr(name) && input.key_type == key_type);
        found.map_or(ptr::null_mut(), |(_, input)| ptr::from_ref(input).cast_mut().cast())
    }
}

unsafe extern "C-unwind" fn add_table(owner: *mut ss_plugin_owner_t, input: *const ss_plugin_table_input) -> i32 {
    // SAFETY: see `host`.
    unsafe {
        let (mut tables, input) = (host(owner).tables.lock().unwrap(), *input);
        let name = CStr::from_ptr(input.name).to_owned();
        if tables.iter().any(|(known, _)| *known == name) {
            return FAILURE;
        }
        // The checks of libs.
        same!(*input.reader_ext, input.reader => get_table_name, get_table_size, get_table_entry, read_entry_field);
        assert!((*input.reader_ext).release_table_entry.is_some() && (*input.reader_ext).iterate_entries.is_some());
        same!(*input.writer_ext, input.writer => clear_table, erase_table_entry, create_table_entry, destroy_table_entry);
        same!(*input.writer_ext, input.writer => add_table_entry, write_entry_field);
        same!(*input.fields_ext, input.fields => list_table_fields, get_table_field, add_table_field);
        tables.push((name, input));
        SUCCESS
    }
}

unsafe extern "C-unwind" fn last_owner_error(owner: *mut ss_plugin_owner_t) -> *const c_char {
    // SAFETY: see `host`. The owner of the tables is not destroyed yet.
    unsafe {
        let owner = host(owner).owner.load(Ordering::Relaxed);
        if owner.is_null() {
            ptr::null()
        } else {
            (TABLE.get_last_error)(owner)
        }
    }
}

/// Defines functions of the host that pass a call on to the table, as libs does.
macro_rules! dispatch {
    ($($name:ident: $vtable:ident($($param:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(unsafe extern "C-unwind" fn $name(table: *mut ss_plugin_table_t, $($param: $type),*) $(-> $result)? {
            // SAFETY: the table is a struct of `Host::tables`, or one of a sub-table.
            unsafe {
                let input = &*table.cast::<ss_plugin_table_input>();
                ((*input.$vtable).$name.unwrap())(input.table, $($param),*)
            }
        })*
    };
}

dispatch! {
    list_table_fields: fields_ext(count: *mut u32) -> *const ss_plugin_table_fieldinfo;
    get_table_field: fields_ext(name: *const c_char, kind: ss_plugin_state_type) -> *mut ss_plugin_table_field_t;
    add_table_field: fields_ext(name: *const c_char, kind: ss_plugin_state_type) -> *mut ss_plugin_table_field_t;
    get_table_name: reader_ext() -> *const c_char;
    get_table_size: reader_ext() -> u64;
    read_entry_field: reader_ext(
        entry: *mut ss_plugin_table_entry_t,
        field: *const ss_plugin_table_field_t,
        out: *mut ss_plugin_state_data
    ) -> i32;
    iterate_entries: reader_ext(
        visit: ss_plugin_table_iterator_func_t,
        state: *mut ss_plugin_table_iterator_state_t
    ) -> u32;
    clear_table: writer_ext() -> i32;
    erase_table_entry: writer_ext(key: *const ss_plugin_state_data) -> i32;
    create_table_entry: writer_ext() -> *mut ss_plugin_table_entry_t;
    destroy_table_entry: writer_ext(entry: *mut ss_plugin_table_entry_t);
    write_entry_field: writer_ext(
        entry: *mut ss_plugin_table_entry_t,
        field: *const ss_plugin_table_field_t,
        value: *const ss_plugin_state_data
    ) -> i32;
}

fn count(counter: fn(&Host) -> &AtomicUsize, is_counted: bool) {
    // SAFETY: NULL, or the host of the test whose turn it is.
    if let Some(host) = unsafe { COUNTING.load(Ordering::Relaxed).as_ref() } {
        counter(host).fetch_add(usize::from(is_counted), Ordering::Relaxed);
    }
}

unsafe extern "C-unwind" fn get_table_entry(
    table: *mut ss_plugin_table_t,
    key: *const ss_plugin_state_data,
) -> *mut ss_plugin_table_entry_t {
    // SAFETY: as in `dispatch`.
    unsafe {
        let input = &*table.cast::<ss_plugin_table_input>();
        let entry = ((*input.reader_ext).get_table_entry.unwrap())(input.table, key);
        count(|host| &host.taken, !entry.is_null());
        entry
    }
}

unsafe extern "C-unwind" fn add_table_entry(
    table: *mut ss_plugin_table_t,
    key: *const ss_plugin_state_data,
    entry: *mut ss_plugin_table_entry_t,
) -> *mut ss_plugin_table_entry_t {
    // SAFETY: as in `dispatch`.
    unsafe {
        let input = &*table.cast::<ss_plugin_table_input>();
        let entry = ((*input.writer_ext).add_table_entry.unwrap())(input.table, key, entry);
        count(|host| &host.taken, !entry.is_null());
        entry
    }
}

unsafe extern "C-unwind" fn release_table_entry(table: *mut ss_plugin_table_t, entry: *mut ss_plugin_table_entry_t) {
    // SAFETY: as in `dispatch`.
    unsafe {
        let input = &*table.cast::<ss_plugin_table_input>();
        count(|host| &host.released, true);
        ((*input.reader_ext).release_table_entry.unwrap())(input.table, entry);
    }
}

pub fn reader() -> ss_plugin_table_reader_vtable_ext {
    ss_plugin_table_reader_vtable_ext {
        get_table_name: Some(get_table_name),
        get_table_size: Some(get_table_size),
        get_table_entry: Some(get_table_entry),
        read_entry_field: Some(read_entry_field),
        release_table_entry: Some(release_table_entry),
        iterate_entries: Some(iterate_entries),
    }
}

fn writer() -> ss_plugin_table_writer_vtable_ext {
    ss_plugin_table_writer_vtable_ext {
        clear_table: Some(clear_table),
        erase_table_entry: Some(erase_table_entry),
        create_table_entry: Some(create_table_entry),
        destroy_table_entry: Some(destroy_table_entry),
        add_table_entry: Some(add_table_entry),
        write_entry_field: Some(write_entry_field),
    }
}

/// Initialises a plugin with the tables of a host. `passes` changes what the host passes.
pub fn start(
    host: &Host,
    passes: impl FnOnce(&mut ss_plugin_init_tables_input) -> bool,
    make: impl FnOnce(&dyn HostTables) -> Result<Box<dyn Plugin>, Error>,
) -> (State, i32) {
    let (mut reader, mut writer) = (reader(), writer());
    let mut fields = ss_plugin_table_fields_vtable_ext {
        list_table_fields: Some(list_table_fields),
        get_table_field: Some(get_table_field),
        add_table_field: Some(add_table_field),
    };
    let mut tables = ss_plugin_init_tables_input {
        list_tables: Some(list_tables),
        get_table: Some(get_table),
        add_table: Some(add_table),
        fields: ss_plugin_table_fields_vtable {
            list_table_fields: fields.list_table_fields,
            get_table_field: fields.get_table_field,
            add_table_field: fields.add_table_field,
        },
        fields_ext: &raw mut fields,
        reader_ext: &raw mut reader,
        writer_ext: &raw mut writer,
    };
    let has_tables = passes(&mut tables);
    let input = ss_plugin_init_input {
        config: ptr::null(),
        owner: ptr::from_ref(host).cast_mut().cast(),
        get_owner_last_error: Some(last_owner_error),
        tables: if has_tables { &raw const tables } else { ptr::null() },
        log_fn: None,
    };
    // SAFETY: the input outlives the call; owner and functions outlive the state.
    let reply = unsafe { start_with(&input, |_, tables| make(&*tables)) };
    (reply.state, reply.rc)
}
