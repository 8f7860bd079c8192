//! Writes an event into a batch in several steps.

use super::batch::{ALIGNED_FROM, EventBatch};
use super::encoding::NO_TIMESTAMP;
use crate::error::Error;

/// Writes events to the end of a batch, each in any number of writes (`sdk.EventWriter` of the Go SDK).
///
/// It owns the batch while it writes, so that it can be passed to code that cannot hold a borrow. Call `begin` before
/// each event, and `finish` or `discard` after it.
#[derive(Debug)]
pub struct EventWriter {
    batch: EventBatch,
    timestamp: Option<u64>,
    /// Whether the event was refused, and nothing was written since.
    is_refused: bool,
}

impl EventWriter {
    pub fn new(batch: EventBatch) -> Self {
        Self {
            batch,
            timestamp: None,
            is_refused: false,
        }
    }

    /// Returns the batch, without an unfinished event.
    pub fn into_batch(mut self) -> EventBatch {
        self.discard();
        self.batch
    }

    pub fn batch(&self) -> &EventBatch {
        &self.batch
    }

    /// Begins an event. The batch must not be full.
    #[inline]
    pub fn begin(&mut self) {
        self.batch.begin_event(0);
        self.timestamp = None;
        self.is_refused = false;
    }

    /// Adds to the payload. Returns the number of bytes added.
    ///
    /// # Errors
    /// [`Error::EventTooLarge`] if the event would become too large. The whole event is then dropped.
    #[inline]
    pub fn write(&mut self, data: &[u8]) -> Result<usize, Error> {
        self.check(data.len())?;
        if data.len() >= ALIGNED_FROM && self.is_empty() {
            self.batch.begin_event(data.len());
        }
        self.batch.extend_payload(data);
        self.is_refused = false;
        Ok(data.len())
    }

    /// Checks that `len` more bytes fit into the event.
    ///
    /// # Errors
    /// [`Error::EventTooLarge`] if they do not fit. The whole event is then dropped.
    #[inline]
    pub fn check(&mut self, len: usize) -> Result<(), Error> {
        let size = self.len() + len;
        if size > self.batch.event_size() as usize {
            self.refuse();
            return Err(self.batch.too_large(size));
        }
        Ok(())
    }

    /// Drops the current event. `finish` adds nothing, unless something is written first.
    pub fn refuse(&mut self) {
        self.batch.drop_payload();
        self.is_refused = true;
    }

    /// Returns the length of the payload so far, in bytes.
    pub fn len(&self) -> usize {
        self.batch.payload_len()
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

    /// Adds the event to the batch, unless it was refused.
    #[inline]
    pub fn finish(&mut self) -> WriteOutcome {
        if self.is_refused {
            self.discard();
            return WriteOutcome::Nothing;
        }
        let is_empty = self.is_empty();
        self.batch.finish_event(self.timestamp.unwrap_or(NO_TIMESTAMP));
        if is_empty {
            WriteOutcome::Empty
        } else {
            WriteOutcome::Event
        }
    }

    /// Drops the event.
    pub fn discard(&mut self) {
        self.batch.drop_event();
    }
}

/// The result of [`EventWriter::finish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    Event,
    /// An event without a payload.
    Empty,
    /// Nothing: the event was refused.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn write_joins_the_parts_of_an_event(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8)) {
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
    fn write_drops_an_event_that_becomes_too_large() {
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
        assert_eq!((writer.finish(), writer.batch().len()), (WriteOutcome::Nothing, 1));
        writer.begin();
        writer.write(&[0; 11]).unwrap_err();
        writer.write(b"short").unwrap();
        assert_eq!(writer.finish(), WriteOutcome::Event);
        let batch = writer.into_batch();
        assert_eq!(batch.get(0), Some((1, &b"before"[..])));
        assert_eq!(batch.get(1), Some((NO_TIMESTAMP, &b"short"[..])));
    }
}
