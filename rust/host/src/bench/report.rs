//! The result of a measurement, as text or JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::events::{Ending, Latencies, Span};
use super::extraction::Fields;
use super::histogram::Latency;
use super::live::Calls;
use super::metrics::Metrics;
use super::slices::Cost;
use super::threads::Parallel;
use crate::text::count::format_count;
use crate::text::escape;
use crate::text::table;

/// The result of a measurement.
#[derive(Debug, Serialize)]
pub struct Report<'c> {
    pub name: &'c str,
    pub version: &'c str,
    pub result: Ending,
    /// The time to load the library and to read its metadata.
    pub load_ns: u64,
    /// The time in init, open and next_batch until the first event, or `None` if there was none.
    pub first_event_ns: Option<u64>,
    pub events: Span,
    pub latency: Latencies,
    pub memory: Memory,
    /// `None` if the plugin has no metrics.
    pub metrics: Option<Metrics>,
    pub fields: Option<Fields<'c>>,
    pub live: Option<Vec<Calls<'c>>>,
    /// The fields on several threads, if the user asked for threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<Vec<Parallel<'c>>>,
}

/// Resident memory: before and after the library is loaded, with the source open, and after the run; and its maximum.
#[derive(Debug, Serialize)]
pub struct Memory {
    pub start_kib: Option<u64>,
    pub load_kib: Option<u64>,
    pub open_kib: Option<u64>,
    pub end_kib: Option<u64>,
    pub peak_kib: Option<u64>,
}

impl Report<'_> {
    /// Writes the report as one line of JSON.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    /// Writes the report as text.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let events = &self.events;
        let (name, version) = (self.name, escape::column(self.version));
        let (count, took) = (
            format_count(grouped(events.count), "event"),
            time(events.wall_ns as f64),
        );
        writeln!(
            out,
            "{name} {version}: {count} in {took}, {}\n",
            ending_text(self.result)
        )?;
        let mut line = |label: &str, text: String| writeln!(out, "{label:<9}{text}");
        if let Some(cost) = events.per_event {
            let seconds = events.wall_ns as f64 / 1e9;
            let each = |ns: u64| time(ns as f64 / events.count as f64);
            let rate = grouped((events.count as f64 / seconds).round() as u64);
            let bytes = amount(events.bytes as f64 / seconds);
            let spread = match cost.slices {
                1 => String::new(),
                _ => format!(" (best {}, median {})", time(cost.min_ns), time(cost.median_ns)),
            };
            line("speed", format!("{rate} events/s, {bytes}/s"))?;
            line("wall", format!("{} an event{spread}", each(events.wall_ns)))?;
            let cores = events.cpu_ns as f64 / events.wall_ns as f64;
            line("CPU", format!("{} an event, {cores:.2} cores", each(events.cpu_ns)))?;
        }
        let size = match events.batches {
            0 => String::new(),
            batches => format!(" of {:.1} events", events.count as f64 / batches as f64),
        };
        let (batches, timeouts) = (
            grouped(events.batches),
            format_count(grouped(events.timeouts), "timeout"),
        );
        line("batches", format!("{batches}{size}; {timeouts}"))?;
        let first = self
            .first_event_ns
            .map(|ns| format!("; first event {} from init on", time(ns as f64)));
        line(
            "start",
            format!("loaded in {}{}", time(self.load_ns as f64), first.unwrap_or_default()),
        )?;
        line("memory", self.memory.text())?;
        if let Some(Metrics {
            count,
            each: Some(cost),
        }) = self.metrics
        {
            line("metrics", format!("{count}, {} each", time(cost.min_ns)))?;
        }
        self.write_latencies(out)?;
        if let Some(fields) = &self.fields {
            write_fields(out, fields)?;
        }
        if let Some(calls) = &self.live {
            write_calls(out, calls)?;
        }
        self.threads
            .as_ref()
            .map_or(Ok(()), |fields| write_parallel(out, fields))
    }

    fn write_latencies(&self, out: &mut impl Write) -> io::Result<()> {
        let latency = &self.latency;
        let rows = [
            ("a batch", latency.batch),
            ("a timeout", latency.timeout),
            ("age of an event", latency.age),
        ];
        let rows = rows.into_iter().filter(|(_, latency)| latency.is_some());
        let rows: Vec<_> = rows
            .map(|(label, latency)| {
                let [p50, p99, max] = percentiles(latency);
                [label.to_owned(), p50, p99, max]
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nlatency:")?;
        table::write(out, ["of", "p50", "p99", "max"], &rows)
    }
}

impl Memory {
    fn text(&self) -> String {
        let readings = [
            ("at start", self.start_kib),
            ("loaded", self.load_kib),
            ("open", self.open_kib),
            ("at the end", self.end_kib),
            ("at most", self.peak_kib),
        ];
        let known = readings
            .into_iter()
            .filter_map(|(label, kib)| kib.map(|kib| (label, kib)));
        let words = known.map(|(label, kib)| format!("{:.1} MiB {label}", kib as f64 / 1024.0));
        words.collect::<Vec<_>>().join(", ")
    }
}

fn write_fields(out: &mut impl Write, fields: &Fields<'_>) -> io::Result<()> {
    let cost = |cost: Option<Cost>| cost.map(|cost| time(cost.min_ns)).unwrap_or_default();
    let rows = fields.columns.iter().map(|field| {
        let name = escape::column(&field.column.asked);
        [name, cost(field.first), cost(field.again), field.present.to_string()]
    });
    let together = ["all".to_owned(), cost(fields.together), String::new(), String::new()];
    let rows: Vec<_> = rows.chain((fields.columns.len() > 1).then_some(together)).collect();
    writeln!(out, "\nfields of {} events:", fields.events)?;
    table::write(out, ["name", "first", "again", "present"], &rows)
}

fn write_calls(out: &mut impl Write, calls: &[Calls<'_>]) -> io::Result<()> {
    let rows = calls.iter().map(|calls| {
        let [p50, p99, max] = percentiles(calls.latency);
        let name = escape::column(&calls.column.asked);
        [name, p50, p99, max, grouped(calls.present)]
    });
    writeln!(out, "\nfields of each event:")?;
    table::write(out, ["name", "p50", "p99", "max", "present"], &rows.collect::<Vec<_>>())
}

fn write_parallel(out: &mut impl Write, fields: &[Parallel<'_>]) -> io::Result<()> {
    let threads = fields.first().map_or(0, |field| field.counts.len());
    let rows = fields.iter().map(|field| {
        let count: u64 = field.counts.iter().sum();
        let each = |ns: u64| match count {
            0 => String::new(),
            _ => time(ns as f64 / count as f64),
        };
        let name = escape::column(&field.column.asked);
        [name, each(field.wall_ns), each(field.cpu_ns), grouped(field.present)]
    });
    writeln!(out, "\nfields on {threads} threads at the same time:")?;
    table::write(out, ["name", "wall", "CPU", "present"], &rows.collect::<Vec<_>>())
}

/// Returns the words of a report for the reason why the measurement ended.
fn ending_text(result: Ending) -> &'static str {
    match result {
        Ending::Eof => "until the source ended",
        Ending::Limit => "until the limit was reached",
        Ending::Time => "until the time was up",
        Ending::Idle => "until no event came for 10 s (--seconds S waits longer)",
        Ending::Interrupted => "until interrupted",
    }
}

fn percentiles(latency: Option<Latency>) -> [String; 3] {
    latency.map_or_else(Default::default, |latency| {
        [latency.p50_ns, latency.p99_ns, latency.max_ns].map(|ns| time(ns as f64))
    })
}

pub(super) fn time(ns: f64) -> String {
    scaled(ns, &["ns", "us", "ms", "s"])
}

fn amount(bytes: f64) -> String {
    scaled(bytes, &["B", "kB", "MB", "GB", "TB"])
}

/// Writes a number with three digits, and the unit that suits it. Each unit is a thousand of the preceding one.
fn scaled(mut number: f64, units: &[&str]) -> String {
    let mut units = units.iter().peekable();
    loop {
        let unit = units.next().copied().unwrap_or_default();
        // From here on, rounding would show 1000.
        if number < 999.5 || units.peek().is_none() {
            let digits = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
            return format!("{number:.digits$} {unit}");
        }
        number /= 1000.0;
    }
}

/// Writes a number with a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    groups.map(String::from_utf8_lossy).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        for (ns, text) in [
            (0.0, "0.00 ns"),
            (5.678, "5.68 ns"),
            (9.996, "10.0 ns"),
            (99.96, "100 ns"),
            (999.4, "999 ns"),
            (999.6, "1.00 us"),
            (1_234_567.0, "1.23 ms"),
            (78e9, "78.0 s"),
            (5e12, "5000 s"),
        ] {
            assert_eq!(time(ns), text);
        }
        assert_eq!(amount(1.85e9), "1.85 GB");
    }

    #[test]
    fn thousands_are_grouped() {
        let texts = [0, 999, 1_000, 12_345_678].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "12,345,678"]);
    }
}
