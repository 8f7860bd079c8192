//! Changing the configuration.

use falco_plugin_api::{ss_plugin_rc, ss_plugin_set_config_input, ss_plugin_t};
use falco_plugin_api_table::{FAILURE, SUCCESS};
use falco_plugin_engine::error::Error;

use crate::guard::guard;
use crate::state::PluginState;
use crate::strings::from_host;

pub(crate) unsafe extern "C" fn set_config(
    state: *mut ss_plugin_t,
    input: *const ss_plugin_set_config_input,
) -> ss_plugin_rc {
    // SAFETY: NULL, or a state of `init`, and the host's input.
    let (Some(state), input) = (unsafe { (PluginState::from_handle(state), input.as_ref()) }) else {
        return FAILURE;
    };
    let changed = guard(|| {
        let input = input.ok_or_else(|| Error::text("set_config was called without its input"))?;
        // SAFETY: NULL or a NUL-terminated string, valid during the call.
        let config = unsafe { from_host(input.config) };
        state.plugin()?.set_config(&config)
    });
    match changed {
        Ok(()) => SUCCESS,
        Err(error) => {
            state.set_error(&error);
            FAILURE
        }
    }
}
