//! Where a library's Python comes from. Each way is one file, and the manifest names it.

mod environment;
mod query;

use core::ffi::CStr;

use falco_plugin_api_table::Start;

use crate::image;
use crate::message::Message;

/// Bytes of memory for paths that are only known at run time.
pub const MEMORY: usize = 32768;

/// A loaded SDK in a loaded Python.
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

/// Checks and loads Python and the SDK in the way that the manifest names. Neither is ever unloaded. Returns `None` and
/// the problem if that fails.
pub fn load<'m>(memory: &'m mut [u8; MEMORY], problem: &mut Message) -> Option<Sdk<'m>> {
    match image::manifest(c"python_source").to_bytes() {
        b"environment" => environment::load(memory, problem),
        _ => {
            problem
                .push("this plugin library does not say where its Python is: build it again with 'falco-plugin build'");
            None
        }
    }
}
