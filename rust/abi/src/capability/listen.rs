//! Listening to the beginning and the end of captures.

use std::ptr;

use falco_plugin_api::{ss_plugin_capture_listen_input, ss_plugin_rc, ss_plugin_t};
use falco_plugin_api_table::{FAILURE, SUCCESS};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::words::counted;

use crate::guard::guard;
use crate::log::Severity;
use crate::state::PluginState;

pub(crate) unsafe extern "C" fn capture_open(
    state: *mut ss_plugin_t,
    input: *const ss_plugin_capture_listen_input,
) -> ss_plugin_rc {
    // SAFETY: NULL, or a state of `init`, and the host's input.
    let (state, input) = unsafe { (PluginState::from_handle(state), input.as_ref()) };
    let Some(state) = state else { return FAILURE };
    let opened = guard(|| {
        let input = input.ok_or_else(|| Error::text("capture_open was called without its input"))?;
        let plugin = state.listen()?;
        // A host that opens twice has lost the first capture.
        // SAFETY: the host's input is valid during the call.
        report(state, unsafe { state.routines.stop(Some(input)) });
        // SAFETY: as above. The plugin may read and change tables.
        let _open = unsafe { state.tables.begin(input.table_reader_ext, input.table_writer_ext) };
        let routines = plugin.capture_open()?;
        // SAFETY: as above. The state lives until the host has stopped its thread pool.
        let started = unsafe { state.routines.start(routines, input) };
        if started.is_err() {
            // SAFETY: as above.
            report(state, unsafe { state.routines.stop(Some(input)) });
            plugin.capture_close();
        }
        started
    });
    match opened {
        Ok(()) => SUCCESS,
        Err(error) => {
            state.set_error(&error);
            FAILURE
        }
    }
}

/// Ends a capture. Always succeeds: for a failure Falco would end.
pub(crate) unsafe extern "C" fn capture_close(
    state: *mut ss_plugin_t,
    input: *const ss_plugin_capture_listen_input,
) -> ss_plugin_rc {
    // SAFETY: NULL, or a state of `init`, and the host's input.
    let (state, input) = unsafe { (PluginState::from_handle(state), input.as_ref()) };
    let Some(state) = state else { return SUCCESS };
    let closed = guard(|| {
        let plugin = state.listen()?;
        // SAFETY: the host's input is valid during the call.
        report(state, unsafe { state.routines.stop(input) });
        let (reader, writer) = input.map_or((ptr::null_mut(), ptr::null_mut()), |input| {
            (input.table_reader_ext, input.table_writer_ext)
        });
        // SAFETY: the host's functions are NULL or valid during the call. The plugin may read and change tables.
        let _open = unsafe { state.tables.begin(reader, writer) };
        plugin.capture_close();
        Ok(())
    });
    if let Err(error) = closed {
        state.log.log(Severity::Error, &format!("capture_close: {error}"));
    }
    SUCCESS
}

/// Logs how many routines did not stop in time.
pub(crate) fn report(state: &PluginState, running: usize) {
    if running > 0 {
        let message = format!(
            "left {} of Capture.every running after the end of the capture: return earlier, such as by waiting less",
            counted(running, "function")
        );
        state.log.log(Severity::Warning, &message);
    }
}
