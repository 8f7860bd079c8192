//! The functions of Falco's plugin API, in one list.
//!
//! [`functions!`] is the list: symbol, signature, capability, and the answer if there is no plugin. All of
//! this is generated from it:
//!
//! | generated | used by |
//! |---|---|
//! | [`Table`], which connects stub and SDK | `rust/stub`, `rust/abi` |
//! | the functions that the stub exports | `rust/stub/exports.rs` |
//! | the tables of the SDK, plain and traced | `rust/abi/src/{init,trace}.rs` |
//! | [`Functions`], a loaded library's functions with their types | `rust/host`, `fuzz` |
//! | [`Capability`]'s symbols | the host, and `falco-plugin build`, which hides those that a plugin lacks |
//!
//! The stub has no standard library, so this crate has none either.

#![no_std]

mod capability;
mod library;
mod list;
mod start;
mod table;
pub mod types;

pub use capability::{Capability, FUNCTIONS, Function};
pub use library::{Functions, signatures};
pub use start::{START_SYMBOL, Start, StartReply, StartRequest, StoredBundle};
pub use table::Table;

use types::ss_plugin_rc;

pub const SUCCESS: ss_plugin_rc = 0;
pub const FAILURE: ss_plugin_rc = 1;
pub const TIMEOUT: ss_plugin_rc = -1;
pub const EOF: ss_plugin_rc = 2;

/// Writes a result through a pointer of the host, unless it is NULL.
///
/// # Safety
/// `pointer` is NULL or valid for a write; what it points to may be uninitialised.
pub unsafe fn write<T>(pointer: *mut T, value: T) {
    if !pointer.is_null() {
        // SAFETY: not NULL, so valid by the caller's promise.
        unsafe { pointer.write(value) };
    }
}
