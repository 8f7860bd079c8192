//! The cost of the async events that a plugin sends.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::clock::nanoseconds;
use super::process;
use super::report::time;
use super::slices::{Cost, Slices};
use crate::abi::{self, Plugin};
use crate::signals;
use crate::text::count::format_count;

/// The time between two reads of the count of events.
const SLICE: Duration = Duration::from_millis(10);

/// The async events that a plugin sends as fast as it can, into a handler that only counts them.
#[derive(Debug, Serialize)]
pub struct Sending<'p> {
    pub name: &'p str,
    pub version: &'p str,
    pub events: Sent,
}

#[derive(Debug, Serialize)]
pub struct Sent {
    pub count: u64,
    /// The bytes of all events, with their headers.
    pub bytes: u64,
    pub wall_ns: u64,
    /// The CPU time of all threads.
    pub cpu_ns: u64,
    /// The time from one event to the next, or `None` if there was none.
    pub per_event: Option<Cost>,
}

impl Sending<'_> {
    /// Writes the result as one line of JSON.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    /// Writes the result as text.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let events = format_count(self.events.count, "async event");
        let cost = self.events.per_event.map_or_else(
            || "no event".to_owned(),
            |cost| format!("{} an event (best {})", time(cost.median_ns), time(cost.min_ns)),
        );
        writeln!(out, "{} {}: {events}\n\nsend     {cost}", self.name, self.version)
    }
}

/// Counts the async events of a plugin until the time is over.
pub fn measure(plugin: &Plugin<'_>, limit: Duration) -> Result<Sent, abi::Error> {
    let counting = plugin.count_async_events()?;
    let mut slices = Slices::default();
    let (start, cpu_start, (first, first_bytes)) = (Instant::now(), process::cpu_time(), counting.counts());
    let (mut before, mut count_before) = (start, first);
    while start.elapsed() < limit && !signals::is_interrupted() {
        thread::sleep(SLICE);
        let (now, (count, _)) = (Instant::now(), counting.counts());
        slices.add(nanoseconds(now - before), count - count_before);
        (before, count_before) = (now, count);
    }
    let (wall, cpu, (count, bytes)) = (start.elapsed(), process::cpu_time() - cpu_start, counting.counts());
    counting.end()?;
    Ok(Sent {
        count: count - first,
        bytes: bytes - first_bytes,
        wall_ns: nanoseconds(wall),
        cpu_ns: nanoseconds(cpu),
        per_event: slices.cost(),
    })
}
