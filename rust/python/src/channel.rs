//! `channel`, `Sender`, `Receiver` and `PushEvent`.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use falco_plugin_engine::channel::{self as engine, Message, Payload, Refused};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::NO_TIMESTAMP;
use pyo3::exceptions::{PyBaseException, PySystemExit, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple, PyType};

use crate::batch::{self, Item};
use crate::buffers::{BytesPayload, to_bytes};
use crate::errors::{channel_closed, channel_full, from_python, plugin_error, to_python, with_taken};
use crate::{context, options, threads};

/// Items of a list that go through the gate together.
const CHUNK: usize = 128;
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
///
/// Raises:
///     TypeError: an option is no ``int``.
///     ValueError: an option is out of range.
#[pyfunction]
#[pyo3(
    signature = (capacity = None, *, max_bytes = None, event_size = None),
    text_signature = "(capacity=1024, *, max_bytes=67108864, event_size=262144)"
)]
pub(crate) fn channel(
    py: Python<'_>,
    capacity: Option<&Bound<'_, PyAny>>,
    max_bytes: Option<&Bound<'_, PyAny>>,
    event_size: Option<&Bound<'_, PyAny>>,
) -> PyResult<(Sender, Receiver)> {
    let size = |name, value: Option<&Bound<'_, PyAny>>, default: usize| {
        value.map_or(Ok(default), |value| {
            options::integer(name, value, 1, isize::MAX as u64).map(|size| size as usize)
        })
    };
    let capacity = size("capacity", capacity, engine::DEFAULT_CAPACITY)?;
    let max_bytes = size("max_bytes", max_bytes, engine::DEFAULT_MAX_BYTES)?;
    let event_size = event_size.map_or(Ok(falco_plugin_engine::event::DEFAULT_EVENT_SIZE), batch::event_size)?;
    let (sender, receiver) = engine::channel(capacity, max_bytes, event_size).map_err(|error| to_python(py, error))?;
    Ok((
        Sender::new(sender),
        Receiver {
            engine: Mutex::new(Some(receiver)),
            event_size,
        },
    ))
}

/// The end of a channel that one ``PushInstance`` reads from.
#[pyclass(frozen, module = "falco_plugin.source")]
pub(crate) struct Receiver {
    engine: Mutex<Option<engine::Receiver<BytesPayload>>>,
    event_size: u32,
}

impl Receiver {
    /// Hands the receiving end to the one instance that reads from it.
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<engine::Receiver<BytesPayload>> {
        lock(&self.engine).take().ok_or_else(|| {
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
/// The source ends when the last clone is closed or gone. As a context manager it closes itself; an exception that
/// leaves the block is the source's error.
#[pyclass(frozen, weakref, module = "falco_plugin.source")]
pub(crate) struct Sender {
    engine: Mutex<Option<Arc<EngineSender>>>,
    /// Tells a send that waits on this very object, on another thread, that it was closed.
    closed: AtomicBool,
    refused: AtomicU32,
}

impl Sender {
    pub(crate) fn new(engine: EngineSender) -> Self {
        Self {
            engine: Mutex::new(Some(Arc::new(engine))),
            closed: AtomicBool::new(false),
            refused: AtomicU32::new(0),
        }
    }

    /// The engine's sender, unless this one was closed.
    pub(crate) fn engine(&self) -> Option<Arc<EngineSender>> {
        lock(&self.engine).clone()
    }

    /// Sends all messages, waiting for room until the deadline. `sent` counts along.
    pub(crate) fn send_all(
        &self,
        py: Python<'_>,
        messages: &mut Vec<Message<BytesPayload>>,
        deadline: Deadline,
        sent: &mut usize,
    ) -> PyResult<()> {
        while let Some(first) = messages.first() {
            let len = match first {
                Message::Event { payload, .. } => payload.bytes().len(),
                Message::Error(_) => 0,
            };
            // The lock is not held while waiting, and never while Python code runs.
            let (result, sender) = {
                let sender = lock(&self.engine);
                let Some(sender) = &*sender else {
                    drop(sender);
                    return Err(self.refuse(py));
                };
                let result = sender.try_send(messages);
                let waits = result == Err(Refused::Full) || !messages.is_empty();
                (result, waits.then(|| Arc::clone(sender)))
            };
            match result {
                Ok(count) => *sent += count,
                Err(Refused::Closed) => return Err(self.refuse(py)),
                Err(Refused::Full) => {}
            }
            let Some(sender) = sender else { break };
            let room = context::wait_with_signals(py, deadline.moment(), |slice| {
                sender
                    .wait_for_room(len, slice, || self.closed.load(Ordering::Acquire))
                    .then_some(())
            })?;
            if self.closed.load(Ordering::Acquire) {
                return Err(channel_closed(py));
            }
            if room.is_none() {
                return Err(channel_full(py));
            }
        }
        threads::step_aside(py);
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
        channel_closed(py)
    }

    pub(crate) fn message(
        &self,
        item: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Message<BytesPayload>> {
        let py = item.py();
        if let Ok(event) = item.cast_exact::<PushEvent>()
            && let Some(error) = &event.get().error
        {
            return Ok(Message::Error(from_python(
                py,
                PyErr::from_value(error.bind(py).clone().into_any()),
            )));
        }
        let item = Item::new(item, timestamp)?;
        let data = to_bytes(&item.data)?;
        if let Some(sender) = &*lock(&self.engine) {
            sender
                .check(data.as_bytes().len())
                .map_err(|error| to_python(py, error))?;
        }
        Ok(Message::Event {
            payload: data.into(),
            timestamp: item.timestamp.unwrap_or(NO_TIMESTAMP),
        })
    }

    pub(crate) fn close_with(&self, error: Option<Error>) {
        let Some(sender) = lock(&self.engine).take() else {
            return;
        };
        if let Some(error) = error {
            sender.fail(error);
        }
        self.closed.store(true, Ordering::Release);
        sender.wake_all();
    }
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

    fn moment(self) -> Option<Instant> {
        match self {
            Self::Never => None,
            Self::At(at) => Some(at),
        }
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
        lock(&self.engine)
            .as_ref()
            .map(|sender| sender.event_size())
            .ok_or_else(|| channel_closed(py))
    }

    /// Whether this sender was closed, or the source has ended.
    #[getter]
    fn closed(&self) -> bool {
        lock(&self.engine).as_ref().is_none_or(|sender| sender.is_closed())
    }

    /// Sends one event, or the error of a ``PushEvent``; waits while the channel is full, with the GIL free.
    ///
    /// Args:
    ///     item: any buffer, ``(buffer, timestamp)`` or a ``PushEvent``; ``bytes`` go by reference.
    ///     timestamp: ns since the epoch or an aware ``datetime``; without one the host fills in its time.
    ///     timeout: seconds or a ``timedelta``; ``None`` waits without limit, 0 not at all.
    ///
    /// Raises:
    ///     ChannelClosedError: the sender was closed or the source has ended; the event is still the caller's.
    ///     ChannelFullError: the channel was full until the timeout; the event is still the caller's.
    ///     EventTooLargeError: the payload is larger than the event size.
    ///     TypeError: the item is none, such as a ``str``; or it has a timestamp of its own and one is given.
    ///     ValueError: the timestamp is out of range, or a naive ``datetime``; or the timeout is negative.
    #[pyo3(signature = (item, timestamp = None, *, timeout = None))]
    fn send(
        &self,
        item: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let deadline = Deadline::new(timeout)?;
        let mut message = vec![self.message(item, timestamp)?];
        self.send_all(item.py(), &mut message, deadline, &mut 0)
    }

    /// Sends events, faster than one by one. Of an iterator no item is consumed before the one in front was sent.
    ///
    /// Args:
    ///     items: each as in :meth:`send`.
    ///     timeout: seconds or a ``timedelta`` for all of them; ``None`` waits without limit.
    ///
    /// Returns:
    ///     How many were sent: all.
    ///
    /// Raises:
    ///     Exception: as of :meth:`send`, or the iterable's own; its ``taken`` says how many went before it.
    #[pyo3(signature = (items, *, timeout = None))]
    fn send_many(&self, items: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        let py = items.py();
        let deadline = Deadline::new(timeout)?;
        // Of an iterator no item is consumed before the one in front of it was sent.
        let chunk = if items.is_exact_instance_of::<PyList>() || items.is_exact_instance_of::<PyTuple>() {
            CHUNK
        } else {
            1
        };
        let mut sent = 0;
        let mut messages = Vec::with_capacity(chunk);
        let mut run = || {
            for item in items.try_iter()? {
                match item.and_then(|item| self.message(&item, None)) {
                    Ok(message) => messages.push(message),
                    Err(error) => {
                        self.send_all(py, &mut messages, deadline, &mut sent)?;
                        return Err(error);
                    }
                }
                if messages.len() == chunk {
                    self.send_all(py, &mut messages, deadline, &mut sent)?;
                }
            }
            self.send_all(py, &mut messages, deadline, &mut sent)
        };
        match run() {
            Ok(()) => Ok(sent),
            Err(error) => Err(with_taken(py, error, sent)),
        }
    }

    /// Waits until the host is done with all that was sent through the channel before: it took it, and came back for
    /// more. The GIL is free meanwhile.
    ///
    /// Args:
    ///     timeout: seconds or a ``timedelta``; ``None`` waits without limit, 0 not at all.
    ///
    /// Returns:
    ///     Whether the host was done in time.
    ///
    /// Raises:
    ///     ChannelClosedError: the sender was closed, or the source ended before; what was not taken is dropped.
    ///     TypeError: the timeout is no duration.
    ///     ValueError: the timeout is negative.
    #[pyo3(signature = (timeout = None))]
    fn flush(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let deadline = Deadline::new(timeout)?;
        let sender = self.engine().ok_or_else(|| channel_closed(py))?;
        let position = sender.position();
        let closed = || self.closed.load(Ordering::Acquire);
        let taken = context::wait_with_signals(py, deadline.moment(), |slice| {
            match sender.wait_until_taken(position, slice, closed) {
                Ok(false) if closed() => Some(Err(Refused::Closed)),
                Ok(false) => None,
                decided => Some(decided),
            }
        })?;
        taken.unwrap_or(Ok(false)).map_err(|_| channel_closed(py))
    }

    /// A sender for another producer, closed on its own.
    ///
    /// Raises:
    ///     ChannelClosedError: this sender was closed.
    #[pyo3(name = "clone")]
    fn clone_sender(&self, py: Python<'_>) -> PyResult<Self> {
        lock(&self.engine)
            .as_ref()
            .map(|sender| Self::new(EngineSender::clone(sender)))
            .ok_or_else(|| channel_closed(py))
    }

    /// Closes this sender; the source ends with the last one. Idempotent.
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
        let error = (!good).then(|| from_python(py, PyErr::from_value(value.clone())));
        self.close_with(error);
        Ok(())
    }
}

/// None of these locks is held while Python code runs, and none while the GIL is waited for.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
