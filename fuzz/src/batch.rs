//! Compares the engine's batch memory with a list of timestamps and payloads.

use arbitrary::{Arbitrary, Unstructured};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::{EventBatch, EventWriter, SOFT_BYTES, WriteOutcome};
use falco_plugin_engine::event::{HEADER_LEN, NO_TIMESTAMP, encode_header};

const LARGEST_PAYLOAD: u32 = 3 << 20;
/// The largest padding before an event, in bytes.
const MAX_PADDING: usize = 63;
/// More calls find no further faults, and take long with large payloads.
const MAX_CALLS: usize = 64;

#[derive(Debug, Arbitrary)]
struct Input {
    batch_size: u8,
    event_size: Size,
    calls: Vec<Call>,
}

#[derive(Debug, Arbitrary)]
enum Call {
    Append {
        payload: Payload,
        timestamp: u64,
    },
    /// Events to write with a writer, and whether to finish each of them.
    Write(Vec<(Vec<Part>, bool)>),
    /// The host writes plugin ids and timestamps into the memory.
    Host(u8),
    /// The number of calls of `clear`: memory is freed only after many small batches.
    Clear(u8),
}

#[derive(Debug, Arbitrary)]
enum Part {
    Write(Payload),
    Check(Size),
    Timestamp(Option<u64>),
}

#[derive(Debug, Arbitrary)]
struct Payload {
    size: Size,
    first: u8,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Size {
    Small(u8),
    Medium(u16),
    Large(u32),
}

impl Size {
    fn get(self) -> usize {
        match self {
            Self::Small(size) => size.into(),
            Self::Medium(size) => size.into(),
            Self::Large(size) => (size % LARGEST_PAYLOAD) as usize,
        }
    }
}

impl Payload {
    fn bytes(&self) -> Vec<u8> {
        let pattern: Vec<u8> = (0..=u8::MAX).map(|at| self.first.wrapping_add(at)).collect();
        let len = self.size.get();
        let mut bytes = pattern.repeat(len.div_ceil(pattern.len()));
        bytes.truncate(len);
        bytes
    }
}

/// The expected content of the batch.
struct Model {
    events: Vec<(u64, Vec<u8>)>,
    batch_size: usize,
    event_size: usize,
}

/// Checks one sequence of calls.
///
/// # Panics
/// If the batch differs from the model after a call.
pub fn check(input: &[u8]) {
    let Ok(input) = Input::arbitrary(&mut Unstructured::new(input)) else {
        return;
    };
    let (batch_size, event_size) = (u32::from(input.batch_size), input.event_size.get() as u32);
    let Ok(mut batch) = EventBatch::new(batch_size, event_size) else {
        assert!(batch_size == 0 || event_size == 0);
        return;
    };
    let mut model = Model {
        events: Vec::new(),
        batch_size: batch_size as usize,
        event_size: event_size as usize,
    };
    for call in input.calls.into_iter().take(MAX_CALLS) {
        match call {
            Call::Append { payload, timestamp } => model.append(&mut batch, payload.bytes(), timestamp),
            Call::Write(events) => batch = model.write(EventWriter::new(batch), &events),
            Call::Host(byte) => model.host(&mut batch, byte),
            Call::Clear(times) => {
                for _ in 0..times {
                    batch.clear();
                    model.events.clear();
                }
            }
        }
        model.compare(&mut batch);
    }
}

impl Model {
    fn append(&mut self, batch: &mut EventBatch, payload: Vec<u8>, timestamp: u64) {
        let (was_full, fits) = (batch.is_full(), batch.fits(payload.len()));
        assert!(!(was_full && fits));
        match batch.append(&payload, timestamp) {
            Err(Error::BatchFull { events, bytes }) => {
                assert!(was_full);
                assert_eq!((events, bytes), (batch.len(), batch.bytes()));
            }
            Err(Error::EventTooLarge { size, event_size }) => {
                assert_eq!((size, event_size as usize), (payload.len(), self.event_size));
                assert!(!was_full && size > self.event_size);
            }
            Err(other) => panic!("{other}"),
            Ok(()) => {
                assert!(!was_full && payload.len() <= self.event_size);
                self.events.push((timestamp, payload));
            }
        }
    }

    fn write(&mut self, mut writer: EventWriter, events: &[(Vec<Part>, bool)]) -> EventBatch {
        for (parts, finished) in events.iter().take(MAX_CALLS) {
            if writer.batch().is_full() {
                break;
            }
            let (mut payload, mut timestamp, mut refused) = (Vec::new(), None, false);
            writer.begin();
            for part in parts.iter().take(MAX_CALLS) {
                let (len, written) = match part {
                    Part::Write(part) => {
                        let part = part.bytes();
                        let written = writer.write(&part).map(|len| assert_eq!(len, part.len()));
                        payload.extend_from_slice(&part);
                        refused &= written.is_err();
                        (payload.len(), written)
                    }
                    Part::Check(size) => (payload.len() + size.get(), writer.check(size.get())),
                    Part::Timestamp(time) => {
                        writer.set_timestamp(*time);
                        timestamp = *time;
                        continue;
                    }
                };
                match written {
                    Ok(()) => assert!(len <= self.event_size),
                    Err(Error::EventTooLarge { size, .. }) => {
                        assert!(size > self.event_size && size == len);
                        payload.clear();
                        refused = true;
                    }
                    Err(other) => panic!("{other}"),
                }
                assert_eq!((writer.len(), writer.is_empty()), (payload.len(), payload.is_empty()));
            }
            if !finished {
                writer.discard();
                continue;
            }
            let expected = match (refused, payload.is_empty()) {
                (true, _) => WriteOutcome::Nothing,
                (false, true) => WriteOutcome::Empty,
                (false, false) => WriteOutcome::Event,
            };
            assert_eq!(writer.finish(), expected);
            if expected != WriteOutcome::Nothing {
                self.events.push((timestamp.unwrap_or(NO_TIMESTAMP), payload));
            }
        }
        writer.into_batch()
    }

    /// Overwrites timestamps and payloads in the memory, as the host may.
    fn host(&mut self, batch: &mut EventBatch, byte: u8) {
        let (memory, starts) = batch.parts_mut();
        for (&start, (timestamp, payload)) in starts.iter().zip(&mut self.events) {
            *timestamp = u64::from_le_bytes([byte; 8]);
            memory[start..start + 8].fill(byte);
            payload.fill(byte);
            memory[start + HEADER_LEN..start + HEADER_LEN + payload.len()].fill(byte);
        }
    }

    fn compare(&self, batch: &mut EventBatch) {
        assert_eq!(
            (batch.len(), batch.is_empty()),
            (self.events.len(), self.events.is_empty())
        );
        let min: usize = self.events.iter().map(|(_, payload)| HEADER_LEN + payload.len()).sum();
        // Padding is added before an event is complete, so that a short event may have padding too.
        let max = min + MAX_PADDING * self.events.len();
        let bytes = batch.bytes();
        assert!((min..=max).contains(&bytes), "{bytes}, at least {min}");
        assert_eq!(
            batch.is_full(),
            self.events.len() >= self.batch_size || bytes >= SOFT_BYTES
        );
        for (index, (timestamp, payload)) in self.events.iter().enumerate() {
            assert_eq!(batch.get(index), Some((*timestamp, &payload[..])));
        }
        assert_eq!(batch.get(self.events.len()), None);
        let (memory, starts) = batch.parts_mut();
        assert_eq!(memory.len(), bytes);
        let mut end = 0;
        for (&start, (timestamp, payload)) in starts.iter().zip(&self.events) {
            assert!(start >= end, "events overlap");
            end = start + HEADER_LEN + payload.len();
            let expected = encode_header(*timestamp, payload.len() as u32);
            assert_eq!(memory[start..start + HEADER_LEN], expected);
        }
        assert_eq!(end, bytes);
    }
}

#[cfg(test)]
mod tests {
    use crate::corpus;

    #[test]
    fn batch_agrees_with_the_model() {
        corpus::check("batch", 512, corpus::bytes(), super::check);
    }
}
