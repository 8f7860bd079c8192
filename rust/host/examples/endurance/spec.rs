//! The specification of a source of the soak, and the flags that its threads share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::kind::Kind;

/// The specification of a source. Each producer delivers `count` events. Then the source ends or raises an exception.
pub struct SourceSpec {
    pub kind: Kind,
    pub key: u64,
    pub count: u32,
    pub producers: usize,
    pub fails: bool,
    /// Whether `open` raises an exception.
    pub open_fails: bool,
    /// The longest pause between two events, in microseconds.
    pub longest_pause: u64,
    /// The file or the FIFO of a source that reads lines.
    pub path: PathBuf,
}

impl SourceSpec {
    /// Returns the open parameters.
    pub fn params(&self) -> String {
        json!({
            "kind": self.kind.name(),
            "key": self.key,
            "count": self.count,
            "producers": self.producers,
            "fails": self.fails,
            "open_fails": self.open_fails,
            "longest_pause": self.longest_pause,
            "path": self.path,
        })
        .to_string()
    }
}

/// The conditions under which the host stops reading a source that has not ended.
#[derive(Clone, Copy)]
pub struct Limits {
    /// The time at which the source is closed. `None` if only the flags stop it.
    pub until: Option<Instant>,
    /// The number of events after which the source is closed.
    pub events: u64,
    /// The number of events that one thread reads, before another one continues.
    pub events_per_thread: u64,
}

/// The state that the threads of one source share.
#[derive(Default)]
pub struct Flags {
    /// The number of events that the reader has accepted.
    accepted: AtomicU64,
    is_stopped: AtomicBool,
    is_closed: AtomicBool,
}

impl Flags {
    pub fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Makes the reader stop.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Makes the writer stop.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }
}
