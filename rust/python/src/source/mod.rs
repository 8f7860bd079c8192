//! Event sources: contexts, channels, and the instances that `open` returns.
//!
//! The ready-made instances share [`core`]. The [`driver`] is above all instances: it is what the host calls.

pub(crate) mod callbacks;
pub(crate) mod channel;
pub(crate) mod context;
pub(crate) mod core;
pub(crate) mod driver;
pub(crate) mod item_sender;
pub(crate) mod iter;
pub(crate) mod lines;
pub(crate) mod producer;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod sender;
pub(crate) mod skipped_items;
