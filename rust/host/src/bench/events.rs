//! The running source: `next_batch` in a loop that costs next to nothing itself.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::checksum::{Checksum, Of};
use super::clock::{Pace, nanoseconds};
use super::extraction::Kept;
use super::histogram::{Histogram, Latency};
use super::live::Live;
use super::process;
use super::slices::{Cost, Slices};
use crate::abi::event::Fault;
use crate::abi::extractor::Extractor;
use crate::abi::source::{Batch, Code, Source};
use crate::command::error::Error;
use crate::signals;
use crate::text::timestamp;

/// How long the measurement waits for a source without events, if only a number of events ends it.
pub const IDLE_NS: u64 = 10_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Eof,
    Limit,
    Time,
    /// With a limit and without a time: no event came for [`IDLE_NS`].
    Idle,
    Interrupted,
}

/// What is done with an event besides touching it.
pub enum Purpose<'c> {
    Count,
    /// Fields are extracted from some of them afterwards.
    Keep(Kept),
    Extract(Live<'c>),
}

pub struct Events<'c> {
    limit: Option<u64>,
    time: Option<Duration>,
    purpose: Purpose<'c>,
    checksum: Checksum,
    count: u64,
    bytes: u64,
    batches: u64,
    timeouts: u64,
    /// Since the span began.
    first: Option<Duration>,
    slices: Slices,
    batch: Histogram,
    timeout: Histogram,
    age: Histogram,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Span {
    pub count: u64,
    /// Of payload.
    pub bytes: u64,
    /// Calls that gave events.
    pub batches: u64,
    /// Calls that gave none, and returned TIMEOUT.
    pub timeouts: u64,
    pub wall_ns: u64,
    pub cpu_ns: u64,
    /// In hexadecimal, as a program may read JSON's numbers as floats.
    pub checksum: String,
    /// None where there was no event.
    pub per_event: Option<Cost>,
}

#[derive(Debug, Serialize)]
pub struct Latencies {
    /// Calls of next_batch that gave events.
    pub batch: Option<Latency>,
    /// Those that gave none, and returned TIMEOUT.
    pub timeout: Option<Latency>,
    /// From the time that the event says to its arrival, for the first event of a batch; None where they say none.
    pub age: Option<Latency>,
}

pub struct Measured<'c> {
    pub span: Span,
    pub latency: Latencies,
    pub ending: Ending,
    pub first: Option<Duration>,
    pub purpose: Purpose<'c>,
}

impl<'c> Events<'c> {
    pub fn new(of: Of, limit: Option<u64>, time: Option<Duration>, purpose: Purpose<'c>) -> Self {
        Self {
            limit,
            time,
            purpose,
            checksum: Checksum::new(of),
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
                batch: Latency::of(&self.batch),
                timeout: Latency::of(&self.timeout),
                age: Latency::of(&self.age),
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
        // What events that have no time of their own are given: the last time that was read, as the clock is not free.
        let mut arrived = epoch;
        loop {
            if signals::interrupted() {
                break Ok(Ending::Interrupted);
            }
            let asked = pace.is_due().then(elapsed);
            if let Some(now) = asked {
                let ns = pace.next(now);
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
                if batch.timed_out() {
                    self.timeouts += 1;
                    if let Some((_, ns)) = took {
                        self.timeout.add(ns, pace.weight());
                    }
                    pace.reset();
                }
                match batch.into_result()? {
                    Code::Success => break Err(Error::NoEvent),
                    Code::Timeout => continue,
                    Code::Eof => break Ok(Ending::Eof),
                }
            }
            self.batches += 1;
            let sent = self.take(&mut batch, extractors, arrived)?;
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

    /// Takes the events of a batch, up to the limit. Returns the first one's own time.
    fn take(
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
        // Copies, which stay in registers: all the more as no event leaves this loop.
        let (mut checksum, mut bytes) = (self.checksum, self.bytes);
        for index in 0..count {
            let mut has_time = true;
            let event = batch.event(index, || {
                has_time = false;
                arrived
            });
            let event = event.map_err(|fault| wrong(self.count, index, fault))?;
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
                        .map_err(|fault| wrong(self.count, index, fault))?;
                    kept.add(&event);
                }
            }
            Purpose::Extract(live) => {
                for index in 0..count {
                    let event = batch
                        .event(index, || arrived)
                        .map_err(|fault| wrong(self.count, index, fault))?;
                    live.extract(batch, extractors, &event, number(self.count, index))?;
                }
            }
        }
        self.count += count as u64;
        Ok(sent)
    }
}

/// The number of an event of a batch that came after so many events.
fn number(before: u64, index: usize) -> u64 {
    before + index as u64 + 1
}

#[cold]
fn wrong(before: u64, index: usize, fault: Fault) -> Error {
    let number = number(before, index);
    Error::Event { number, fault }
}

/// Measures how long no event has come.
#[derive(Default)]
struct Idle {
    /// When the last event was seen, or the measurement began.
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
    fn a_source_is_idle_after_a_time_without_events() {
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
