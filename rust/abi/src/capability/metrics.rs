//! Metrics, which the host may read on several threads at the same time.

use std::ptr;

use falco_plugin_api::{
    ss_plugin_metric, ss_plugin_metric_type_SS_PLUGIN_METRIC_TYPE_MONOTONIC as MONOTONIC,
    ss_plugin_metric_type_SS_PLUGIN_METRIC_TYPE_NON_MONOTONIC as NON_MONOTONIC, ss_plugin_metric_value,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_D as FLOAT,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_S64 as INT,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_U64 as UNSIGNED, ss_plugin_t,
};
use falco_plugin_api_table::write;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::metrics::{Metric, Value};

use crate::guard::guard;
use crate::state::PluginState;

/// The metrics of the last call of one thread of the host. They stay valid until the same thread's next call.
#[derive(Default)]
pub(crate) struct Snapshot(Vec<ss_plugin_metric>);

// SAFETY: the pointers are to names in the plugin's metrics. Only the host follows them, before the plugin is destroyed.
unsafe impl Send for Snapshot {}

impl Snapshot {
    /// Reads all metrics. Returns their address and number.
    fn fill<'m>(&mut self, metrics: impl Iterator<Item = &'m Metric>) -> (*mut ss_plugin_metric, u32) {
        self.0.clear();
        self.0.extend(metrics.map(snapshot_of));
        (self.0.as_mut_ptr(), self.0.len() as u32)
    }
}

fn snapshot_of(metric: &Metric) -> ss_plugin_metric {
    let (type_, value_type, value) = match metric.value() {
        Value::Counter(value) => (MONOTONIC, UNSIGNED, ss_plugin_metric_value { u64_: value }),
        Value::Int(value) => (NON_MONOTONIC, INT, ss_plugin_metric_value { s64: value }),
        Value::Float(value) => (NON_MONOTONIC, FLOAT, ss_plugin_metric_value { d: value }),
    };
    ss_plugin_metric {
        name: metric.name().as_ptr(),
        type_,
        value,
        value_type,
    }
}

/// Returns the metrics of the plugin. After a failed init, these are the metrics of its log. In a forked child there are
/// none.
pub(crate) unsafe extern "C" fn get_metrics(state: *mut ss_plugin_t, num_metrics: *mut u32) -> *mut ss_plugin_metric {
    // SAFETY: NULL or the host's to be written.
    unsafe { write(num_metrics, 0) };
    // SAFETY: NULL, or a state of `init`.
    let Some(state) = (unsafe { PluginState::from_handle(state) }) else {
        return ptr::null_mut();
    };
    let filled = guard(|| {
        let of_plugin = state.plugin.iter().flat_map(|plugin| plugin.metrics());
        let metrics = state.log.metrics().iter().chain(of_plugin);
        let filled = state.snapshot.with(|snapshot| snapshot.fill(metrics));
        filled.ok_or_else(|| Error::text("the thread has no memory for metrics, because it is ending"))
    });
    match filled {
        Ok((metrics, count)) => {
            // SAFETY: as above.
            unsafe { write(num_metrics, count) };
            metrics
        }
        Err(error) => {
            state.set_error(&error);
            ptr::null_mut()
        }
    }
}
