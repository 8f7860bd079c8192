//! `Sender`: the producers' end of a channel.

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyList};

use crate::errors::{from_python, mark_as_source_error, with_taken};
use crate::event::item::exception;
use crate::interpreter::fast::OneArgument;
use crate::source::item_sender::{Deadline, EngineSender, ItemSender};
use crate::source::skipped_items::SkippedItems;

/// The producers' end of a channel. Safe to use from any thread.
///
/// The source ends when the last clone of a sender is closed. If the last one is dropped without ``close``, for example
/// by a thread that raised, the source ends with an error. As a context manager, a sender closes itself at the end of
/// the block; an exception that leaves the block ends the source with that error.
#[pyclass(frozen, weakref, module = "falco_plugin.source")]
pub(crate) struct Sender {
    pub(crate) items: ItemSender,
}

impl Sender {
    pub(crate) fn new(engine: EngineSender, skipped_items: Option<SkippedItems>) -> Self {
        Self {
            items: ItemSender::new(engine, skipped_items),
        }
    }
}

impl OneArgument for Sender {
    const NAME: &str = "send";

    #[inline]
    fn call<'py>(this: &Bound<'py, Self>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let sent = this.get().items.send_item(item, None, Deadline::Never)?;
        Ok(PyBool::new(this.py(), sent).to_owned().into_any())
    }

    fn general() -> &'static PyOnceLock<Py<PyAny>> {
        static GENERAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        &GENERAL
    }
}

#[pymethods]
impl Sender {
    /// Bytes of the largest payload of one event.
    ///
    /// Raises:
    ///     ChannelClosedError: this sender was closed.
    #[getter]
    fn event_size(&self, py: Python<'_>) -> PyResult<u32> {
        let engine = self.items.engine();
        if engine.is_sender_closed() {
            return Err(self.items.closed_error(py));
        }
        Ok(engine.event_size())
    }

    /// Whether this sender was closed, or the source has ended.
    #[getter]
    fn closed(&self) -> bool {
        self.items.engine().is_closed()
    }

    /// Sends one event, or the error of a ``PushEvent``. Waits while the channel is full, with the GIL released.
    ///
    /// Args:
    ///     item: any buffer, a ``(buffer, timestamp)`` tuple, or a ``PushEvent``. ``bytes`` are sent by reference.
    ///     timestamp: nanoseconds since the epoch, or an aware ``datetime``; without one the host fills in its time.
    ///     timeout: seconds or a ``timedelta``. ``None`` waits without limit, 0 does not wait.
    ///
    /// Returns:
    ///     Whether the event was sent. With ``on_error="log"`` it is false for an item that was skipped.
    ///
    /// Raises:
    ///     ChannelClosedError: the sender was closed, or the source has ended. The event was not sent.
    ///     ChannelFullError: the channel was full until the timeout; or it is full, there is no timeout, and this is a
    ///         thread of the host. The event was not sent.
    ///     EventTooLargeError: the payload is larger than the event size. With ``on_error="log"``, this and the
    ///         following errors are raised for the timeout only.
    ///     TypeError: the item cannot be an event, such as a ``str``; or there is a timestamp both in the item and as
    ///         an argument.
    ///     ValueError: the timestamp is out of range, or a naive ``datetime``; or the timeout is negative.
    #[pyo3(signature = (item, timestamp = None, *, timeout = None))]
    fn send(
        &self,
        item: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        self.items.send_item(item, timestamp, Deadline::parse(timeout)?)
    }

    /// Sends many events, which is faster than one by one.
    ///
    /// An item of an iterator is consumed only after the preceding one was sent.
    ///
    /// Args:
    ///     items: an iterable of items, each as in :meth:`send`.
    ///     timeout: seconds or a ``timedelta`` for all of them together. ``None`` waits without limit.
    ///
    /// Returns:
    ///     The number of events that were sent: all, except those that were skipped (``on_error="log"``).
    ///
    /// Raises:
    ///     Exception: an exception of :meth:`send` or of the iterable. Its attribute ``taken`` is the number of items
    ///         before the one that failed, whether they were sent or skipped.
    #[pyo3(signature = (items, *, timeout = None))]
    fn send_many(&self, items: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        let py = items.py();
        let deadline = Deadline::parse(timeout)?;
        let mut done = 0;
        let mut skipped = 0;
        let mut run = || {
            if let Ok(list) = items.cast_exact::<PyList>() {
                loop {
                    self.items.send_bytes_of(list, &mut done, deadline)?;
                    let Ok(item) = list.get_item(done) else { return Ok(()) };
                    skipped += usize::from(!self.items.send_item(&item, None, deadline)?);
                    done += 1;
                }
            }
            for item in items.try_iter()? {
                skipped += usize::from(!self.items.send_item(&item?, None, deadline)?);
                done += 1;
            }
            Ok(())
        };
        match run() {
            Ok(()) => Ok(done - skipped),
            Err(error) => Err(with_taken(py, error, done)),
        }
    }

    /// Waits until the host has acknowledged all events that were sent through the channel before, with the GIL
    /// released.
    ///
    /// The host acknowledges a batch when it asks for the next one. Items that were skipped are not waited for.
    ///
    /// Args:
    ///     timeout: seconds or a ``timedelta``. ``None`` waits without limit, 0 does not wait.
    ///
    /// Returns:
    ///     Whether the host has acknowledged them before the timeout.
    ///
    /// Raises:
    ///     ChannelClosedError: the sender was closed, or the source has ended. Events that were not delivered by then
    ///         are dropped.
    ///     PluginError: there is no timeout, and this is a thread of the host: the call would never return.
    ///     TypeError: the timeout is neither a number nor a ``timedelta``.
    ///     ValueError: the timeout is negative.
    #[pyo3(signature = (timeout = None))]
    fn flush(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        self.items.flush(py, Deadline::parse(timeout)?)
    }

    /// Returns a sender for another producer, which is closed separately.
    ///
    /// Raises:
    ///     ChannelClosedError: this sender was closed.
    #[pyo3(name = "clone")]
    fn clone_sender(&self, py: Python<'_>) -> PyResult<Self> {
        self.items.try_clone(py).map(|items| Self { items })
    }

    /// Closes this sender. The source ends when the last sender is closed. Idempotent.
    ///
    /// Args:
    ///     error: ends the source with this error, after the events that were sent before.
    ///
    /// Raises:
    ///     TypeError: the error is not an exception.
    #[pyo3(signature = (error = None))]
    fn close(&self, py: Python<'_>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let error = error
            .map(|error| {
                exception(error).map(|error| from_python(py, PyErr::from_value(error.into_bound(py).into_any())))
            })
            .transpose()?;
        self.items.close(error);
        Ok(())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        // `sys.exit()` without a failure status is a normal end.
        let is_normal =
            value.is_none() || (value.is_instance_of::<PySystemExit>() && !value.getattr("code")?.is_truthy()?);
        let error = (!is_normal).then(|| {
            mark_as_source_error(value);
            from_python(py, PyErr::from_value(value.clone()))
        });
        self.items.close(error);
        Ok(())
    }
}
