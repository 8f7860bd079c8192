//! The push loop's end of a channel.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use super::gate::{Closer, Gate, GateState};
use super::{Message, Payload};
use crate::error::Error;
use crate::source::context::Context;
use crate::sync::Instant;
use crate::sync::atomic::Ordering;
use crate::sync::channel::{self, Select};

/// If no producer releases copied payloads, the host's thread releases them from this many bytes on.
const RELEASE_BYTES: usize = 8 << 20;
/// Memory for more messages than this is freed once they are received.
const KEPT_MESSAGES: usize = 4096;

/// Receives the messages of a channel. Used by one thread at a time.
pub struct Receiver<P: Payload> {
    gate: Arc<Gate<P>>,
    woken: channel::Receiver<()>,
    /// Messages that left the queue and were not yet returned by [`Self::try_recv`].
    pending: VecDeque<Message<P>>,
    /// Messages delivered to the host since the channel was created.
    delivered: u64,
    /// The delivered messages that the host has acknowledged.
    acknowledged: u64,
    unreported: Unreported<P>,
}

/// Received messages that the gate still counts as held by the receiver.
struct Unreported<P> {
    /// Copied payloads. They use space in the channel until they are released.
    copied: Vec<P>,
    copied_bytes: usize,
    /// The number of errors, which have no payload.
    errors: usize,
}

impl<P> Default for Unreported<P> {
    fn default() -> Self {
        Self {
            copied: Vec::new(),
            copied_bytes: 0,
            errors: 0,
        }
    }
}

/// Why no message was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecvError {
    Empty,
    /// All senders are closed.
    Disconnected,
    /// All senders are closed or dropped, and the last one was dropped.
    Dropped,
}

/// How a wait on the channel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitOutcome {
    Ready,
    Timeout,
}

impl<P: Payload> Receiver<P> {
    pub(super) fn new(gate: Arc<Gate<P>>, woken: channel::Receiver<()>) -> Self {
        Self {
            gate,
            woken,
            pending: VecDeque::new(),
            delivered: 0,
            acknowledged: 0,
            unreported: Unreported::default(),
        }
    }

    pub fn event_size(&self) -> u32 {
        self.gate.event_size
    }

    pub(crate) fn capacity(&self) -> usize {
        self.gate.capacity
    }

    /// Returns a handle that closes the channel from another thread.
    pub fn closer(&self) -> Closer<P> {
        Closer::new(Arc::clone(&self.gate))
    }

    /// Counts all delivered messages as acknowledged: the host came back for more.
    pub(crate) fn acknowledge(&mut self) {
        self.acknowledged = self.delivered;
        if self.gate.reports_each_batch.load(Ordering::Acquire) {
            let gate = Arc::clone(&self.gate);
            self.report(&mut gate.lock());
        }
    }

    /// Receives a message without blocking. The caller must pass it on to [`Self::mark_copied`], or call
    /// [`Self::mark_error`] or [`Self::put_back`].
    #[inline]
    pub(crate) fn try_recv(&mut self) -> Result<Message<P>, RecvError> {
        self.pending.pop_front().map_or_else(|| self.take_queue(), Ok)
    }

    #[cold]
    fn take_queue(&mut self) -> Result<Message<P>, RecvError> {
        if self.pending.capacity() > KEPT_MESSAGES {
            self.pending = VecDeque::new();
        }
        // Check before taking the queue: what a sender sent before it was closed is then in the queue.
        let is_disconnected = self.gate.senders.load(Ordering::Acquire) == 0;
        let gate = Arc::clone(&self.gate);
        let mut state = gate.lock();
        self.report(&mut state);
        mem::swap(&mut self.pending, &mut state.queue);
        state.queued_bytes = 0;
        state.wanted = 0;
        drop(state);
        self.pending.pop_front().ok_or_else(|| {
            if !is_disconnected {
                RecvError::Empty
            } else if gate.last_was_dropped.load(Ordering::Relaxed) {
                RecvError::Dropped
            } else {
                RecvError::Disconnected
            }
        })
    }

    /// Records that the payload of a received message was copied for the host.
    #[inline]
    pub(crate) fn mark_copied(&mut self, payload: P) {
        self.delivered += 1;
        self.unreported.copied_bytes += payload.bytes().len();
        self.unreported.copied.push(payload);
    }

    /// Records that a received error was delivered.
    pub(crate) fn mark_error(&mut self) {
        self.delivered += 1;
        self.unreported.errors += 1;
    }

    /// Puts the message that was received last back in front of the others.
    pub(crate) fn put_back(&mut self, message: Message<P>) {
        self.pending.push_front(message);
    }

    pub(crate) fn has_messages(&self) -> bool {
        !self.pending.is_empty() || !self.gate.lock().queue.is_empty()
    }

    /// Ends a batch. Reports to the gate if a producer waits for that, or if no message is left: the host may then not
    /// come back for a while.
    pub(crate) fn end_batch(&mut self) {
        if self.pending.is_empty()
            || self.unreported.copied_bytes >= RELEASE_BYTES
            || self.gate.reports_each_batch.load(Ordering::Acquire)
        {
            let gate = Arc::clone(&self.gate);
            let mut state = gate.lock();
            self.report(&mut state);
            let must_release = state.copied_bytes >= RELEASE_BYTES;
            drop(state);
            if must_release {
                gate.release();
            }
        } else {
            self.publish_unreported();
        }
    }

    /// Lets metrics leave out what was delivered, without the lock.
    fn publish_unreported(&self) {
        let unreported = &self.unreported;
        self.gate
            .unreported
            .store(unreported.copied.len() + unreported.errors, Ordering::Relaxed);
        self.gate
            .unreported_bytes
            .store(unreported.copied_bytes, Ordering::Relaxed);
    }

    /// Reports to the gate what was received and acknowledged, and wakes the senders that wait for it.
    fn report(&mut self, state: &mut GateState<P>) {
        let unreported = &mut self.unreported;
        let has_acknowledged = state.acknowledged != self.acknowledged;
        state.acknowledged = self.acknowledged;
        state.count -= mem::take(&mut unreported.errors);
        state.copied_bytes += mem::take(&mut unreported.copied_bytes);
        state.copied.append(&mut unreported.copied);
        unreported.copied.shrink_to(KEPT_MESSAGES);
        self.gate.unreported.store(0, Ordering::Relaxed);
        self.gate.unreported_bytes.store(0, Ordering::Relaxed);
        // Wake senders only once half is free: a sender that gets the first free slot would soon wait again.
        let is_half_free = self.gate.is_half_free(state);
        if state.waiting_for_space > 0 && is_half_free
            || state.waiting_for_host > 0 && has_acknowledged
            || !state.wakers.is_empty()
        {
            self.gate.wake_senders(state);
        }
        // After close, no receive reports again. So the acknowledgement is reported as soon as the host comes back.
        let is_closed = self.gate.closed.load(Ordering::Acquire);
        let reports_each_batch =
            state.waiting_for_space > 0 || state.waiting_for_host > 0 || !is_half_free || is_closed;
        self.gate
            .reports_each_batch
            .store(reports_each_batch, Ordering::Release);
    }

    /// Blocks until `wanted` messages are queued, or fewer if their senders wait; also until the last sender is closed
    /// or dropped, the context is cancelled, or the deadline has passed. Call it only if nothing can be received.
    pub(crate) fn wait(&self, context: &Context, wanted: usize, deadline: Option<Instant>) -> WaitOutcome {
        let mut state = self.gate.lock();
        let has_waiting_sender = self.gate.reports_each_batch.load(Ordering::Acquire) && !state.queue.is_empty();
        if has_waiting_sender || state.queue.len() >= wanted || self.gate.senders.load(Ordering::Acquire) == 0 {
            return WaitOutcome::Ready;
        }
        state.wanted = wanted;
        if state.waiting_for_drain > 0 {
            self.gate.changed.notify_all();
        }
        drop(state);
        let mut select = Select::new();
        let token = select.recv(&self.woken);
        select.recv(context.done());
        let ready = match deadline {
            None => Ok(select.ready()),
            Some(deadline) => select.ready_deadline(deadline),
        };
        if ready == Ok(token) {
            let _ = self.woken.try_recv();
        }
        ready.map_or(WaitOutcome::Timeout, |_| WaitOutcome::Ready)
    }

    /// Closes the channel and drops all messages. Returns the number of dropped events, and the dropped errors except
    /// [`Error::Eof`] and [`Error::Timeout`].
    pub(crate) fn discard(&mut self) -> (usize, Vec<Error>) {
        let gate = Arc::clone(&self.gate);
        gate.close();
        let mut state = gate.lock();
        self.report(&mut state);
        self.pending.append(&mut state.queue);
        state.queued_bytes = 0;
        let mut errors = Vec::new();
        let mut count = 0;
        for message in self.pending.drain(..) {
            match message {
                Message::Event { payload, .. } => {
                    count += 1;
                    state.copied_bytes += payload.bytes().len();
                    state.copied.push(payload);
                }
                Message::Error(error) => {
                    state.count -= 1;
                    if !matches!(*error, Error::Eof | Error::Timeout) {
                        errors.push(*error);
                    }
                }
            }
        }
        drop(state);
        gate.release();
        if let Some(metrics) = gate.metrics.get() {
            metrics.dropped.add(count as u64);
        }
        (count, errors)
    }
}

impl<P: Payload> Drop for Receiver<P> {
    fn drop(&mut self) {
        self.discard();
    }
}
