//! How the stub starts the SDK: one function of the SDK's extension module, which it looks up by name.

use core::ffi::{CStr, c_char, c_int};

use crate::table::Table;
use crate::types::{ss_plugin_init_input, ss_plugin_rc, ss_plugin_t};

/// The name of the extension module's function, for [`START_SYMBOL`] and for the SDK that exports it.
///
/// Increase its number with every change of [`Table`] or of the structs of this file. A library that was built with
/// another version of the SDK then does not find the function, instead of misreading its arguments.
#[macro_export]
macro_rules! start_symbol {
    () => {
        "falco_plugin_sdk_start_9"
    };
}

/// The symbol of the one function that the SDK's extension module exports to the stub, a [`Start`].
pub const START_SYMBOL: &CStr = match CStr::from_bytes_with_nul(concat!(start_symbol!(), "\0").as_bytes()) {
    Ok(symbol) => symbol,
    Err(_) => panic!("the symbol contains a NUL"),
};

/// The stub's request to the SDK to initialise a plugin. All of it is valid until the state is destroyed.
#[repr(C)]
pub struct StartRequest {
    /// The absolute path of the plugin library.
    pub library: *const c_char,
    /// The absolute path of the extension module; empty for a self-contained library.
    pub core: *const c_char,
    /// The absolute path of the Python executable; empty for a self-contained library.
    pub python: *const c_char,
    /// The folders of code whose permissions the stub has checked, each followed by a newline.
    pub folders: *const c_char,
    /// Pairs of NUL-terminated names and values.
    pub manifest: *const u8,
    pub manifest_len: usize,
    /// A zip archive of the plugin's modules.
    pub archive: *const u8,
    pub archive_len: usize,
    /// The bundle of a self-contained library; NULL for a linked one.
    pub bundle: *const StoredBundle,
    /// The host's own input to `plugin_init`.
    pub input: *const ss_plugin_init_input,
    /// Returns whether only root can change the code in a folder (see `rust/stub/permissions.rs`). If it returns false,
    /// it writes the reason into `problem`, at most `size` bytes with the NUL. It may be called until `plugin_init`
    /// returns.
    pub check_code: unsafe extern "C" fn(folder: *const c_char, problem: *mut c_char, size: usize) -> bool,
}

/// A bundle in the library's file.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StoredBundle {
    /// The descriptor of the file, which is open until the call returns.
    pub descriptor: c_int,
    /// The offset of the bundle in the file.
    pub offset: u64,
    /// Bytes of the bundle.
    pub len: u64,
    /// The hash of the bundle's index.
    pub index_hash: [u8; 32],
}

/// The SDK's reply. Table and state are set even if `rc` is a failure.
#[repr(C)]
pub struct StartReply {
    pub table: *const Table,
    pub state: *mut ss_plugin_t,
    pub rc: ss_plugin_rc,
}

pub type Start = unsafe extern "C" fn(*const StartRequest, *mut StartReply);
