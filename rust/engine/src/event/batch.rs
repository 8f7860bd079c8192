//! The memory of one batch: encoded events, packed one after the other.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::event::{DEFAULT_EVENT_SIZE, HEADER_LEN, MAX_EVENT_SIZE, NO_TIMESTAMP, complete, decode, encode_header};

/// Events in a batch, unless an instance says otherwise.
pub const DEFAULT_BATCH_SIZE: u32 = 128;
/// A batch takes no further event once it holds this many bytes: a larger one leaves the cache.
pub const SOFT_BYTES: usize = 1 << 20;
/// Memory beyond this is given back once this many batches in a row had no use for most of it. At once would be too
/// early: fresh memory costs more than the copy into it.
const KEPT_BYTES: usize = 2 * SOFT_BYTES;
const CACHE_LINE: usize = 64;
const ALIGNED_FROM: usize = 4096;
const BATCHES_BEFORE_GIVING_BACK: u32 = 64;

/// A batch of events (`sdk.EventWriters` of the Go SDK).
///
/// Bounded by count and, softly, by bytes: the event that crosses the byte bound is the last. Both are limits, not
/// allocations; memory follows use and a burst is given back.
#[derive(Debug)]
pub struct EventBatch {
    /// Finished events, then the event that is being written, if one is.
    memory: Vec<u8>,
    /// Where each finished event begins.
    starts: Vec<usize>,
    /// Where the finished events end.
    end: usize,
    /// Where the event that is being written begins.
    start: usize,
    batch_size: u32,
    event_size: u32,
    /// Batches in a row that left most of the memory unused.
    small_in_a_row: u32,
    filling: Filling,
}

/// Which batch it is, and since which `clear`: as long as it is the same, the host cannot have had what is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Filling {
    batch: u64,
    clears: u64,
}

impl Filling {
    fn of_another_batch() -> Self {
        static BATCHES: AtomicU64 = AtomicU64::new(1);
        Self {
            batch: BATCHES.fetch_add(1, Ordering::Relaxed),
            clears: 0,
        }
    }
}

impl Default for EventBatch {
    /// A batch with no room, to stand in for one that is elsewhere.
    fn default() -> Self {
        Self {
            memory: Vec::new(),
            starts: Vec::new(),
            end: 0,
            start: 0,
            batch_size: 0,
            event_size: 0,
            small_in_a_row: 0,
            filling: Filling::default(),
        }
    }
}

impl EventBatch {
    /// `batch_size` events at most, each with a payload of `event_size` bytes at most.
    pub fn new(batch_size: u32, event_size: u32) -> Result<Self, Error> {
        if batch_size == 0 {
            return Err(Error::InvalidOption("batch_size must be at least 1, not 0".into()));
        }
        check_event_size(event_size)?;
        Ok(Self {
            batch_size,
            event_size,
            filling: Filling::of_another_batch(),
            ..Self::default()
        })
    }

    pub fn with_defaults() -> Self {
        Self {
            batch_size: DEFAULT_BATCH_SIZE,
            event_size: DEFAULT_EVENT_SIZE,
            filling: Filling::of_another_batch(),
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

    /// Bytes of the finished events, headers included.
    pub fn bytes(&self) -> usize {
        self.end
    }

    /// Whether no further event is taken.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.starts.len() >= self.batch_size as usize || self.end >= SOFT_BYTES
    }

    /// The error that a full batch answers with.
    pub fn full_error(&self) -> Error {
        Error::BatchFull {
            events: self.len(),
            bytes: self.bytes(),
        }
    }

    /// Whether an event with this payload can be added without crossing the byte bound, or goes alone.
    pub fn fits(&self, payload_len: usize) -> bool {
        !self.is_full() && (self.is_empty() || self.end + HEADER_LEN + payload_len <= SOFT_BYTES)
    }

    /// Adds a whole event. `timestamp` is in ns since the epoch, [`NO_TIMESTAMP`] for none.
    #[inline]
    pub fn append(&mut self, payload: &[u8], timestamp: u64) -> Result<(), Error> {
        if self.is_full() {
            return Err(self.full_error());
        }
        if payload.len() > self.event_size as usize {
            return Err(self.too_large(payload.len()));
        }
        self.place(payload.len());
        self.memory
            .extend_from_slice(&encode_header(timestamp, payload.len() as u32));
        self.memory.extend_from_slice(payload);
        self.finish();
        Ok(())
    }

    /// Removes all events, and gives back what a burst took when it is over.
    pub fn clear(&mut self) {
        self.filling.clears += 1;
        let (used, held) = (self.end, self.memory.capacity());
        self.memory.clear();
        self.starts.clear();
        self.end = 0;
        if held <= KEPT_BYTES || used > held / 4 {
            self.small_in_a_row = 0;
            return;
        }
        self.small_in_a_row += 1;
        if self.small_in_a_row == BATCHES_BEFORE_GIVING_BACK {
            self.small_in_a_row = 0;
            self.memory.shrink_to(SOFT_BYTES);
        }
    }

    pub(crate) fn filling(&self) -> Filling {
        self.filling
    }

    /// Timestamp and payload of event `index`.
    pub fn get(&self, index: usize) -> Option<(u64, &[u8])> {
        decode(&self.memory[*self.starts.get(index)?..self.end])
    }

    /// The finished events as one block and where each begins. The host writes into the block.
    pub fn parts_mut(&mut self) -> (&mut [u8], &[usize]) {
        (&mut self.memory[..self.end], &self.starts)
    }

    /// Begins an event at the end of the finished ones, dropping one that was not finished.
    #[inline]
    fn begin(&mut self) {
        self.place(0);
        self.memory.extend_from_slice(&encode_header(NO_TIMESTAMP, 0));
    }

    #[inline]
    fn finish(&mut self) {
        self.starts.push(self.start);
        self.end = self.memory.len();
    }

    /// Finds the place of the next event, dropping one that was not finished.
    #[inline]
    fn place(&mut self, payload_len: usize) {
        self.memory.truncate(self.end);
        self.start = self.end;
        if payload_len >= ALIGNED_FROM {
            self.align(payload_len);
        }
    }

    /// Leaves out some bytes, so that the payload begins with a cache line.
    #[cold]
    fn align(&mut self, payload_len: usize) {
        self.memory.reserve(CACHE_LINE + HEADER_LEN + payload_len);
        let payload = self.memory.as_ptr() as usize + self.end + HEADER_LEN;
        self.start = self.end + (payload.wrapping_neg() & (CACHE_LINE - 1));
        self.memory.resize(self.start, 0);
    }

    fn too_large(&self, size: usize) -> Error {
        Error::EventTooLarge {
            size,
            event_size: self.event_size,
        }
    }
}

/// Checks an event size against what the format can carry.
pub fn check_event_size(event_size: u32) -> Result<(), Error> {
    if event_size == 0 || event_size > MAX_EVENT_SIZE {
        return Err(Error::InvalidOption(format!(
            "event_size must be 1 to {MAX_EVENT_SIZE} bytes, not {event_size}"
        )));
    }
    Ok(())
}

/// Writes events at the end of a batch, each in as many writes as wanted (`sdk.EventWriter` of the Go SDK).
///
/// It owns the batch while it writes, so that it can be lent to where a borrow cannot go. `begin` comes before each
/// event, `finish` or `discard` after it.
#[derive(Debug)]
pub struct EventWriter {
    batch: EventBatch,
    timestamp: Option<u64>,
    refused: bool,
}

impl EventWriter {
    pub fn new(batch: EventBatch) -> Self {
        Self {
            batch,
            timestamp: None,
            refused: false,
        }
    }

    /// Gives the batch back, without an event that was not finished.
    pub fn into_batch(mut self) -> EventBatch {
        self.discard();
        self.batch
    }

    pub fn batch(&self) -> &EventBatch {
        &self.batch
    }

    /// Begins an event; the batch must not be full.
    #[inline]
    pub fn begin(&mut self) {
        self.batch.begin();
        self.timestamp = None;
        self.refused = false;
    }

    /// Adds to the payload. Where the event becomes too large, nothing of it is kept.
    #[inline]
    pub fn write(&mut self, data: &[u8]) -> Result<usize, Error> {
        self.check(data.len())?;
        if data.len() >= ALIGNED_FROM && self.is_empty() {
            self.batch.place(data.len());
            self.batch.memory.extend_from_slice(&encode_header(NO_TIMESTAMP, 0));
        }
        self.batch.memory.extend_from_slice(data);
        self.refused = false;
        Ok(data.len())
    }

    /// Whether `len` more bytes can be written; where not, what was written so far is dropped.
    #[inline]
    pub fn check(&mut self, len: usize) -> Result<(), Error> {
        let size = self.len() + len;
        if size > self.batch.event_size as usize {
            self.refuse();
            return Err(self.batch.too_large(size));
        }
        Ok(())
    }

    /// Drops the event that is being written: `finish` adds nothing, unless something is written after this.
    pub fn refuse(&mut self) {
        self.batch.memory.truncate(self.batch.start + HEADER_LEN);
        self.refused = true;
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.batch.memory.len().saturating_sub(self.batch.start + HEADER_LEN)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn timestamp(&self) -> Option<u64> {
        self.timestamp
    }

    pub fn set_timestamp(&mut self, timestamp: Option<u64>) {
        self.timestamp = timestamp;
    }

    /// Adds the event to the batch. An event that was refused as too large and not written anew is dropped.
    #[inline]
    pub fn finish(&mut self) -> Written {
        if self.refused {
            self.discard();
            return Written::Nothing;
        }
        let len = self.len();
        let start = self.batch.start;
        if let Some(header) = self.batch.memory[start..].first_chunk_mut() {
            complete(header, self.timestamp.unwrap_or(NO_TIMESTAMP), len as u32);
        }
        self.batch.finish();
        if len == 0 { Written::Empty } else { Written::Event }
    }

    /// Drops the event.
    pub fn discard(&mut self) {
        self.batch.memory.truncate(self.batch.end);
    }
}

/// What `EventWriter::finish` added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Event,
    /// An event without payload.
    Empty,
    /// The event was refused.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_batch_gives_back_what_was_appended_in_order(
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

        #[test]
        fn writes_of_one_event_are_joined(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8)) {
            let mut writer = EventWriter::new(EventBatch::new(2, 1000).unwrap());
            writer.begin();
            for part in &parts {
                prop_assert_eq!(writer.write(part).unwrap(), part.len());
            }
            writer.finish();
            let batch = writer.into_batch();
            prop_assert_eq!(batch.get(0).unwrap().1, &parts.concat()[..]);
        }
    }

    #[test]
    fn nothing_of_a_too_large_event_is_kept() {
        let mut batch = EventBatch::new(4, 10).unwrap();
        batch.append(b"before", 1).unwrap();
        let mut writer = EventWriter::new(batch);
        writer.begin();
        writer.write(b"12345678").unwrap();
        assert!(matches!(
            writer.write(b"90A"),
            Err(Error::EventTooLarge {
                size: 11,
                event_size: 10
            })
        ));
        assert_eq!((writer.finish(), writer.batch().len()), (Written::Nothing, 1));
        writer.begin();
        writer.write(&[0; 11]).unwrap_err();
        writer.write(b"short").unwrap();
        assert_eq!(writer.finish(), Written::Event);
        let batch = writer.into_batch();
        assert_eq!(batch.get(0), Some((1, &b"before"[..])));
        assert_eq!(batch.get(1), Some((NO_TIMESTAMP, &b"short"[..])));
    }

    #[test]
    fn an_event_that_crosses_the_byte_bound_is_the_last() {
        let mut batch = EventBatch::new(128, 8 << 20).unwrap();
        assert!(batch.fits(4 << 20));
        batch.append(&[0; 100], 0).unwrap();
        assert!(!batch.fits(4 << 20));
        batch.append(&vec![0; 4 << 20], 0).unwrap();
        assert!(batch.is_full());
        assert!(matches!(batch.append(b"", 0), Err(Error::BatchFull { .. })));
    }

    #[test]
    fn a_burst_is_given_back_when_it_is_over() {
        let mut batch = EventBatch::new(128, 64 << 20).unwrap();
        for _ in 0..2 * BATCHES_BEFORE_GIVING_BACK {
            batch.append(&vec![0; 32 << 20], 0).unwrap();
            batch.clear();
            assert!(batch.memory.capacity() >= 32 << 20);
        }
        for _ in 0..BATCHES_BEFORE_GIVING_BACK {
            batch.append(b"small", 0).unwrap();
            batch.clear();
        }
        assert!(batch.memory.capacity() <= KEPT_BYTES);
    }

    #[test]
    fn sizes_out_of_range_are_refused_by_name() {
        for (batch_size, event_size, name) in [(0, 1, "batch_size"), (1, 0, "event_size"), (1, u32::MAX, "event_size")]
        {
            let message = EventBatch::new(batch_size, event_size).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
