//! The C plugin API of Falco over [`falco_plugin_engine::plugin::Plugin`].
//!
//! [`table`] is what the library in front (`rust/stub`) calls. [`functions`] implements it: each function checks its
//! handles, guards against panics and turns errors into result codes and a last error.

pub mod functions;
pub mod log;
mod state;
pub mod table;
mod texts;

pub use functions::{TABLE, init};
pub use log::{Log, Severity};
