//! The functions of the plugin API that need a state. All but three are passed on to the SDK.

use core::ffi::{CStr, c_char};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use falco_plugin_api_table::types::*;
use falco_plugin_api_table::{FAILURE, StartReply, StartRequest, StoredBundle, Table, functions, write};

use crate::message::Message;
use crate::{image, libc, log, permissions, python};

/// The state that the host's `ss_plugin_t` points to. It is made by calloc: all zeroes is a state without an SDK or a
/// problem.
struct State {
    /// The SDK's table; NULL if init failed before the SDK was loaded.
    table: *const Table,
    /// The SDK's state.
    sdk_state: *mut ss_plugin_t,
    /// Why the SDK was not loaded.
    problem: Message,
}

/// # Safety
/// The input is NULL or valid during the call, its owner and log function until destroy. `rc` is NULL or the host's to be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_init(input: *const ss_plugin_init_input, rc: *mut ss_plugin_rc) -> *mut ss_plugin_t {
    // SAFETY: `rc` is the host's to be written, or NULL. A state may be all zeroes.
    unsafe {
        write(rc, FAILURE);
        let state = libc::calloc(1, size_of::<State>()).cast::<State>();
        if let Some(state) = state.as_mut()
            && let Some(reply) = start(input, &mut state.problem)
        {
            state.table = reply.table;
            state.sdk_state = reply.state;
            write(rc, reply.rc);
        }
        state.cast()
    }
}

/// Loads Python and the SDK, and starts the plugin. Returns `None` and the problem if the SDK could not be loaded.
fn start(input: *const ss_plugin_init_input, problem: &mut Message) -> Option<StartReply> {
    if input.is_null() {
        problem.push("plugin_init was called without its input");
        return None;
    }
    let image = image::get();
    let Some(parts) = &image.parts else {
        problem.push_c(image.problem.as_ptr());
        return None;
    };
    if image.bundle.is_some() {
        // The library has run already: a user who could replace it could also replace this check. So it is only reported.
        // SAFETY: the host's input is valid during the call.
        unsafe { report_writers(input, image.named.bytes()) };
    } else if !permissions::check_file(image.named.bytes(), problem) {
        return None;
    }
    let mut memory = [0; python::MEMORY];
    let sdk = python::load(&mut memory, problem)?;
    let bundle = image
        .bundle
        .as_ref()
        .map(|bundle| bundle.file())
        .map(|file| StoredBundle {
            descriptor: file.descriptor,
            offset: file.offset,
            len: file.len,
            index_hash: file.index_hash,
        });
    let request = StartRequest {
        library: image.path,
        core: sdk.core.as_ptr(),
        python: sdk.python.as_ptr(),
        folders: sdk.folders.as_ptr(),
        manifest: parts.manifest.as_ptr(),
        manifest_len: parts.manifest.len(),
        archive: parts.archive.as_ptr(),
        archive_len: parts.archive.len(),
        bundle: bundle.as_ref().map_or(ptr::null(), ptr::from_ref),
        input,
        check_code,
    };
    let mut reply = StartReply {
        table: ptr::null(),
        state: ptr::null_mut(),
        rc: FAILURE,
    };
    // SAFETY: request and reply are valid during the call, and what the request points to as long as it promises.
    unsafe { (sdk.start)(&request, &mut reply) };
    Some(reply)
}

/// Logs who else than root can replace this library, once.
///
/// # Safety
/// The input is valid during the call.
unsafe fn report_writers(input: *const ss_plugin_init_input, library: &[u8]) {
    static IS_REPORTED: AtomicBool = AtomicBool::new(false);
    let mut warning = Message::new();
    if permissions::find_writers(library, &mut warning) && !IS_REPORTED.swap(true, Ordering::Relaxed) {
        // SAFETY: the caller's promise.
        unsafe { log::warn(input, &warning) };
    }
}

/// [`StartRequest::check_code`].
unsafe extern "C" fn check_code(folder: *const c_char, problem: *mut c_char, size: usize) -> bool {
    let mut message = Message::new();
    // SAFETY: the caller's promise: a NUL-terminated string, and space for `size` bytes.
    unsafe {
        let is_safe = permissions::check_code(CStr::from_ptr(folder).to_bytes(), &mut message);
        message.copy_to(problem, size);
        is_safe
    }
}

/// # Safety
/// The state is NULL, or one of `plugin_init`, which is destroyed once and not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_destroy(state: *mut ss_plugin_t) {
    // SAFETY: NULL, or a state of `plugin_init`, which came from calloc.
    unsafe {
        if let Some((table, sdk_state)) = sdk_of(state) {
            (table.destroy)(sdk_state);
        }
        libc::free(state.cast());
    }
}

/// # Safety
/// The state is NULL, or one of `plugin_init` that was not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_get_last_error(state: *mut ss_plugin_t) -> *const c_char {
    // SAFETY: NULL, or a state of `plugin_init`.
    unsafe {
        match (sdk_of(state), state.cast::<State>().as_ref()) {
            (Some((table, sdk_state)), _) => (table.get_last_error)(sdk_state),
            (None, Some(state)) => state.problem.as_ptr(),
            (None, None) => c"the plugin state is NULL".as_ptr(),
        }
    }
}

macro_rules! export {
    ($($symbol:literal $name:ident($state:ident; $($param:ident: $type:ty),*) -> $result:ty => $answer:block;)*) => {
        $(
            /// Passes the call on to the SDK.
            ///
            /// # Safety
            /// The state is NULL, or one of `plugin_init` that was not destroyed. The other arguments are as the plugin
            /// API requires.
            #[unsafe(export_name = $symbol)]
            pub unsafe extern "C" fn $name($state: *mut ss_plugin_t, $($param: $type),*) -> $result {
                // SAFETY: the arguments are passed on. Outputs are NULL or the host's to be written.
                unsafe {
                    match sdk_of($state) {
                        Some((table, sdk_state)) => (table.$name)(sdk_state, $($param),*),
                        None => $answer,
                    }
                }
            }
        )*
    };
}

functions!(calls => export);

/// Returns the SDK's table and state, if init loaded the SDK.
///
/// # Safety
/// `state` is NULL, or a state of `plugin_init` that was not destroyed.
#[inline(always)]
unsafe fn sdk_of(state: *mut ss_plugin_t) -> Option<(&'static Table, *mut ss_plugin_t)> {
    // SAFETY: the caller's promise. A table is static in the extension module, which is never unloaded.
    unsafe {
        let state = state.cast::<State>().as_ref()?;
        Some((state.table.as_ref()?, state.sdk_state))
    }
}
