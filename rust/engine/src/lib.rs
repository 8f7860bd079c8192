//! What a Falco plugin is, with no Python, no C and no `unsafe`.
//!
//! The data goes one way: a [`source`] fills a batch of encoded [`event`]s; [`extract`] makes the fields of events that
//! the host passes back, most of them from [`json`]. [`plugin`] holds the two traits that the C plugin API is built on.

#![forbid(unsafe_code)]

pub mod decimal;
pub mod error;
pub mod event;
pub mod extract;
pub mod json;
pub mod plugin;
pub mod source;
mod sync;
mod throttle;
pub mod time;
