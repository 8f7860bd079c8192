//! What the host writes.

pub mod console;
pub mod fields;
pub mod lines;
pub mod log;
pub mod payload;
pub mod row;
