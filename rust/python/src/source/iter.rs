//! `IterInstance`, and what its producer needs of the channel. The producer itself is `falco_plugin._runtime.producer`.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::task::{Wake, Waker};

use falco_plugin_abi::fork;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::source::channel::{self as engine, Refusal};
use falco_plugin_engine::source::clock::DEFAULT_TIMEOUT;
use falco_plugin_engine::source::context::Context as EngineContext;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyIterator};

use crate::convert::buffers::BytesPayload;
use crate::convert::options;
use crate::errors::{Raised, to_python};
use crate::event::batch;
use crate::interpreter::threads;
use crate::source::channel::{Deadline, Sender};
use crate::source::context::{self, Context};
use crate::source::driver::{Callbacks, optional_callable};
use crate::source::left_out;
use crate::source::push::PushInstance;

/// An event source that an iterable makes, on a thread of its own; what ``open`` makes of one.
///
/// Each item is an event, as in :meth:`Sender.send`, and is delivered at once; where the host is slower, the iterable
/// waits. ``None`` is a barrier: the iterable goes on when the host has taken all items before it, and came back for
/// more. An item that is refused, such as one that is too large, raises at its ``yield``. The source ends with the
/// iterable, and an exception that leaves it is the source's error.
///
/// Closing cancels the context. A generator is closed at its next step, on its own thread; the task of an async
/// generator is cancelled; any other iterable is closed where it has a ``close``, or an ``aclose`` where it is async.
///
/// Args:
///     items: an iterable, an async iterable, or a callable that takes a context and returns one of them. The context
///         is cancelled with the instance's, and when the items have ended.
///     retry: seconds or a ``timedelta``: after an exception the callable is called again, after this time, twice as
///         much the next time, up to 5 minutes; an attempt that made an event, or lasted 5 minutes, starts anew.
///         Without it an exception ends the source. What was sent after the last barrier comes again.
///     context: parent of the instance's context; cancelling it ends the source.
///     timeout: seconds or a ``timedelta`` that ``next_batch`` waits for an event at most.
///     close: is called once when the source is closed, after context and channel.
///     batch_size: events in a batch, 1 to 2**32 - 1.
///     event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
///     progress: returns how much has been read, 0 to 1, and a text.
///     on_error: ``"raise"``: an item that cannot be an event raises at its ``yield``. ``"log"``: the item is left out
///         and counted; the log reports each cause at most once a minute, and the rest when the source ends. An
///         exception that leaves the iterable itself ends the source or, with ``retry``, starts another attempt, in
///         both cases.
///
/// Raises:
///     TypeError: the items are none of these, retry is given without a callable, or an option is of a wrong type.
///     ValueError: an option is out of range.
#[pyclass(frozen, weakref, extends = PushInstance, module = "falco_plugin.source")]
pub(crate) struct IterInstance {
    context: EngineContext,
}

#[pymethods]
impl IterInstance {
    #[new]
    #[pyo3(
        signature = (
            items, /, *, retry = None, context = None, timeout = None, close = None, batch_size = None,
            event_size = None, progress = None, on_error = None
        ),
        text_signature = "(items, /, *, retry=None, context=None, timeout=0.03, close=None, batch_size=128, \
                          event_size=262144, progress=None, on_error='raise')"
    )]
    #[expect(clippy::too_many_arguments, reason = "keyword options of Python")]
    fn new(
        items: &Bound<'_, PyAny>,
        retry: Option<&Bound<'_, PyAny>>,
        context: Option<Py<Context>>,
        timeout: Option<&Bound<'_, PyAny>>,
        close: Option<&Bound<'_, PyAny>>,
        batch_size: Option<&Bound<'_, PyAny>>,
        event_size: Option<&Bound<'_, PyAny>>,
        progress: Option<&Bound<'_, PyAny>>,
        on_error: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let py = items.py();
        let timeout = timeout.map_or(Ok(DEFAULT_TIMEOUT), |value| options::duration("timeout", value))?;
        let retry = retry.map(|value| options::duration("retry", value)).transpose()?;
        let callbacks = Callbacks::new(
            optional_callable("close", close)?,
            optional_callable("progress", progress)?,
        );
        let memory = batch::sized(batch_size, event_size)?;
        let left_out = left_out::from_option(py, on_error)?;
        let context = Context::for_instance(py, context.as_ref())?;
        let (sender, receiver) =
            engine::channel(engine::DEFAULT_CAPACITY, engine::DEFAULT_MAX_BYTES, memory.event_size())
                .map_err(|error| to_python(py, error))?;
        let sender = Sender::new(sender, left_out.as_ref().map(|left_out| left_out.clone_ref(py)));
        py.import("falco_plugin._runtime.producer")?.call_method1(
            "start",
            (
                items,
                retry.map(|retry| retry.as_secs_f64()),
                sender,
                context.clone_ref(py),
            ),
        )?;
        let engine = context.get().engine.clone();
        let push = PushInstance::build(py, receiver, context, timeout, callbacks, memory, left_out)?;
        Ok(PyClassInitializer::from(push).add_subclass(Self { context: engine }))
    }
}

impl Drop for IterInstance {
    /// A producer that waits for something else than the channel hears of it through the context.
    fn drop(&mut self) {
        Python::attach(|py| {
            // Python may be on its way to an `except` when it drops an object, and cancelling runs callbacks.
            let raised = PyErr::take(py);
            py.detach(|| self.context.cancel());
            if let Some(raised) = raised {
                raised.restore(py);
            }
        });
    }
}

/// Sends an iterator's items, each as soon as it is there.
///
/// Returns:
///     ``None`` at the end, ``True`` for a barrier, or the exception for an item that is refused. Not public.
#[pyfunction]
pub(crate) fn send_each<'py>(sender: &Bound<'py, Sender>, items: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // The callable that made the items may have forked, too.
    fork::end_child();
    let stop = send_until_stopped(sender.get(), items);
    fork::end_child();
    stop
}

fn send_until_stopped<'py>(sender: &Sender, items: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = items.py();
    // Not asked for its iterator: that may begin anew.
    for item in items.cast::<PyIterator>()? {
        fork::end_child();
        let item = item?;
        if item.is_none() {
            return Ok(PyBool::new(py, true).to_owned().into_any());
        }
        match sender.message(&item, None) {
            Ok(message) => sender.send_one(py, message, Deadline::Never)?,
            Err(refused) => {
                if let Err(error) = sender.leave_out(py, refused) {
                    return Ok(error.into_value(py).into_bound(py).into_any());
                }
            }
        }
    }
    Ok(py.None().into_bound(py))
}

/// How many items were sent through the channel so far. Not public.
#[pyfunction]
pub(crate) fn position(sender: &Bound<'_, Sender>) -> u64 {
    sender.get().engine().position()
}

/// Closes a sender with the source's error; one that comes before the first event is told as one of ``open``. Not public.
#[pyfunction]
pub(crate) fn fail(sender: &Bound<'_, Sender>, error: &Bound<'_, PyBaseException>) {
    let sender = sender.get();
    let raised = PyErr::from_value(error.clone().into_any());
    let first = sender.engine().position() == 0;
    sender.close_with(Some(Error::Source(Box::new(Raised {
        error: raised,
        opening: first,
    }))));
}

/// A sender for an event loop: nothing here waits. Where something is not possible yet, ``fileno()`` becomes
/// readable when it is worth another attempt, and when the context is cancelled. Not public.
#[pyclass(frozen, module = "falco_plugin._core")]
pub(crate) struct AsyncSender {
    sender: Py<Sender>,
    changed: Arc<Changed>,
    waker: Waker,
}

/// Tells an event loop to look again, from any thread and without the GIL.
struct Changed(OwnedFd);

impl Wake for Changed {
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
        mut attempt: impl FnMut(&engine::Sender<BytesPayload>) -> Result<bool, Refusal>,
    ) -> PyResult<bool> {
        let sender = self.sender.get();
        let engine = sender.engine();
        fork::end_child();
        let mut done = attempt(engine);
        if done == Ok(false) {
            engine.register(&self.waker);
            // What changed in between woke nobody.
            done = attempt(engine);
        }
        done.map_err(|_| sender.closed_error(py))
    }
}

#[pymethods]
impl AsyncSender {
    #[new]
    fn new(sender: Py<Sender>, context: &Bound<'_, Context>) -> PyResult<Self> {
        let changed = Arc::new(Changed(context::new_event()?));
        let waker = Waker::from(Arc::clone(&changed));
        context.get().engine.wake_on_cancel(waker.clone());
        Ok(Self { sender, changed, waker })
    }

    fn fileno(&self) -> i32 {
        self.changed.0.as_raw_fd()
    }

    /// Makes ``fileno()`` unreadable again.
    fn clear(&self) {
        let _ = rustix::io::read(&self.changed.0, &mut [0_u8; 8]);
    }

    /// Returns whether the item was sent or left out. Returns false if the channel is full.
    fn try_send(&self, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = item.py();
        let sender = self.sender.get();
        let mut message = match sender.message(item, None) {
            Ok(message) => Some(message),
            Err(error) => return sender.leave_out(py, error).map(|()| true),
        };
        let sent = self.attempt(py, |engine| {
            engine.try_send_all(message.take()).map(|(_, refused)| {
                message = refused;
                message.is_none()
            })
        });
        threads::step_aside(py);
        sent
    }

    /// Whether the host is done with all that was sent before the position.
    fn is_taken(&self, py: Python<'_>, position: u64) -> PyResult<bool> {
        self.attempt(py, |engine| engine.is_acknowledged(position))
    }
}
