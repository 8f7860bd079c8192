//! Extraction of one field, called as Falco calls it.

use std::ffi::CStr;
use std::ptr;

use falco_plugin_api::{
    ss_plugin_event_input, ss_plugin_extract_field, ss_plugin_extract_field__bindgen_ty_1 as Pointer,
    ss_plugin_field_extract_input, ss_plugin_rc_SS_PLUGIN_FAILURE as FAILURE,
    ss_plugin_rc_SS_PLUGIN_NOT_SUPPORTED as NOT_SUPPORTED, ss_plugin_rc_SS_PLUGIN_SUCCESS as SUCCESS, ss_plugin_t,
};
use falco_plugin_api_table::signatures;

use crate::abi::event::Event;
use crate::abi::event_types::EventTypes;
use crate::abi::owner::{self, Owner};
use crate::abi::query::FieldQuery;
use crate::abi::tables;
use crate::abi::values::{ValueFault, Values, unset};

/// The nonzero value that Falco passes as `flist` for lists: its own internal flag.
const LIST_FLAG: u32 = 1 << 6;
/// The index of a query without one.
const ABSENT_INDEX: u64 = u64::MAX;
/// The number of values before a call that must set it. It shows whether the plugin did.
const UNSET_LENGTH: u64 = 0x5EED_5EED_5EED_5EED;

/// The function that extracts, its arguments that do not change, and the types of its events.
#[derive(Clone)]
pub(super) struct Extract {
    pub(super) state: *mut ss_plugin_t,
    pub(super) owner: &'static Owner,
    pub(super) function: signatures::extract_fields,
    pub(super) types: EventTypes,
}

impl Extract {
    /// Extracts one field from an event. Returns `None` if the event does not have the field, or if the plugin does not
    /// extract from events of its type.
    ///
    /// # Safety
    /// The plugin is initialised, and no other call uses its state during this one, unless the plugin allows it. The
    /// event was checked. Within `'v`, neither `destroy` nor another extraction of this plugin on this thread happens.
    pub(super) unsafe fn call<'v>(
        &self,
        event: &Event<'_>,
        number: u64,
        source: &CStr,
        query: &FieldQuery,
    ) -> Result<Option<Values<'v>>, ValueFault> {
        if !self.types.contain(event, source) {
            return Ok(None);
        }
        let event = event_input(event, number, source);
        let mut field = ss_plugin_extract_field {
            // Falco leaves these two uninitialised.
            res: Pointer { u64_: unset() },
            res_len: UNSET_LENGTH,
            field_id: query.id,
            field: query.name.as_ptr(),
            arg_key: query.key.as_deref().map_or(ptr::null(), CStr::as_ptr),
            arg_index: query.index.unwrap_or(ABSENT_INDEX),
            arg_present: query.has_argument.into(),
            ftype: query.type_.code(),
            flist: if query.is_list { LIST_FLAG } else { 0 },
        };
        let input = ss_plugin_field_extract_input {
            owner: self.owner.as_ptr(),
            get_owner_last_error: Some(owner::get_owner_last_error),
            num_fields: 1,
            fields: &raw mut field,
            table_reader: tables::plain_reader(&tables::READER),
            // Plugins only read it.
            table_reader_ext: (&raw const tables::READER).cast_mut(),
            // Falco does not ask for offsets, and plugins disagree about how many of them to return.
            value_offsets: ptr::null_mut(),
        };
        // SAFETY: the caller ensures what state and event require. The input and all it points to are valid for the call.
        let code = unsafe { (self.function)(self.state, &raw const event, &raw const input) };
        self.owner.end_call("extract_fields");
        match code {
            SUCCESS if field.res_len == UNSET_LENGTH => return Err(ValueFault::Unset("res_len")),
            SUCCESS if field.res_len > 0 => {}
            SUCCESS | FAILURE | NOT_SUPPORTED => return Ok(None),
            other => return Err(ValueFault::UnknownCode(other)),
        }
        Values::check(&field, query).map(Some)
    }
}

/// Returns an event as the plugin API passes it to a function of one event.
pub(super) fn event_input(event: &Event<'_>, number: u64, source: &CStr) -> ss_plugin_event_input {
    ss_plugin_event_input {
        evt: event.as_ptr(),
        evtnum: number,
        evtsrc: source.as_ptr(),
    }
}
