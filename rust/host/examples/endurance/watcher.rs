//! A thread that reads the metrics of a plugin, and changes its configuration, while other threads use it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};

use falco_plugin_host::abi::{Kind, Metric, Number};

use crate::loaded::Initialised;
use crate::random::Dice;
use crate::reader::is_requested;
use crate::{report, totals};

/// The longest time between two readings, in microseconds.
const LONGEST_PAUSE: u64 = 10_000;
/// The metric of the events that wait in channels.
const WAITING: &str = "sdk_events_waiting";

/// Watches the metrics until `stopped` is set. Counters must not decrease, and the list must not change.
pub fn watch(plugin: &Initialised<'_>, mut dice: Dice, stopped: &AtomicBool) {
    let mut before = read(plugin);
    while !stopped.load(Ordering::Relaxed) {
        let metrics = read(plugin);
        check(&before, &metrics);
        before = metrics;
        if dice.one_in(16) {
            change(plugin, dice.one_in(2));
        }
        dice.sleep_below(LONGEST_PAUSE);
    }
}

/// Checks that no event waits. Call it when all sources of the plugin are closed.
pub fn check_closed(plugin: &Initialised<'_>) {
    let metrics = read(plugin);
    let waiting = metrics.iter().find(|metric| metric.name == WAITING);
    if !waiting.is_some_and(|metric| metric.value == Number::Signed(0)) {
        report::fault(format!("events wait although all sources are closed: {waiting:?}"));
    }
}

fn read(plugin: &Initialised<'_>) -> Vec<Metric> {
    totals::METRICS.add(1);
    let metrics = plugin.plugin.metrics();
    metrics.unwrap_or_else(|error| report::abort(error))
}

fn check(before: &[Metric], after: &[Metric]) {
    let names = |metrics: &[Metric]| metrics.iter().map(|metric| metric.name.clone()).collect::<Vec<_>>();
    if names(before) != names(after) {
        report::fault(format!(
            "the list of metrics has changed: {:?}, then {:?}",
            names(before),
            names(after)
        ));
    }
    let earlier: HashMap<_, _> = before.iter().map(|metric| (&metric.name, metric.value)).collect();
    for metric in after.iter().filter(|metric| metric.kind == Kind::Counter) {
        if let (Some(Number::Unsigned(earlier)), Number::Unsigned(now)) = (earlier.get(&metric.name), metric.value)
            && now < *earlier
        {
            report::fault(format!(
                "the counter {} has decreased from {earlier} to {now}",
                metric.name
            ));
        }
    }
}

/// Changes the configuration to one that the plugin accepts, or to one for which it raises an exception.
fn change(plugin: &Initialised<'_>, fails: bool) {
    let changed = plugin
        .plugin
        .set_config(OsStr::new(if fails { "fail" } else { "other" }));
    match changed {
        Ok(()) if !fails => totals::CONFIGURATIONS.add(1),
        Err(error) if fails && is_requested(&error) => totals::RAISED_BY_SET_CONFIG.add(1),
        other => report::fault(format!("set_config gave {other:?}")),
    }
}
