//! Async events of Python plugins.

pub(crate) mod event;
pub(crate) mod plugin;
pub(crate) mod sender;
pub(crate) mod sink;
mod target;
