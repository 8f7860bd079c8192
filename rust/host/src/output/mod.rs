//! What the host writes.

pub mod console;
pub mod fields;
pub mod format;
pub mod lines;
pub mod log;
pub mod payload;
pub mod row;
pub mod stdout;
