//! Parsing events.

use std::ptr;

use falco_plugin_api::{ss_plugin_event_input, ss_plugin_event_parse_input, ss_plugin_rc, ss_plugin_t};
use falco_plugin_api_table::{FAILURE, SUCCESS};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::plugin::Parse;

use super::event;
use crate::guard::guard;
use crate::state::PluginState;

pub(crate) unsafe extern "C" fn parse_event(
    state: *mut ss_plugin_t,
    event: *const ss_plugin_event_input,
    input: *const ss_plugin_event_parse_input,
) -> ss_plugin_rc {
    // SAFETY: NULL, or a state of `init`, and the host's event and parse inputs.
    let (state, event, input) = unsafe { (PluginState::from_handle(state), event.as_ref(), input.as_ref()) };
    let Some(state) = state else { return FAILURE };
    let parsed = guard(|| {
        let plugin = state.parse()?;
        // SAFETY: the host's event is valid during the call.
        let encoded = unsafe { event::encoded(event) }?;
        if !plugin.parses(encoded.raw, encoded.source) {
            return Ok(());
        }
        // SAFETY: the host's functions are NULL or valid during the call.
        unsafe { parse_selected(state, plugin, &encoded, input) }
    });
    match parsed {
        Ok(()) => SUCCESS,
        Err(error) => {
            state.set_error(&error);
            FAILURE
        }
    }
}

/// Parses an event that the plugin has asked for. Not inlined, because most plugins ask for few of the events that Falco
/// passes, and the others are to cost as little as possible.
///
/// # Safety
/// The functions of the input are NULL or valid during the call.
#[inline(never)]
unsafe fn parse_selected(
    state: &PluginState,
    plugin: &dyn Parse,
    encoded: &event::Encoded<'_>,
    input: Option<&ss_plugin_event_parse_input>,
) -> Result<(), Error> {
    let event = encoded.decode(state)?;
    let (reader, writer) = input.map_or((ptr::null(), ptr::null()), |input| {
        (input.table_reader_ext.cast_const(), input.table_writer_ext.cast_const())
    });
    // SAFETY: the caller's promise.
    let _open = unsafe { state.tables.begin(reader, writer) };
    let parsed = state
        .extraction
        .with(|extraction| plugin.parse(&mut extraction.cache, &event));
    parsed.map_or_else(event::reentered, Ok)
}
