//! Events: the batches that sources fill, and the events that fields read.

pub(crate) mod batch;
pub(crate) mod reader;
