//! The producers' end of a channel.

use std::sync::{Arc, PoisonError};
use std::task::Waker;

use super::gate::{Gate, GateState};
use super::{Message, Payload};
use crate::error::Error;
use crate::source::metrics::SourceMetrics;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Instant, MutexGuard};

/// Why a message was not sent. The caller still owns the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The channel has no free space for the message at the moment.
    Full,
    /// The sender is closed, or the source has ended.
    Closed,
}

/// Sends events to a push instance. Clones send to the same channel.
///
/// The source ends when the last clone is closed. If the last clone is dropped instead, the source ends with
/// [`Error::SenderDropped`].
pub struct Sender<P: Payload> {
    gate: Arc<Gate<P>>,
    /// Whether this sender is closed. Changed under the gate's lock, so that no send follows the change.
    closed: AtomicBool,
}

impl<P: Payload> Sender<P> {
    pub(super) fn new(gate: Arc<Gate<P>>) -> Self {
        Self {
            gate,
            closed: AtomicBool::new(false),
        }
    }

    pub fn event_size(&self) -> u32 {
        self.gate.event_size
    }

    /// Counts in the metrics of a plugin, unless the channel already counts in some.
    pub fn count_in(&self, metrics: &Arc<SourceMetrics>) {
        self.gate.count_in(metrics);
    }

    /// Counts an item that was refused: it cannot be an event, or the channel was full until its timeout.
    #[cold]
    pub fn count_refused(&self) {
        if let Some(metrics) = self.gate.metrics.get() {
            metrics.refused.add(1);
        }
    }

    /// Returns whether this sender or the receiving end is closed.
    pub fn is_closed(&self) -> bool {
        self.is_sender_closed() || self.is_source_closed()
    }

    /// Returns whether the receiving end is closed, because the source has ended.
    pub fn is_source_closed(&self) -> bool {
        self.gate.closed.load(Ordering::Acquire)
    }

    /// Returns whether this sender itself is closed.
    pub fn is_sender_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Fails if a payload of `len` bytes is larger than the event size.
    #[inline]
    pub fn check(&self, len: usize) -> Result<(), Error> {
        if len > self.gate.event_size as usize {
            return Err(Error::EventTooLarge {
                size: len,
                event_size: self.gate.event_size,
            });
        }
        Ok(())
    }

    /// Sends a message without blocking. Returns it if the channel is full or closed.
    #[inline(always)]
    pub fn try_send(&self, message: Message<P>) -> Result<(), (Refusal, Message<P>)> {
        let len = message.payload_len();
        let mut state = self.gate.lock();
        let copied = state.take_copied();
        let refusal = if self.is_closed() {
            Refusal::Closed
        } else if self.gate.has_space(&state, len) {
            state.push(message, len);
            self.finish_send(state, copied);
            return Ok(());
        } else {
            Refusal::Full
        };
        self.finish_send(state, copied);
        Err((refusal, message))
    }

    /// Sends as many messages as fit, without blocking. Returns how many, and the first message that did not fit.
    ///
    /// The iterator must not block: the channel is locked while it runs.
    pub fn try_send_all(
        &self,
        messages: impl IntoIterator<Item = Message<P>>,
    ) -> Result<(usize, Option<Message<P>>), Refusal> {
        let mut state = self.gate.lock();
        let copied = state.take_copied();
        let sent = if self.is_closed() {
            Err(Refusal::Closed)
        } else {
            let mut count = 0;
            let refused = messages.into_iter().find_map(|message| {
                let len = message.payload_len();
                if !self.gate.has_space(&state, len) {
                    return Some(message);
                }
                state.push(message, len);
                count += 1;
                None
            });
            Ok((count, refused))
        };
        self.finish_send(state, copied);
        sent
    }

    /// Wakes the threads that wait for the send or for the space of `copied`, then releases `copied` with no lock held.
    #[inline]
    fn finish_send(&self, mut state: MutexGuard<'_, GateState<P>>, copied: Vec<P>) {
        let is_receiver_due = state.take_wake_up();
        if !copied.is_empty() {
            self.gate.wake_senders(&mut state);
        }
        if !self.gate.is_half_free(&state) {
            // Ask for a report after each batch: a sender that does not block must not find the channel full of events
            // that the host already has.
            self.gate.reports_each_batch.store(true, Ordering::Release);
        }
        drop(state);
        if is_receiver_due {
            self.gate.wake_receiver();
        }
        if !copied.is_empty() {
            P::release(copied);
        }
    }

    /// Blocks until a payload of `len` bytes may fit, or this sender or the receiving end is closed. Returns false at
    /// the deadline.
    pub fn wait_for_space(&self, len: usize, deadline: Option<Instant>) -> bool {
        let is_ready = |state: &GateState<P>| self.gate.has_space(state, len) || !state.copied.is_empty();
        self.wait_until(deadline, |state| &mut state.waiting_for_space, is_ready)
    }

    /// Blocks until the host has handled all events and its thread waits for more, until this sender or the receiving end
    /// is closed, or until the deadline.
    pub fn wait_until_drained(&self, deadline: Option<Instant>) {
        let mut state = self.gate.lock();
        state.waiting_for_drain += 1;
        while state.wanted == 0 && !self.is_closed() {
            let Some(deadline) = deadline else {
                state = self.gate.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let now = Instant::now();
            if deadline <= now {
                break;
            }
            let waited = self.gate.changed.wait_timeout(state, deadline - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting_for_drain -= 1;
    }

    /// Returns how many messages were sent through the channel so far, as a position for [`Self::is_acknowledged`].
    pub fn position(&self) -> u64 {
        self.gate.lock().sent
    }

    /// Returns whether the host has acknowledged all messages before `position`: it took them and came back for more.
    pub fn is_acknowledged(&self, position: u64) -> Result<bool, Refusal> {
        if self.gate.lock().acknowledged >= position {
            return Ok(true);
        }
        if self.is_closed() {
            return Err(Refusal::Closed);
        }
        Ok(false)
    }

    /// Blocks until [`Self::is_acknowledged`] returns true or an error. Returns false at the deadline.
    pub fn wait_until_acknowledged(&self, position: u64, deadline: Option<Instant>) -> Result<bool, Refusal> {
        let is_ready = |state: &GateState<P>| state.acknowledged >= position;
        self.wait_until(deadline, |state| &mut state.waiting_for_host, is_ready);
        self.is_acknowledged(position)
    }

    /// Wakes the task once, when space, acknowledgements or the end of the channel may have changed.
    ///
    /// Register before checking, so that no change is missed in between.
    pub fn register(&self, waker: &Waker) {
        let mut state = self.gate.lock();
        if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        self.gate.reports_each_batch.store(true, Ordering::Release);
        self.wake_receiver_early(&mut state);
    }

    /// Blocks until `is_ready` or the end of the channel. Returns false at the deadline. `waiting` selects the counter
    /// that includes this thread while it waits.
    fn wait_until(
        &self,
        deadline: Option<Instant>,
        waiting: impl Fn(&mut GateState<P>) -> &mut usize,
        is_ready: impl Fn(&GateState<P>) -> bool,
    ) -> bool {
        let mut state = self.gate.lock();
        *waiting(&mut state) += 1;
        self.gate.reports_each_batch.store(true, Ordering::Release);
        let mut is_in_time = true;
        while is_in_time && !self.is_closed() && !is_ready(&state) {
            self.wake_receiver_early(&mut state);
            let now = Instant::now();
            state = match deadline {
                None => self.gate.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) if deadline <= now => {
                    is_in_time = false;
                    state
                }
                Some(deadline) => {
                    self.gate
                        .changed
                        .wait_timeout(state, deadline - now)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        *waiting(&mut state) -= 1;
        is_in_time
    }

    /// Wakes the receiver before its wanted number of messages is queued: a producer that waits sends no more for now.
    fn wake_receiver_early(&self, state: &mut GateState<P>) {
        if state.wanted > 0 && !state.queue.is_empty() {
            state.wanted = 0;
            self.gate.wake_receiver();
        }
    }

    /// Sends an error, even if the channel is full. Does nothing if the channel is closed.
    pub fn fail(&self, error: Error) {
        let mut state = self.gate.lock();
        if self.is_closed() {
            return;
        }
        state.push(Message::Error(Box::new(error)), 0);
        drop(state);
        self.gate.wake_receiver();
    }

    /// Closes this sender. Further calls do nothing.
    pub fn close(&self) {
        self.disconnect(false);
    }

    /// Closes this sender. `is_dropped`: it was dropped while it was open.
    fn disconnect(&self, is_dropped: bool) {
        let mut state = self.gate.lock();
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        // Clones are made under the lock too, so no other sender can appear between these two steps.
        let is_last = self.gate.senders.load(Ordering::Relaxed) == 1;
        if is_last {
            self.gate.last_was_dropped.store(is_dropped, Ordering::Relaxed);
        }
        // Decrement under the lock: a receiver that already has its token gets no second one, and must see this change
        // when it checks again.
        self.gate.senders.fetch_sub(1, Ordering::AcqRel);
        self.gate.wake_senders(&mut state);
        drop(state);
        if is_last {
            self.gate.wake_receiver();
            self.gate.last_sender.cancel();
        }
    }
}

impl<P: Payload> Clone for Sender<P> {
    /// Returns another sender to the same channel, which is closed separately. A clone of a closed sender is closed.
    fn clone(&self) -> Self {
        let state = self.gate.lock();
        let closed = self.is_sender_closed();
        if !closed {
            self.gate.senders.fetch_add(1, Ordering::Relaxed);
        }
        drop(state);
        Self {
            gate: Arc::clone(&self.gate),
            closed: AtomicBool::new(closed),
        }
    }
}

impl<P: Payload> Drop for Sender<P> {
    fn drop(&mut self) {
        self.disconnect(true);
    }
}
