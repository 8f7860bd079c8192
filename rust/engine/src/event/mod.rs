//! Events: their encoding, the memory of a batch of them, and events that the host passes back.

mod async_event;
mod batch;
mod encoding;
mod writer;

pub use async_event::{ASYNC_EVENT_TYPE, AsyncEventName, MAX_ASYNC_NAME_LEN};
pub(crate) use batch::{BatchId, check_event_size};
pub use batch::{DEFAULT_BATCH_SIZE, EventBatch, SOFT_BYTES};
pub use encoding::{
    DEFAULT_EVENT_SIZE, HEADER_LEN, MAX_EVENT_SIZE, NO_TIMESTAMP, PLUGIN_EVENT_TYPE, decode, encode_header,
};
pub use writer::{EventWriter, WriteOutcome};

/// An event that the host passes back, for its string or its fields.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// How many sources were opened or closed before the host's call. It distinguishes equal events of two sources.
    pub generation: u64,
    pub number: u64,
    /// The id of the thread that the event belongs to; -1 if it belongs to none.
    pub thread_id: i64,
    /// Nanoseconds since the epoch.
    pub timestamp: u64,
    /// The name of the event source. It is UTF-8, unless the host is faulty.
    pub source: &'a [u8],
    pub data: &'a [u8],
}
