//! The C boundary: a loaded library, the plugin it initialised and the source that one opened.
//!
//! The three borrow each other in this order, so that `close` comes before `destroy` and `destroy` before `dlclose`.

pub mod elf;
pub mod event;
pub mod extraction;
pub mod extractor;
mod functions;
mod handle;
pub mod library;
pub mod plugin;
pub mod source;
mod strings;
pub mod types;
pub mod value;
pub mod values;
pub mod version;
