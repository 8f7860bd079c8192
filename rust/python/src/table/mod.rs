//! State tables as Python has them: mappings of keys to entries with typed attributes.

pub(crate) mod attribute;
mod contents;
pub(crate) mod convert;
pub(crate) mod entry;
pub(crate) mod host;
pub(crate) mod mapping;
pub(crate) mod shape;
mod target;
