//! The bundle of a self-contained library: its format, and how native code is opened from it.
//!
//! The packer writes a bundle. The stub and the extension module read it, and open native code from it. They have no
//! common allocator, so reading and opening need none: memory comes from the C library.
//!
//! | module | purpose |
//! |---|---|
//! | [`format`] | the index of a bundle |
//! | [`write`] | making a bundle |
//! | [`file`] | reading and checking the bundle in the library's file |
//! | [`open`] | opening an entry, and the libraries that it needs |
//! | [`memory_file`], `folder`, `descriptor` | opening bytes as a shared library: from memory, or from a private folder |
//! | [`places`] | where native code can be while it is loaded |
//! | `openssl` | configuration files that OpenSSL must not read |
//! | [`library`], [`process`] | shared libraries that the process has loaded |
//! | [`error`], [`text`], [`memory`] | errors, strings and bytes without an allocator |

#![no_std]

#[cfg(feature = "write")]
extern crate alloc;

#[cfg(feature = "load")]
mod descriptor;
#[cfg(feature = "load")]
pub mod error;
#[cfg(feature = "load")]
pub mod file;
#[cfg(feature = "load")]
mod folder;
pub mod format;
#[cfg(feature = "load")]
pub mod library;
#[cfg(feature = "load")]
pub mod memory;
#[cfg(feature = "load")]
pub mod memory_file;
#[cfg(feature = "load")]
pub mod open;
#[cfg(feature = "load")]
mod openssl;
#[cfg(feature = "load")]
pub mod places;
#[cfg(feature = "load")]
pub mod process;
#[cfg(feature = "load")]
pub mod text;
#[cfg(feature = "write")]
pub mod write;
