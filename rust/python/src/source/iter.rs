//! `IterInstance`: an iterable makes the events. Its producer is `falco_plugin._runtime.producer`.

use falco_plugin_engine::source::channel as engine;
use falco_plugin_engine::source::context::Context as EngineContext;
use pyo3::prelude::*;

use crate::convert::options;
use crate::errors::to_python;
use crate::imports;
use crate::metrics::of_plugin::sources_of_current;
use crate::source::context::Context;
use crate::source::core::CommonOptions;
use crate::source::push::PushInstance;
use crate::source::sender::Sender;
use crate::source::skipped_items;

/// An event source whose events an iterable makes, on its own thread. ``open`` makes one of an iterable that it
/// returns.
///
/// Each item is an event, as in :meth:`Sender.send`, and is delivered immediately. If the host is slower than the
/// iterable, the iterable waits. ``None`` is a barrier: the iterable continues once the host has acknowledged all items
/// before it. An item that is refused, for example because it is too large, raises at its ``yield``. The source ends
/// with the iterable; an exception that leaves the iterable ends the source with that error.
///
/// Closing the source cancels the context. A generator is then closed at its next step, on its own thread, and the task
/// of an async generator is cancelled. Any other iterable is closed with its method ``close``, or ``aclose`` if it is
/// async, unless it has none.
///
/// Args:
///     items: an iterable, an async iterable, or a callable that takes a context and returns one of them. The context
///         is cancelled with the instance's context, and when the items have ended.
///     retry: seconds or a ``timedelta``. After an exception, the callable is called again when this time has passed.
///         The time doubles with each failure, up to 5 minutes. It starts over after an attempt that made an event or
///         lasted 5 minutes. Items that were sent after the last barrier are sent again. Without ``retry`` an exception
///         ends the source.
///     context: the parent of the instance's context. Cancelling it ends the source.
///     timeout: seconds or a ``timedelta`` that ``next_batch`` waits for a first event.
///     close: is called once when the source is closed, after context and channel.
///     batch_size: the number of events in a batch at most, 1 to 2**32 - 1.
///     event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
///     progress: returns how much has been read: a fraction from 0 to 1, and a string.
///     on_error: with ``"raise"``, an item that cannot be an event raises at its ``yield``. With ``"log"``, the item is
///         skipped and counted. The log reports each cause at most once a minute, and the remaining counts when the
///         source ends. In both cases an exception that leaves the iterable ends the source, or starts another attempt
///         if there is ``retry``.
///
/// Raises:
///     TypeError: the items are not iterable, ``retry`` is given without a callable, or an option has a wrong type.
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
        let retry = retry.map(|value| options::duration("retry", value)).transpose()?;
        let memory = options::batch(batch_size, event_size)?;
        let skipped_items = skipped_items::from_option(py, on_error)?;
        let options = CommonOptions::parse(py, context.as_ref(), timeout, close, progress)?;
        let (sender, receiver) =
            engine::channel(engine::DEFAULT_CAPACITY, engine::DEFAULT_MAX_BYTES, memory.event_size())
                .map_err(|error| to_python(py, error))?;
        if let Some(metrics) = sources_of_current() {
            sender.count_in(&metrics);
        }
        let sender = Sender::new(
            sender,
            skipped_items.as_ref().map(|skipped_items| skipped_items.clone_ref(py)),
        );
        let retry = retry.map(|retry| retry.as_secs_f64());
        imports::START_PRODUCER.call(py, (items, retry, sender, options.context.clone_ref(py)))?;
        let context = options.context.get().engine.clone();
        let push = PushInstance::build(py, receiver, options, memory, skipped_items)?;
        Ok(PyClassInitializer::from(push).add_subclass(Self { context }))
    }
}

impl Drop for IterInstance {
    /// Cancels the context, which stops a producer that does not wait on the channel.
    fn drop(&mut self) {
        Python::attach(|py| {
            // Python may drop the object while an exception is on its way to an `except`. Cancelling runs callbacks, so
            // keep that exception aside.
            let raised = PyErr::take(py);
            py.detach(|| self.context.cancel());
            if let Some(raised) = raised {
                raised.restore(py);
            }
        });
    }
}
