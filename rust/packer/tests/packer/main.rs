//! The program, as `falco-plugin build` runs it.

mod python;
mod runtime;
mod support;
