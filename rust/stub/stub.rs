//! The stub: the small native library that Falco loads as a plugin.
//!
//! It carries a manifest and the plugin's modules after its own end. It answers static questions from the manifest. On
//! `plugin_init` it loads Python and the SDK's extension module, to which it passes all other calls. It runs no thread,
//! and nothing calls back into it except during init, so the host may unload it.
//!
//! `falco-plugin build` fills in [`image::APPENDED`], and hides the symbols of capabilities that the plugin lacks.
//!
//! The stub has no standard library and no allocator: it is a part of each plugin library, and needs only glibc.
//!
//! | module | purpose |
//! |---|---|
//! | [`exports`] | the functions of the plugin API that need a state |
//! | [`metadata`], [`event_types`] | those that the manifest answers |
//! | [`image`], [`appended`] | the library's own file, and the format of what is appended to it |
//! | [`python`] | where Python comes from, and loading it |
//! | [`permissions`], [`path`] | who can change the code that is loaded |
//! | [`message`], [`log`] | messages without an allocator; warnings in the host's log |
//! | [`lock`], [`libc`] | a mutex; the C library |

#![no_std]

mod appended;
mod event_types;
mod exports;
mod image;
mod libc;
mod lock;
mod log;
mod message;
mod metadata;
mod path;
mod permissions;
mod python;

use core::panic::PanicInfo;

// The precompiled core library names this symbol in its unwind tables. Nothing unwinds here, so it is never called.
core::arch::global_asm!(
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality:"
);

/// No code here panics. If it did, the process could not continue with a half-made state.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: does not return.
    unsafe { libc::abort() }
}
