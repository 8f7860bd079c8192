//! Why a call did not succeed: two signals that steer a source, and errors.

use std::error::Error as StdError;

/// What stops a `next_batch`, a write or a send.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source has ended (`sdk.ErrEOF` of the Go SDK).
    #[error("end of the event source")]
    Eof,
    /// Nothing more for now; the source goes on (`sdk.ErrTimeout` of the Go SDK).
    #[error("no event within the timeout")]
    Timeout,
    /// An event whose payload is longer than the event size. Nothing of it is kept.
    #[error(
        "an event of {size} bytes is larger than the event size of {event_size} bytes: raise event_size, or cut the event"
    )]
    EventTooLarge { size: usize, event_size: u32 },
    /// The batch has no room: its count or its bytes are used up.
    #[error("the batch is full ({events} events, {bytes} bytes): hand it over before adding more")]
    BatchFull { events: usize, bytes: usize },
    /// No producer can send any more, and none of them ended the source.
    #[error(
        "the last sender was dropped without close(): its thread ended or raised; use `with sender:`, or call \
         sender.close() when there is nothing more to send"
    )]
    SenderDropped,
    /// An option outside its range.
    #[error("{0}")]
    InvalidOption(String),
    /// What the author's code reports; carried through unchanged.
    #[error(transparent)]
    Source(Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// An error that is only a text.
    pub fn text(message: impl Into<String>) -> Self {
        Self::Source(message.into().into())
    }
}
