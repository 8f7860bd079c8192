//! Conversions between Python objects and the engine's values.

pub(crate) mod buffers;
pub(crate) mod documents;
pub(crate) mod json;
pub(crate) mod options;
pub(crate) mod text;
pub(crate) mod timestamp;
