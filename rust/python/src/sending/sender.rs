//! `AsyncEventSender`: sends async events from any thread.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::interpreter::fast::OneArgument;
use crate::sending::target::Target;

/// Sends the async events of a method with :func:`falco_plugin.async_events`, which gets it as its second argument.
///
/// Safe to use from any thread, such as that of a library that calls back, until the capture ends.
#[pyclass(frozen, weakref, module = "falco_plugin.sending")]
pub(crate) struct AsyncEventSender(pub(super) Arc<Target>);

impl OneArgument for AsyncEventSender {
    const NAME: &str = "send";

    #[inline]
    fn call<'py>(this: &Bound<'py, Self>, event: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        this.get().0.send_item(event)?;
        Ok(this.py().None().into_bound(this.py()))
    }

    fn general() -> &'static PyOnceLock<Py<PyAny>> {
        static GENERAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        &GENERAL
    }
}

#[pymethods]
impl AsyncEventSender {
    /// Whether the capture has ended: no event can be sent any more.
    #[getter]
    fn closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends one event. When this returns, Falco has taken the event into its queue. Does not wait.
    ///
    /// Args:
    ///     event: an ``AsyncEvent`` with a name that the method declares. If it declares one name, the event may also
    ///         be the payload, any buffer, or a ``(payload, timestamp)`` tuple.
    ///
    /// Raises:
    ///     ChannelClosedError: the capture has ended. The event was not sent.
    ///     PluginError: Falco refused the event. It does not report that its queue is full: it then drops the event.
    ///     TypeError: the object is not an event.
    ///     ValueError: the name is not declared, or the timestamp is out of range.
    fn send(&self, event: &Bound<'_, PyAny>) -> PyResult<()> {
        Ok(self.0.send_item(event)?)
    }
}
