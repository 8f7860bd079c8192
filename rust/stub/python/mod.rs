//! Where a library's Python comes from. Each way is one file, and the manifest names it.

mod bundle;
mod environment;
mod global;
mod query;
mod sdk;

use crate::image;
use crate::message::Message;

pub use sdk::{MEMORY, Sdk};

/// Checks and loads Python and the SDK in the way that the manifest names. Neither is ever unloaded. Returns `None` and
/// the problem if that fails.
pub fn load<'m>(memory: &'m mut [u8; MEMORY], problem: &mut Message) -> Option<Sdk<'m>> {
    let source = image::manifest(c"python_source");
    match source.to_bytes() {
        b"bundle" => bundle::load(problem),
        b"environment" => environment::load(memory, problem),
        _ => {
            problem.push("the manifest of this plugin library has the unknown python_source '");
            problem.push_c(source.as_ptr());
            problem.push("': build it again with 'falco-plugin build'");
            None
        }
    }
}
