//! The three commands, and what they share.

pub mod arguments;
pub mod bench;
pub mod capture;
pub mod error;
pub mod info;
pub mod run;
pub mod setup;
