//! The opaque handles of entries and fields that a table of this plugin passes to its callers.

use std::ffi::CStr;
use std::ptr;
use std::sync::Arc;

use falco_plugin_api::{ss_plugin_state_type, ss_plugin_table_entry_t, ss_plugin_table_field_t};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::table::{Data, Entry, FieldId, OwnTable, OwnedData};

use super::data::{from_c_type, to_c_type};

/// An entry that a caller has taken or created.
pub(super) struct Handle {
    pub(super) entry: Arc<Entry>,
    /// The first string that was read through this handle, with the index of its field. The caller may use it until it
    /// reads the same field again, or releases the handle. Most callers read one, which needs no further memory.
    first: Option<(u32, Arc<CStr>)>,
    /// The strings of other fields.
    others: Vec<(u32, Arc<CStr>)>,
    pub(super) state: HandleState,
    /// The key of the entry, if the table records changes and has the entry.
    pub(super) key: Option<Box<OwnedData>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandleState {
    /// The entry was created, and not added yet.
    Created,
    /// The entry is or was in the table.
    Taken,
    /// The entry is visited by an iteration, to which the handle belongs. The caller need not release it.
    Visited,
}

impl Handle {
    #[inline]
    pub(super) fn new(entry: Arc<Entry>, state: HandleState) -> Self {
        Self {
            entry,
            first: None,
            others: Vec::new(),
            state,
            key: None,
        }
    }

    /// Keeps the key if the table records changes.
    #[inline]
    pub(super) fn with_key(mut self, table: &OwnTable, key: Data<'_>) -> Self {
        if table.outside().is_recorded() {
            self.key = Some(Box::new(key.to_owned()));
        }
        self
    }

    /// Keeps a string until the field is read again, or the handle released.
    #[inline]
    pub(super) fn keep(&mut self, field: u32, text: Arc<CStr>) {
        match &mut self.first {
            Some((index, kept)) if *index == field => *kept = text,
            Some(_) => self.keep_other(field, text),
            None => self.first = Some((field, text)),
        }
    }

    fn keep_other(&mut self, field: u32, text: Arc<CStr>) {
        match self.others.iter_mut().find(|(index, _)| *index == field) {
            Some((_, kept)) => *kept = text,
            None => self.others.push((field, text)),
        }
    }
}

/// # Safety
/// `entry` is NULL, or a handle of this module that was not released, and that no other thread uses during `'a`.
#[inline]
pub(super) unsafe fn handle<'a>(entry: *mut ss_plugin_table_entry_t) -> Result<&'a mut Handle, Error> {
    // SAFETY: the caller's promise.
    unsafe { entry.cast::<Handle>().as_mut() }.ok_or_else(|| Error::text("the entry is NULL"))
}

pub(super) fn into_handle(handle: Handle) -> *mut ss_plugin_table_entry_t {
    Box::into_raw(Box::new(handle)).cast()
}

/// # Safety
/// `entry` is NULL, or a handle of this module, which is not used afterwards.
pub(super) unsafe fn drop_handle(entry: *mut ss_plugin_table_entry_t) {
    let entry = entry.cast::<Handle>();
    // SAFETY: the caller's promise. All handles but those of an iteration come from boxes.
    unsafe {
        if entry
            .as_ref()
            .is_some_and(|handle| handle.state != HandleState::Visited)
        {
            drop(Box::from_raw(entry));
        }
    }
}

// The accessor of a field is a number, not an address, so that one of another table cannot be followed: the index of the
// field and its type, which is never 0.

pub(super) fn into_accessor(field: FieldId) -> *mut ss_plugin_table_field_t {
    let number = (field.index as usize) << 8 | to_c_type(field.kind) as usize;
    ptr::without_provenance_mut(number)
}

#[inline]
pub(super) fn from_accessor(field: *const ss_plugin_table_field_t) -> Result<FieldId, Error> {
    let number = field.addr();
    let kind = from_c_type((number & 0xff) as ss_plugin_state_type);
    let field = kind.and_then(|kind| {
        let index = u32::try_from(number >> 8).ok()?;
        Some(FieldId { index, kind })
    });
    field.ok_or_else(|| Error::text("the field is NULL, or not one of this table"))
}
