//! The tables of one run.

use std::ffi::{CStr, CString, c_char};
use std::sync::{Arc, Mutex};

use falco_plugin_api::{
    ss_plugin_state_type, ss_plugin_table_fields_vtable_ext, ss_plugin_table_reader_vtable_ext, ss_plugin_table_t,
    ss_plugin_table_writer_vtable_ext,
};

use crate::abi::tables::builtin::{BuiltIn, lock};
use crate::abi::tables::threads;

/// The tables of one run: those of the host, and those that plugins add.
#[derive(Debug)]
pub struct Registry {
    pub(super) threads: Arc<BuiltIn>,
    tables: Mutex<Vec<Registered>>,
}

#[derive(Debug, Clone)]
pub(super) struct Registered {
    pub(super) name: CString,
    pub(super) key_type: ss_plugin_state_type,
    pub(super) table: Table,
}

#[derive(Debug, Clone)]
pub(super) enum Table {
    BuiltIn(Arc<BuiltIn>),
    Plugin(PluginTable),
}

/// A table that a plugin has added. Its functions work until the plugin is destroyed. As libs, the host copies the
/// functions, and keeps only the addresses of the name and of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct PluginTable {
    pub(super) name: *const c_char,
    pub(super) table: *mut ss_plugin_table_t,
    pub(super) reader_ext: ss_plugin_table_reader_vtable_ext,
    pub(super) writer_ext: ss_plugin_table_writer_vtable_ext,
    pub(super) fields_ext: ss_plugin_table_fields_vtable_ext,
}

// SAFETY: the functions of a table may be called from any thread if the calls do not overlap, which the host ensures for
// all calls of plugins.
unsafe impl Send for PluginTable {}
// SAFETY: as above; the struct is never changed.
unsafe impl Sync for PluginTable {}

impl Registry {
    /// Makes a registry with the table `threads`, which is empty.
    pub fn new() -> Arc<Self> {
        let threads = Arc::new(BuiltIn::new(Arc::new(threads::schema())));
        let registered = Registered {
            name: threads.schema.name.clone(),
            key_type: threads.schema.key_type,
            table: Table::BuiltIn(Arc::clone(&threads)),
        };
        Arc::new(Self {
            threads,
            tables: Mutex::new(vec![registered]),
        })
    }

    pub(super) fn tables(&self) -> Vec<Registered> {
        lock(&self.tables).clone()
    }

    pub(super) fn find(&self, name: &CStr) -> Option<Registered> {
        self.tables().into_iter().find(|table| table.name.as_c_str() == name)
    }

    /// Adds the table of a plugin.
    pub(super) fn add(&self, table: Registered) -> Result<(), String> {
        let mut tables = lock(&self.tables);
        if tables.iter().any(|known| known.name == table.name) {
            return Err(format!(
                "table added to registry multiple times: {}",
                table.name.to_string_lossy()
            ));
        }
        tables.push(table);
        Ok(())
    }

    /// Returns the names of all tables, in the order in which they were added.
    pub fn names(&self) -> Vec<String> {
        let tables = self.tables();
        tables
            .iter()
            .map(|table| table.name.to_string_lossy().into_owned())
            .collect()
    }
}
