//! `AsyncSink`: passes the async events of a method to the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use falco_plugin_abi::fork;
use falco_plugin_engine::async_events::{AsyncSink as Engine, SinkError};
use falco_plugin_engine::event::{AsyncEventName, NO_TIMESTAMP};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString};

use crate::convert::buffers::to_bytes;
use crate::errors::{capture_closed, to_python};
use crate::event::item::Item;
use crate::interpreter::threads;
use crate::sending::event::AsyncEvent;
use crate::source::item_sender::refuse_in_child;

/// Passes async events to the host until the host stops it. Not public.
///
/// It takes an ``AsyncEvent`` with a declared name. If there is one declared name only, it also takes what an event
/// source sends: a buffer, or a ``(buffer, timestamp)`` tuple.
#[pyclass(frozen, module = "falco_plugin._core")]
pub(crate) struct AsyncSink {
    engine: Arc<Engine>,
    names: Vec<AsyncEventName>,
    /// Events that the host has taken.
    sent: AtomicU64,
}

/// Why an item was not sent.
enum NotSent {
    /// The item, or the host, is at fault; the next item may be sent.
    Refused(PyErr),
    /// Nothing can be sent any more.
    Ended(PyErr),
}

impl AsyncSink {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            names: Vec::new(),
            sent: AtomicU64::new(0),
        }
    }

    #[inline]
    fn send_item(&self, item: &Bound<'_, PyAny>) -> Result<(), NotSent> {
        let py = item.py();
        if let Ok(event) = item.cast_exact::<AsyncEvent>() {
            let event = event.get();
            let name = self.find(event.name.bind(py)).map_err(NotSent::Refused)?;
            let data = event.data.as_ref().map_or(&b""[..], |data| data.bind(py).as_bytes());
            return self.send_bytes(py, name, event.timestamp.unwrap_or(NO_TIMESTAMP), data);
        }
        let name = match &self.names[..] {
            [name] if !item.is_none() => name,
            _ => return Err(NotSent::Refused(self.not_an_event(item))),
        };
        if let Ok(data) = item.cast_exact::<PyBytes>() {
            return self.send_bytes(py, name, NO_TIMESTAMP, data.as_bytes());
        }
        let read = || {
            let item = Item::new(item, None)?;
            Ok((to_bytes(&item.data)?, item.timestamp.unwrap_or(NO_TIMESTAMP)))
        };
        let (data, timestamp) = read().map_err(NotSent::Refused)?;
        self.send_bytes(py, name, timestamp, data.as_bytes())
    }

    #[inline]
    fn send_bytes(&self, py: Python<'_>, name: &AsyncEventName, timestamp: u64, data: &[u8]) -> Result<(), NotSent> {
        refuse_in_child(py).map_err(NotSent::Ended)?;
        // The host's function may wait for a lock of the host, whose holder may wait for Python.
        match py.detach(|| self.engine.send(name, timestamp, data)) {
            Ok(()) => {
                self.sent.fetch_add(1, Ordering::Relaxed);
                threads::step_aside(py, |_| ());
                Ok(())
            }
            Err(SinkError::Closed) => Err(NotSent::Ended(capture_closed(py))),
            Err(SinkError::Refused(error)) => Err(NotSent::Refused(to_python(py, error))),
        }
    }

    #[inline]
    fn find(&self, name: &Bound<'_, PyString>) -> PyResult<&AsyncEventName> {
        let bytes = name.to_str()?.as_bytes();
        let found = self.names.iter().find(|known| known.as_bytes() == bytes);
        found.ok_or_else(|| self.undeclared(name))
    }

    #[cold]
    fn undeclared(&self, name: &Bound<'_, PyString>) -> PyErr {
        let repr = name.repr().map_or_else(|_| String::new(), |repr| repr.to_string());
        PyValueError::new_err(format!(
            "the async event {repr} is not declared: name it in @async_events, which has {}",
            self.list()
        ))
    }

    #[cold]
    fn not_an_event(&self, item: &Bound<'_, PyAny>) -> PyErr {
        let found = item.get_type().name();
        let found = found.map_or_else(|_| "object".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "expected an AsyncEvent, got {found}: yield AsyncEvent(name, data) with one of the names {}",
            self.list()
        ))
    }

    fn list(&self) -> String {
        let names = self.names.iter().map(|name| String::from_utf8_lossy(name.as_bytes()));
        names.collect::<Vec<_>>().join(", ")
    }
}

#[pymethods]
impl AsyncSink {
    /// Returns a sink for events with these names.
    fn with_names(&self, py: Python<'_>, names: Vec<String>) -> PyResult<Self> {
        let names = names.iter().map(|name| AsyncEventName::new(name));
        let names = names.collect::<Result<_, _>>().map_err(|error| to_python(py, error))?;
        Ok(Self {
            engine: Arc::clone(&self.engine),
            names,
            sent: AtomicU64::new(0),
        })
    }

    /// Whether the host has stopped it.
    #[getter]
    fn closed(&self) -> bool {
        self.engine.is_closed()
    }

    /// How many events the host has taken from this sink.
    #[getter]
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Sends one event. Does not wait.
    fn send(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        match self.send_item(item) {
            Ok(()) => Ok(()),
            Err(NotSent::Refused(error) | NotSent::Ended(error)) => Err(error),
        }
    }

    /// Sends the items of an iterator, each as soon as it is available.
    ///
    /// Returns:
    ///     ``None`` at the end, or the exception for an item that was refused.
    fn send_each<'py>(&self, items: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = items.py();
        // The method that made the iterator may have forked, too.
        fork::end_child();
        // Do not call `iter(items)`: it may start again from the beginning.
        for item in items.cast::<PyIterator>()? {
            fork::end_child();
            match self.send_item(&item?) {
                Ok(()) => {}
                Err(NotSent::Ended(error)) => return Err(error),
                Err(NotSent::Refused(error)) => return Ok(Some(error.into_value(py).into_bound(py).into_any())),
            }
        }
        fork::end_child();
        Ok(None)
    }
}
