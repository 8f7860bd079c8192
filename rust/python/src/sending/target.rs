//! The names under which a method sends async events, and the host that receives them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use falco_plugin_engine::async_events::{AsyncSink as Engine, SinkError};
use falco_plugin_engine::event::{AsyncEventName, NO_TIMESTAMP};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::convert::buffers::to_bytes;
use crate::errors::{capture_closed, to_python};
use crate::event::item::Item;
use crate::interpreter::threads;
use crate::metrics::of_plugin::PluginMetrics;
use crate::sending::event::AsyncEvent;
use crate::source::item_sender::refuse_in_child;

/// Passes items to the host as async events, and counts them.
pub(crate) struct Target {
    engine: Arc<Engine>,
    counts: Arc<PluginMetrics>,
    /// The declared names. Most events have the same string object.
    names: Vec<(Py<PyString>, AsyncEventName)>,
    /// Events that the host has taken.
    sent: AtomicU64,
}

/// Why an item was not sent.
pub(crate) enum NotSent {
    /// The item, or the host, is at fault; the next item may be sent.
    Refused(PyErr),
    /// Nothing can be sent any more.
    Ended(PyErr),
}

impl From<NotSent> for PyErr {
    fn from(not_sent: NotSent) -> Self {
        match not_sent {
            NotSent::Refused(error) | NotSent::Ended(error) => error,
        }
    }
}

impl Target {
    /// Makes a target without names.
    pub(crate) fn new(engine: Arc<Engine>, counts: Arc<PluginMetrics>) -> Self {
        Self {
            engine,
            counts,
            names: Vec::new(),
            sent: AtomicU64::new(0),
        }
    }

    /// Returns a target for events with these names.
    pub(crate) fn with_names(&self, py: Python<'_>, names: &[String]) -> PyResult<Self> {
        let names = names.iter().map(|name| {
            let engine = AsyncEventName::new(name).map_err(|error| to_python(py, error))?;
            Ok((PyString::intern(py, name).unbind(), engine))
        });
        Ok(Self {
            names: names.collect::<PyResult<_>>()?,
            ..Self::new(Arc::clone(&self.engine), Arc::clone(&self.counts))
        })
    }

    /// Returns whether the host has stopped it.
    pub(crate) fn is_closed(&self) -> bool {
        self.engine.is_closed()
    }

    /// Returns how many events the host has taken.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Sends an item. If there is one name only, the item may also be what an event source sends.
    #[inline]
    pub(crate) fn send_item(&self, item: &Bound<'_, PyAny>) -> Result<(), NotSent> {
        let py = item.py();
        if let Ok(event) = item.cast_exact::<AsyncEvent>() {
            let event = event.get();
            let name = self.find(event.name.bind(py)).map_err(|error| self.invalid(error))?;
            let data = event.data.as_ref().map_or(&b""[..], |data| data.bind(py).as_bytes());
            return self.send_bytes(py, name, event.timestamp.unwrap_or(NO_TIMESTAMP), data);
        }
        let name = match &self.names[..] {
            [(_, name)] if !item.is_none() => name,
            _ => return Err(self.invalid(self.not_an_event(item))),
        };
        if let Ok(data) = item.cast_exact::<PyBytes>() {
            return self.send_bytes(py, name, NO_TIMESTAMP, data.as_bytes());
        }
        let read = || {
            let item = Item::new(item, None)?;
            Ok((to_bytes(&item.data)?, item.timestamp.unwrap_or(NO_TIMESTAMP)))
        };
        let (data, timestamp) = read().map_err(|error| self.invalid(error))?;
        self.send_bytes(py, name, timestamp, data.as_bytes())
    }

    #[inline]
    fn send_bytes(&self, py: Python<'_>, name: &AsyncEventName, timestamp: u64, data: &[u8]) -> Result<(), NotSent> {
        refuse_in_child(py).map_err(NotSent::Ended)?;
        // The host's function may wait for a lock of the host, whose holder may wait for Python.
        match py.detach(|| self.engine.send(name, timestamp, data)) {
            Ok(()) => {
                self.sent.fetch_add(1, Ordering::Relaxed);
                self.counts.async_events.sent.add(1);
                threads::step_aside(py, |_| ());
                Ok(())
            }
            Err(SinkError::Closed) => {
                self.counts.async_events.dropped.add(1);
                Err(NotSent::Ended(capture_closed(py)))
            }
            Err(SinkError::Refused(error)) => {
                self.counts.async_events.refused.add(1);
                Err(NotSent::Refused(to_python(py, error)))
            }
        }
    }

    #[inline]
    fn find(&self, name: &Bound<'_, PyString>) -> PyResult<&AsyncEventName> {
        match self.names.iter().find(|(known, _)| known.is(name)) {
            Some((_, found)) => Ok(found),
            None => self.find_equal(name),
        }
    }

    /// Returns the name that is equal to a string which Python has made again.
    #[cold]
    fn find_equal(&self, name: &Bound<'_, PyString>) -> PyResult<&AsyncEventName> {
        let bytes = name.to_str()?.as_bytes();
        let found = self.names.iter().find(|(_, known)| known.as_bytes() == bytes);
        found.map(|(_, found)| found).ok_or_else(|| self.undeclared(name))
    }

    /// Counts an item that is not an event of the method.
    #[cold]
    fn invalid(&self, error: PyErr) -> NotSent {
        self.counts.async_events.invalid.add(1);
        NotSent::Refused(error)
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
        let names = self
            .names
            .iter()
            .map(|(_, name)| String::from_utf8_lossy(name.as_bytes()));
        names.collect::<Vec<_>>().join(", ")
    }
}
