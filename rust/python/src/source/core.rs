//! The core of the ready-made instances: what `PullInstance`, `PushInstance` and `LinesInstance` have in common.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::EventBatch as EngineBatch;
use falco_plugin_engine::source::clock::DEFAULT_TIMEOUT;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::convert::options;
use crate::errors::{plugin_error, to_python};
use crate::event::batch::EventBatch;
use crate::interpreter::threads;
use crate::source::callbacks::Callbacks;
use crate::source::context::Context;
use crate::source::skipped_items::SkippedItems;

/// The part of a ready-made instance that makes its events.
pub(crate) trait Engine: Send {
    /// Whether `next_batch` runs Python code. If it does, it is called with the GIL, otherwise without.
    const RUNS_PYTHON: bool;

    /// Appends events to the batch. Returns how many, or why there are none.
    fn next_batch(&mut self, batch: &mut EngineBatch) -> Result<usize, Error>;

    /// Returns the error that the next call of `next_batch` would return.
    fn take_pending_error(&mut self) -> Option<Error>;

    /// Ends the source. May be called more than once, and never while `next_batch` runs. Called with the GIL if that is
    /// (`RUNS_PYTHON`).
    fn close(&mut self);

    /// Returns the Python object that may be part of a reference cycle.
    fn cyclic(&self) -> Option<&Py<PyAny>> {
        None
    }

    /// Takes that object away when the garbage collector breaks a cycle.
    fn take_cyclic(&mut self) -> Option<Py<PyAny>> {
        None
    }
}

/// The options that all ready-made instances have.
pub(crate) struct CommonOptions {
    pub(crate) context: Py<Context>,
    pub(crate) timeout: Duration,
    callbacks: Callbacks,
}

impl CommonOptions {
    /// Checks the options, and makes the instance's context as a child of `parent`.
    pub(crate) fn parse(
        py: Python<'_>,
        parent: Option<&Py<Context>>,
        timeout: Option<&Bound<'_, PyAny>>,
        close: Option<&Bound<'_, PyAny>>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self {
            timeout: timeout.map_or(Ok(DEFAULT_TIMEOUT), |value| options::duration("timeout", value))?,
            callbacks: Callbacks::parse(close, progress)?,
            context: Context::for_instance(py, parent)?,
        })
    }
}

/// The common state of a ready-made instance. The Python object owns it, and the driver shares it once the host calls.
pub(crate) struct Core<E> {
    /// Never waited for: the thread that holds this lock may be waiting for the GIL. If the engine has a Python object
    /// that may be part of a cycle, only threads in Python change this lock, because the garbage collector tries it.
    engine: Mutex<E>,
    context: Py<Context>,
    events: Mutex<Py<EventBatch>>,
    callbacks: Callbacks,
    skipped_items: Option<SkippedItems>,
    /// Set once `open` has returned the instance. The events of any other caller would never reach the host.
    host_owned: AtomicBool,
    closed: AtomicBool,
}

impl<E: Engine> Core<E> {
    pub(crate) fn new(
        py: Python<'_>,
        engine: E,
        options: CommonOptions,
        memory: EngineBatch,
        skipped_items: Option<SkippedItems>,
    ) -> PyResult<Arc<Self>> {
        Ok(Arc::new(Self {
            engine: Mutex::new(engine),
            context: options.context,
            events: Mutex::new(Py::new(py, EventBatch::holding(memory))?),
            callbacks: options.callbacks,
            skipped_items,
            host_owned: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }))
    }

    pub(crate) fn context(&self, py: Python<'_>) -> Py<Context> {
        self.context.clone_ref(py)
    }

    pub(crate) fn events(&self, py: Python<'_>) -> Py<EventBatch> {
        lock(&self.events).clone_ref(py)
    }

    pub(crate) fn set_events(&self, events: Py<EventBatch>) {
        let old = mem::replace(&mut *lock(&self.events), events);
        drop(old);
    }

    /// Fills a batch of user code.
    pub(crate) fn next_batch(&self, batch: &Bound<'_, EventBatch>) -> PyResult<usize> {
        let py = batch.py();
        // A call at the moment in which the host takes the instance over may still pass; it then came before the
        // host's.
        if self.host_owned.load(Ordering::Relaxed) {
            return Err(plugin_error(
                py,
                "only the host may call next_batch of an instance that open has returned, because it would miss the \
                 events of another call: to see them first, return a custom instance from open that calls this one",
            ));
        }
        let mut memory = batch.get().take(py)?;
        let mut fill = || self.fill(&mut memory).unwrap_or_else(|| Err(self.already_running()));
        let result = if E::RUNS_PYTHON { fill() } else { py.detach(fill) };
        batch.get().put(py, memory);
        result.map_err(|error| to_python(py, error))
    }

    /// Fills a batch. Returns `None` if another call of `next_batch` is in progress, on this thread or on another.
    fn fill(&self, memory: &mut EngineBatch) -> Option<Result<usize, Error>> {
        let result = try_lock(&self.engine)?.next_batch(memory);
        // The lock is released, then `closed` is read. `close` sets `closed`, then tries the lock. The two fences order
        // these steps, so that at least one side sees the other: either `close` gets the lock, or this call sees
        // `closed`.
        fence(Ordering::SeqCst);
        if self.closed.load(Ordering::Relaxed) {
            self.close_engine();
        }
        Some(result)
    }

    /// Closes the engine, unless a call of `next_batch` is in progress, which then does it when it ends.
    fn close_engine(&self) {
        if let Some(mut engine) = try_lock(&self.engine) {
            engine.close();
        }
    }

    /// Returns the error for a call during another one. After a close it is the end of the source.
    fn already_running(&self) -> Error {
        if self.is_cancelled() {
            return Error::Eof;
        }
        Error::text(
            "next_batch of this instance is already running: call it from one thread at a time, and not from the \
             instance's own pull function",
        )
    }

    fn is_cancelled(&self) -> bool {
        self.context.get().engine.is_cancelled()
    }

    pub(crate) fn progress(&self, py: Python<'_>) -> PyResult<(f64, String)> {
        self.progress_or(py, || (0.0, String::new()))
    }

    /// Returns the result of the progress callback, or else `default`.
    pub(crate) fn progress_or(
        &self,
        py: Python<'_>,
        default: impl FnOnce() -> (f64, String),
    ) -> PyResult<(f64, String)> {
        self.callbacks.progress(py).unwrap_or_else(|| Ok(default()))
    }

    /// Cancels the context, calls `close_input`, ends the source, then calls the close callback. Later calls do
    /// nothing.
    pub(crate) fn close(&self, py: Python<'_>, close_input: impl FnOnce() + Send) -> PyResult<()> {
        if self.closed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        // See `fill`.
        fence(Ordering::SeqCst);
        py.detach(|| {
            self.context.get().engine.cancel();
            close_input();
            if !E::RUNS_PYTHON {
                self.close_engine();
            }
        });
        if E::RUNS_PYTHON {
            self.close_engine();
        }
        if let Some(skipped_items) = &self.skipped_items {
            skipped_items.finish(py);
        }
        self.callbacks.close(py)
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.callbacks.traverse(visit)?;
        match try_lock(&self.engine) {
            Some(engine) => visit.call(engine.cyclic()),
            None => Ok(()),
        }
    }

    pub(crate) fn clear(&self) {
        let cyclic = try_lock(&self.engine).and_then(|mut engine| engine.take_cyclic());
        drop(cyclic);
        self.callbacks.clear();
    }
}

/// A ready-made instance, as the driver sees it.
pub(crate) trait ReadyMade: Send + Sync {
    /// Reserves `next_batch` for the host. Returns the batch that the host reads.
    fn hand_to_host(&self, py: Python<'_>) -> Py<EventBatch>;

    /// Returns whether `fill_for_host` runs Python code.
    fn runs_python(&self) -> bool;

    /// Fills the host's batch. Called without the GIL.
    fn fill_for_host(&self, memory: &mut EngineBatch) -> Result<usize, Error>;

    /// Returns the error that the next call would return, which the host will not make.
    fn take_pending_error(&self) -> Option<Error>;
}

impl<E: Engine> ReadyMade for Core<E> {
    fn hand_to_host(&self, py: Python<'_>) -> Py<EventBatch> {
        self.host_owned.store(true, Ordering::Relaxed);
        self.events(py)
    }

    fn runs_python(&self) -> bool {
        E::RUNS_PYTHON
    }

    fn fill_for_host(&self, memory: &mut EngineBatch) -> Result<usize, Error> {
        let result = if E::RUNS_PYTHON {
            threads::enter(|_| self.fill(memory))
        } else {
            self.fill(memory)
        };
        // While a call of user code is still in progress, the host is asked to call again.
        result.unwrap_or_else(|| {
            Err(if self.is_cancelled() {
                Error::Eof
            } else {
                Error::Timeout
            })
        })
    }

    fn take_pending_error(&self) -> Option<Error> {
        try_lock(&self.engine)?.take_pending_error()
    }
}

/// Locks a mutex that is held for a moment only, and never while Python code runs.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
