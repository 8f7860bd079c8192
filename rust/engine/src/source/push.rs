//! The push loop, for events that producers send through a channel (`NewPushInstance` of the Go SDK).

use std::time::Duration;

use crate::error::Error;
use crate::event::{BatchId, EventBatch};
use crate::source::channel::{Message, Payload, Receiver, RecvError, WaitOutcome};
use crate::source::clock::Clock;
use crate::source::context::Context;
use crate::source::ending::Ending;
use crate::sync::Instant;

/// A source is fast if its next event arrives within this time after the channel was empty.
///
/// Delivering the events of a fast source one by one would slow it down: both threads would wait for each other at
/// every event. The push loop waits up to [`GATHER`] for such a source to fill the batch.
const FAST: Duration = Duration::from_micros(100);
const GATHER: Duration = Duration::from_micros(50);
/// Waking the host's thread costs a fast source as much time as this many events.
const WAKE_UP_COST: usize = 512;

/// Returns the error for a batch whose event size is smaller than that of its channel.
pub fn event_size_mismatch(batch: u32, channel: u32) -> Error {
    Error::InvalidOption(format!(
        "the event size of the batch, {batch} bytes, is smaller than that of its channel, {channel} bytes: give the \
         channel an event_size of at most {batch}, or the batch one of at least {channel}"
    ))
}

/// An event source that delivers the messages of a channel.
///
/// Events are delivered immediately: `next_batch` returns as soon as the channel is empty.
pub struct PushInstance<P: Payload> {
    receiver: Receiver<P>,
    context: Context,
    timeout: Duration,
    ending: Ending,
    /// The batch of the last events. The host cannot acknowledge them while the same batch is being filled.
    last_batch: BatchId,
    is_fast: bool,
    /// Called when the source ends, if events or errors were not delivered.
    on_dropped: Box<dyn Fn(usize, Vec<Error>) + Send>,
}

impl<P: Payload> PushInstance<P> {
    /// Creates an instance. It calls `on_dropped` with the number of events and with the errors that were not delivered
    /// when the source ended, if there are any.
    pub fn new(
        receiver: Receiver<P>,
        context: Context,
        timeout: Duration,
        on_dropped: impl Fn(usize, Vec<Error>) + Send + 'static,
    ) -> Self {
        Self {
            receiver,
            context,
            timeout,
            ending: Ending::default(),
            last_batch: BatchId::default(),
            is_fast: false,
            on_dropped: Box::new(on_dropped),
        }
    }

    /// Takes the error that the next `next_batch` would return, if any.
    pub fn take_pending_error(&mut self) -> Option<Error> {
        self.ending.take_pending_error()
    }

    /// Appends events to the batch, without clearing it. Returns their number.
    ///
    /// Blocks until the channel has a message, the timeout has run out, or the context is cancelled.
    ///
    /// # Errors
    /// If no event was appended: [`Error::Timeout`], [`Error::Eof`] or the error of the source. An error that follows
    /// some events is returned by the next call.
    pub fn next_batch(&mut self, batch: &mut EventBatch) -> Result<usize, Error> {
        if batch.id() != self.last_batch {
            self.receiver.acknowledge();
            self.last_batch = batch.id();
        }
        self.ending.check()?;
        if batch.event_size() < self.receiver.event_size() {
            return Err(event_size_mismatch(batch.event_size(), self.receiver.event_size()));
        }
        if batch.is_full() {
            return Err(batch.full_error());
        }
        let before = batch.len();
        let stop = self.fill(batch).err();
        let added = batch.len() - before;
        self.receiver.end_batch();
        if !matches!(stop, None | Some(Error::Timeout)) {
            self.drop_rest();
        }
        if added == 0 && stop.is_none() {
            // The first event does not fit beside the events of another instance.
            return Err(batch.full_error());
        }
        self.ending.conclude(added, stop)
    }

    /// Ends the source. Queued messages are dropped and counted, and later sends are refused.
    pub fn close(&mut self) {
        self.context.cancel();
        self.drop_rest();
    }

    fn fill(&mut self, batch: &mut EventBatch) -> Result<(), Error> {
        let before = batch.len();
        let clock = Clock::start(self.timeout);
        let mut has_gathered = false;
        loop {
            if self.context.is_cancelled() {
                return Err(Error::Eof);
            }
            match self.receiver.try_recv() {
                Ok(Message::Event { payload, timestamp }) => {
                    if !batch.fits(payload.bytes().len()) {
                        self.receiver.put_back(Message::Event { payload, timestamp });
                        return Ok(());
                    }
                    batch.append(payload.bytes(), timestamp)?;
                    self.receiver.mark_copied(payload);
                    if batch.is_full() {
                        return Ok(());
                    }
                }
                Ok(Message::Error(error)) => {
                    self.receiver.mark_error();
                    return Err(*error);
                }
                Err(RecvError::Disconnected) => return Err(Error::Eof),
                Err(RecvError::Dropped) => return Err(Error::SenderDropped),
                Err(RecvError::Empty) => {
                    if batch.len() == before {
                        self.wait(&clock)?;
                    } else if self.is_fast && !has_gathered {
                        has_gathered = true;
                        self.gather(batch, &clock);
                    } else {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits for the first event of a batch.
    fn wait(&mut self, clock: &Clock) -> Result<(), Error> {
        if self.timeout.is_zero() {
            return Err(Error::Timeout);
        }
        let started = Instant::now();
        let outcome = self.receiver.wait(&self.context, 1, clock.deadline());
        self.is_fast = outcome == WaitOutcome::Ready && started.elapsed() < FAST;
        match outcome {
            WaitOutcome::Ready => Ok(()),
            WaitOutcome::Timeout => Err(Error::Timeout),
        }
    }

    /// Waits up to [`GATHER`] for enough events to fill the batch.
    fn gather(&mut self, batch: &EventBatch, clock: &Clock) {
        if self.timeout.is_zero() {
            return;
        }
        let end = Instant::now() + GATHER;
        let end = clock.deadline().map_or(end, |deadline| deadline.min(end));
        let free = batch.batch_size() as usize - batch.len();
        let wanted = free.max(WAKE_UP_COST.min(self.receiver.capacity() / 2));
        let outcome = self.receiver.wait(&self.context, wanted, Some(end));
        self.is_fast = outcome == WaitOutcome::Ready || self.receiver.has_messages();
    }

    fn drop_rest(&mut self) {
        let (dropped, errors) = self.receiver.discard();
        if dropped > 0 || !errors.is_empty() {
            (self.on_dropped)(dropped, errors);
        }
    }
}

#[cfg(test)]
mod tests;
