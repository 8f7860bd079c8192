//! What a Falco plugin is, with no Python, no C and no `unsafe`.
//!
//! The data goes one way: a [`pull`] function or a [`channel`] fills a [`batch`] of encoded [`event`]s, bounded by a
//! [`clock`] and ended by a [`context`]; [`extract`] makes the fields of events that the host passes back, most of them
//! from [`json`]. [`plugin`] holds the two traits that the C plugin API is built on.

#![forbid(unsafe_code)]

pub mod batch;
pub mod channel;
pub mod clock;
pub mod context;
pub mod decimal;
pub mod documents;
pub mod ending;
pub mod error;
pub mod event;
pub mod extract;
pub mod json;
#[cfg(not(loom))]
pub mod lines;
pub mod plugin;
pub mod pull;
pub mod push;
mod sync;
pub mod time;
