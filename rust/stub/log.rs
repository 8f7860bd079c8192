//! The host's log, for warnings of the stub itself.

use core::ffi::{c_char, c_int, c_void};
use core::ptr;

use falco_plugin_api_table::types::ss_plugin_init_input;

use crate::libc;
use crate::message::Message;

/// The severity of a warning (`ss_plugin_log_severity`).
const WARNING: c_int = 4;

type LogFunction =
    unsafe extern "C" fn(owner: *mut c_void, component: *const c_char, message: *const c_char, severity: c_int);

/// `ss_plugin_init_input` of the plugin API.
#[repr(C)]
struct InitInput {
    config: *const c_char,
    owner: *mut c_void,
    get_owner_last_error: Option<unsafe extern "C" fn()>,
    tables: *const c_void,
    log: Option<LogFunction>,
}

/// Logs a warning; on stderr if the host has no log.
///
/// # Safety
/// The input is valid during the call.
pub unsafe fn warn(input: *const ss_plugin_init_input, message: &Message) {
    // SAFETY: the caller's promise. NULL as component stands for the plugin's name. If stderr is closed, the message is
    // lost.
    unsafe {
        let input = &*input.cast::<InitInput>();
        match input.log {
            Some(log) => log(input.owner, ptr::null(), message.as_ptr(), WARNING),
            None => {
                libc::write(libc::STDERR, message.as_ptr().cast(), message.len());
                libc::write(libc::STDERR, c"\n".as_ptr().cast(), 1);
            }
        }
    }
}
