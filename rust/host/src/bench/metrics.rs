//! The metrics of a plugin: what a reader of them waits for.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::extraction::cost;
use super::slices::Cost;
use crate::abi::{self, Source};

/// The time to measure metrics, unless one slice takes longer.
const TIME: Duration = Duration::from_millis(50);
/// Calls between two readings of the clock.
const CALLS: u64 = 64;

/// The metrics of a plugin, and the cost to get one of them.
#[derive(Debug, Serialize)]
pub struct Metrics {
    pub count: u64,
    /// The cost of a call of `get_metrics`, divided by the number of metrics.
    pub each: Option<Cost>,
}

/// Measures the metrics of a source's plugin. Returns `None` if the plugin has none.
pub fn measure(source: &mut Source<'_>) -> Result<Option<Metrics>, abi::Error> {
    let count = source.count_metrics()? as u64;
    if count == 0 {
        return Ok(None);
    }
    let each = cost(count * CALLS, TIME, || {
        let start = Instant::now();
        for _ in 0..CALLS {
            source.count_metrics()?;
        }
        Ok::<_, abi::Error>(start.elapsed())
    })?;
    Ok(Some(Metrics { count, each }))
}
