//! The functions of every plugin after `plugin_init`.

use std::ffi::c_char;

use falco_plugin_api::ss_plugin_t;

use crate::capability::{report_routines, stop_async_events};
use crate::fork;
use crate::guard::guard;
use crate::log::Severity;
use crate::state::PluginState;

pub(crate) unsafe extern "C" fn destroy(state: *mut ss_plugin_t) {
    // SAFETY: the same promise.
    unsafe { destroy_with(state, || ()) }
}

/// `plugin_destroy`, with code that runs last, while the host's log is still open.
///
/// # Safety
/// `state` is NULL, or a state of [`crate::init::init`], which is destroyed once and not used afterwards.
pub(crate) unsafe fn destroy_with(state: *mut ss_plugin_t, last: impl FnOnce()) {
    if state.is_null() || fork::is_child() {
        return;
    }
    // SAFETY: the caller's promise; the state came from a box.
    let state = unsafe { Box::from_raw(state.cast::<PluginState>()) };
    // A host ends these before; one that failed to open a capture may not.
    stop_async_events(&state);
    // SAFETY: there is no input.
    report_routines(&state, unsafe { state.routines.stop(None) });
    let destroyed = guard(|| {
        if let Some(plugin) = &state.plugin {
            plugin.destroy();
        }
        Ok(())
    });
    if let Err(error) = destroyed {
        state.log.log(Severity::Error, &format!("destroy: {error}"));
    }
    last();
    state.log.clear();
    let _ = guard(|| {
        drop(state);
        Ok(())
    });
}

pub(crate) unsafe extern "C" fn get_last_error(state: *mut ss_plugin_t) -> *const c_char {
    // SAFETY: NULL, or a state of `init` that was not destroyed.
    match unsafe { PluginState::from_handle(state) } {
        Some(_) if fork::is_child() => fork::IN_CHILD.as_ptr(),
        Some(state) => state.errors.get(),
        None => c"the plugin state is NULL".as_ptr(),
    }
}
