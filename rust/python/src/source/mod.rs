//! Event sources: the instances that `open` returns, channels, and contexts.

pub(crate) mod channel;
pub(crate) mod context;
pub(crate) mod driver;
pub(crate) mod iter;
pub(crate) mod left_out;
pub(crate) mod lines;
pub(crate) mod pull;
pub(crate) mod push;
