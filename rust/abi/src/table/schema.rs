//! The fields of a table that the plugin uses, with their accessors.

use std::ptr;
use std::sync::Arc;

use falco_plugin_api::ss_plugin_table_field_t;
use falco_plugin_engine::table::{BoundField, DataType};

/// The fields that the plugin uses of a table, or of all sub-tables of one field.
pub(super) struct Schema {
    pub(super) name: String,
    pub(super) key_type: DataType,
    pub(super) fields: Vec<BoundField>,
    /// Beside each field, its accessor.
    pub(super) accessors: Vec<Accessor>,
}

pub(super) struct Accessor {
    pub(super) field: *mut ss_plugin_table_field_t,
    pub(super) subtable: Option<Arc<Schema>>,
}

// SAFETY: the address is passed to the host only during a call of it, on the thread of the call.
unsafe impl Send for Accessor {}
// SAFETY: as above, and nothing of it changes.
unsafe impl Sync for Accessor {}

impl Accessor {
    /// Returns the accessor of a field that the table does not have.
    pub(super) fn absent() -> Self {
        Self {
            field: ptr::null_mut(),
            subtable: None,
        }
    }
}
