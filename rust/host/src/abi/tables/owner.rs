//! The tables and entries that one plugin uses.

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use falco_plugin_api::{
    ss_plugin_state_type, ss_plugin_table_entry_t, ss_plugin_table_fieldinfo, ss_plugin_table_info,
    ss_plugin_table_input, ss_plugin_table_t,
};

use crate::abi::tables::builtin::{BuiltIn, Entry, lock};
use crate::abi::tables::functions;
use crate::abi::tables::registry::{PluginTable, Registered, Registry, Table};

/// The host's side of the tables of one plugin.
pub(in crate::abi) struct PluginTables {
    pub(super) registry: Arc<Registry>,
    state: Mutex<State>,
    /// Whether the current call may have obtained sub-tables or entries. Most calls obtain none.
    has_obtained: AtomicBool,
}

#[derive(Default)]
#[expect(clippy::vec_box, reason = "plugins keep the addresses of the accessors")]
struct State {
    /// The tables that the plugin has opened. Their addresses stay valid as long as this object.
    accessed: Vec<Box<Accessor>>,
    /// The sub-tables that were read during the call.
    subtables: Vec<Box<Accessor>>,
    /// The entries of the host's tables that were obtained during the call, one element for each time.
    taken: Vec<Arc<Entry>>,
    /// The entries that were created and not added yet.
    created: Vec<Arc<Entry>>,
    /// How many entries of other plugins' tables were obtained and not released.
    of_plugins: i64,
    last_error: CString,
    infos: Vec<ss_plugin_table_info>,
    names: Vec<CString>,
    fields: Vec<ss_plugin_table_fieldinfo>,
}

// SAFETY: the pointers are those of accessors and of names, which this object owns, and are only read by the plugin.
unsafe impl Send for State {}

/// An opened table. The plugin gets the address of its `input`.
pub(super) struct Accessor {
    pub(super) input: ss_plugin_table_input,
    pub(super) owner: &'static PluginTables,
    pub(super) table: Table,
}

impl PluginTables {
    pub(in crate::abi) fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            state: Mutex::default(),
            has_obtained: AtomicBool::default(),
        }
    }

    /// Returns the plugin's error, which is valid until the next one.
    pub(in crate::abi) fn last_error(&self) -> *const c_char {
        let state = lock(&self.state);
        if state.last_error.is_empty() {
            ptr::null()
        } else {
            state.last_error.as_ptr()
        }
    }

    pub(super) fn fail(&self, message: String) {
        lock(&self.state).last_error = CString::new(message.replace('\0', "?")).unwrap_or_default();
    }

    /// Locks the state to record what the plugin obtains.
    fn obtain(&self) -> MutexGuard<'_, State> {
        self.has_obtained.store(true, Ordering::Relaxed);
        lock(&self.state)
    }

    /// Ends a call of the plugin: sub-tables and entries that it has taken are no longer valid. Returns how many entries it
    /// has not released.
    #[inline]
    pub(in crate::abi) fn end_call(&self) -> usize {
        if self.has_obtained.load(Ordering::Relaxed) {
            self.end_call_with_tables()
        } else {
            0
        }
    }

    #[cold]
    fn end_call_with_tables(&self) -> usize {
        self.has_obtained.store(false, Ordering::Relaxed);
        let mut state = lock(&self.state);
        let kept = state.taken.len() + state.created.len() + usize::try_from(state.of_plugins).unwrap_or(0);
        state.of_plugins = 0;
        let (subtables, taken, created) = (
            std::mem::take(&mut state.subtables),
            std::mem::take(&mut state.taken),
            std::mem::take(&mut state.created),
        );
        drop(state);
        drop((subtables, taken, created));
        kept
    }

    /// Returns the tables that exist. The array is valid until the next call.
    pub(super) fn list(&self, count: &mut u32) -> *mut ss_plugin_table_info {
        let mut state = lock(&self.state);
        let tables = self.registry.tables();
        state.names = tables.iter().map(|table| table.name.clone()).collect();
        let names = state.names.iter();
        state.infos = names
            .zip(&tables)
            .map(|(name, table)| ss_plugin_table_info {
                name: name.as_ptr(),
                key_type: table.key_type,
            })
            .collect();
        *count = state.infos.len() as u32;
        state.infos.as_mut_ptr()
    }

    /// Opens a table. Returns NULL without an error if there is none, as libs does.
    pub(super) fn open(&'static self, name: &CStr, key_type: ss_plugin_state_type) -> *mut ss_plugin_table_t {
        let Some(found) = self.registry.find(name) else {
            return ptr::null_mut();
        };
        if found.key_type != key_type {
            self.fail(format!(
                "table in registry accessed with wrong key type: table='{}'",
                name.to_string_lossy()
            ));
            return ptr::null_mut();
        }
        let mut state = lock(&self.state);
        let known = state.accessed.iter().position(|accessor| {
            // SAFETY: the name is that of the accessor's table.
            unsafe { CStr::from_ptr(accessor.input.name) == name }
        });
        let index = known.unwrap_or_else(|| {
            state.accessed.push(self.accessor(found));
            state.accessed.len() - 1
        });
        (&raw mut state.accessed[index].input).cast()
    }

    /// Makes the address of a sub-table, which is valid until the end of the call.
    pub(super) fn open_subtable(&'static self, table: Arc<BuiltIn>) -> *mut ss_plugin_table_t {
        let registered = Registered {
            name: table.schema.name.clone(),
            key_type: table.schema.key_type,
            table: Table::BuiltIn(table),
        };
        let mut accessor = self.accessor(registered);
        let address = &raw mut accessor.input;
        self.obtain().subtables.push(accessor);
        address.cast()
    }

    fn accessor(&'static self, found: Registered) -> Box<Accessor> {
        let name = match &found.table {
            Table::BuiltIn(table) => table.schema.name.as_ptr(),
            Table::Plugin(PluginTable { name, .. }) => *name,
        };
        let mut accessor = Box::new(Accessor {
            input: functions::table_input(name, found.key_type),
            owner: self,
            table: found.table,
        });
        accessor.input.table = (&raw mut *accessor).cast();
        accessor
    }

    /// Keeps an entry of a host's table until it is released. Returns its address.
    pub(super) fn take(&self, entry: Arc<Entry>) -> *mut ss_plugin_table_entry_t {
        let address = Arc::as_ptr(&entry).cast_mut().cast();
        self.obtain().taken.push(entry);
        address
    }

    pub(super) fn release(&self, entry: *mut ss_plugin_table_entry_t) {
        let mut state = lock(&self.state);
        let found = state
            .taken
            .iter()
            .position(|taken| Arc::as_ptr(taken).cast() == entry.cast_const());
        let released = found.map(|index| state.taken.swap_remove(index));
        drop(state);
        drop(released);
    }

    pub(super) fn create(&self, entry: Arc<Entry>) -> *mut ss_plugin_table_entry_t {
        let address = Arc::as_ptr(&entry).cast_mut().cast();
        self.obtain().created.push(entry);
        address
    }

    /// Takes back an entry that was created.
    pub(super) fn take_created(&self, entry: *mut ss_plugin_table_entry_t) -> Option<Arc<Entry>> {
        let mut state = lock(&self.state);
        let found = state
            .created
            .iter()
            .position(|made| Arc::as_ptr(made).cast() == entry.cast_const());
        found.map(|index| state.created.swap_remove(index))
    }

    /// Counts entries of other plugins' tables that were obtained or released.
    pub(super) fn count_of_plugins(&self, change: i64) {
        self.obtain().of_plugins += change;
    }

    /// Returns the fields of a table. The array is valid until the next call.
    pub(super) fn list_fields(&self, table: &BuiltIn, count: &mut u32) -> *const ss_plugin_table_fieldinfo {
        let mut state = lock(&self.state);
        let fields = table.schema.fields();
        state.fields = fields
            .iter()
            .map(|field| ss_plugin_table_fieldinfo {
                name: field.name.as_ptr(),
                field_type: field.kind,
                read_only: field.is_read_only.into(),
            })
            .collect();
        *count = state.fields.len() as u32;
        state.fields.as_ptr()
    }
}
