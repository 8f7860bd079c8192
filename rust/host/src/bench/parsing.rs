//! The cost of parsing the events of a capture file.

use std::ffi::CStr;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::clock::nanoseconds;
use super::report::time;
use super::slices::{Cost, Slices};
use crate::abi::{self, Event, Extractor};
use crate::signals;
use crate::text::count::format_count;

/// The cost of an event that a plugin parses.
#[derive(Debug, Serialize)]
pub struct Parsing<'p> {
    pub name: &'p str,
    pub version: &'p str,
    /// The number of different events.
    pub events: usize,
    /// The time of one call of parse_event.
    pub parse: Option<Cost>,
}

impl Parsing<'_> {
    /// Writes the result as one line of JSON.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    /// Writes the result as text.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let events = format_count(self.events as u64, "event");
        let cost = self.parse.map_or_else(
            || "no event".to_owned(),
            |cost| format!("{} an event (best {})", time(cost.median_ns), time(cost.min_ns)),
        );
        writeln!(out, "{} {}: {events}\n\nparse    {cost}", self.name, self.version)
    }
}

/// Passes the events to a plugin again and again until the time is over. Each pass has new numbers, so that each event is a
/// new one to the plugin.
pub fn measure(
    plugin: &mut Extractor<'_>,
    events: &[Event<'_>],
    source: &CStr,
    limit: Duration,
) -> Result<Option<Cost>, abi::Error> {
    let start = Instant::now();
    let mut slices = Slices::default();
    let mut number = 0;
    while !events.is_empty() && start.elapsed() < limit && !signals::is_interrupted() {
        let before = Instant::now();
        for event in events {
            number += 1;
            plugin.parse(event, number, source)?;
        }
        slices.add(nanoseconds(before.elapsed()), events.len() as u64);
    }
    Ok(slices.cost())
}
