//! Events: the items and batches that sources make, and the events that fields read.

pub(crate) mod batch;
pub(crate) mod item;
pub(crate) mod params;
pub(crate) mod reader;
pub(crate) mod writer;
