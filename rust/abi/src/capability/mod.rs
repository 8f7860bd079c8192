//! The functions of each capability, under their names in the list of `falco_plugin_api_table`.
//!
//! A state that a function gets is NULL or one of [`crate::init::init`] that was not destroyed. Handles, events and
//! inputs are the host's, valid during the call.

mod async_events;
mod config;
mod event;
mod extract;
mod listen;
mod metrics;
mod parse;
mod source;

pub(crate) use async_events::{CurrentSink, dump_state, set_async_event_handler, stop as stop_async_events};
pub(crate) use config::*;
pub(crate) use extract::*;
pub(crate) use listen::{capture_close, capture_open, report as report_routines};
pub(crate) use metrics::*;
pub(crate) use parse::*;
pub(crate) use source::*;
