//! The channel between producers and the push loop: bounded by count and by bytes, and disconnected by close.
//!
//! The messages wait behind the lock of the gate, and the receiver takes all of them at once: two threads that met at
//! every message would pay more for the meeting than for the message. A crossbeam channel of one token wakes the
//! receiver, beside its context and its deadline. The gate counts what is in the channel: queued messages, what the
//! receiver has taken and not delivered yet, and payloads that the host has copied but nobody has released (a payload
//! may need a lock to be dropped that the host's thread must not wait for; a producer releases it with its next send).
//! It also counts how far the host has come, for producers that must know what was taken. The receiver tells all this
//! when it takes messages, and in between where a producer waits for it.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, PoisonError};
use std::task::Waker;

use crate::error::Error;
use crate::event::batch::{SOFT_BYTES, check_event_size};
use crate::source::context::Context;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::channel::{self, Select, bounded};
use crate::sync::{Condvar, Instant, Mutex, MutexGuard};

/// Messages in a channel, unless its maker says otherwise.
pub const DEFAULT_CAPACITY: usize = 1024;
/// Payload bytes in a channel, unless its maker says otherwise.
pub const DEFAULT_MAX_BYTES: usize = 64 << 20;
/// Copied payloads of this many bytes are released by the host's thread itself, if no producer does.
const RELEASE_BYTES: usize = 8 << 20;
/// Room for more messages than this is given back when they were received.
const KEPT_MESSAGES: usize = 4096;

/// The bytes of an event on their way through a channel.
pub trait Payload: Send + 'static {
    fn bytes(&self) -> &[u8];

    /// Drops payloads that were copied; called with no lock held.
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

/// What goes through a channel (`source.PushEvent` of the Go SDK).
#[derive(Debug)]
pub enum Message<P> {
    Event {
        payload: P,
        timestamp: u64,
    },
    /// In a box, because the place that a message takes goes from one core's cache to another's.
    Error(Box<Error>),
}

impl<P: Payload> Message<P> {
    /// Bytes of the payload; an error has none.
    pub fn payload_len(&self) -> usize {
        match self {
            Self::Event { payload, .. } => payload.bytes().len(),
            Self::Error(_) => 0,
        }
    }
}

/// Why a message was not sent; it is still the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No room for it, for now.
    Full,
    /// The sender was closed, or the source has ended.
    Closed,
}

/// A new channel. A message that is larger than `max_bytes` passes alone.
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
    let (wake, woken) = bounded(1);
    let gate = Arc::new(Gate {
        state: Mutex::default(),
        changed: Condvar::new(),
        attention: AtomicBool::new(false),
        wake,
        closed: AtomicBool::new(false),
        senders: AtomicUsize::new(1),
        last_was_dropped: AtomicBool::new(false),
        last_sender: Context::new(),
        capacity,
        max_bytes,
        event_size,
    });
    let sender = Sender {
        gate: Arc::clone(&gate),
        closed: AtomicBool::new(false),
    };
    let receiver = Receiver {
        gate,
        woken,
        taken: VecDeque::new(),
        delivered: 0,
        acknowledged: 0,
        untold: Untold::default(),
    };
    Ok((sender, receiver))
}

struct Gate<P> {
    state: Mutex<GateState<P>>,
    /// Notified when a blocked sender should look again.
    changed: Condvar,
    /// Whether the receiver has to tell what it did with each batch: a sender asks for it, there is little room, or the
    /// channel is closed. Changed under the lock.
    attention: AtomicBool,
    /// Takes a token when the receiver should look again.
    wake: channel::Sender<()>,
    closed: AtomicBool,
    senders: AtomicUsize,
    /// Whether the last sender was dropped without `close`. Set before `senders` becomes 0, and read after that is seen.
    last_was_dropped: AtomicBool,
    /// Cancelled when the last sender is gone.
    last_sender: Context,
    capacity: usize,
    max_bytes: usize,
    event_size: u32,
}

struct GateState<P> {
    queue: VecDeque<Message<P>>,
    queued_bytes: usize,
    /// All that is in the channel: queued, taken by the receiver, or copied.
    count: usize,
    bytes: usize,
    copied: Vec<P>,
    copied_bytes: usize,
    /// Messages that were ever sent, and of these the ones that the host is done with.
    sent: u64,
    acknowledged: u64,
    /// How many queued messages the receiver waits for; 0 while it does not wait.
    awaited: usize,
    /// Threads that wait on `changed` for room, or for the host; and tasks that wait for either without a thread.
    without_room: usize,
    flushing: usize,
    wakers: Vec<Waker>,
}

impl<P> Default for GateState<P> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            queued_bytes: 0,
            count: 0,
            bytes: 0,
            copied: Vec::new(),
            copied_bytes: 0,
            sent: 0,
            acknowledged: 0,
            awaited: 0,
            without_room: 0,
            flushing: 0,
            wakers: Vec::new(),
        }
    }
}

impl<P: Payload> GateState<P> {
    #[inline(always)]
    fn push(&mut self, message: Message<P>, len: usize) {
        self.count += 1;
        self.bytes += len;
        self.sent += 1;
        self.queued_bytes += len;
        self.queue.push_back(message);
    }

    /// What nobody needs any more; its room is free from here on, so the caller drops it at once.
    #[inline]
    fn take_copied(&mut self) -> Vec<P> {
        if self.copied.is_empty() {
            return Vec::new();
        }
        self.count -= self.copied.len();
        self.bytes -= mem::take(&mut self.copied_bytes);
        mem::take(&mut self.copied)
    }

    /// Whether the receiver waits for what there is now. It is told once.
    fn is_awaited(&mut self) -> bool {
        let awaited = self.awaited > 0 && (self.queue.len() >= self.awaited || self.queued_bytes >= SOFT_BYTES);
        if awaited {
            self.awaited = 0;
        }
        awaited
    }
}

impl<P: Payload> Gate<P> {
    fn lock(&self) -> MutexGuard<'_, GateState<P>> {
        // Counters are changed together and without code that can panic in between.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a message of `len` bytes has room.
    fn admits(&self, state: &GateState<P>, len: usize) -> bool {
        state.count < self.capacity && (state.bytes == 0 || state.bytes + len <= self.max_bytes)
    }

    /// Whether half of the room is free, but for what was copied.
    fn is_roomy(&self, state: &GateState<P>) -> bool {
        state.count - state.copied.len() <= self.capacity / 2 && state.bytes - state.copied_bytes <= self.max_bytes / 2
    }

    fn close(&self) {
        // Under the lock, so that a sender that is about to block cannot miss it.
        let mut state = self.lock();
        self.closed.store(true, Ordering::Release);
        self.wake_senders(&mut state);
    }

    /// Drops what the host has copied, and makes its room free again.
    fn release(&self) {
        let mut state = self.lock();
        let copied = state.take_copied();
        self.wake_senders(&mut state);
        drop(state);
        P::release(copied);
    }

    fn wake_senders(&self, state: &mut GateState<P>) {
        if state.without_room > 0 || state.flushing > 0 {
            self.changed.notify_all();
        }
        for waker in state.wakers.drain(..) {
            waker.wake();
        }
    }

    fn wake_receiver(&self) {
        // Where a token is there already, the receiver has not looked since.
        let _ = self.wake.try_send(());
    }
}

/// The producers' end. The source ends when the last clone is closed. If the last one is dropped instead, the source ends
/// with [`Error::SenderDropped`].
pub struct Sender<P: Payload> {
    gate: Arc<Gate<P>>,
    /// Whether this one was closed. Changed under the gate's lock, so that no send comes after it.
    closed: AtomicBool,
}

impl<P: Payload> Sender<P> {
    pub fn event_size(&self) -> u32 {
        self.gate.event_size
    }

    /// Whether this sender or the receiving end has been closed.
    pub fn is_closed(&self) -> bool {
        self.is_sender_closed() || self.is_source_closed()
    }

    /// Whether the receiving end has been closed: the source has ended.
    pub fn is_source_closed(&self) -> bool {
        self.gate.closed.load(Ordering::Acquire)
    }

    /// Whether this sender itself has been closed.
    pub fn is_sender_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Refuses a payload that is larger than the event size.
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

    /// Sends the message, if it has room, without waiting; gives it back otherwise.
    #[inline(always)]
    pub fn try_send(&self, message: Message<P>) -> Result<(), (Refusal, Message<P>)> {
        let len = message.payload_len();
        let mut state = self.gate.lock();
        let unused = state.take_copied();
        let refused = if self.is_closed() {
            Refusal::Closed
        } else if self.gate.admits(&state, len) {
            state.push(message, len);
            self.sent(state, unused);
            return Ok(());
        } else {
            Refusal::Full
        };
        self.sent(state, unused);
        Err((refused, message))
    }

    /// Sends as many of the messages as have room, without waiting; says how many, and gives back the first that has
    /// none. The iterator must not wait for anything: the channel is locked while it is asked.
    pub fn try_send_all(
        &self,
        messages: impl IntoIterator<Item = Message<P>>,
    ) -> Result<(usize, Option<Message<P>>), Refusal> {
        let mut state = self.gate.lock();
        let unused = state.take_copied();
        let sent = if self.is_closed() {
            Err(Refusal::Closed)
        } else {
            let mut count = 0;
            let refused = messages.into_iter().find_map(|message| {
                let len = message.payload_len();
                if !self.gate.admits(&state, len) {
                    return Some(message);
                }
                state.push(message, len);
                count += 1;
                None
            });
            Ok((count, refused))
        };
        self.sent(state, unused);
        sent
    }

    /// The end of a send: wakes who waits for it, and drops what the host has copied, with no lock held.
    #[inline]
    fn sent(&self, mut state: MutexGuard<'_, GateState<P>>, unused: Vec<P>) {
        let awaited = state.is_awaited();
        if !unused.is_empty() {
            self.gate.wake_senders(&mut state);
        }
        if !self.gate.is_roomy(&state) {
            // Who does not wait must not find the channel full of what the host has already.
            self.gate.attention.store(true, Ordering::Release);
        }
        drop(state);
        if awaited {
            self.gate.wake_receiver();
        }
        if !unused.is_empty() {
            P::release(unused);
        }
    }

    /// Waits until a message may have room, or this sender or the receiving end is closed. Returns false when the
    /// deadline has passed.
    pub fn wait_for_space(&self, len: usize, deadline: Option<Instant>) -> bool {
        let ready = |state: &GateState<P>| self.gate.admits(state, len) || !state.copied.is_empty();
        self.wait_until(deadline, |state| &mut state.without_room, ready)
    }

    /// How many messages were sent through the channel so far: a place for [`Self::is_acknowledged`].
    pub fn position(&self) -> u64 {
        self.gate.lock().sent
    }

    /// Whether the host is done with all messages before `position`: it took them, and came back for more.
    pub fn is_acknowledged(&self, position: u64) -> Result<bool, Refusal> {
        if self.gate.lock().acknowledged >= position {
            return Ok(true);
        }
        if self.is_closed() {
            return Err(Refusal::Closed);
        }
        Ok(false)
    }

    /// Waits until [`Self::is_acknowledged`], or the deadline.
    pub fn wait_until_acknowledged(&self, position: u64, deadline: Option<Instant>) -> Result<bool, Refusal> {
        let ready = |state: &GateState<P>| state.acknowledged >= position;
        self.wait_until(deadline, |state| &mut state.flushing, ready);
        self.is_acknowledged(position)
    }

    /// Wakes the task once, when room, what was taken or the end may have changed. Register first, then look.
    pub fn register(&self, waker: &Waker) {
        let mut state = self.gate.lock();
        if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        self.gate.attention.store(true, Ordering::Release);
        self.hurry(&mut state);
    }

    /// Waits until `ready`, the end of the channel, or the deadline; false for the last.
    fn wait_until(
        &self,
        deadline: Option<Instant>,
        waiting: impl Fn(&mut GateState<P>) -> &mut usize,
        ready: impl Fn(&GateState<P>) -> bool,
    ) -> bool {
        let mut state = self.gate.lock();
        *waiting(&mut state) += 1;
        self.gate.attention.store(true, Ordering::Release);
        let mut in_time = true;
        while in_time && !self.is_closed() && !ready(&state) {
            self.hurry(&mut state);
            let now = Instant::now();
            state = match deadline {
                None => self.gate.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) if deadline <= now => {
                    in_time = false;
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
        in_time
    }

    /// A producer that waits sends no more for now: the receiver need not wait for a batch of messages.
    fn hurry(&self, state: &mut GateState<P>) {
        if state.awaited > 0 && !state.queue.is_empty() {
            state.awaited = 0;
            self.gate.wake_receiver();
        }
    }

    /// Sends an error whatever the room: the last word of a producer is not refused.
    pub fn fail(&self, error: Error) {
        let mut state = self.gate.lock();
        if self.is_closed() {
            return;
        }
        state.push(Message::Error(Box::new(error)), 0);
        drop(state);
        self.gate.wake_receiver();
    }

    /// Closes this sender. Idempotent.
    pub fn close(&self) {
        self.end(false);
    }

    /// Closes this sender, or records that it was dropped while it was open.
    fn end(&self, dropped: bool) {
        let mut state = self.gate.lock();
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        // Clones are made under the lock too, so no other sender can appear between these two steps.
        let last = self.gate.senders.load(Ordering::Relaxed) == 1;
        if last {
            self.gate.last_was_dropped.store(dropped, Ordering::Relaxed);
        }
        // Done under the lock: a receiver that already has its token gets no second one, and must see this change when
        // it checks again.
        self.gate.senders.fetch_sub(1, Ordering::AcqRel);
        self.gate.wake_senders(&mut state);
        drop(state);
        if last {
            self.gate.wake_receiver();
            self.gate.last_sender.cancel();
        }
    }
}

impl<P: Payload> Clone for Sender<P> {
    /// A sender that is closed on its own. That of a closed one is closed.
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
        self.end(true);
    }
}

/// The push loop's end.
pub struct Receiver<P: Payload> {
    gate: Arc<Gate<P>>,
    woken: channel::Receiver<()>,
    /// Taken from the queue, and not received yet.
    taken: VecDeque<Message<P>>,
    /// Messages that were ever handed to the host, and of these the ones that it is done with.
    delivered: u64,
    acknowledged: u64,
    untold: Untold<P>,
}

/// What was received and the gate does not know yet.
struct Untold<P> {
    /// Copied payloads, which keep their room until they are released.
    copied: Vec<P>,
    copied_bytes: usize,
    /// Messages without payload.
    others: usize,
}

impl<P> Default for Untold<P> {
    fn default() -> Self {
        Self {
            copied: Vec::new(),
            copied_bytes: 0,
            others: 0,
        }
    }
}

/// Why there is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nothing {
    Empty,
    /// All senders are closed.
    Disconnected,
    /// All senders are gone, and the last one was not closed.
    Dropped,
}

/// What woke a wait on the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    Ready,
    Timeout,
}

impl<P: Payload> Receiver<P> {
    pub fn event_size(&self) -> u32 {
        self.gate.event_size
    }

    pub(crate) fn capacity(&self) -> usize {
        self.gate.capacity
    }

    /// Closes the channel from a thread that does not hold the receiver.
    pub fn closer(&self) -> Closer<P> {
        Closer {
            gate: Arc::clone(&self.gate),
        }
    }

    /// The host came back for more: it is done with what it was handed.
    pub(crate) fn begin(&mut self) {
        self.acknowledged = self.delivered;
        if self.gate.attention.load(Ordering::Acquire) {
            let gate = Arc::clone(&self.gate);
            self.tell(&mut gate.lock());
        }
    }

    /// A message, which is to be given to [`Self::done`], [`Self::done_with_error`] or [`Self::put_back`].
    #[inline]
    pub(crate) fn try_recv(&mut self) -> Result<Message<P>, Nothing> {
        self.taken.pop_front().map_or_else(|| self.take_all(), Ok)
    }

    #[cold]
    fn take_all(&mut self) -> Result<Message<P>, Nothing> {
        if self.taken.capacity() > KEPT_MESSAGES {
            self.taken = VecDeque::new();
        }
        // Looked at first: what a sender sent before it was gone is in the queue.
        let disconnected = self.gate.senders.load(Ordering::Acquire) == 0;
        let gate = Arc::clone(&self.gate);
        let mut state = gate.lock();
        self.tell(&mut state);
        mem::swap(&mut self.taken, &mut state.queue);
        state.queued_bytes = 0;
        state.awaited = 0;
        drop(state);
        self.taken.pop_front().ok_or_else(|| {
            if !disconnected {
                Nothing::Empty
            } else if gate.last_was_dropped.load(Ordering::Relaxed) {
                Nothing::Dropped
            } else {
                Nothing::Disconnected
            }
        })
    }

    /// The payload was copied for the host.
    #[inline]
    pub(crate) fn done(&mut self, payload: P) {
        self.delivered += 1;
        self.untold.copied_bytes += payload.bytes().len();
        self.untold.copied.push(payload);
    }

    pub(crate) fn done_with_error(&mut self) {
        self.delivered += 1;
        self.untold.others += 1;
    }

    /// Puts back what was received last.
    pub(crate) fn put_back(&mut self, message: Message<P>) {
        self.taken.push_front(message);
    }

    pub(crate) fn has_messages(&self) -> bool {
        !self.taken.is_empty() || !self.gate.lock().queue.is_empty()
    }

    /// The host gets what there is: tells how far that is, where somebody waits for it, and where nothing is left to
    /// do, since the host may not come back for a while.
    pub(crate) fn end(&mut self) {
        if self.taken.is_empty()
            || self.untold.copied_bytes >= RELEASE_BYTES
            || self.gate.attention.load(Ordering::Acquire)
        {
            let gate = Arc::clone(&self.gate);
            let mut state = gate.lock();
            self.tell(&mut state);
            let release = state.copied_bytes >= RELEASE_BYTES;
            drop(state);
            if release {
                gate.release();
            }
        }
    }

    fn tell(&mut self, state: &mut GateState<P>) {
        let untold = &mut self.untold;
        let acknowledged = state.acknowledged != self.acknowledged;
        state.acknowledged = self.acknowledged;
        state.count -= mem::take(&mut untold.others);
        state.copied_bytes += mem::take(&mut untold.copied_bytes);
        state.copied.append(&mut untold.copied);
        untold.copied.shrink_to(KEPT_MESSAGES);
        // A sender that went on at the first place would soon wait again.
        let roomy = self.gate.is_roomy(state);
        if state.without_room > 0 && roomy || state.flushing > 0 && acknowledged || !state.wakers.is_empty() {
            self.gate.wake_senders(state);
        }
        // After the end nothing is received any more: that the host came back is told as soon as it does.
        let asked = state.without_room > 0 || state.flushing > 0 || !roomy || self.gate.closed.load(Ordering::Acquire);
        self.gate.attention.store(asked, Ordering::Release);
    }

    /// Waits until `wanted` messages are queued, or fewer and their senders wait, until the last sender is gone, the
    /// context is cancelled, or the deadline. To be called when there is nothing to receive.
    pub(crate) fn wait(&self, context: &Context, wanted: usize, deadline: Option<Instant>) -> Wake {
        let mut state = self.gate.lock();
        let hurried = self.gate.attention.load(Ordering::Acquire) && !state.queue.is_empty();
        if hurried || state.queue.len() >= wanted || self.gate.senders.load(Ordering::Acquire) == 0 {
            return Wake::Ready;
        }
        state.awaited = wanted;
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
        ready.map_or(Wake::Timeout, |_| Wake::Ready)
    }

    /// Closes the channel and drops what is queued; says how many events that were, and which errors.
    pub(crate) fn discard(&mut self) -> (usize, Vec<Error>) {
        let gate = Arc::clone(&self.gate);
        gate.close();
        let mut state = gate.lock();
        self.tell(&mut state);
        self.taken.append(&mut state.queue);
        state.queued_bytes = 0;
        let mut errors = Vec::new();
        let mut count = 0;
        for message in self.taken.drain(..) {
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
        (count, errors)
    }
}

impl<P: Payload> Drop for Receiver<P> {
    fn drop(&mut self) {
        self.discard();
    }
}

/// Closes a channel: blocked senders wake, later sends are refused.
pub struct Closer<P> {
    gate: Arc<Gate<P>>,
}

impl<P: Payload> Closer<P> {
    pub fn close(&self) {
        self.gate.close();
    }

    /// Senders that are neither closed nor gone.
    pub fn senders(&self) -> usize {
        self.gate.senders.load(Ordering::Acquire)
    }

    /// Waits until the last sender is closed or gone; false at the deadline.
    pub fn wait_for_senders(&self, deadline: Instant) -> bool {
        self.gate.last_sender.wait(Some(deadline))
    }
}
