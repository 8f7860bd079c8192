//! Functions that the producer of an `IterInstance` (`falco_plugin._runtime.producer`) uses on the channel.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::task::{Wake, Waker};

use falco_plugin_abi::fork;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::source::channel::Refusal;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyIterator};

use crate::errors::Raised;
use crate::source::context::{self, Context};
use crate::source::item_sender::{Deadline, EngineSender, ItemSender};
use crate::source::sender::Sender;

/// Sends the items of an iterator, each as soon as it is available. Not public.
///
/// Returns:
///     ``None`` at the end, ``True`` for a barrier, or the exception for an item that is refused.
#[pyfunction]
pub(crate) fn send_each<'py>(sender: &Bound<'py, Sender>, items: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // The callable that made the iterator may have forked, too.
    fork::end_child();
    let stop = send_until_stopped(&sender.get().items, items);
    fork::end_child();
    stop
}

fn send_until_stopped<'py>(sender: &ItemSender, items: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = items.py();
    // Do not call `iter(items)`: it may start again from the beginning.
    for item in items.cast::<PyIterator>()? {
        fork::end_child();
        let item = item?;
        if item.is_none() {
            return Ok(PyBool::new(py, true).to_owned().into_any());
        }
        match sender.message(&item, None) {
            Ok(message) => sender.send_message(py, message, Deadline::Never)?,
            Err(refused) => {
                if let Err(error) = sender.skip(py, refused) {
                    return Ok(error.into_value(py).into_bound(py).into_any());
                }
            }
        }
    }
    Ok(py.None().into_bound(py))
}

/// Returns how many items were sent through the channel so far. Not public.
#[pyfunction]
pub(crate) fn position(sender: &Bound<'_, Sender>) -> u64 {
    sender.get().items.engine().position()
}

/// Closes a sender and ends the source with an error. Not public.
///
/// If no event was sent yet, the host reports the error as a failure of ``open``.
#[pyfunction]
pub(crate) fn fail(sender: &Bound<'_, Sender>, error: &Bound<'_, PyBaseException>) {
    let sender = &sender.get().items;
    let raised = Raised {
        error: PyErr::from_value(error.clone().into_any()),
        opening: sender.engine().position() == 0,
    };
    sender.close(Some(Error::Source(Box::new(raised))));
}

/// A sender for an event loop. Its methods never wait. Not public.
///
/// If a method returns false, ``fileno()`` becomes readable when another attempt is worthwhile, and when the context is
/// cancelled.
#[pyclass(frozen, module = "falco_plugin._core")]
pub(crate) struct AsyncSender {
    sender: Py<Sender>,
    ready: Arc<Ready>,
    waker: Waker,
}

/// Makes the descriptor of an `AsyncSender` readable, from any thread and without the GIL.
struct Ready(OwnedFd);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        context::signal(&self.0);
    }
}

impl AsyncSender {
    fn attempt(
        &self,
        py: Python<'_>,
        mut attempt: impl FnMut(&EngineSender) -> Result<bool, Refusal>,
    ) -> PyResult<bool> {
        let sender = &self.sender.get().items;
        let engine = sender.engine();
        fork::end_child();
        let mut done = attempt(engine);
        if done == Ok(false) {
            engine.register(&self.waker);
            // A change before the registration woke nobody, so try again.
            done = attempt(engine);
        }
        done.map_err(|_| sender.closed_error(py))
    }
}

#[pymethods]
impl AsyncSender {
    #[new]
    fn new(sender: Py<Sender>, context: &Bound<'_, Context>) -> PyResult<Self> {
        let ready = Arc::new(Ready(context::new_event()?));
        let waker = Waker::from(Arc::clone(&ready));
        context.get().engine.wake_on_cancel(waker.clone());
        Ok(Self { sender, ready, waker })
    }

    /// Returns the descriptor that becomes readable.
    fn fileno(&self) -> i32 {
        self.ready.0.as_raw_fd()
    }

    /// Makes the descriptor unreadable again.
    fn clear(&self) {
        let _ = rustix::io::read(&self.ready.0, &mut [0_u8; 8]);
    }

    /// Returns whether the item was sent or skipped. Returns false if the channel is full.
    fn try_send(&self, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = item.py();
        let sender = &self.sender.get().items;
        let mut message = match sender.message(item, None) {
            Ok(message) => Some(message),
            Err(error) => return sender.skip(py, error).map(|()| true),
        };
        let sent = self.attempt(py, |engine| {
            engine.try_send_all(message.take()).map(|(_, refused)| {
                message = refused;
                message.is_none()
            })
        });
        sender.step_aside(py);
        sent
    }

    /// Returns whether the host has acknowledged all that was sent before the position.
    fn is_acknowledged(&self, py: Python<'_>, position: u64) -> PyResult<bool> {
        self.attempt(py, |engine| engine.is_acknowledged(position))
    }
}
