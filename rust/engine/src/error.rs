//! The errors of sources and batches, with three that steer a source.

use std::error::Error as StdError;
use std::time::Duration;

/// The error of a `next_batch`, a write or a send.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source has ended (`sdk.ErrEOF` of the Go SDK).
    #[error("end of the event source")]
    Eof,
    /// No event within the timeout. The source continues (`sdk.ErrTimeout` of the Go SDK).
    #[error("no event within the timeout")]
    Timeout,
    /// No event now. The source continues, and is to be called again after this time. The error of user code has the
    /// reason.
    #[error("no event now: {1}")]
    RetryLater(Duration, #[source] Box<dyn StdError + Send + Sync>),
    /// The payload of an event is longer than the event size. The event is dropped.
    #[error(
        "an event of {size} bytes is larger than the event size of {event_size} bytes: raise event_size, or cut the event"
    )]
    EventTooLarge { size: usize, event_size: u32 },
    /// The batch has reached its limit of events or bytes.
    #[error("the batch is full ({events} events, {bytes} bytes): return from next_batch before adding more")]
    BatchFull { events: usize, bytes: usize },
    /// The last sender was dropped, and no producer has ended the source.
    #[error(
        "the last sender was dropped without close(): its thread ended or raised an exception; use `with sender:`, or call \
         sender.close() after the last event"
    )]
    SenderDropped,
    /// An option is out of range.
    #[error("{0}")]
    InvalidOption(String),
    /// The error of user code, passed through unchanged.
    #[error(transparent)]
    Source(Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// Returns an error that consists of a message.
    pub fn text(message: impl Into<String>) -> Self {
        Self::Source(message.into().into())
    }
}
