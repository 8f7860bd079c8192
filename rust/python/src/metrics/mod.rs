//! Metrics: the classes of user code, and what the SDK counts itself for each plugin.

pub(crate) mod counter;
pub(crate) mod declared;
pub(crate) mod descriptor;
pub(crate) mod gauge;
pub(crate) mod of_plugin;
