//! Events, sources, fields and tables of a Falco plugin, without Python, without C and without `unsafe`.
//!
//! Data flows in one direction. A [`source`] fills batches of encoded [`event`]s. [`extract`] makes the fields of
//! events that the host passes back, most of them from [`json`]. Both count in [`metrics`], which the host reads. The C
//! plugin API calls a plugin through the traits of [`plugin`].

#![forbid(unsafe_code)]

pub mod async_events;
mod calls;
mod decimal;
pub mod error;
pub mod event;
pub mod extract;
pub mod json;
pub mod metrics;
pub mod plugin;
pub mod routine;
pub mod source;
mod sync;
pub mod table;
mod throttle;
pub mod time;
pub mod words;
