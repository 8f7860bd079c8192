//! Python objects as the engine's `Instance`: what the host drives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::EventBatch as EngineBatch;
use falco_plugin_engine::plugin::Instance;
use falco_plugin_engine::source::ending::Ending;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::convert::text::replacing;
use crate::errors::{describe, for_host, from_python, plugin_error, to_python, with_parameters};
use crate::event::batch::EventBatch;
use crate::interpreter::log::{self, CurrentPlugin, PluginNumber};
use crate::interpreter::threads;
use crate::source::context::Context;
use crate::source::iter::IterInstance;
use crate::source::lines::LinesInstance;
use crate::source::pull::PullInstance;
use crate::source::push::PushInstance;

/// How long each close waits for producers to stop. Closes at the same time wait at the same time.
const TIME_TO_STOP: Duration = Duration::from_secs(1);

/// The author's callbacks of a ready-made instance.
pub(crate) struct Callbacks {
    close: Mutex<Option<Py<PyAny>>>,
    progress: Mutex<Option<Py<PyAny>>>,
}

impl Callbacks {
    pub(crate) fn new(close: Option<Py<PyAny>>, progress: Option<Py<PyAny>>) -> Self {
        Self {
            close: Mutex::new(close),
            progress: Mutex::new(progress),
        }
    }

    /// Calls the close callback, once.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        let callback = lock(&self.close).take();
        callback.map_or(Ok(()), |callback| call_without_arguments(callback.bind(py)).map(drop))
    }

    pub(crate) fn progress(&self, py: Python<'_>) -> PyResult<(f64, String)> {
        self.progress_or(py, || (0.0, String::new()))
    }

    /// What the progress callback says, or what is known without one.
    pub(crate) fn progress_or(&self, py: Python<'_>, known: impl FnOnce() -> (f64, String)) -> PyResult<(f64, String)> {
        let callback = lock(&self.progress).as_ref().map(|callback| callback.clone_ref(py));
        match callback {
            None => Ok(known()),
            Some(callback) => progress_from(&call_without_arguments(callback.bind(py))?),
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for callback in [&self.close, &self.progress] {
            if let Ok(callback) = callback.try_lock() {
                visit.call(&*callback)?;
            }
        }
        Ok(())
    }

    pub(crate) fn clear(&self) {
        for callback in [&self.close, &self.progress] {
            let taken = lock(callback).take();
            drop(taken);
        }
    }
}

fn call_without_arguments<'py>(callback: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    callback.call0().map_err(|error| with_parameters(callback, error, ""))
}

/// What a progress callback returned.
fn progress_from(value: &Bound<'_, PyAny>) -> PyResult<(f64, String)> {
    let Ok((fraction, text)) = value.extract::<(f64, Bound<'_, PyString>)>() else {
        return Err(PyTypeError::new_err(format!(
            "progress must return (fraction from 0 to 1, text), not {}",
            value.get_type().name()?
        )));
    };
    Ok((fraction, replacing(&text)?.into_owned()))
}

/// Whether the host drives an instance: what another caller takes from it never reaches the host.
#[derive(Default)]
pub(crate) struct Driven(AtomicBool);

impl Driven {
    // Set before the host's first call. A call of another thread at that moment may be the last that is let through, and
    // then came before the host.
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Refuses a call that is not the host's.
    pub(crate) fn check(&self, py: Python<'_>) -> PyResult<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(plugin_error(
                py,
                "open has returned this instance, so only the host calls its next_batch, and would miss what another \
                 call takes: to see its events first, let open return an instance of your own that calls it",
            ));
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None` or a callable.
pub(crate) fn optional_callable(name: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Py<PyAny>>> {
    match value {
        None => Ok(None),
        Some(value) if value.is_none() => Ok(None),
        Some(value) if value.is_callable() => Ok(Some(value.clone().unbind())),
        Some(value) => Err(PyTypeError::new_err(format!(
            "{name} must be callable without arguments, not {}",
            value.get_type().name()?
        ))),
    }
}

/// An instance that `open` returned, with the batch memory that the host reads.
pub(crate) struct PythonInstance {
    object: Py<PyAny>,
    source: Source,
    /// The batch object that the memory is from, and goes back to.
    events: Py<EventBatch>,
    /// The context that was made for `open`.
    context: Py<Context>,
    memory: EngineBatch,
    plugin: PluginNumber,
    _release: threads::Release,
}

enum Source {
    Pull(Py<PullInstance>),
    Push(Py<PushInstance>),
    Lines(Py<LinesInstance>),
    /// An instance of the author's own.
    Own {
        context: Option<Py<Context>>,
        ending: Ending,
        warned: bool,
    },
}

impl PythonInstance {
    /// Takes over what `open` returned; closes it where it cannot be driven.
    pub(crate) fn new(object: &Bound<'_, PyAny>, context: Py<Context>, plugin: PluginNumber) -> PyResult<Self> {
        Self::take_over(object, context, plugin).inspect_err(|_| {
            if let Err(error) = close_object(object) {
                describe(object.py(), "close", error);
            }
        })
    }

    fn take_over(object: &Bound<'_, PyAny>, context: Py<Context>, plugin: PluginNumber) -> PyResult<Self> {
        let py = object.py();
        let own_context = object
            .getattr("context")
            .ok()
            .and_then(|own| own.cast_into::<Context>().ok());
        let (events, source) = if let Ok(pull) = object.cast_exact::<PullInstance>() {
            pull.get().driven.set();
            (pull.get().events_object(py), Source::Pull(pull.clone().unbind()))
        } else if let Some(push) = push_instance(object) {
            push.get().driven.set();
            (push.get().events_object(py), Source::Push(push.clone().unbind()))
        } else if let Ok(lines) = object.cast_exact::<LinesInstance>() {
            lines.get().driven.set();
            (lines.get().events_object(py), Source::Lines(lines.clone().unbind()))
        } else {
            let events = object.getattr("events")?.cast_into::<EventBatch>()?.unbind();
            let source = Source::Own {
                context: own_context.as_ref().map(|own| own.clone().unbind()),
                ending: Ending::default(),
                warned: false,
            };
            (events, source)
        };
        if let Some(own) = &own_context {
            context.get().engine.adopt(&own.get().engine);
        }
        let mut memory = events.bind(py).borrow_mut().take(py)?;
        memory.clear();
        Ok(Self {
            object: object.clone().unbind(),
            source,
            events,
            context,
            memory,
            plugin,
            _release: threads::Release,
        })
    }
}

impl Instance for PythonInstance {
    fn next_batch(&mut self) -> Result<(), Error> {
        let _current = CurrentPlugin::enter(self.plugin);
        self.memory.clear();
        let result = match &mut self.source {
            Source::Push(push) => {
                let push = push.get();
                push.fill(&mut self.memory).unwrap_or_else(|| Err(busy(&push.context)))
            }
            Source::Lines(lines) => {
                let lines = lines.get();
                lines
                    .fill(&mut self.memory)
                    .unwrap_or_else(|| Err(busy(&lines.context)))
            }
            Source::Pull(pull) => threads::enter(|py| {
                let pull = pull.get();
                pull.fill(py, &mut self.memory)
                    .unwrap_or_else(|| Err(busy(&pull.context)))
            }),
            Source::Own {
                context,
                ending,
                warned,
            } => threads::enter(|py| {
                ending.check()?;
                let cancelled = context
                    .as_ref()
                    .is_some_and(|context| context.get().engine.is_cancelled());
                let (added, stop) = if cancelled {
                    (0, Some(Error::Eof))
                } else {
                    next_batch_of(self.object.bind(py), self.events.bind(py), &mut self.memory, warned)
                };
                ending.conclude(added, stop)
            }),
        };
        match result {
            Ok(_) => Ok(()),
            Err(error @ (Error::Eof | Error::Timeout)) => Err(error),
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
                describe(py, "progress", error);
                (0.0, String::new())
            })
        })
    }

    fn close(&mut self) {
        let _current = CurrentPlugin::enter(self.plugin);
        threads::enter(|py| {
            py.detach(|| self.context.get().engine.cancel());
            if let Source::Own {
                context: Some(context), ..
            } = &self.source
            {
                py.detach(|| context.get().engine.cancel());
            }
            let object = self.object.bind(py);
            if let Err(error) = close_object(object) {
                describe(py, "close", error);
            }
            let pending = match &mut self.source {
                Source::Pull(pull) => pull.get().take_pending_error(),
                Source::Push(push) => push.get().take_pending_error(),
                Source::Lines(lines) => lines.get().take_pending_error(),
                Source::Own { ending, .. } => ending.take_pending_error(),
            };
            if let Some(error) = pending {
                // It would have been the answer of the next call, which the host did not make.
                describe(py, "the source", to_python(py, error));
            }
            let mut memory = std::mem::take(&mut self.memory);
            memory.clear();
            self.events.bind(py).borrow_mut().put(memory);
            // An instance of a subclass has producers too.
            if let Ok(push) = object.cast::<PushInstance>() {
                let push = push.get();
                py.detach(|| push.wait_for_senders(Instant::now() + TIME_TO_STOP));
            }
        });
    }
}

/// A ready-made push instance; not a class of the author's own, which may have its own `next_batch`.
fn push_instance<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, PushInstance>> {
    if object.is_exact_instance_of::<PushInstance>() || object.is_exact_instance_of::<IterInstance>() {
        return object.cast::<PushInstance>().ok();
    }
    None
}

/// Calls the instance's `close`, where it has one.
fn close_object(object: &Bound<'_, PyAny>) -> PyResult<()> {
    if object.hasattr("close")? {
        object.call_method0("close")?;
    }
    Ok(())
}

/// The answer while the author's own code is at the instance: the host comes again.
fn busy(context: &Py<Context>) -> Error {
    if context.get().engine.is_cancelled() {
        Error::Eof
    } else {
        Error::Timeout
    }
}

/// One call of an author's own `next_batch`: what it added, and what stopped it.
fn next_batch_of(
    object: &Bound<'_, PyAny>,
    events: &Bound<'_, EventBatch>,
    memory: &mut EngineBatch,
    warned: &mut bool,
) -> (usize, Option<Error>) {
    let py = object.py();
    events.borrow_mut().put(std::mem::take(memory));
    let result = object
        .call_method1("next_batch", (events,))
        .map_err(|error| match object.getattr("next_batch") {
            Ok(method) => with_parameters(&method, error, "batch"),
            Err(_) => error,
        });
    match events.borrow_mut().take(py) {
        Ok(taken) => *memory = taken,
        Err(error) => return (0, Some(from_python(py, result.err().unwrap_or(error)))),
    }
    let added = memory.len();
    match result {
        Ok(_) if added > 0 => (added, None),
        Ok(_) => {
            if !*warned {
                *warned = true;
                log::warn(
                    py,
                    "next_batch returned without an event, which is taken as a timeout: raise falco_plugin.Timeout when \
                     there is none for now, or falco_plugin.EOF at the end",
                );
            }
            (0, Some(Error::Timeout))
        }
        Err(error) => (added, Some(from_python(py, error))),
    }
}
