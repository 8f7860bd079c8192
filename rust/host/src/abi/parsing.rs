//! Parsing of one event, called as Falco calls it.

use std::ffi::CStr;

use falco_plugin_api::{
    ss_plugin_event_parse_input, ss_plugin_rc_SS_PLUGIN_FAILURE as FAILURE,
    ss_plugin_rc_SS_PLUGIN_NOT_SUPPORTED as NOT_SUPPORTED, ss_plugin_rc_SS_PLUGIN_SUCCESS as SUCCESS, ss_plugin_t,
};
use falco_plugin_api_table::signatures;

use crate::abi::error::Error;
use crate::abi::event::Event;
use crate::abi::event_types::EventTypes;
use crate::abi::extraction::event_input;
use crate::abi::owner::{self, Owner};
use crate::abi::tables;

/// The function that parses, its arguments that do not change, and the types of its events.
#[derive(Clone)]
pub(super) struct Parse {
    state: *mut ss_plugin_t,
    owner: &'static Owner,
    function: signatures::parse_event,
    types: EventTypes,
    input: ss_plugin_event_parse_input,
}

impl Parse {
    pub(super) fn new(
        state: *mut ss_plugin_t,
        owner: &'static Owner,
        function: signatures::parse_event,
        types: EventTypes,
    ) -> Self {
        let input = ss_plugin_event_parse_input {
            owner: owner.as_ptr(),
            get_owner_last_error: Some(owner::get_owner_last_error),
            table_reader: tables::plain_reader(&tables::READER),
            table_writer: tables::plain_writer(&tables::WRITER),
            // Plugins only read both.
            table_reader_ext: (&raw const tables::READER).cast_mut(),
            table_writer_ext: (&raw const tables::WRITER).cast_mut(),
        };
        Self {
            state,
            owner,
            function,
            types,
            input,
        }
    }

    /// Passes an event to the plugin, if it parses events of this type. Returns whether the plugin succeeded.
    ///
    /// Falco ignores a failure, and does not read its message.
    ///
    /// # Safety
    /// The plugin is initialised, and no other call uses its state during this one, unless the plugin allows it. The event
    /// was checked.
    pub(super) unsafe fn call(&self, event: &Event<'_>, number: u64, source: &CStr) -> Result<bool, Error> {
        if !self.types.contain(event, source) {
            return Ok(true);
        }
        let event = event_input(event, number, source);
        // SAFETY: the caller ensures what state and event require. The inputs and all they point to are valid for the call.
        let code = unsafe { (self.function)(self.state, &raw const event, &raw const self.input) };
        self.owner.end_call("parse_event");
        match code {
            SUCCESS => Ok(true),
            FAILURE | NOT_SUPPORTED => Ok(false),
            code => Err(Error::UnknownParseCode(code)),
        }
    }
}
