//! The metrics that the SDK counts for each plugin, without being asked.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use falco_plugin_engine::metrics::{Counter, Metrics, TimeCounter};
use falco_plugin_engine::source::metrics::SourceMetrics;

use crate::interpreter::log::{self, PluginNumber};

/// The metrics of one initialised plugin.
#[derive(Default)]
pub(crate) struct PluginMetrics {
    pub(crate) sources: Arc<SourceMetrics>,
    /// Exceptions of the methods of fields.
    pub(crate) failed_fields: Counter,
    /// Events that methods with `@parse` got, and the exceptions of these methods.
    pub(crate) parsed_events: Counter,
    pub(crate) failed_parsing: Counter,
    pub(crate) async_events: AsyncEventMetrics,
    /// Calls of the functions of `Capture.every`, and their exceptions.
    pub(crate) called_routines: Counter,
    pub(crate) failed_routines: Counter,
    /// The time that threads of the host spend in Python, waits for the GIL included.
    pub(crate) python_time: TimeCounter,
}

/// The counts of the async events of a plugin.
#[derive(Default)]
pub(crate) struct AsyncEventMetrics {
    /// Events that the host has taken.
    pub(crate) sent: Counter,
    /// Events that the host has refused.
    pub(crate) refused: Counter,
    /// Items that are not events with a declared name.
    pub(crate) invalid: Counter,
    /// Events that were made after the end of the capture.
    pub(crate) dropped: Counter,
}

/// The parts of a plugin that have metrics.
pub(crate) struct Parts {
    pub(crate) fields: bool,
    pub(crate) parsing: bool,
    pub(crate) async_events: bool,
    pub(crate) listening: bool,
}

/// All initialised plugins of this interpreter, and some that were destroyed. Locked for a moment only, and never while
/// Python code runs.
static PLUGINS: Mutex<Vec<(PluginNumber, Weak<PluginMetrics>)>> = Mutex::new(Vec::new());

impl PluginMetrics {
    /// Makes the metrics of a plugin that is about to be initialised. [`sources_of_current`] finds them from then on.
    pub(crate) fn of_plugin(number: PluginNumber) -> Arc<Self> {
        let metrics = Arc::<Self>::default();
        let mut plugins = PLUGINS.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.retain(|(_, metrics)| metrics.strong_count() > 0);
        plugins.push((number, Arc::downgrade(&metrics)));
        metrics
    }

    /// Adds the time in Python, and the counts of the parts that the plugin has.
    pub(crate) fn add_to(&self, metrics: &mut Metrics, parts: &Parts) {
        if parts.fields {
            metrics.add_counter(c"sdk_fields_failed", &self.failed_fields);
        }
        if parts.parsing {
            metrics.add_counter(c"sdk_events_parsed", &self.parsed_events);
            metrics.add_counter(c"sdk_parsing_failed", &self.failed_parsing);
        }
        if parts.async_events {
            metrics.add_counter(c"sdk_async_events_sent", &self.async_events.sent);
            metrics.add_counter(c"sdk_async_events_refused", &self.async_events.refused);
            metrics.add_counter(c"sdk_async_events_invalid", &self.async_events.invalid);
            metrics.add_counter(c"sdk_async_events_dropped", &self.async_events.dropped);
        }
        if parts.listening {
            metrics.add_counter(c"sdk_routines_called", &self.called_routines);
            metrics.add_counter(c"sdk_routines_failed", &self.failed_routines);
        }
        metrics.add_counter(c"sdk_python_nanoseconds", self.python_time.nanoseconds());
    }
}

/// Returns the source metrics of the plugin whose code the calling thread runs; `None` if it is not known.
pub(crate) fn sources_of_current() -> Option<Arc<SourceMetrics>> {
    let current = log::current_plugin();
    let plugins = PLUGINS.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, metrics) = plugins.iter().find(|(number, _)| *number == current)?;
    metrics.upgrade().map(|metrics| Arc::clone(&metrics.sources))
}
