//! The channel between producers and the push loop: bounded by count and by bytes, and disconnected by close.
//!
//! A lock of the [`gate`] guards the queue. The receiver takes all messages with one lock: synchronizing two threads
//! for each message would cost more than the message itself. A crossbeam channel of one token wakes the receiver, which
//! waits for the token, its context and its deadline together.

mod gate;
mod receiver;
mod sender;

use std::sync::Arc;

use crate::error::Error;
use crate::event::check_event_size;
use gate::Gate;

pub use gate::Closer;
pub use receiver::Receiver;
pub(crate) use receiver::{RecvError, WaitOutcome};
pub use sender::{Refusal, Sender};

/// Default limit of messages in a channel.
pub const DEFAULT_CAPACITY: usize = 1024;
/// Default limit of payload bytes in a channel.
pub const DEFAULT_MAX_BYTES: usize = 64 << 20;

/// The payload of an event in a channel.
pub trait Payload: Send + 'static {
    fn bytes(&self) -> &[u8];

    /// Drops payloads that were copied. The channel calls it with no lock held.
    fn release(payloads: Vec<Self>)
    where
        Self: Sized,
    {
        drop(payloads);
    }
}

impl Payload for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// A message in a channel (`source.PushEvent` of the Go SDK).
#[derive(Debug)]
pub enum Message<P> {
    Event {
        payload: P,
        timestamp: u64,
    },
    /// Boxed to keep messages small: each one moves from one core's cache to another's.
    Error(Box<Error>),
}

impl<P: Payload> Message<P> {
    /// Returns the payload's length in bytes; 0 for an error.
    pub fn payload_len(&self) -> usize {
        match self {
            Self::Event { payload, .. } => payload.bytes().len(),
            Self::Error(_) => 0,
        }
    }
}

/// Creates a channel with one sender. A message larger than `max_bytes` passes if the channel holds no other bytes.
///
/// # Errors
/// [`Error::InvalidOption`] if an argument is 0, or if `event_size` is larger than an event can be.
pub fn channel<P: Payload>(
    capacity: usize,
    max_bytes: usize,
    event_size: u32,
) -> Result<(Sender<P>, Receiver<P>), Error> {
    for (name, value) in [("capacity", capacity), ("max_bytes", max_bytes)] {
        if value == 0 {
            return Err(Error::InvalidOption(format!("{name} must be at least 1, not 0")));
        }
    }
    check_event_size(event_size)?;
    let (gate, woken) = Gate::new(capacity, max_bytes, event_size);
    Ok((Sender::new(Arc::clone(&gate)), Receiver::new(gate, woken)))
}
