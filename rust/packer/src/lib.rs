//! Makes the bundle of a self-contained library.
//!
//! `falco-plugin build` decides what a library contains. This program reads that plan from standard input, finds the
//! shared libraries that native code needs, gives native code unique names, compresses everything, and writes the
//! bundle. It replies with JSON on standard output.

mod blocks;
mod cache;
mod compress;
pub mod elf;
pub mod error;
mod libraries;
mod linker;
pub mod pack;
mod parallel;
pub mod plan;
