//! Sending Python objects through the engine's channel.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use falco_plugin_abi::fork;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::NO_TIMESTAMP;
use falco_plugin_engine::source::channel::{self as engine, Message, Refusal};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::convert::buffers::{BytesPayload, to_bytes};
use crate::convert::options;
use crate::errors::{channel_full, from_python, plugin_error, sender_closed, source_ended, to_python};
use crate::event::item::{Item, PushEvent};
use crate::interpreter::threads;
use crate::source::context;
use crate::source::skipped_items::SkippedItems;

/// The end of a message about a call that would block a thread of the host indefinitely.
pub(crate) const ON_HOST_THREAD: &str = "on a thread of the host, which receives the events itself: call it on another \
                                         thread, or give a timeout";
/// How long each refused send but the first blocks. A producer that ignores refusals must not spin inside Falco.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);
/// How many messages are made of the items of a list before they are sent.
#[cfg(Py_GIL_DISABLED)]
const MESSAGES_TOGETHER: usize = 128;

pub(crate) type EngineSender = engine::Sender<BytesPayload>;

/// The engine's sender for items, with the refusals that Python code gets.
///
/// The lock of the channel is waited for while the thread is attached to Python. So a thread that holds this lock must
/// never wait for Python: neither for the GIL, nor for a lock of Python without one. Payloads are dropped after its
/// release, the items of `try_send_all` run no Python code, and a waker only writes to a descriptor.
pub(crate) struct ItemSender {
    engine: EngineSender,
    /// How many calls found the channel closed.
    refusals: AtomicU32,
    /// Counts the items that are skipped. `None` if items that cannot be events raise.
    skipped_items: Option<SkippedItems>,
}

impl ItemSender {
    pub(crate) fn new(engine: EngineSender, skipped_items: Option<SkippedItems>) -> Self {
        Self {
            engine,
            refusals: AtomicU32::new(0),
            skipped_items,
        }
    }

    pub(crate) fn engine(&self) -> &EngineSender {
        &self.engine
    }

    /// Returns a sender for another producer. Fails if this one was closed.
    pub(crate) fn try_clone(&self, py: Python<'_>) -> PyResult<Self> {
        let clone = self.engine.clone();
        if clone.is_sender_closed() {
            return Err(self.closed_error(py));
        }
        let skipped_items = self
            .skipped_items
            .as_ref()
            .map(|skipped_items| skipped_items.clone_ref(py));
        Ok(Self::new(clone, skipped_items))
    }

    /// Sends an item. Returns whether it was sent: an item that is skipped was not.
    #[inline(always)]
    pub(crate) fn send_item(
        &self,
        item: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
        deadline: Deadline,
    ) -> PyResult<bool> {
        match self.message(item, timestamp) {
            Ok(message) => self.send_message(item.py(), message, deadline).map(|()| true),
            Err(error) => self.skip(item.py(), error).map(|()| false),
        }
    }

    /// Sends the items of a list from index `sent` on, up to the first that is not `bytes`. Sending `bytes` runs no
    /// Python code, so they all go through the channel under one lock.
    pub(crate) fn send_bytes_of(&self, list: &Bound<'_, PyList>, sent: &mut usize, deadline: Deadline) -> PyResult<()> {
        let py = list.py();
        refuse_in_child(py)?;
        // If there is nothing to send, a closed channel is not an error.
        while list
            .get_item(*sent)
            .is_ok_and(|item| item.is_exact_instance_of::<PyBytes>())
        {
            let messages = (*sent..list.len()).map_while(|index| {
                let bytes = list.get_item(index).ok()?.cast_into_exact::<PyBytes>().ok()?;
                self.engine.check(bytes.as_bytes().len()).ok()?;
                Some(Message::Event {
                    payload: bytes.into(),
                    timestamp: NO_TIMESTAMP,
                })
            });
            // Without the GIL, reading the list may wait for a thread that changes it.
            #[cfg(Py_GIL_DISABLED)]
            let messages: Vec<_> = messages.take(MESSAGES_TOGETHER).collect();
            let (count, refused) = match self.engine.try_send_all(messages) {
                Ok(done) => done,
                Err(_) => return Err(self.refuse(py)),
            };
            *sent += count;
            self.step_aside(py);
            let Some(message) = refused else {
                if count == 0 {
                    return Ok(());
                }
                continue;
            };
            self.send_when_there_is_space(py, message, deadline)?;
            *sent += 1;
        }
        Ok(())
    }

    /// Lets a thread of the host go first, if one waits for the GIL.
    #[inline]
    pub(crate) fn step_aside(&self, py: Python<'_>) {
        threads::step_aside(py, |deadline| self.engine.wait_until_drained(Some(deadline)));
    }

    /// Sends a message. Waits for free space in the channel until the deadline.
    // Force inlining: a message that is passed through memory is written in one size and read in another, which stalls
    // the processor.
    #[inline(always)]
    pub(crate) fn send_message(
        &self,
        py: Python<'_>,
        message: Message<BytesPayload>,
        deadline: Deadline,
    ) -> PyResult<()> {
        refuse_in_child(py)?;
        match self.engine.try_send(message) {
            Ok(()) => {
                self.step_aside(py);
                Ok(())
            }
            Err((Refusal::Closed, _)) => Err(self.refuse(py)),
            Err((Refusal::Full, message)) => self.send_when_there_is_space(py, message, deadline),
        }
    }

    #[cold]
    fn send_when_there_is_space(
        &self,
        py: Python<'_>,
        mut message: Message<BytesPayload>,
        deadline: Deadline,
    ) -> PyResult<()> {
        if deadline.is_never() && threads::is_host_thread() {
            self.engine.count_refused();
            return Err(channel_full(py, ON_HOST_THREAD));
        }
        loop {
            let len = message.payload_len();
            let space = context::wait_with_signals(py, deadline.instant(), |slice| {
                self.engine.wait_for_space(len, slice).then_some(())
            })?;
            if self.engine.is_closed() {
                return Err(self.closed_error(py));
            }
            match self.engine.try_send(message) {
                Ok(()) => return Ok(()),
                Err((Refusal::Closed, _)) => return Err(self.refuse(py)),
                Err((Refusal::Full, _)) if space.is_none() => {
                    self.engine.count_refused();
                    return Err(channel_full(py, "after the timeout"));
                }
                Err((Refusal::Full, refused)) => message = refused,
            }
        }
    }

    /// Returns the error for a send through a closed channel. Pauses first if it is not the first refusal.
    fn refuse(&self, py: Python<'_>) -> PyErr {
        if self.refusals.fetch_add(1, Ordering::Relaxed) > 0 {
            let end = Instant::now() + REFUSAL_PAUSE;
            let paused = context::wait_with_signals(py, Some(end), |slice| {
                thread::sleep(slice?.saturating_duration_since(Instant::now()));
                None::<()>
            });
            if let Err(signal) = paused {
                return signal;
            }
        }
        self.closed_error(py)
    }

    /// Returns the error for a sender that is closed, or whose source has ended.
    pub(crate) fn closed_error(&self, py: Python<'_>) -> PyErr {
        if self.engine.is_source_closed() {
            source_ended(py)
        } else {
            sender_closed(py)
        }
    }

    /// Skips an item that was refused with `error`, if `on_error` is `log`. Otherwise returns the error. Also
    /// returns an error once the channel is closed, so that a producer of only bad items notices the end.
    #[cold]
    pub(crate) fn skip(&self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        self.engine.count_refused();
        let Some(skipped_items) = &self.skipped_items else {
            return Err(error);
        };
        refuse_in_child(py)?;
        if self.engine.is_closed() {
            return Err(self.refuse(py));
        }
        skipped_items.report(py, error)
    }

    /// Makes a message of an item. Fails if the item cannot be an event.
    #[inline(always)]
    pub(crate) fn message(
        &self,
        item: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Message<BytesPayload>> {
        match (item.cast_exact::<PyBytes>(), timestamp) {
            (Ok(bytes), None) => self.event(bytes.clone(), NO_TIMESTAMP),
            _ => self.other_message(item, timestamp),
        }
    }

    /// Makes a message of an item that is not `bytes` without a timestamp.
    fn other_message(
        &self,
        item: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Message<BytesPayload>> {
        let py = item.py();
        if let Ok(event) = item.cast_exact::<PushEvent>()
            && let Some(error) = &event.get().error
        {
            let error = PyErr::from_value(error.bind(py).clone().into_any());
            return Ok(Message::Error(Box::new(from_python(py, error))));
        }
        let item = Item::new(item, timestamp)?;
        self.event(to_bytes(&item.data)?, item.timestamp.unwrap_or(NO_TIMESTAMP))
    }

    #[inline(always)]
    fn event(&self, data: Bound<'_, PyBytes>, timestamp: u64) -> PyResult<Message<BytesPayload>> {
        self.engine
            .check(data.as_bytes().len())
            .map_err(|error| to_python(data.py(), error))?;
        Ok(Message::Event {
            payload: data.into(),
            timestamp,
        })
    }

    /// Waits until the host has acknowledged all that was sent before. Returns whether it has by the deadline.
    pub(crate) fn flush(&self, py: Python<'_>, deadline: Deadline) -> PyResult<bool> {
        refuse_in_child(py)?;
        if self.engine.is_sender_closed() {
            return Err(self.closed_error(py));
        }
        if deadline.is_never() && threads::is_host_thread() {
            return Err(plugin_error(py, format!("flush would never return {ON_HOST_THREAD}")));
        }
        let position = self.engine.position();
        let acknowledged = context::wait_with_signals(py, deadline.instant(), |slice| {
            match self.engine.wait_until_acknowledged(position, slice) {
                Ok(false) => None,
                decided => Some(decided),
            }
        })?;
        acknowledged.unwrap_or(Ok(false)).map_err(|_| self.closed_error(py))
    }

    /// Closes the sender. `error` ends the source, after the events that were sent before.
    pub(crate) fn close(&self, error: Option<Error>) {
        if let Some(error) = error {
            self.engine.fail(error);
        }
        self.engine.close();
    }
}

/// Refuses to send in a forked child, from which no event would reach the host.
#[inline]
pub(crate) fn refuse_in_child(py: Python<'_>) -> PyResult<()> {
    if !fork::is_child() {
        return Ok(());
    }
    Err(plugin_error(
        py,
        "this process was forked from the process of the source, and only that one can send: pass the events to it, \
         for example through a multiprocessing.Queue, and send them there",
    ))
}

/// When a wait ends without success.
#[derive(Clone, Copy)]
pub(crate) enum Deadline {
    Never,
    At(Instant),
}

impl Deadline {
    /// Reads the option `timeout`.
    pub(crate) fn parse(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(options::deadline(timeout)?.map_or(Self::Never, Self::At))
    }

    fn is_never(self) -> bool {
        matches!(self, Self::Never)
    }

    fn instant(self) -> Option<Instant> {
        match self {
            Self::Never => None,
            Self::At(at) => Some(at),
        }
    }
}
