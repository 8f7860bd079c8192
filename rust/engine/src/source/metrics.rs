//! Metrics of event sources.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::metrics::{Counter, Metrics, Value};

/// Events that wait in a channel for the host.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    pub events: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

/// A channel, as a reader of metrics sees it.
pub(crate) trait Measured: Send + Sync {
    fn backlog(&self) -> Backlog;
}

/// The metrics of all sources of one plugin.
// They synchronize nothing, so they are not part of the models of `tests/loom`, and use the types of std.
#[derive(Default)]
pub struct SourceMetrics {
    /// Events that `next_batch` returned to the host.
    pub delivered: Counter,
    /// Events that were in a channel when the source ended.
    pub dropped: Counter,
    /// Items that cannot be events, and events that found the channel full until their timeout.
    pub refused: Counter,
    /// The channels that still exist, and some that do not.
    channels: Mutex<Vec<Weak<dyn Measured>>>,
}

impl SourceMetrics {
    /// Adds these metrics to those of a plugin.
    pub fn add_to(self: &Arc<Self>, metrics: &mut Metrics) {
        metrics.add_counter(c"sdk_events_delivered", &self.delivered);
        let backlog = |read: fn(Backlog) -> u64| {
            let source = Arc::clone(self);
            move || Value::Int(i64::try_from(read(source.backlog())).unwrap_or(i64::MAX))
        };
        metrics.add_read(c"sdk_events_waiting", backlog(|backlog| backlog.events));
        metrics.add_read(c"sdk_events_waiting_size", backlog(|backlog| backlog.bytes));
        metrics.add_counter(c"sdk_events_dropped", &self.dropped);
        metrics.add_counter(c"sdk_events_refused", &self.refused);
    }

    /// Returns what waits in all channels together.
    pub fn backlog(&self) -> Backlog {
        let mut total = Backlog::default();
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        for channel in channels.iter().filter_map(Weak::upgrade) {
            let backlog = channel.backlog();
            total.events += backlog.events;
            total.bytes += backlog.bytes;
        }
        total
    }

    pub(crate) fn add_channel(&self, channel: Weak<dyn Measured>) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.retain(|known| known.strong_count() > 0);
        channels.push(channel);
    }
}
