//! What the library in front and the SDK behind it say to each other. The stub compiles this very file.

use core::ffi::{c_char, c_void};

/// The one symbol that the SDK's extension module offers to the library in front, a [`Start`]. Its number changes with
/// every change of this file: where it is missing, library and SDK are of different versions.
pub const START_SYMBOL: &[u8] = b"falco_plugin_sdk_start_3\0";

/// What the library in front knows when the host initialises it. All of it stays valid until the state is destroyed.
#[repr(C)]
pub struct StartRequest {
    /// The library's own file, absolute.
    pub library: *const c_char,
    /// The extension module that was opened, absolute.
    pub core: *const c_char,
    /// The Python executable of the environment, absolute.
    pub python: *const c_char,
    /// The folders of code that were checked already, a line each.
    pub folders: *const c_char,
    /// Pairs of NUL-terminated names and values.
    pub manifest: *const u8,
    pub manifest_len: usize,
    /// A zip archive of the plugin's modules.
    pub archive: *const u8,
    pub archive_len: usize,
    /// The host's `ss_plugin_init_input`.
    pub input: *const c_void,
    /// Whether nobody can plant code in a folder (see `rust/stub/permissions.rs`); where somebody can, the reason is
    /// written into `size` bytes of text. To be called before init returns.
    pub check_code: unsafe extern "C" fn(folder: *const c_char, problem: *mut c_char, size: usize) -> bool,
}

/// The answer: always a table and a state, also where `rc` is not 0.
#[repr(C)]
pub struct StartReply {
    pub table: *const Table,
    pub state: *mut c_void,
    pub rc: i32,
}

pub type Start = unsafe extern "C" fn(*const StartRequest, *mut StartReply);

/// `plugin_*` of the plugin API, from `plugin_destroy` on, with the SDK's own states and instances.
#[repr(C)]
pub struct Table {
    pub destroy: unsafe extern "C" fn(state: *mut c_void),
    pub get_last_error: unsafe extern "C" fn(state: *mut c_void) -> *const c_char,
    pub open: unsafe extern "C" fn(state: *mut c_void, params: *const c_char, rc: *mut i32) -> *mut c_void,
    pub close: unsafe extern "C" fn(state: *mut c_void, instance: *mut c_void),
    pub next_batch: unsafe extern "C" fn(
        state: *mut c_void,
        instance: *mut c_void,
        nevts: *mut u32,
        evts: *mut *mut *mut c_void,
    ) -> i32,
    pub get_progress:
        unsafe extern "C" fn(state: *mut c_void, instance: *mut c_void, progress_pct: *mut u32) -> *const c_char,
    pub list_open_params: unsafe extern "C" fn(state: *mut c_void, rc: *mut i32) -> *const c_char,
    pub event_to_string: unsafe extern "C" fn(state: *mut c_void, event: *const c_void) -> *const c_char,
    pub extract_fields: unsafe extern "C" fn(state: *mut c_void, event: *const c_void, input: *const c_void) -> i32,
}
