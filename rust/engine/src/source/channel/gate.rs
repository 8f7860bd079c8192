//! The state that senders and the receiver share: the queue, its limits, and how far the host has come.
//!
//! The limits count queued messages, messages that the receiver holds, and payloads that the host's thread has copied
//! but nobody has released. Releasing a payload may need a lock that the host's thread must not wait for. So a producer
//! releases copied payloads with its next send.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::AtomicUsize as Published;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::Waker;

use super::{Message, Payload};
use crate::event::SOFT_BYTES;
use crate::source::context::Context;
use crate::source::metrics::{Backlog, Measured, SourceMetrics};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::channel::{Receiver, Sender, bounded};
use crate::sync::{Condvar, Instant, Mutex, MutexGuard};

pub(super) struct Gate<P> {
    state: Mutex<GateState<P>>,
    /// Notified when a blocked sender must check again.
    pub(super) changed: Condvar,
    /// Whether the receiver must report after each batch: a sender asked for it, little space is free, or the channel
    /// is closed. Changed under the lock.
    pub(super) reports_each_batch: AtomicBool,
    /// Holds a token when the receiver must check again.
    wake: Sender<()>,
    /// Whether the receiving end is closed. Set under the lock.
    pub(super) closed: AtomicBool,
    /// Senders that are neither closed nor dropped.
    pub(super) senders: AtomicUsize,
    /// Whether the last sender was dropped without `close`. Written before `senders` becomes 0, with release order;
    /// read after a load of 0, with acquire order.
    pub(super) last_was_dropped: AtomicBool,
    /// Cancelled when the last sender is closed or dropped.
    pub(super) last_sender: Context,
    pub(super) capacity: usize,
    pub(super) max_bytes: usize,
    pub(super) event_size: u32,
    /// The metrics of the plugin that the channel belongs to.
    pub(super) metrics: OnceLock<Arc<SourceMetrics>>,
    /// Messages that the state still counts, although the receiver has delivered them, and the bytes of their payloads.
    /// Only metrics read them, so they synchronize nothing.
    pub(super) unreported: Published,
    pub(super) unreported_bytes: Published,
}

pub(super) struct GateState<P> {
    pub(super) queue: VecDeque<Message<P>>,
    pub(super) queued_bytes: usize,
    /// Messages in the channel: queued, held by the receiver, or copied and not released. `bytes` counts their
    /// payloads.
    pub(super) count: usize,
    pub(super) bytes: usize,
    /// Payloads that the host's thread has copied and nobody has released.
    pub(super) copied: Vec<P>,
    pub(super) copied_bytes: usize,
    /// Messages sent since the channel was created.
    pub(super) sent: u64,
    /// Messages that the host has acknowledged: it took them and came back for more.
    pub(super) acknowledged: u64,
    /// The number of queued messages that the receiver waits for; 0 while it does not wait.
    pub(super) wanted: usize,
    /// Threads that wait on `changed` for free space.
    pub(super) waiting_for_space: usize,
    /// Threads that wait on `changed` for an acknowledgement by the host.
    pub(super) waiting_for_host: usize,
    /// Threads that wait on `changed` until the receiver waits for messages.
    pub(super) waiting_for_drain: usize,
    /// Tasks to wake when space, acknowledgements or the end of the channel may have changed.
    pub(super) wakers: Vec<Waker>,
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
            wanted: 0,
            waiting_for_space: 0,
            waiting_for_host: 0,
            waiting_for_drain: 0,
            wakers: Vec::new(),
        }
    }
}

impl<P: Payload> GateState<P> {
    #[inline(always)]
    pub(super) fn push(&mut self, message: Message<P>, len: usize) {
        self.count += 1;
        self.bytes += len;
        self.sent += 1;
        self.queued_bytes += len;
        self.queue.push_back(message);
    }

    /// Takes the copied payloads and counts their space as free. The caller must release them.
    #[inline]
    pub(super) fn take_copied(&mut self) -> Vec<P> {
        if self.copied.is_empty() {
            return Vec::new();
        }
        self.count -= self.copied.len();
        self.bytes -= mem::take(&mut self.copied_bytes);
        mem::take(&mut self.copied)
    }

    /// Returns whether to wake the receiver, because enough is queued for its current wait. Returns true once per wait.
    pub(super) fn take_wake_up(&mut self) -> bool {
        let is_due = self.wanted > 0 && (self.queue.len() >= self.wanted || self.queued_bytes >= SOFT_BYTES);
        if is_due {
            self.wanted = 0;
        }
        is_due
    }
}

impl<P: Payload> Gate<P> {
    /// Creates a gate for one sender, and the receiver of its wake-up tokens.
    pub(super) fn new(capacity: usize, max_bytes: usize, event_size: u32) -> (Arc<Self>, Receiver<()>) {
        let (wake, woken) = bounded(1);
        let gate = Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            reports_each_batch: AtomicBool::new(false),
            wake,
            closed: AtomicBool::new(false),
            senders: AtomicUsize::new(1),
            last_was_dropped: AtomicBool::new(false),
            last_sender: Context::new(),
            capacity,
            max_bytes,
            event_size,
            metrics: OnceLock::new(),
            unreported: Published::new(0),
            unreported_bytes: Published::new(0),
        });
        (gate, woken)
    }

    /// Counts in the metrics of a plugin, unless the channel already counts in some.
    pub(super) fn count_in(self: &Arc<Self>, metrics: &Arc<SourceMetrics>) {
        if self.metrics.set(Arc::clone(metrics)).is_ok() {
            let gate: Arc<dyn Measured> = Arc::<Self>::clone(self);
            metrics.add_channel(Arc::downgrade(&gate));
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, GateState<P>> {
        // A poisoned state is whole: its counters change together, and no code in between can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether there is free space for a payload of `len` bytes.
    pub(super) fn has_space(&self, state: &GateState<P>, len: usize) -> bool {
        state.count < self.capacity && (state.bytes == 0 || state.bytes + len <= self.max_bytes)
    }

    /// Returns whether at least half of the channel is free, copied payloads not counted.
    pub(super) fn is_half_free(&self, state: &GateState<P>) -> bool {
        state.count - state.copied.len() <= self.capacity / 2 && state.bytes - state.copied_bytes <= self.max_bytes / 2
    }

    /// Closes the receiving end. Blocked senders wake, and later sends are refused.
    pub(super) fn close(&self) {
        // Hold the lock: a sender checks `closed` and begins to wait under it, so it cannot miss the notification.
        let mut state = self.lock();
        self.closed.store(true, Ordering::Release);
        self.wake_senders(&mut state);
    }

    /// Releases the copied payloads, and wakes the senders that wait for their space.
    pub(super) fn release(&self) {
        let mut state = self.lock();
        let copied = state.take_copied();
        self.wake_senders(&mut state);
        drop(state);
        P::release(copied);
    }

    pub(super) fn wake_senders(&self, state: &mut GateState<P>) {
        if state.waiting_for_space > 0 || state.waiting_for_host > 0 || state.waiting_for_drain > 0 {
            self.changed.notify_all();
        }
        for waker in state.wakers.drain(..) {
            waker.wake();
        }
    }

    pub(super) fn wake_receiver(&self) {
        // A failure means that a token is waiting already: the receiver has not checked since.
        let _ = self.wake.try_send(());
    }
}

impl<P: Payload> Measured for Gate<P> {
    fn backlog(&self) -> Backlog {
        let state = self.lock();
        let delivered = state.copied.len() + self.unreported.load(Ordering::Relaxed);
        let delivered_bytes = state.copied_bytes + self.unreported_bytes.load(Ordering::Relaxed);
        Backlog {
            events: state.count.saturating_sub(delivered) as u64,
            bytes: state.bytes.saturating_sub(delivered_bytes) as u64,
        }
    }
}

/// Closes a channel from a thread that does not hold the receiver.
pub struct Closer<P> {
    gate: Arc<Gate<P>>,
}

impl<P: Payload> Closer<P> {
    pub(super) fn new(gate: Arc<Gate<P>>) -> Self {
        Self { gate }
    }

    /// Closes the channel. Blocked senders wake, and later sends are refused.
    pub fn close(&self) {
        self.gate.close();
    }

    /// Counts in the metrics of a plugin, unless the channel already counts in some.
    pub fn count_in(&self, metrics: &Arc<SourceMetrics>) {
        self.gate.count_in(metrics);
    }

    /// Returns the number of senders that are neither closed nor dropped.
    pub fn senders(&self) -> usize {
        self.gate.senders.load(Ordering::Acquire)
    }

    /// Blocks until the last sender is closed or dropped. Returns false at the deadline.
    pub fn wait_for_senders(&self, deadline: Instant) -> bool {
        self.gate.last_sender.wait(Some(deadline))
    }
}
