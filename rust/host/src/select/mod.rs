//! The fields that the user asked for.

pub mod column;
pub mod request;
