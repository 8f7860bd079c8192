//! The cost of extracting fields on several threads at the same time. Each thread has its own state of the plugin, as in
//! Falco with several sources.

use std::ffi::CStr;
use std::panic;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::clock::nanoseconds;
use super::extraction::{Host, Kept};
use super::process;
use crate::abi::{Extractor, Source};
use crate::select::{Column, MalformedField};
use crate::signals;

/// The events that one thread reads, and the extractors of the plugin's state and of the other plugins.
pub struct Lane<'p> {
    pub extractors: Vec<Extractor<'p>>,
    pub kept: Kept,
}

impl<'p> Lane<'p> {
    /// Makes the lane of an open source, with the extractors of the other plugins.
    pub fn new(source: &'p mut Source<'_>, others: Vec<Extractor<'p>>, kept: Kept) -> Self {
        let mut extractors = vec![source.extractor()];
        extractors.extend(others);
        Self { extractors, kept }
    }
}

/// The cost of first extractions of one column, on all threads together.
#[derive(Debug, Serialize)]
pub struct Parallel<'c> {
    #[serde(flatten)]
    pub column: &'c Column,
    /// The number of events of all threads that have the field.
    pub present: u64,
    /// The number of extractions of each thread.
    pub counts: Vec<u64>,
    /// The time from the start of all threads to the end of the last one.
    pub wall_ns: u64,
    /// The CPU time of all threads of the process in this time.
    pub cpu_ns: u64,
}

/// Measures the extraction of each column on one thread a lane, for an equal share of `time`. Each lane must have events.
pub fn measure<'c>(
    columns: &'c [Column],
    lanes: &mut [Lane<'_>],
    source: &CStr,
    time: Duration,
) -> Result<Vec<Parallel<'c>>, MalformedField> {
    let share = time / u32::try_from(columns.len()).unwrap_or(u32::MAX);
    let measured = columns.iter().map(|column| together(column, lanes, source, share));
    measured.collect()
}

/// The work of one thread.
struct Finished {
    present: u64,
    count: u64,
    end: Instant,
}

fn together<'c>(
    column: &'c Column,
    lanes: &mut [Lane<'_>],
    source: &CStr,
    time: Duration,
) -> Result<Parallel<'c>, MalformedField> {
    // The threads and this one meet three times: when all threads are ready, at the start, and when all have finished.
    // Between ready and start, and after the end, no thread computes: this one reads the CPU time then.
    let barrier = Barrier::new(lanes.len() + 1);
    thread::scope(|scope| {
        let run = |lane| scope.spawn(|| extract(column, lane, source, time, &barrier));
        let threads: Vec<_> = lanes.iter_mut().map(run).collect();
        barrier.wait();
        let (cpu, start) = (process::cpu_time(), Instant::now());
        barrier.wait();
        barrier.wait();
        let cpu = process::cpu_time() - cpu;
        let finished = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload)));
        let finished = finished.collect::<Result<Vec<_>, _>>()?;
        let end = finished.iter().map(|thread| thread.end).max().unwrap_or(start);
        Ok(Parallel {
            column,
            present: finished.iter().map(|thread| thread.present).sum(),
            counts: finished.iter().map(|thread| thread.count).collect(),
            wall_ns: nanoseconds(end - start),
            cpu_ns: nanoseconds(cpu),
        })
    })
}

/// Extracts the column from the events of a lane until the time is over. Checks the values before the start, which also
/// creates what a plugin keeps for a thread.
fn extract(
    column: &Column,
    lane: &mut Lane<'_>,
    source: &CStr,
    time: Duration,
    barrier: &Barrier,
) -> Result<Finished, MalformedField> {
    let events = lane.kept.events();
    let mut host = Host::new(&mut lane.extractors, source);
    let checked = host.check(&events, column);
    barrier.wait();
    barrier.wait();
    // After a failure too, the other threads wait for this one.
    let finished = checked.and_then(|present| {
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < time && !signals::is_interrupted() {
            host.extract_all(&events, std::slice::from_ref(column))?;
            count += events.len() as u64;
        }
        let end = Instant::now();
        Ok(Finished { present, count, end })
    });
    barrier.wait();
    finished
}
