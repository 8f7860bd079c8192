//! The driver of an open source: what the host calls, over the instance that `open` returned.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::EventBatch as EngineBatch;
use falco_plugin_engine::plugin::Instance;
use falco_plugin_engine::source::clock::DEFAULT_TIMEOUT;
use falco_plugin_engine::source::ending::{Ending, Pause};
use pyo3::prelude::*;

use crate::errors::{for_host, from_python, from_repeated_call, report, to_python, with_parameters};
use crate::event::batch::EventBatch;
use crate::imports;
use crate::interpreter::log::{self, CurrentPlugin, PluginNumber};
use crate::interpreter::threads;
use crate::metrics::of_plugin::PluginMetrics;
use crate::source::callbacks::progress_from;
use crate::source::context::Context;
use crate::source::core::ReadyMade;
use crate::source::iter::IterInstance;
use crate::source::lines::LinesInstance;
use crate::source::pull::PullInstance;
use crate::source::push::PushInstance;

/// How long each close waits for producers to stop. Closes of several sources wait at the same time.
const TIME_TO_STOP: Duration = Duration::from_secs(1);

/// An instance that `open` returned, with the batch memory that the host reads.
pub(crate) struct PythonInstance {
    object: Py<PyAny>,
    source: Source,
    /// The batch object whose memory the host reads. It gets its memory back at the close.
    events: Py<EventBatch>,
    /// The context that was made for `open`.
    context: Py<Context>,
    /// The context of the instance, a child of the one of `open`. A custom instance may lack one.
    own_context: Option<Py<Context>>,
    pause: Pause,
    memory: EngineBatch,
    plugin: PluginNumber,
    metrics: Arc<PluginMetrics>,
    _release: threads::ReferenceRelease,
}

enum Source {
    ReadyMade(Arc<dyn ReadyMade>),
    Custom(CustomSource),
}

impl PythonInstance {
    /// Takes over the instance that `open` returned. Closes it if it cannot be driven.
    pub(crate) fn new(
        object: &Bound<'_, PyAny>,
        context: Py<Context>,
        plugin: PluginNumber,
        metrics: Arc<PluginMetrics>,
    ) -> PyResult<Self> {
        Self::take_over(object, context, plugin, metrics).inspect_err(|_| {
            if let Err(error) = close_object(object) {
                report(object.py(), "close", error);
            }
        })
    }

    fn take_over(
        object: &Bound<'_, PyAny>,
        context: Py<Context>,
        plugin: PluginNumber,
        metrics: Arc<PluginMetrics>,
    ) -> PyResult<Self> {
        let py = object.py();
        // The channel may have been made by a thread whose plugin is not known.
        if let Ok(push) = object.cast::<PushInstance>() {
            push.get().count_in(&metrics.sources);
        }
        let own_context = object
            .getattr("context")
            .ok()
            .and_then(|own| own.cast_into::<Context>().ok());
        let (events, source) = match ready_made(object) {
            Some(instance) => (instance.hand_to_host(py), Source::ReadyMade(instance)),
            None => {
                let events = object.getattr("events")?.cast_into::<EventBatch>()?.unbind();
                let source = CustomSource {
                    ending: Ending::default(),
                    warned: false,
                };
                (events, Source::Custom(source))
            }
        };
        if let Some(own) = &own_context {
            context.get().engine.adopt(&own.get().engine);
        }
        let mut memory = events.get().take(py)?;
        memory.clear();
        Ok(Self {
            object: object.clone().unbind(),
            source,
            events,
            context,
            own_context: own_context.map(Bound::unbind),
            pause: Pause::default(),
            memory,
            plugin,
            metrics,
            _release: threads::ReferenceRelease,
        })
    }
}

impl PythonInstance {
    /// Returns whether the source has asked for a pause that still lasts. Waits for its end as long as a batch may take,
    /// so that the host does not call again immediately.
    fn is_paused(&mut self) -> bool {
        let Some(remaining) = self.pause.remaining(Instant::now()) else {
            return false;
        };
        let context = self.own_context.as_ref().unwrap_or(&self.context);
        let deadline = Instant::now() + remaining.min(DEFAULT_TIMEOUT);
        // The end of the source also ends the pause.
        !context.get().engine.wait(Some(deadline)) && self.pause.remaining(Instant::now()).is_some()
    }
}

impl Instance for PythonInstance {
    fn next_batch(&mut self) -> Result<(), Error> {
        let _current = CurrentPlugin::enter(self.plugin);
        self.memory.clear();
        if self.is_paused() {
            return Err(Error::Timeout);
        }
        let own_context = self.own_context.as_ref();
        let python_time = &self.metrics.python_time;
        let result = match &mut self.source {
            Source::ReadyMade(instance) if instance.runs_python() => {
                python_time.measure(|| instance.fill_for_host(&mut self.memory))
            }
            Source::ReadyMade(instance) => instance.fill_for_host(&mut self.memory),
            Source::Custom(source) => python_time.measure(|| {
                threads::enter(|py| {
                    source.next_batch(
                        self.object.bind(py),
                        own_context,
                        self.events.bind(py),
                        &mut self.memory,
                    )
                })
            }),
        };
        match result {
            Ok(_) => {
                self.metrics.sources.delivered.add(self.memory.len() as u64);
                Ok(())
            }
            Err(error @ (Error::Eof | Error::Timeout)) => Err(error),
            Err(Error::RetryLater(duration, cause)) => {
                self.pause.begin(Instant::now(), duration);
                let error = Error::RetryLater(duration, cause);
                threads::enter(|py| log_pause(py, duration, to_python(py, error)));
                Err(Error::Timeout)
            }
            Err(error) => threads::enter(|py| Err(for_host(py, "next_batch", error))),
        }
    }

    fn events(&mut self) -> &mut EngineBatch {
        &mut self.memory
    }

    fn progress(&mut self) -> (f64, String) {
        let _current = CurrentPlugin::enter(self.plugin);
        threads::enter(|py| {
            let object = self.object.bind(py);
            let progress = match object.hasattr("progress") {
                Ok(true) => object.call_method0("progress").and_then(|value| progress_from(&value)),
                _ => Ok((0.0, String::new())),
            };
            progress.unwrap_or_else(|error| {
                report(py, "progress", error);
                (0.0, String::new())
            })
        })
    }

    fn close(&mut self) {
        let _current = CurrentPlugin::enter(self.plugin);
        threads::enter(|py| {
            py.detach(|| self.context.get().engine.cancel());
            if let (Source::Custom(_), Some(own)) = (&self.source, &self.own_context) {
                py.detach(|| own.get().engine.cancel());
            }
            let object = self.object.bind(py);
            if let Err(error) = close_object(object) {
                report(py, "close", error);
            }
            let pending = match &mut self.source {
                Source::ReadyMade(instance) => instance.take_pending_error(),
                Source::Custom(source) => source.ending.take_pending_error(),
            };
            if let Some(error) = pending {
                report(py, "the source", to_python(py, error));
            }
            let mut memory = mem::take(&mut self.memory);
            memory.clear();
            self.events.get().put(py, memory);
            // An instance of a subclass has producers too.
            if let Ok(push) = object.cast::<PushInstance>() {
                let push = push.get();
                py.detach(|| push.wait_for_senders(Instant::now() + TIME_TO_STOP));
            }
        });
    }
}

/// Logs that the source is called again after a time.
fn log_pause(py: Python<'_>, duration: Duration, error: PyErr) {
    let arguments = ("the source", error.into_value(py), duration.as_secs_f64());
    if let Err(error) = imports::REPORT_RETRY_LATER.call(py, arguments) {
        log::warn(
            py,
            &format!("the source is called again in {} s ({error})", duration.as_secs_f64()),
        );
    }
}

/// Returns the core of a ready-made instance. Returns `None` for any other object, which includes an instance of a
/// user's subclass, because it may define its own `next_batch`.
fn ready_made(object: &Bound<'_, PyAny>) -> Option<Arc<dyn ReadyMade>> {
    if let Ok(pull) = object.cast_exact::<PullInstance>() {
        return Some(pull.get().core.clone());
    }
    if let Ok(lines) = object.cast_exact::<LinesInstance>() {
        return Some(lines.get().core.clone());
    }
    if object.is_exact_instance_of::<PushInstance>() || object.is_exact_instance_of::<IterInstance>() {
        return Some(object.cast::<PushInstance>().ok()?.get().core.clone());
    }
    None
}

/// Calls the instance's method `close`, if it has one.
fn close_object(object: &Bound<'_, PyAny>) -> PyResult<()> {
    if object.hasattr("close")? {
        object.call_method0("close")?;
    }
    Ok(())
}

/// The state of a custom instance, which defines `next_batch` itself.
struct CustomSource {
    ending: Ending,
    /// Whether the log has the warning about a `next_batch` that returned without an event.
    warned: bool,
}

impl CustomSource {
    fn next_batch(
        &mut self,
        object: &Bound<'_, PyAny>,
        context: Option<&Py<Context>>,
        events: &Bound<'_, EventBatch>,
        memory: &mut EngineBatch,
    ) -> Result<usize, Error> {
        self.ending.check()?;
        let is_cancelled = context.is_some_and(|context| context.get().engine.is_cancelled());
        let (added, stop) = if is_cancelled {
            (0, Some(Error::Eof))
        } else {
            self.call(object, events, memory)
        };
        self.ending.conclude(added, stop)
    }

    /// Calls the method `next_batch`. Returns how many events it added, and what ended the batch.
    fn call(
        &mut self,
        object: &Bound<'_, PyAny>,
        events: &Bound<'_, EventBatch>,
        memory: &mut EngineBatch,
    ) -> (usize, Option<Error>) {
        let py = object.py();
        events.get().put(py, mem::take(memory));
        let result = object
            .call_method1("next_batch", (events,))
            .map_err(|error| match object.getattr("next_batch") {
                Ok(method) => with_parameters(&method, error, "batch"),
                Err(_) => error,
            });
        match events.get().take(py) {
            Ok(taken) => *memory = taken,
            Err(error) => return (0, Some(from_python(py, result.err().unwrap_or(error)))),
        }
        let added = memory.len();
        match result {
            Ok(_) if added > 0 => (added, None),
            Ok(_) => {
                if !mem::replace(&mut self.warned, true) {
                    log::warn(
                        py,
                        "next_batch returned without an event, which counts as a timeout: raise falco_plugin.Timeout \
                         if there is no event for now, or falco_plugin.EOF at the end",
                    );
                }
                (0, Some(Error::Timeout))
            }
            Err(error) => (added, Some(from_repeated_call(py, error))),
        }
    }
}
