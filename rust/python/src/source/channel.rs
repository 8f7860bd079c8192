//! `channel`, `Sender`, `Receiver` and `PushEvent`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use falco_plugin_abi::fork;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::NO_TIMESTAMP;
use falco_plugin_engine::source::channel::{self as engine, Message, Refusal};
use pyo3::exceptions::{PyBaseException, PySystemExit, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyList, PyTuple, PyType};

use crate::convert::buffers::{BytesPayload, to_bytes};
use crate::convert::options;
use crate::errors::{
    channel_full, from_python, mark_as_source_error, plugin_error, sender_closed, source_ended, to_python, with_taken,
};
use crate::event::batch::{self, Item};
use crate::interpreter::fast::OneArgument;
use crate::interpreter::threads;
use crate::source::context;
use crate::source::left_out::{self, LeftOut};

/// Why nothing waits there for the host to take events.
const ON_HOSTS_THREAD: &str = "on a thread of the host, which takes the events itself: call it on a thread of your own, or \
                               give a timeout";
/// What every refused send but the first costs a producer that ignores the refusal, so that it cannot spin inside Falco.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// An event, or the error that takes its place (``source.PushEvent`` of the Go SDK). Immutable.
///
/// Args:
///     data: the payload, any buffer; ``bytes`` are kept by reference, others are copied.
///     timestamp: ns since the epoch or an aware ``datetime``; without one the host fills in its time.
///     error: ``Timeout`` says that there is no event for now; ``EOF`` and any other error end the source.
///
/// Raises:
///     TypeError: the data is no buffer, the error no exception, or the timestamp of a wrong type.
///     ValueError: both data and an error are given, or neither; or the timestamp is out of range.
#[pyclass(frozen, module = "falco_plugin.source")]
pub(crate) struct PushEvent {
    pub(crate) data: Option<Py<PyBytes>>,
    pub(crate) timestamp: Option<u64>,
    pub(crate) error: Option<Py<PyBaseException>>,
}

impl PushEvent {
    pub(crate) fn event(data: Bound<'_, PyBytes>, timestamp: Option<u64>) -> Self {
        Self {
            data: Some(data.unbind()),
            timestamp,
            error: None,
        }
    }
}

#[pymethods]
impl PushEvent {
    #[new]
    #[pyo3(signature = (data = None, timestamp = None, *, error = None))]
    fn new(
        data: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
        error: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let timestamp = options::timestamp(timestamp)?;
        match (data, error) {
            (Some(data), None) => Ok(Self::event(to_bytes(data)?, timestamp)),
            (None, Some(error)) if timestamp.is_none() => Ok(Self {
                data: None,
                timestamp: None,
                error: Some(exception(error)?),
            }),
            (None, Some(_)) => Err(PyValueError::new_err("a PushEvent with an error has no timestamp")),
            _ => Err(PyValueError::new_err(
                "a PushEvent has either data or an error: give exactly one of them",
            )),
        }
    }

    /// The payload; ``None`` where there is an error.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.data.as_ref().map(|data| data.bind(py).clone())
    }

    /// Nanoseconds since the epoch; ``None``: the host fills in its time.
    #[getter]
    fn timestamp(&self) -> Option<u64> {
        self.timestamp
    }

    /// The error; ``None`` where there is data.
    #[getter]
    fn error<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBaseException>> {
        self.error.as_ref().map(|error| error.bind(py).clone())
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(other) = other.cast_exact::<Self>() else {
            return Ok(false);
        };
        let other = other.get();
        Ok(self.timestamp == other.timestamp
            && self.data(py).map(|data| data.as_bytes().to_vec())
                == other.data(py).map(|data| data.as_bytes().to_vec())
            && match (&self.error, &other.error) {
                (None, None) => true,
                (Some(one), Some(two)) => one.is(two),
                _ => false,
            })
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyTuple::new(
            py,
            [
                self.data(py).into_pyobject(py)?.into_any(),
                self.timestamp.into_pyobject(py)?.into_any(),
            ],
        )?
        .hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(match (&self.data, &self.error, self.timestamp) {
            (Some(data), _, None) => format!("PushEvent({})", data.bind(py).repr()?),
            (Some(data), _, Some(timestamp)) => {
                format!("PushEvent({}, {timestamp})", data.bind(py).repr()?)
            }
            (None, Some(error), _) => format!("PushEvent(error={})", error.bind(py).repr()?),
            (None, None, _) => "PushEvent()".to_owned(),
        })
    }
}

/// An exception instance, or an error that says so.
fn exception(error: &Bound<'_, PyAny>) -> PyResult<Py<PyBaseException>> {
    if let Ok(class) = error.cast::<PyType>()
        && class.is_subclass_of::<PyBaseException>()?
    {
        return Ok(class.call0()?.cast_into::<PyBaseException>()?.unbind());
    }
    match error.cast::<PyBaseException>() {
        Ok(error) => Ok(error.clone().unbind()),
        Err(_) => Err(PyTypeError::new_err(format!(
            "error must be an exception, not {}",
            error.get_type().name()?
        ))),
    }
}

/// A channel from producer threads to a ``PushInstance`` (``chan source.PushEvent`` of the Go SDK).
///
/// Args:
///     capacity: events that wait in it at most.
///     max_bytes: bytes that wait in it at most; a larger event passes alone.
///     event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
///     on_error: ``"raise"``: an item that cannot be an event raises when it is sent. ``"log"``: the item is left out
///         and counted; the log reports each cause at most once a minute, and the rest when the source ends.
///
/// Raises:
///     TypeError: an option is not an ``int``, or ``on_error`` not a ``str``.
///     ValueError: an option is out of range, or ``on_error`` is neither of the two.
#[pyfunction]
#[pyo3(
    signature = (capacity = None, *, max_bytes = None, event_size = None, on_error = None),
    text_signature = "(capacity=1024, *, max_bytes=67108864, event_size=262144, on_error='raise')"
)]
pub(crate) fn channel(
    py: Python<'_>,
    capacity: Option<&Bound<'_, PyAny>>,
    max_bytes: Option<&Bound<'_, PyAny>>,
    event_size: Option<&Bound<'_, PyAny>>,
    on_error: Option<&Bound<'_, PyAny>>,
) -> PyResult<(Sender, Receiver)> {
    let size = |name, value: Option<&Bound<'_, PyAny>>, default: usize| {
        value.map_or(Ok(default), |value| {
            options::integer(name, value, 1, isize::MAX as u64).map(|size| size as usize)
        })
    };
    let capacity = size("capacity", capacity, engine::DEFAULT_CAPACITY)?;
    let max_bytes = size("max_bytes", max_bytes, engine::DEFAULT_MAX_BYTES)?;
    let event_size = event_size.map_or(Ok(falco_plugin_engine::event::DEFAULT_EVENT_SIZE), batch::event_size)?;
    let left_out = left_out::from_option(py, on_error)?;
    let (sender, receiver) = engine::channel(capacity, max_bytes, event_size).map_err(|error| to_python(py, error))?;
    let receiver = Receiver {
        engine: Mutex::new(Some(receiver)),
        event_size,
        left_out: left_out.as_ref().map(|left_out| left_out.clone_ref(py)),
    };
    Ok((Sender::new(sender, left_out), receiver))
}

/// The end of a channel that one ``PushInstance`` reads from.
#[pyclass(frozen, module = "falco_plugin.source")]
pub(crate) struct Receiver {
    engine: Mutex<Option<engine::Receiver<BytesPayload>>>,
    event_size: u32,
    left_out: Option<LeftOut>,
}

impl Receiver {
    /// Returns the counter of items that are left out, if items that cannot be events do not raise.
    pub(crate) fn left_out(&self, py: Python<'_>) -> Option<LeftOut> {
        self.left_out.as_ref().map(|left_out| left_out.clone_ref(py))
    }

    /// Hands the receiving end to the one instance that reads from it.
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<engine::Receiver<BytesPayload>> {
        let receiver = self.engine.lock().unwrap_or_else(PoisonError::into_inner).take();
        receiver.ok_or_else(|| {
            plugin_error(
                py,
                "this receiver is read by another PushInstance: make a channel for each",
            )
        })
    }
}

#[pymethods]
impl Receiver {
    /// Bytes of the largest payload of one event.
    #[getter]
    fn event_size(&self) -> u32 {
        self.event_size
    }
}

type EngineSender = engine::Sender<BytesPayload>;

/// The producers' end of a channel. Safe to use from any thread.
///
/// The source ends when the last clone is closed. If the last one is dropped without ``close``, such as by a thread that
/// raised, the source ends with an error. As a context manager a sender closes itself; an exception that leaves the block
/// is the source's error.
// The lock of the engine's gate is waited for with the GIL held, so whoever has it must not wait for the GIL: payloads are
// dropped after it was let go, the items of `try_send_all` run no Python code, and a waker only writes to a descriptor.
#[pyclass(frozen, weakref, module = "falco_plugin.source")]
pub(crate) struct Sender {
    engine: EngineSender,
    refused: AtomicU32,
    /// Counts the items that are left out. `None` if items that cannot be events raise.
    left_out: Option<LeftOut>,
}

impl Sender {
    pub(crate) fn new(engine: EngineSender, left_out: Option<LeftOut>) -> Self {
        Self {
            engine,
            refused: AtomicU32::new(0),
            left_out,
        }
    }

    /// The engine's sender, unless the source has ended or this one was closed.
    pub(crate) fn engine(&self) -> &EngineSender {
        &self.engine
    }

    /// Sends a message, waiting for room until the deadline.
    // A message that is handed on through memory is written in one size and read in another, which the processor waits for.
    #[inline(always)]
    pub(crate) fn send_one(&self, py: Python<'_>, message: Message<BytesPayload>, deadline: Deadline) -> PyResult<()> {
        refuse_in_child(py)?;
        match self.engine.try_send(message) {
            Ok(()) => {
                threads::step_aside(py);
                Ok(())
            }
            Err((Refusal::Closed, _)) => Err(self.refuse(py)),
            Err((Refusal::Full, message)) => self.send_when_there_is_room(py, message, deadline),
        }
    }

    #[cold]
    fn send_when_there_is_room(
        &self,
        py: Python<'_>,
        mut message: Message<BytesPayload>,
        deadline: Deadline,
    ) -> PyResult<()> {
        if deadline.is_never() && threads::is_hosts() {
            return Err(channel_full(py, ON_HOSTS_THREAD));
        }
        loop {
            let len = message.payload_len();
            let room = context::wait_with_signals(py, deadline.moment(), |slice| {
                self.engine.wait_for_space(len, slice).then_some(())
            })?;
            if self.engine.is_closed() {
                return Err(self.closed_error(py));
            }
            match self.engine.try_send(message) {
                Ok(()) => return Ok(()),
                Err((Refusal::Closed, _)) => return Err(self.refuse(py)),
                Err((Refusal::Full, _)) if room.is_none() => return Err(channel_full(py, "after the timeout")),
                Err((Refusal::Full, refused)) => message = refused,
            }
        }
    }

    /// Sends the items of a list that are `bytes`, from `sent` on, as far as they go. They run no Python code, so they
    /// all go through the channel's gate at once.
    fn send_run(&self, list: &Bound<'_, PyList>, sent: &mut usize, deadline: Deadline) -> PyResult<()> {
        let py = list.py();
        refuse_in_child(py)?;
        // Nothing to send is no reason to find the channel closed, and a bad item is told before that.
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
            let (count, refused) = match self.engine.try_send_all(messages) {
                Ok(done) => done,
                Err(_) => return Err(self.refuse(py)),
            };
            *sent += count;
            threads::step_aside(py);
            let Some(message) = refused else { return Ok(()) };
            self.send_when_there_is_room(py, message, deadline)?;
            *sent += 1;
        }
        Ok(())
    }

    fn refuse(&self, py: Python<'_>) -> PyErr {
        if self.refused.fetch_add(1, Ordering::Relaxed) > 0 {
            let end = Instant::now() + REFUSED_PAUSE;
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

    /// Leaves out an item that was refused with `error`, if `on_error` says so. Otherwise returns the error. Also
    /// returns an error once the channel is closed, so that a producer of only bad items notices the end.
    #[cold]
    pub(crate) fn leave_out(&self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        let Some(left_out) = &self.left_out else {
            return Err(error);
        };
        refuse_in_child(py)?;
        if self.engine.is_closed() {
            return Err(self.refuse(py));
        }
        left_out.report(py, error)
    }

    /// Sends an item. Returns whether it was sent: an item that is left out was not.
    #[inline(always)]
    fn send_item(
        &self,
        item: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
        deadline: Deadline,
    ) -> PyResult<bool> {
        match self.message(item, timestamp) {
            Ok(message) => self.send_one(item.py(), message, deadline).map(|()| true),
            Err(error) => self.leave_out(item.py(), error).map(|()| false),
        }
    }

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

    /// The message for an item that is not just `bytes`.
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

    pub(crate) fn close_with(&self, error: Option<Error>) {
        if let Some(error) = error {
            self.engine.fail(error);
        }
        self.engine.close();
    }
}

/// What a child process sends would reach nobody.
#[inline]
fn refuse_in_child(py: Python<'_>) -> PyResult<()> {
    if !fork::is_child() {
        return Ok(());
    }
    Err(plugin_error(
        py,
        "this process was forked from the one that the source is in, and only that one can send: give it the events, such \
         as through a multiprocessing.Queue, and send them there",
    ))
}

/// When a wait gives up.
#[derive(Clone, Copy)]
pub(crate) enum Deadline {
    Never,
    At(Instant),
}

impl Deadline {
    fn new(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(options::deadline(timeout)?.map_or(Self::Never, Self::At))
    }

    fn is_never(self) -> bool {
        matches!(self, Self::Never)
    }

    fn moment(self) -> Option<Instant> {
        match self {
            Self::Never => None,
            Self::At(at) => Some(at),
        }
    }
}

impl OneArgument for Sender {
    const NAME: &str = "send";

    #[inline]
    fn call<'py>(this: &Bound<'py, Self>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let sent = this.get().send_item(item, None, Deadline::Never)?;
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
        if self.engine.is_sender_closed() {
            return Err(self.closed_error(py));
        }
        Ok(self.engine.event_size())
    }

    /// Whether this sender was closed, or the source has ended.
    #[getter]
    fn closed(&self) -> bool {
        self.engine.is_closed()
    }

    /// Sends one event, or the error of a ``PushEvent``; waits while the channel is full, with the GIL free.
    ///
    /// Args:
    ///     item: any buffer, ``(buffer, timestamp)`` or a ``PushEvent``; ``bytes`` go by reference.
    ///     timestamp: ns since the epoch or an aware ``datetime``; without one the host fills in its time.
    ///     timeout: seconds or a ``timedelta``; ``None`` waits without limit, 0 not at all.
    ///
    /// Returns:
    ///     Whether the event was sent. False only with ``on_error="log"``, for an item that was left out.
    ///
    /// Raises:
    ///     ChannelClosedError: the sender was closed or the source has ended; the event is still the caller's.
    ///     ChannelFullError: the channel was full until the timeout, or is full on a thread of the host's without one;
    ///         the event is still the caller's.
    ///     EventTooLargeError: the payload is larger than the event size. With ``on_error="log"`` this and the following
    ///         are raised for the timeout alone.
    ///     TypeError: the item is not an event, such as a ``str``; or it has a timestamp of its own and one is given.
    ///     ValueError: the timestamp is out of range, or a naive ``datetime``; or the timeout is negative.
    #[pyo3(signature = (item, timestamp = None, *, timeout = None))]
    fn send(
        &self,
        item: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        self.send_item(item, timestamp, Deadline::new(timeout)?)
    }

    /// Sends events, faster than one by one. Of an iterator no item is consumed before the one in front was sent.
    ///
    /// Args:
    ///     items: each as in :meth:`send`.
    ///     timeout: seconds or a ``timedelta`` for all of them; ``None`` waits without limit.
    ///
    /// Returns:
    ///     How many were sent: all, except for those that were left out (``on_error="log"``).
    ///
    /// Raises:
    ///     Exception: as of :meth:`send`, or the iterable's own; its ``taken`` is the number of items before the one that
    ///         failed, whether they were sent or left out.
    #[pyo3(signature = (items, *, timeout = None))]
    fn send_many(&self, items: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        let py = items.py();
        let deadline = Deadline::new(timeout)?;
        let mut done = 0;
        let mut left_out = 0;
        let mut run = || {
            if let Ok(list) = items.cast_exact::<PyList>() {
                loop {
                    self.send_run(list, &mut done, deadline)?;
                    let Ok(item) = list.get_item(done) else { return Ok(()) };
                    left_out += usize::from(!self.send_item(&item, None, deadline)?);
                    done += 1;
                }
            }
            for item in items.try_iter()? {
                left_out += usize::from(!self.send_item(&item?, None, deadline)?);
                done += 1;
            }
            Ok(())
        };
        match run() {
            Ok(()) => Ok(done - left_out),
            Err(error) => Err(with_taken(py, error, done)),
        }
    }

    /// Waits until the host is done with all that was sent through the channel before: it took it, and came back for
    /// more. The GIL is free meanwhile. It does not wait for items that were left out.
    ///
    /// Args:
    ///     timeout: seconds or a ``timedelta``; ``None`` waits without limit, 0 not at all.
    ///
    /// Returns:
    ///     Whether the host was done in time.
    ///
    /// Raises:
    ///     ChannelClosedError: the sender was closed, or the source ended before; what was not taken is dropped.
    ///     PluginError: on a thread of the host's it would never return without a timeout.
    ///     TypeError: the timeout is no duration.
    ///     ValueError: the timeout is negative.
    #[pyo3(signature = (timeout = None))]
    fn flush(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let deadline = Deadline::new(timeout)?;
        refuse_in_child(py)?;
        if self.engine.is_sender_closed() {
            return Err(self.closed_error(py));
        }
        if deadline.is_never() && threads::is_hosts() {
            return Err(plugin_error(py, format!("flush would never return {ON_HOSTS_THREAD}")));
        }
        let position = self.engine.position();
        let taken = context::wait_with_signals(py, deadline.moment(), |slice| {
            match self.engine.wait_until_acknowledged(position, slice) {
                Ok(false) => None,
                decided => Some(decided),
            }
        })?;
        taken.unwrap_or(Ok(false)).map_err(|_| self.closed_error(py))
    }

    /// A sender for another producer, closed on its own.
    ///
    /// Raises:
    ///     ChannelClosedError: this sender was closed.
    #[pyo3(name = "clone")]
    fn clone_sender(&self, py: Python<'_>) -> PyResult<Self> {
        let clone = self.engine.clone();
        if clone.is_sender_closed() {
            return Err(self.closed_error(py));
        }
        let left_out = self.left_out.as_ref().map(|left_out| left_out.clone_ref(py));
        Ok(Self::new(clone, left_out))
    }

    /// Closes this sender; the source ends when the last one is closed. Idempotent.
    ///
    /// Args:
    ///     error: ends the source with this error, after the events that were sent before.
    ///
    /// Raises:
    ///     TypeError: the error is no exception.
    #[pyo3(signature = (error = None))]
    fn close(&self, py: Python<'_>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let error = error
            .map(|error| {
                exception(error).map(|error| from_python(py, PyErr::from_value(error.into_bound(py).into_any())))
            })
            .transpose()?;
        self.close_with(error);
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
        let good =
            value.is_none() || (value.is_instance_of::<PySystemExit>() && !value.getattr("code")?.is_truthy()?);
        let error = (!good).then(|| {
            mark_as_source_error(value);
            from_python(py, PyErr::from_value(value.clone()))
        });
        self.close_with(error);
        Ok(())
    }
}
