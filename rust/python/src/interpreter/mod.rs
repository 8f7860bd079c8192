//! The interpreter in the host's process: its start, its threads, forked children, and the host's log.

pub(crate) mod bundle;
pub(crate) mod contents;
pub(crate) mod environment;
pub(crate) mod exit;
pub(crate) mod fast;
pub(crate) mod fork;
pub(crate) mod gil_cell;
pub(crate) mod log;
pub(crate) mod others;
pub(crate) mod slots;
pub(crate) mod start;
pub(crate) mod threads;
pub(crate) mod watch;
