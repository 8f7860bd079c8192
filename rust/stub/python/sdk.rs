//! The result of loading Python.

use core::ffi::CStr;

use falco_plugin_api_table::Start;

/// Bytes of memory for paths that are only known at run time.
pub const MEMORY: usize = 32768;

/// A loaded SDK in a loaded Python. A self-contained library has no paths.
pub struct Sdk<'m> {
    /// The function that starts a plugin.
    pub start: Start,
    /// The path of the SDK's extension module.
    pub core: &'m CStr,
    /// The path of the Python executable.
    pub python: &'m CStr,
    /// The folders that code is imported from, each followed by a newline.
    pub folders: &'m CStr,
}
