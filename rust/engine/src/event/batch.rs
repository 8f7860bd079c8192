//! The memory of a batch: encoded events, packed one after the other.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::event::encoding::{
    DEFAULT_EVENT_SIZE, HEADER_LEN, MAX_EVENT_SIZE, NO_TIMESTAMP, complete_header, decode, encode_header,
};

/// Default limit of events in a batch.
pub const DEFAULT_BATCH_SIZE: u32 = 128;
/// A batch of this many bytes accepts no further event: a larger batch would not stay in the cache.
pub const SOFT_BYTES: usize = 1 << 20;
/// Memory up to this size is never freed.
const KEPT_BYTES: usize = 2 * SOFT_BYTES;
/// Larger memory is freed after this many consecutive batches that used at most a quarter of it. Freeing it earlier
/// would cost more than it saves: fresh memory is slower than the copy into it.
const BATCHES_BEFORE_FREEING: u32 = 64;
const CACHE_LINE: usize = 64;
/// Payloads of at least this many bytes begin at a cache line.
pub(super) const ALIGNED_FROM: usize = 4096;

/// A batch of events (`sdk.EventWriters` of the Go SDK).
///
/// It is limited by count and, softly, by bytes: the event that crosses the byte limit is the last. Memory grows with
/// use and is freed after a burst.
#[derive(Debug)]
pub struct EventBatch {
    /// The finished events, then the event that is being written, if any.
    memory: Vec<u8>,
    /// The offset of each finished event.
    starts: Vec<usize>,
    /// The offset at which the finished events end.
    end: usize,
    /// The offset of the event that is being written.
    start: usize,
    batch_size: u32,
    event_size: u32,
    /// Consecutive batches that left most of the memory unused.
    small_in_a_row: u32,
    id: BatchId,
}

/// Identifies a batch and its last `clear`. While it stays the same, the host cannot have received the batch's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BatchId {
    batch: u64,
    clears: u64,
}

impl BatchId {
    fn next() -> Self {
        static BATCHES: AtomicU64 = AtomicU64::new(1);
        Self {
            batch: BATCHES.fetch_add(1, Ordering::Relaxed),
            clears: 0,
        }
    }
}

impl Default for EventBatch {
    /// Returns a batch of capacity 0, as a placeholder while the real batch is elsewhere.
    fn default() -> Self {
        Self {
            memory: Vec::new(),
            starts: Vec::new(),
            end: 0,
            start: 0,
            batch_size: 0,
            event_size: 0,
            small_in_a_row: 0,
            id: BatchId::default(),
        }
    }
}

impl EventBatch {
    /// Creates a batch for up to `batch_size` events, each with a payload of up to `event_size` bytes.
    pub fn new(batch_size: u32, event_size: u32) -> Result<Self, Error> {
        if batch_size == 0 {
            return Err(Error::InvalidOption("batch_size must be at least 1, not 0".into()));
        }
        check_event_size(event_size)?;
        Ok(Self {
            batch_size,
            event_size,
            id: BatchId::next(),
            ..Self::default()
        })
    }

    pub fn with_defaults() -> Self {
        Self {
            batch_size: DEFAULT_BATCH_SIZE,
            event_size: DEFAULT_EVENT_SIZE,
            id: BatchId::next(),
            ..Self::default()
        }
    }

    pub fn batch_size(&self) -> u32 {
        self.batch_size
    }

    pub fn event_size(&self) -> u32 {
        self.event_size
    }

    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Returns the length of the finished events in bytes, headers included.
    pub fn bytes(&self) -> usize {
        self.end
    }

    /// Returns whether the batch accepts no further event.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.starts.len() >= self.batch_size as usize || self.end >= SOFT_BYTES
    }

    /// Returns the error of an append to a full batch.
    pub fn full_error(&self) -> Error {
        Error::BatchFull {
            events: self.len(),
            bytes: self.bytes(),
        }
    }

    /// Returns whether an event with a payload of this length fits: it does not cross the byte limit, or the batch is
    /// empty.
    pub fn fits(&self, payload_len: usize) -> bool {
        !self.is_full() && (self.is_empty() || self.end + HEADER_LEN + payload_len <= SOFT_BYTES)
    }

    /// Adds a whole event. `timestamp` is in nanoseconds since the epoch, or [`NO_TIMESTAMP`].
    ///
    /// # Errors
    /// [`Error::BatchFull`] or [`Error::EventTooLarge`].
    // With a call for each event, the push loop takes a third more instructions.
    #[inline(always)]
    pub fn append(&mut self, payload: &[u8], timestamp: u64) -> Result<(), Error> {
        if self.is_full() {
            return Err(self.full_error());
        }
        if payload.len() > self.event_size as usize {
            return Err(self.too_large(payload.len()));
        }
        self.set_start(payload.len());
        self.memory
            .extend_from_slice(&encode_header(timestamp, payload.len() as u32));
        self.memory.extend_from_slice(payload);
        self.finish();
        Ok(())
    }

    /// Removes all events. Frees the memory of a burst some batches after its end.
    pub fn clear(&mut self) {
        self.id.clears += 1;
        let (used, held) = (self.end, self.memory.capacity());
        self.memory.clear();
        self.starts.clear();
        self.end = 0;
        if held <= KEPT_BYTES || used > held / 4 {
            self.small_in_a_row = 0;
            return;
        }
        self.small_in_a_row += 1;
        if self.small_in_a_row == BATCHES_BEFORE_FREEING {
            self.small_in_a_row = 0;
            self.memory.shrink_to(SOFT_BYTES);
        }
    }

    pub(crate) fn id(&self) -> BatchId {
        self.id
    }

    /// Returns the timestamp and the payload of an event; `None` if `index` is out of range.
    pub fn get(&self, index: usize) -> Option<(u64, &[u8])> {
        decode(&self.memory[*self.starts.get(index)?..self.end])
    }

    /// Returns the memory of the finished events, and the offset of each. The host writes into this memory.
    pub fn parts_mut(&mut self) -> (&mut [u8], &[usize]) {
        (&mut self.memory[..self.end], &self.starts)
    }

    /// Begins an event after the finished ones, and drops an unfinished one. Its payload, expected to have
    /// `payload_len` bytes, is added by [`Self::extend_payload`].
    #[inline]
    pub(super) fn begin_event(&mut self, payload_len: usize) {
        self.set_start(payload_len);
        self.memory.extend_from_slice(&encode_header(NO_TIMESTAMP, 0));
    }

    #[inline]
    pub(super) fn extend_payload(&mut self, data: &[u8]) {
        self.memory.extend_from_slice(data);
    }

    /// Returns the length of the unfinished event's payload in bytes; 0 without such an event.
    #[inline]
    pub(super) fn payload_len(&self) -> usize {
        self.memory.len().saturating_sub(self.start + HEADER_LEN)
    }

    /// Empties the payload of the unfinished event.
    pub(super) fn drop_payload(&mut self) {
        self.memory.truncate(self.start + HEADER_LEN);
    }

    /// Drops the unfinished event.
    pub(super) fn drop_event(&mut self) {
        self.memory.truncate(self.end);
    }

    /// Completes the header of the unfinished event, and counts the event as finished.
    #[inline]
    pub(super) fn finish_event(&mut self, timestamp: u64) {
        let payload_len = self.payload_len() as u32;
        if let Some(header) = self.memory[self.start..].first_chunk_mut() {
            complete_header(header, timestamp, payload_len);
        }
        self.finish();
    }

    #[inline]
    fn finish(&mut self) {
        self.starts.push(self.start);
        self.end = self.memory.len();
    }

    /// Sets the offset of the next event, and drops an unfinished one.
    #[inline]
    fn set_start(&mut self, payload_len: usize) {
        self.memory.truncate(self.end);
        self.start = self.end;
        if payload_len >= ALIGNED_FROM {
            self.align(payload_len);
        }
    }

    /// Adds padding before the event, so that its payload begins at a cache line.
    #[cold]
    fn align(&mut self, payload_len: usize) {
        self.memory.reserve(CACHE_LINE + HEADER_LEN + payload_len);
        let payload = self.memory.as_ptr() as usize + self.end + HEADER_LEN;
        self.start = self.end + (payload.wrapping_neg() & (CACHE_LINE - 1));
        self.memory.resize(self.start, 0);
    }

    pub(super) fn too_large(&self, size: usize) -> Error {
        Error::EventTooLarge {
            size,
            event_size: self.event_size,
        }
    }
}

/// Checks that an event size is within the limits of the encoding.
pub(crate) fn check_event_size(event_size: u32) -> Result<(), Error> {
    if event_size == 0 || event_size > MAX_EVENT_SIZE {
        return Err(Error::InvalidOption(format!(
            "event_size must be 1 to {MAX_EVENT_SIZE} bytes, not {event_size}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn get_returns_appended_events_in_order(
            events in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<u64>()), 0..64),
            batch_size in 1u32..40, event_size in 1u32..280,
        ) {
            let mut batch = EventBatch::new(batch_size, event_size).unwrap();
            let mut model: Vec<(u64, Vec<u8>)> = Vec::new();
            for (payload, timestamp) in events {
                match batch.append(&payload, timestamp) {
                    Ok(()) => model.push((timestamp, payload)),
                    Err(Error::BatchFull { events, .. }) => prop_assert_eq!(events, batch_size as usize),
                    Err(Error::EventTooLarge { size, .. }) => prop_assert!(size > event_size as usize),
                    Err(other) => prop_assert!(false, "{other}"),
                }
            }
            prop_assert_eq!(batch.len(), model.len());
            for (index, (timestamp, payload)) in model.iter().enumerate() {
                prop_assert_eq!(batch.get(index), Some((*timestamp, &payload[..])));
            }
            prop_assert!(batch.get(model.len()).is_none());
        }
    }

    #[test]
    fn append_accepts_one_event_beyond_the_byte_limit() {
        let mut batch = EventBatch::new(128, 8 << 20).unwrap();
        assert!(batch.fits(4 << 20));
        batch.append(&[0; 100], 0).unwrap();
        assert!(!batch.fits(4 << 20));
        batch.append(&vec![0; 4 << 20], 0).unwrap();
        assert!(batch.is_full());
        assert!(matches!(batch.append(b"", 0), Err(Error::BatchFull { .. })));
    }

    #[test]
    fn clear_frees_memory_after_a_burst() {
        let mut batch = EventBatch::new(128, 8 << 20).unwrap();
        for _ in 0..2 * BATCHES_BEFORE_FREEING {
            batch.append(&vec![0; 4 << 20], 0).unwrap();
            batch.clear();
            assert!(batch.memory.capacity() >= 4 << 20);
        }
        for _ in 0..BATCHES_BEFORE_FREEING {
            batch.append(b"small", 0).unwrap();
            batch.clear();
        }
        assert!(batch.memory.capacity() <= KEPT_BYTES);
    }

    #[test]
    fn new_names_the_size_that_is_out_of_range() {
        for (batch_size, event_size, name) in [(0, 1, "batch_size"), (1, 0, "event_size"), (1, u32::MAX, "event_size")]
        {
            let message = EventBatch::new(batch_size, event_size).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
