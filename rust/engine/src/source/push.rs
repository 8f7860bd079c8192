//! The push loop: events that producers send through a channel (`NewPushInstance` of the Go SDK).

use std::time::Duration;

use crate::error::Error;
use crate::event::batch::{EventBatch, Filling};
use crate::source::channel::{Message, Nothing, Payload, Receiver, Wake};
use crate::source::clock::Clock;
use crate::source::context::Context;
use crate::source::ending::Ending;
use crate::sync::Instant;

/// A source whose next event comes within this time of an empty channel is a fast one: handing over its events one by
/// one would hold it up, because both threads would wait for each other at every event. It is given a moment to fill
/// the batch.
const QUICK: Duration = Duration::from_micros(100);
const GATHER: Duration = Duration::from_micros(50);
/// Waking the host's thread costs as much as so many events: a fast source may as well make them first.
const WORTH_WAKING: usize = 512;

/// The error for a batch that could not take each event of a channel.
pub fn event_size_mismatch(batch: u32, channel: u32) -> Error {
    Error::InvalidOption(format!(
        "the batch has an event size of {batch} bytes, its channel one of {channel} bytes: \
         give the channel an event_size of at most {batch}, or the batch one of at least {channel}"
    ))
}

/// An event source that waits on a channel, the clock and the context at once. What there is is handed over as soon as
/// the channel is empty.
pub struct PushInstance<P: Payload> {
    receiver: Receiver<P>,
    context: Context,
    timeout: Duration,
    ending: Ending,
    /// What the last events were put into: the host cannot be done with them while that is being filled.
    given: Filling,
    /// Whether the source is a fast one.
    quick: bool,
    /// Called once, when the source ends with events or errors that were not delivered.
    on_dropped: Box<dyn Fn(usize, Vec<Error>) + Send>,
}

impl<P: Payload> PushInstance<P> {
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
            given: Filling::default(),
            quick: false,
            on_dropped: Box::new(on_dropped),
        }
    }

    /// The error that the next call would tell, where there is one.
    pub fn take_pending_error(&mut self) -> Option<Error> {
        self.ending.take_pending_error()
    }

    /// Appends to the batch until it is full, the clock has run out or the source has ended; says how many.
    pub fn next_batch(&mut self, batch: &mut EventBatch) -> Result<usize, Error> {
        if batch.filling() != self.given {
            self.receiver.begin();
            self.given = batch.filling();
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
        self.receiver.end();
        if !matches!(stop, None | Some(Error::Timeout)) {
            self.drop_rest();
        }
        if added == 0 && stop.is_none() {
            // The first event does not fit beside what another instance has put there.
            return Err(batch.full_error());
        }
        self.ending.conclude(added, stop)
    }

    /// Ends the source: what is still queued is dropped and counted, senders are refused from here on.
    pub fn close(&mut self) {
        self.context.cancel();
        self.drop_rest();
    }

    fn fill(&mut self, batch: &mut EventBatch) -> Result<(), Error> {
        let before = batch.len();
        let clock = Clock::start(self.timeout);
        let mut gathered = false;
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
                    self.receiver.done(payload);
                    if batch.is_full() {
                        return Ok(());
                    }
                }
                Ok(Message::Error(error)) => {
                    self.receiver.done_with_error();
                    return Err(*error);
                }
                Err(Nothing::Disconnected) => return Err(Error::Eof),
                Err(Nothing::Dropped) => return Err(Error::SenderDropped),
                Err(Nothing::Empty) => {
                    if batch.len() == before {
                        self.wait(&clock)?;
                    } else if self.quick && !gathered {
                        gathered = true;
                        self.gather(batch, &clock);
                    } else {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits for a first event.
    fn wait(&mut self, clock: &Clock) -> Result<(), Error> {
        if self.timeout.is_zero() {
            return Err(Error::Timeout);
        }
        let started = Instant::now();
        let wake = self.receiver.wait(&self.context, 1, clock.deadline());
        self.quick = wake == Wake::Ready && started.elapsed() < QUICK;
        match wake {
            Wake::Ready => Ok(()),
            Wake::Timeout => Err(Error::Timeout),
        }
    }

    /// Waits a moment for as many events as the batch takes, or more.
    fn gather(&mut self, batch: &EventBatch, clock: &Clock) {
        if self.timeout.is_zero() {
            return;
        }
        let moment = Instant::now() + GATHER;
        let end = clock.deadline().map_or(moment, |deadline| deadline.min(moment));
        let room = batch.batch_size() as usize - batch.len();
        let wanted = room.max(WORTH_WAKING.min(self.receiver.capacity() / 2));
        let wake = self.receiver.wait(&self.context, wanted, Some(end));
        self.quick = wake == Wake::Ready || self.receiver.has_messages();
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
