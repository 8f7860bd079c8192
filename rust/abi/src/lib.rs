//! The C plugin API of Falco over [`falco_plugin_engine::plugin::Plugin`].
//!
//! [`table`] is what the library in front (`rust/stub`) calls. [`functions`] implements it: each function checks its
//! handles, guards against panics and turns errors into result codes and a last error. [`capability::extract`] holds what
//! each thread of the host asked for last, where the host reads the values of fields. [`fork`] keeps children of the
//! host's process from using any of this; [`signals`] gives them default handlers.

mod capability;
mod debug;
pub mod fork;
pub mod functions;
pub mod log;
mod per_thread;
mod request;
pub mod signals;
mod state;
mod strings;
pub mod table;

pub use log::{Log, Severity};
pub use request::Request;
