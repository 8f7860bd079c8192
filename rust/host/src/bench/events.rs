//! The running source: a loop over `next_batch` that costs little itself.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::checksum::{Checksum, Scope};
use super::clock::{Pace, nanoseconds};
use super::extraction::Kept;
use super::histogram::{Histogram, Latency};
use super::live::Live;
use super::process;
use super::slices::{Cost, Slices};
use crate::abi::{self, Batch, Code, EventFault, Extractor, Source};
use crate::bench::error::Error;
use crate::signals;
use crate::text::timestamp;

/// How long the measurement waits for an event if only a number of events ends it, in nanoseconds.
pub const IDLE_NS: u64 = 10_000_000_000;

/// Why the measurement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Eof,
    Limit,
    Time,
    /// Only a number of events would have ended it, and no event came for [`IDLE_NS`].
    Idle,
    Interrupted,
}

/// How each event is used, besides its checksum.
pub enum Purpose<'c> {
    Count,
    /// Some are kept, and fields are extracted from them later.
    Keep(Kept),
    /// Fields are extracted from each.
    Extract(Live<'c>),
}

/// Measures a running source.
pub struct Events<'c> {
    limit: Option<u64>,
    time: Option<Duration>,
    purpose: Purpose<'c>,
    checksum: Checksum,
    count: u64,
    bytes: u64,
    batches: u64,
    timeouts: u64,
    /// The time from the start to the first event.
    first: Option<Duration>,
    slices: Slices,
    batch: Histogram,
    timeout: Histogram,
    age: Histogram,
}

/// The events of the measurement.
#[derive(Debug, Serialize)]
pub struct Span {
    pub count: u64,
    /// The bytes of all payloads.
    pub bytes: u64,
    /// The number of calls that returned events.
    pub batches: u64,
    /// The number of calls that returned TIMEOUT without events.
    pub timeouts: u64,
    pub wall_ns: u64,
    pub cpu_ns: u64,
    /// A hexadecimal string, because programs may read numbers in JSON as floats.
    pub checksum: String,
    /// The cost of an event, or `None` if there was none.
    pub per_event: Option<Cost>,
}

/// The durations of calls, and the ages of events.
#[derive(Debug, Serialize)]
pub struct Latencies {
    /// Calls of next_batch that returned events.
    pub batch: Option<Latency>,
    /// Calls of next_batch that returned TIMEOUT without events.
    pub timeout: Option<Latency>,
    /// The time from an event's timestamp to its arrival, for the first event of a batch. `None` if the events have no
    /// timestamps.
    pub age: Option<Latency>,
}

/// The result of the measurement.
pub struct Measured<'c> {
    pub span: Span,
    pub latency: Latencies,
    pub ending: Ending,
    pub first: Option<Duration>,
    pub purpose: Purpose<'c>,
}

impl<'c> Events<'c> {
    /// Prepares a measurement that ends at the `limit` of events or after `time`.
    pub fn new(scope: Scope, limit: Option<u64>, time: Option<Duration>, purpose: Purpose<'c>) -> Self {
        Self {
            limit,
            time,
            purpose,
            checksum: Checksum::new(scope),
            count: 0,
            bytes: 0,
            batches: 0,
            timeouts: 0,
            first: None,
            slices: Slices::default(),
            batch: Histogram::default(),
            timeout: Histogram::default(),
            age: Histogram::default(),
        }
    }

    /// Measures a source until it ends, or the measurement does.
    pub fn measure(mut self, source: &mut Source<'_>, extractors: &mut [Extractor<'_>]) -> Result<Measured<'c>, Error> {
        let (cpu, start) = (process::cpu_time(), Instant::now());
        let ending = self.run(start, source, extractors)?;
        let (wall, cpu) = (start.elapsed(), process::cpu_time() - cpu);
        Ok(Measured {
            span: Span {
                count: self.count,
                bytes: self.bytes,
                batches: self.batches,
                timeouts: self.timeouts,
                wall_ns: nanoseconds(wall),
                cpu_ns: nanoseconds(cpu),
                checksum: format!("{:016x}", self.checksum.value()),
                per_event: self.slices.cost(),
            },
            latency: Latencies {
                batch: Latency::new(&self.batch),
                timeout: Latency::new(&self.timeout),
                age: Latency::new(&self.age),
            },
            ending,
            first: self.first,
            purpose: self.purpose,
        })
    }

    fn run(
        &mut self,
        start: Instant,
        source: &mut Source<'_>,
        extractors: &mut [Extractor<'_>],
    ) -> Result<Ending, Error> {
        let most = self.time.map_or(u64::MAX, nanoseconds);
        let epoch = timestamp::now();
        let elapsed = || nanoseconds(start.elapsed());
        let mut pace = Pace::default();
        let mut idle = Idle::default();
        let mut counted = 0;
        // The timestamp of events without one: the last time that was read, because reading the clock is not free.
        let mut arrived = epoch;
        loop {
            if signals::is_interrupted() {
                break Ok(Ending::Interrupted);
            }
            let asked = pace.is_due().then(elapsed);
            if let Some(now) = asked {
                let ns = pace.start(now);
                self.slices.add(ns, self.count - counted);
                counted = self.count;
                if now >= most {
                    break Ok(Ending::Time);
                }
                if self.time.is_none() && idle.is_over(now, self.count) {
                    break Ok(Ending::Idle);
                }
            }
            let mut batch = source.next_batch()?;
            let took = asked.map(|asked| {
                let now = elapsed();
                arrived = epoch + now;
                (now, now - asked)
            });
            if batch.is_empty() {
                if batch.is_timeout() {
                    self.timeouts += 1;
                    if let Some((_, ns)) = took {
                        self.timeout.add(ns, pace.weight());
                    }
                    pace.reset();
                }
                match batch.into_result()? {
                    Code::Success | Code::Timeout => continue,
                    Code::Eof => break Ok(Ending::Eof),
                }
            }
            self.batches += 1;
            let sent = self.process(&mut batch, extractors, arrived)?;
            if let Some((now, ns)) = took {
                self.first.get_or_insert(Duration::from_nanos(now));
                self.batch.add(ns, pace.weight());
                if let Some(sent) = sent {
                    self.age.add(arrived.saturating_sub(sent), pace.weight());
                }
            }
            if Some(self.count) == self.limit {
                break Ok(Ending::Limit);
            }
            match batch.into_result()? {
                Code::Success => {}
                Code::Timeout => pace.reset(),
                Code::Eof => break Ok(Ending::Eof),
            }
        }
        .inspect(|_| self.slices.add(pace.since(elapsed()), self.count - counted))
    }

    /// Processes the events of a batch, up to the limit. Returns the timestamp of the first event, if it has one.
    fn process(
        &mut self,
        batch: &mut Batch<'_>,
        extractors: &mut [Extractor<'_>],
        arrived: u64,
    ) -> Result<Option<u64>, Error> {
        let left = self.limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit - self.count).unwrap_or(usize::MAX)
        });
        let count = left.min(batch.len());
        let mut sent = None;
        // Work on copies, which stay in registers during the loop.
        let (mut checksum, mut bytes) = (self.checksum, self.bytes);
        for index in 0..count {
            let mut has_time = true;
            let event = batch.event(index, || {
                has_time = false;
                arrived
            });
            let event = event.map_err(|fault| malformed(self.count, index, fault))?;
            if index == 0 && has_time {
                sent = Some(event.timestamp());
            }
            let payload = event.payload();
            bytes += payload.len() as u64;
            checksum.add(payload);
        }
        (self.checksum, self.bytes) = (checksum, bytes);
        match &mut self.purpose {
            Purpose::Count => {}
            Purpose::Keep(kept) => {
                for index in 0..count {
                    if kept.is_full() {
                        break;
                    }
                    let event = batch
                        .event(index, || arrived)
                        .map_err(|fault| malformed(self.count, index, fault))?;
                    kept.add(&event);
                }
            }
            Purpose::Extract(live) => {
                for index in 0..count {
                    let event = batch
                        .event(index, || arrived)
                        .map_err(|fault| malformed(self.count, index, fault))?;
                    live.extract(batch, extractors, &event, number(self.count, index))?;
                }
            }
        }
        self.count += count as u64;
        Ok(sent)
    }
}

/// Returns the number of the event at `index` of a batch, if `before` events came before the batch.
fn number(before: u64, index: usize) -> u64 {
    before + index as u64 + 1
}

#[cold]
fn malformed(before: u64, index: usize, fault: EventFault) -> Error {
    let number = number(before, index);
    abi::Error::Event { number, fault }.into()
}

/// Measures the time without events.
#[derive(Default)]
struct Idle {
    /// The time at which the last event arrived or the measurement began, in nanoseconds.
    since: u64,
    count: u64,
}

impl Idle {
    /// Returns whether the count of events has been the same for [`IDLE_NS`].
    fn is_over(&mut self, now: u64, count: u64) -> bool {
        if count != self.count {
            (self.since, self.count) = (now, count);
        }
        now - self.since >= IDLE_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_idle_after_a_time_without_events() {
        let mut idle = Idle::default();
        for (now, count, is_over) in [
            (1, 0, false),
            (IDLE_NS - 1, 0, false),
            (IDLE_NS, 5, false),
            (2 * IDLE_NS - 1, 5, false),
            (2 * IDLE_NS, 5, true),
            (2 * IDLE_NS + 1, 6, false),
        ] {
            assert_eq!(idle.is_over(now, count), is_over, "{now}");
        }
        assert!(Idle::default().is_over(IDLE_NS, 0));
    }
}
