//! The bundle of a self-contained library. `format` reads its index, `write` makes a bundle.

#![no_std]

#[cfg(feature = "write")]
extern crate alloc;

pub mod format;
#[cfg(feature = "write")]
pub mod write;
