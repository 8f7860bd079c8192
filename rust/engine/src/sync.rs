//! What threads meet through. `tests/loom.rs` is built with `cfg(loom)`, and tries all that could happen in between.

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
