//! Event sources: each fills batches of events until its context is cancelled or it ends.
//!
//! [`pull`] calls a function for each event, [`push`] receives events through a [`channel`], and [`lines`] reads the
//! lines of a file, a pipe or a socket. All count in [`metrics`].

pub mod channel;
pub mod clock;
pub mod context;
pub mod ending;
#[cfg(not(loom))]
pub mod lines;
pub mod metrics;
pub mod pull;
pub mod push;
