//! The primitives through which threads synchronize: those of std and crossbeam, or with `cfg(loom)` those of a model.
//!
//! `tests/loom` is built with `cfg(loom)`. It runs its programs in every order of these operations.

#[cfg(not(loom))]
mod real {
    pub use std::sync::{Condvar, Mutex, MutexGuard, atomic};
    pub use std::time::Instant;

    pub use crossbeam_channel as channel;
}
#[cfg(not(loom))]
pub(crate) use real::*;

#[cfg(loom)]
mod model;
#[cfg(loom)]
pub(crate) use model::*;
