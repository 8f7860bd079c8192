//! The channel between producers and the push loop: bounded by count and by bytes, and disconnected by close.
//!
//! The queue itself is crossbeam's. Around it stands the gate, which counts what is in the channel: queued messages,
//! and payloads that the host has copied but nobody has released yet (a payload may need a lock to be dropped that
//! the host's thread must not wait for; a producer releases it with its next send). It also counts how far the host has
//! come, for producers that must know what was taken.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use crossbeam_channel::{Select, TryRecvError, unbounded};

use crate::batch::check_event_size;
use crate::context::Context;
use crate::error::Error;

/// Messages in a channel, unless its maker says otherwise.
pub const DEFAULT_CAPACITY: usize = 1024;
/// Payload bytes in a channel, unless its maker says otherwise.
pub const DEFAULT_MAX_BYTES: usize = 64 << 20;
/// Copied payloads of this many bytes are released by the host's thread itself, if no producer does.
const RELEASE_BYTES: usize = 8 << 20;

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
    Event { payload: P, timestamp: u64 },
    Error(Error),
}

impl<P: Payload> Message<P> {
    fn len(&self) -> usize {
        match self {
            Self::Event { payload, .. } => payload.bytes().len(),
            Self::Error(_) => 0,
        }
    }
}

/// Why messages were not sent; they are still the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No room for the first of them, for now.
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
    let (sender, receiver) = unbounded();
    let gate = Arc::new(Gate {
        state: Mutex::default(),
        changed: Condvar::new(),
        unreleased: AtomicBool::new(false),
        closed: AtomicBool::new(false),
        senders: AtomicUsize::new(1),
        last_sender: Context::new(),
        capacity,
        max_bytes,
        event_size,
    });
    Ok((
        Sender {
            queue: sender,
            gate: Arc::clone(&gate),
        },
        Receiver { queue: receiver, gate },
    ))
}

struct Gate<P> {
    state: Mutex<GateState<P>>,
    /// Notified when a blocked sender should look again.
    changed: Condvar,
    /// A hint that `state.copied` is not empty, read without the lock.
    unreleased: AtomicBool,
    closed: AtomicBool,
    senders: AtomicUsize,
    /// Cancelled when the last sender is gone.
    last_sender: Context,
    capacity: usize,
    max_bytes: usize,
    event_size: u32,
}

struct GateState<P> {
    count: usize,
    bytes: usize,
    copied: Vec<P>,
    copied_bytes: usize,
    /// Messages that were ever sent, that were ever handed to the host, and of these the ones that it is done with.
    sent: u64,
    delivered: u64,
    taken: u64,
    /// Threads that wait on `changed`, and tasks that wait without a thread.
    blocked: usize,
    wakers: Vec<Waker>,
}

impl<P> Default for GateState<P> {
    fn default() -> Self {
        Self {
            count: 0,
            bytes: 0,
            copied: Vec::new(),
            copied_bytes: 0,
            sent: 0,
            delivered: 0,
            taken: 0,
            blocked: 0,
            wakers: Vec::new(),
        }
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

    fn close(&self) {
        // Under the lock, so that a sender that is about to block cannot miss it.
        let mut state = self.lock();
        self.closed.store(true, Ordering::Release);
        self.wake(&mut state);
    }

    /// Drops what the host has copied, and makes its room free again.
    fn release(&self) {
        if !self.unreleased.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.lock();
        let copied = mem::take(&mut state.copied);
        let bytes = mem::take(&mut state.copied_bytes);
        self.unreleased.store(false, Ordering::Release);
        drop(state);
        let count = copied.len();
        P::release(copied);
        let mut state = self.lock();
        state.count -= count;
        state.bytes -= bytes;
        self.wake(&mut state);
    }

    fn wake(&self, state: &mut GateState<P>) {
        if state.blocked > 0 {
            self.changed.notify_all();
        }
        for waker in state.wakers.drain(..) {
            waker.wake();
        }
    }
}

/// The producers' end. The source ends when the last clone is gone.
pub struct Sender<P: Payload> {
    queue: crossbeam_channel::Sender<Message<P>>,
    gate: Arc<Gate<P>>,
}

impl<P: Payload> Sender<P> {
    pub fn event_size(&self) -> u32 {
        self.gate.event_size
    }

    /// Whether the receiving end has been closed.
    pub fn is_closed(&self) -> bool {
        self.gate.closed.load(Ordering::Acquire)
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

    /// Sends as many messages from the front as have room, without waiting. The rest stays.
    pub fn try_send(&self, messages: &mut Vec<Message<P>>) -> Result<usize, Refused> {
        self.gate.release();
        let mut state = self.gate.lock();
        if self.gate.closed.load(Ordering::Acquire) {
            return Err(Refused::Closed);
        }
        let mut taken = 0;
        for message in messages.iter() {
            let len = message.len();
            if !self.gate.admits(&state, len) {
                break;
            }
            state.count += 1;
            state.bytes += len;
            state.sent += 1;
            taken += 1;
        }
        // Queued before the gate is unlocked: what was admitted before a close is in the queue when it is counted.
        for message in messages.drain(..taken) {
            let _ = self.queue.send(message);
        }
        drop(state);
        if taken == 0 && !messages.is_empty() {
            return Err(Refused::Full);
        }
        Ok(taken)
    }

    /// Waits until a message may have room, the channel is closed or `interrupted` says so (see [`Self::wake_all`]).
    /// Returns false when the deadline has passed.
    pub fn wait_for_room(&self, len: usize, deadline: Option<Instant>, interrupted: impl Fn() -> bool) -> bool {
        self.wait_until(deadline, |state| {
            interrupted() || self.gate.admits(state, len) || !state.copied.is_empty()
        })
    }

    /// How many messages were sent through the channel so far: a place for [`Self::is_taken`].
    pub fn position(&self) -> u64 {
        self.gate.lock().sent
    }

    /// Whether the host is done with all messages before `position`: it took them, and came back for more.
    pub fn is_taken(&self, position: u64) -> Result<bool, Refused> {
        if self.gate.lock().taken >= position {
            return Ok(true);
        }
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        Ok(false)
    }

    /// Waits until [`Self::is_taken`], the deadline, or until `interrupted` says so (see [`Self::wake_all`]).
    pub fn wait_until_taken(
        &self,
        position: u64,
        deadline: Option<Instant>,
        interrupted: impl Fn() -> bool,
    ) -> Result<bool, Refused> {
        self.wait_until(deadline, |state| interrupted() || state.taken >= position);
        self.is_taken(position)
    }

    /// Wakes the task once, when room, what was taken or the end may have changed. Register first, then look.
    pub fn register(&self, waker: &Waker) {
        let mut state = self.gate.lock();
        if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
    }

    /// Waits until `ready`, the end of the channel, or the deadline; false for the last.
    fn wait_until(&self, deadline: Option<Instant>, ready: impl Fn(&GateState<P>) -> bool) -> bool {
        let mut state = self.gate.lock();
        state.blocked += 1;
        let mut in_time = true;
        while in_time && !self.gate.closed.load(Ordering::Acquire) && !ready(&state) {
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
        state.blocked -= 1;
        in_time
    }

    /// Makes every blocked sender of the channel look again.
    pub fn wake_all(&self) {
        self.gate.wake(&mut self.gate.lock());
    }

    /// Sends an error whatever the room: the last word of a producer is not refused.
    pub fn fail(&self, error: Error) {
        let mut state = self.gate.lock();
        if self.gate.closed.load(Ordering::Acquire) {
            return;
        }
        state.count += 1;
        state.sent += 1;
        let _ = self.queue.send(Message::Error(error));
    }
}

impl<P: Payload> Clone for Sender<P> {
    fn clone(&self) -> Self {
        self.gate.senders.fetch_add(1, Ordering::Relaxed);
        Self {
            queue: self.queue.clone(),
            gate: Arc::clone(&self.gate),
        }
    }
}

impl<P: Payload> Drop for Sender<P> {
    fn drop(&mut self) {
        if self.gate.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.gate.last_sender.cancel();
        }
    }
}

/// The push loop's end.
pub struct Receiver<P: Payload> {
    queue: crossbeam_channel::Receiver<Message<P>>,
    gate: Arc<Gate<P>>,
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

    /// Closes the channel from a thread that does not hold the receiver.
    pub fn closer(&self) -> Closer<P> {
        Closer {
            gate: Arc::clone(&self.gate),
        }
    }

    #[inline]
    pub(crate) fn try_recv(&self) -> Result<Message<P>, TryRecvError> {
        self.queue.try_recv()
    }

    /// Waits until the channel or the context has something to say, or the deadline.
    pub(crate) fn wait(&self, context: &Context, deadline: Option<Instant>) -> Wake {
        let mut select = Select::new();
        select.recv(&self.queue);
        select.recv(context.done());
        match deadline {
            None => {
                select.ready();
                Wake::Ready
            }
            Some(deadline) => match select.ready_deadline(deadline) {
                Ok(_) => Wake::Ready,
                Err(_) => Wake::Timeout,
            },
        }
    }

    /// The host is done with what it was handed: it came back for more.
    pub(crate) fn acknowledge(&self) {
        let mut state = self.gate.lock();
        if state.taken != state.delivered {
            state.taken = state.delivered;
            self.gate.wake(&mut state);
        }
    }

    /// Gives back what one batch took from the channel: the room of `others` messages that carried no payload, and
    /// the copied payloads, which keep theirs until they are released.
    pub(crate) fn settle(&self, copied: &mut Vec<P>, copied_bytes: usize, others: usize) {
        if copied.is_empty() && others == 0 {
            return;
        }
        let mut state = self.gate.lock();
        state.delivered += (copied.len() + others) as u64;
        self.give_back(state, copied, copied_bytes, others);
    }

    /// Closes the channel and drops what is queued, and what was `held` back; says how many events that were, and which
    /// errors.
    pub(crate) fn discard(&self, held: Option<P>) -> (usize, Vec<Error>) {
        self.gate.close();
        let mut bytes = held.as_ref().map_or(0, |payload| payload.bytes().len());
        let mut dropped: Vec<P> = held.into_iter().collect();
        let mut errors = Vec::new();
        let mut others = 0;
        while let Ok(message) = self.queue.try_recv() {
            match message {
                Message::Event { payload, .. } => {
                    bytes += payload.bytes().len();
                    dropped.push(payload);
                }
                Message::Error(error) => {
                    others += 1;
                    if !matches!(error, Error::Eof | Error::Timeout) {
                        errors.push(error);
                    }
                }
            }
        }
        let count = dropped.len();
        self.give_back(self.gate.lock(), &mut dropped, bytes, others);
        self.gate.release();
        (count, errors)
    }

    fn give_back(&self, mut state: MutexGuard<'_, GateState<P>>, payloads: &mut Vec<P>, bytes: usize, others: usize) {
        state.count -= others;
        state.copied.append(payloads);
        state.copied_bytes += bytes;
        let release = state.copied_bytes >= RELEASE_BYTES;
        self.gate.unreleased.store(!state.copied.is_empty(), Ordering::Release);
        self.gate.wake(&mut state);
        drop(state);
        if release {
            self.gate.release();
        }
    }
}

impl<P: Payload> Drop for Receiver<P> {
    fn drop(&mut self) {
        self.discard(None);
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
