//! Extracting fields.

use std::ptr;

use falco_plugin_api::{ss_plugin_event_input, ss_plugin_field_extract_input, ss_plugin_rc, ss_plugin_t};
use falco_plugin_api_table::{FAILURE, SUCCESS};
use falco_plugin_engine::error::Error;

use super::event;
use crate::extraction::ExtractRequest;
use crate::guard::guard;
use crate::state::PluginState;

pub(crate) unsafe extern "C" fn extract_fields(
    state: *mut ss_plugin_t,
    event: *const ss_plugin_event_input,
    input: *const ss_plugin_field_extract_input,
) -> ss_plugin_rc {
    // SAFETY: NULL, or a state of `init`, and the host's event and extraction inputs.
    let (state, event, input) = unsafe { (PluginState::from_handle(state), event.as_ref(), input.as_ref()) };
    let Some(input) = input else {
        if let Some(state) = state {
            state.set_error(&Error::text("extract_fields was called without its input"));
        }
        return FAILURE;
    };
    // SAFETY: the host's input is valid during the call.
    let mut request = unsafe { ExtractRequest::new(input) };
    // If the call fails, no field has a value.
    request.set_absent();
    let Some(state) = state else { return FAILURE };
    let extracted = guard(|| {
        let plugin = state.extract()?;
        // SAFETY: the host's event is valid during the call.
        let event = unsafe { event::read(state, event) }?;
        if !plugin.extracts_from_other_events() {
            event::check_is_plugin_event(&event)?;
        }
        // SAFETY: the host's functions are NULL or valid during the call. Fields only read tables.
        let _open = unsafe { state.tables.begin(input.table_reader_ext, ptr::null()) };
        let filled = state
            .extraction
            .with(|extraction| extraction.fill(plugin, &event, &mut request));
        filled.unwrap_or_else(event::reentered)
    });
    match extracted {
        Ok(()) => SUCCESS,
        Err(error) => {
            state.set_error(&error);
            FAILURE
        }
    }
}
