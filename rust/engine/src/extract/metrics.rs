//! Counts of extracted and of absent fields, without a lock and without memory that threads share while they extract.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The counts of one plugin. Each cache has its own part of them.
#[derive(Debug, Default)]
pub(super) struct FieldCounts {
    parts: Mutex<Vec<Arc<CachePart>>>,
}

/// The counts of one cache.
// Aligned to a line of the processor's cache, so that threads do not slow down each other.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct CachePart {
    present: AtomicU64,
    absent: AtomicU64,
}

impl FieldCounts {
    /// Returns the counts of a new cache.
    #[cold]
    pub(super) fn add_part(&self) -> Arc<CachePart> {
        let part = Arc::<CachePart>::default();
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.push(Arc::clone(&part));
        part
    }

    /// Returns how many fields had a value.
    pub(super) fn present(&self) -> u64 {
        self.sum(|part| &part.present)
    }

    /// Returns how many fields had no value.
    pub(super) fn absent(&self) -> u64 {
        self.sum(|part| &part.absent)
    }

    fn sum(&self, count: impl Fn(&CachePart) -> &AtomicU64) -> u64 {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().map(|part| count(part).load(Ordering::Relaxed)).sum()
    }
}

impl CachePart {
    /// Counts a field. Only the thread that has the cache may call this, one at a time.
    #[inline]
    pub(super) fn count(&self, is_present: bool) {
        let count = if is_present { &self.present } else { &self.absent };
        // A store costs less than an atomic addition, and there is no other writer.
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}
