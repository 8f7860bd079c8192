//! The functions of each capability.

pub(crate) mod extract;
