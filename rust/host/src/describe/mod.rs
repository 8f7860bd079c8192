//! What a plugin reports about itself.

pub mod capabilities;
pub mod description;
pub mod field;
