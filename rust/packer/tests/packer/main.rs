//! The program, as `falco-plugin build` runs it.

mod blocks;
mod cache;
mod compiler;
mod damage;
mod failures;
mod names;
mod python;
mod runtime;
mod support;
