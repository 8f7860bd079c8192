//! Text for users: escapes, timestamps, tables and numbers.

pub mod count;
pub mod escape;
pub mod table;
pub mod timestamp;
