//! The functions of each capability, under their names in the list of `falco_plugin_api_table`.
//!
//! A state that a function gets is NULL or one of [`crate::init::init`] that was not destroyed. Handles, events and
//! inputs are the host's, valid during the call.

mod config;
mod event;
mod extract;
mod metrics;
mod source;

pub(crate) use config::*;
pub(crate) use extract::*;
pub(crate) use metrics::*;
pub(crate) use source::*;
