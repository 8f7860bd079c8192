//! Events: their encoding, the memory of a batch of them, and events that the host passes back.

mod async_event;
mod batch;
mod encoding;
mod filter;
mod writer;

pub use async_event::{ASYNC_EVENT_TYPE, AsyncEventName, MAX_ASYNC_NAME_LEN, NO_PLUGIN_ID};
pub(crate) use batch::{BatchId, check_event_size};
pub use batch::{DEFAULT_BATCH_SIZE, EventBatch, SOFT_BYTES};
pub use encoding::{
    DEFAULT_EVENT_SIZE, HEADER_LEN, MAX_EVENT_SIZE, NO_TIMESTAMP, PLUGIN_EVENT_TYPE, decode, encode_header,
};
pub use falco_plugin_schema as schema;
pub use filter::EventFilter;
pub use writer::{EventWriter, WriteOutcome};

use schema::{ASYNC_EVENT, RawEvent};

/// An event that the host passes back, for its string or its fields, or for parsing.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// How many sources were opened or closed before the host's call. It distinguishes equal events of two sources.
    pub generation: u64,
    pub number: u64,
    /// Nanoseconds since the epoch.
    pub timestamp: u64,
    /// The name of the event source. It is UTF-8, unless the host is faulty.
    pub source: &'a [u8],
    /// The code of the event type.
    pub code: u16,
    /// The id of the thread that made the event; -1 if it belongs to no thread.
    pub thread_id: i64,
    /// The whole event.
    pub raw: &'a [u8],
    /// The payload of a plugin event, the data of an async event, or else nothing.
    pub data: &'a [u8],
}

impl<'a> Event<'a> {
    /// Reads an encoded event. Returns `None` if its header is wrong, or if it is a plugin event with wrong lengths.
    #[inline]
    pub fn decode(raw: &'a [u8], generation: u64, number: u64, source: &'a [u8]) -> Option<Self> {
        let (code, timestamp, data) = match decode(raw) {
            Some((timestamp, data)) => (PLUGIN_EVENT_TYPE, timestamp, data),
            None => decode_other(raw)?,
        };
        Some(Self {
            generation,
            number,
            timestamp,
            source,
            code,
            thread_id: i64::from_le_bytes(*raw.get(8..)?.first_chunk()?),
            raw,
            data,
        })
    }

    /// Returns whether the event carries bytes of a plugin, which may be JSON.
    #[inline]
    pub fn has_payload(&self) -> bool {
        self.code == PLUGIN_EVENT_TYPE || self.code == ASYNC_EVENT
    }
}

/// Returns type, timestamp and data of an event that no source of a plugin made.
fn decode_other(raw: &[u8]) -> Option<(u16, u64, &[u8])> {
    let event = RawEvent::new(raw).filter(|event| event.code() != PLUGIN_EVENT_TYPE)?;
    Some((event.code(), event.timestamp(), event.data().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_reads_plugin_events_and_others() {
        let mut raw = encode_header(7, 5).to_vec();
        raw.extend(b"hello");
        let event = Event::decode(&raw, 1, 2, b"test").unwrap();
        assert_eq!((event.code, event.thread_id, event.timestamp), (322, -1, 7));
        assert_eq!((event.data, event.has_payload()), (&b"hello"[..], true));
        assert_eq!((event.generation, event.number, event.source), (1, 2, &b"test"[..]));
        raw[30] = 6;
        assert!(Event::decode(&raw, 1, 2, b"test").is_none(), "a wrong length");

        let close = [
            &9_u64.to_le_bytes()[..],
            &77_u64.to_le_bytes(),
            &[26, 0, 0, 0, 5, 0, 0, 0, 0, 0],
        ]
        .concat();
        let event = Event::decode(&close, 0, 3, b"syscall").unwrap();
        assert_eq!((event.code, event.thread_id, event.timestamp), (5, 77, 9));
        assert_eq!(
            (event.data, event.has_payload(), event.raw),
            (&b""[..], false, &close[..])
        );
        assert!(Event::decode(&close[..25], 0, 3, b"syscall").is_none());
        assert!(Event::decode(b"", 0, 3, b"syscall").is_none());
    }
}
