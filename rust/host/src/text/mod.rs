//! Text that is written.

pub mod count;
pub mod escape;
pub mod table;
pub mod timestamp;
