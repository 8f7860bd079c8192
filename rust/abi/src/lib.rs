//! The C plugin API of Falco over [`falco_plugin_engine::plugin::Plugin`].
//!
//! The stub (`rust/stub`) calls [`init`], which answers with a table of functions. [`capability`] implements them: each
//! function checks its handles and runs the plugin inside a guard, which turns panics and errors into result codes and
//! a last error. [`trace`] is the same table with a log line for each call.
//!
//! | module | purpose |
//! |---|---|
//! | [`init`], [`lifecycle`] | `plugin_init`; `plugin_destroy` and `plugin_get_last_error` |
//! | [`capability`], [`trace`] | metrics, configuration and the functions of each capability, plain and traced |
//! | [`state`], [`guard`] | what the host's handles point to; panics, and forked children |
//! | [`extraction`], [`strings`], [`per_thread`] | memory that the host reads after a call |
//! | [`table`] | state tables: those of the plugin, and those of the host and of other plugins |
//! | [`request`], [`log`], [`owner`] | what the stub and the host pass to `plugin_init` |
//! | [`routines`] | work that is repeated while a capture is open |
//! | [`fork`], [`signals`] | children that the plugin forked, and signal handlers in them |
//! | [`exit`] | folders that are removed when the process exits |

mod capability;
pub mod exit;
mod extraction;
pub mod fork;
mod guard;
pub mod init;
mod lifecycle;
pub mod log;
mod owner;
mod per_thread;
mod request;
mod routines;
pub mod signals;
mod state;
mod strings;
mod table;
mod trace;

pub use falco_plugin_api_table as api;
pub use log::{Log, Severity};
pub use request::Request;
