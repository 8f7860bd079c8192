//! The C boundary: a library, its plugin, its source, events, and values of fields.

pub mod elf;
pub mod event;
pub mod extraction;
pub mod library;
pub mod value;
