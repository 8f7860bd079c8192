//! Asking a plugin for a field, as the host does.

use std::ffi::CStr;
use std::ptr;

use falco_plugin_api::{
    ss_plugin_event_input, ss_plugin_extract_field, ss_plugin_extract_field__bindgen_ty_1 as Pointer,
    ss_plugin_field_extract_input, ss_plugin_owner_t, ss_plugin_rc_SS_PLUGIN_FAILURE as FAILURE,
    ss_plugin_rc_SS_PLUGIN_NOT_SUPPORTED as NOT_SUPPORTED, ss_plugin_rc_SS_PLUGIN_SUCCESS as SUCCESS, ss_plugin_t,
    ss_plugin_table_reader_vtable, ss_plugin_table_reader_vtable_ext,
};

use crate::abi::event::Event;
use crate::abi::functions::ExtractFields;
use crate::abi::values::{Fault, Values, unset};
use crate::select::column::Column;

/// The host passes the flag of its own that it keeps for lists.
const LIST_FLAG: u32 = 1 << 6;
const ABSENT_INDEX: u64 = u64::MAX;
const UNSET_LENGTH: u64 = 0x5EED_5EED_5EED_5EED;

/// The function of an initialised plugin that extracts.
#[derive(Clone, Copy)]
pub(crate) struct Extract {
    pub(crate) state: *mut ss_plugin_t,
    pub(crate) owner: *mut ss_plugin_owner_t,
    pub(crate) function: ExtractFields,
}

impl Extract {
    /// Asks for one field of an event. None where the event does not have it.
    ///
    /// # Safety
    /// The plugin is initialised, and its state is not used from elsewhere during the call. The event is a whole one.
    /// Neither destroy nor another extraction on the same state comes within `'v`.
    pub(crate) unsafe fn call<'v>(
        self,
        event: &ss_plugin_event_input,
        column: &Column,
    ) -> Result<Option<Values<'v>>, Fault> {
        let mut field = ss_plugin_extract_field {
            // What the host leaves here is whatever was in its memory.
            res: Pointer { u64_: unset() },
            res_len: UNSET_LENGTH,
            field_id: column.id,
            field: column.c_name.as_ptr(),
            arg_key: column.key.as_deref().map_or(ptr::null(), CStr::as_ptr),
            arg_index: column.index.unwrap_or(ABSENT_INDEX),
            arg_present: column.argument.is_some().into(),
            ftype: column.type_.code(),
            flist: if column.is_list { LIST_FLAG } else { 0 },
        };
        // SAFETY: structs of optional function pointers, for which all zeroes means that there is none. A plugin that
        // reads tables has refused to be initialised without them.
        let (table_reader, mut table_reader_ext): (ss_plugin_table_reader_vtable, ss_plugin_table_reader_vtable_ext) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let input = ss_plugin_field_extract_input {
            owner: self.owner,
            get_owner_last_error: Some(crate::output::log::get_owner_last_error),
            num_fields: 1,
            fields: &raw mut field,
            table_reader,
            table_reader_ext: &raw mut table_reader_ext,
            // Falco asks for no places, and plugins differ in how many they give to one that does.
            value_offsets: ptr::null_mut(),
        };
        // SAFETY: the caller's promise for the state and the event; the input and all it points to are good for the call.
        let code = unsafe { (self.function)(self.state, event, &raw const input) };
        match code {
            SUCCESS if field.res_len == UNSET_LENGTH => return Err(Fault::Unset("res_len")),
            SUCCESS if field.res_len > 0 => {}
            SUCCESS | FAILURE | NOT_SUPPORTED => return Ok(None),
            other => return Err(Fault::UnknownCode(other)),
        }
        Values::check(&field, column).map(Some)
    }
}

pub(super) fn event_input(event: &Event<'_>, number: u64, source: &CStr) -> ss_plugin_event_input {
    ss_plugin_event_input {
        evt: event.as_ptr(),
        evtnum: number,
        evtsrc: source.as_ptr(),
    }
}
