//! The start of a plugin, as the stub requests it from the SDK.

use std::ffi::c_char;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use falco_plugin_abi::Log;
use falco_plugin_abi::api::{StartReply, StartRequest};
use falco_plugin_abi::init::init;
use falco_plugin_api::ss_plugin_init_input;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::plugin::Plugin;
use falco_plugin_engine::table::HostTables;

/// Initialises the plugin that `make` returns.
///
/// # Safety
/// The owner and the functions of `input` are valid until the state is destroyed, the rest of it during this call.
pub unsafe fn start_with(
    input: &ss_plugin_init_input,
    make: impl FnOnce(Log, Arc<dyn HostTables>) -> Result<Box<dyn Plugin>, Error>,
) -> StartReply {
    extern "C" fn check_code(_: *const c_char, _: *mut c_char, _: usize) -> bool {
        true
    }
    let request = StartRequest {
        library: c"".as_ptr(),
        core: c"".as_ptr(),
        python: c"".as_ptr(),
        folders: c"".as_ptr(),
        manifest: NonNull::dangling().as_ptr(),
        manifest_len: 0,
        archive: NonNull::dangling().as_ptr(),
        archive_len: 0,
        bundle: ptr::null(),
        input,
        check_code,
    };
    // SAFETY: the request is valid during the call, and the caller ensures the rest.
    unsafe { init(&request, |_, _, log, tables| make(log, tables)) }
}
