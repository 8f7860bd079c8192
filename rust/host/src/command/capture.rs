//! The loop of `run` over `next_batch`, by the rules of libscap.

use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::abi::{self, Code, Extractor, Source};
use crate::command::error::Error;
use crate::output::{Fields, Log, Output, console};
use crate::signals;
use crate::text::count::format_count;
use crate::text::timestamp;

/// The time between two updates of the live line.
const LIVE_INTERVAL: Duration = Duration::from_millis(200);
/// The shortest run that has a rate: a shorter one does not show how fast a source is.
const RATED_FROM: Duration = Duration::from_millis(100);

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Eof,
    Limit,
    Interrupted,
    /// The reader of standard output closed it.
    Unread,
}

/// The totals of a run.
#[derive(Debug, Default, Clone, Copy)]
pub struct Totals {
    pub events: u64,
    /// The bytes of all payloads.
    pub bytes: u64,
    /// The number of calls that returned events.
    pub batches: u64,
    /// The number of calls that returned TIMEOUT.
    pub timeouts: u64,
    pub time: Duration,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (events, bytes) = (format_count(self.events, "event"), format_count(self.bytes, "byte"));
        let seconds = self.time.as_secs_f64();
        write!(f, "{events}, {bytes}, {seconds:.3} s")?;
        if self.time >= RATED_FROM {
            write!(f, ", {:.0} events/s", self.events as f64 / seconds)?;
        }
        Ok(())
    }
}

/// A run of a source.
pub struct Capture<'a> {
    pub output: &'a Mutex<Output>,
    pub log: &'a Log,
    pub source_name: &'a str,
    pub limit: Option<u64>,
}

impl Capture<'_> {
    /// Runs until the source ends, fails, or is interrupted. Extracts `fields` from each event, if there are any.
    pub fn run(
        &self,
        source: &mut Source<'_>,
        extractors: &mut [Extractor<'_>],
        mut fields: Option<&mut Fields<'_>>,
    ) -> (Result<Ending, Error>, Totals) {
        let start = Instant::now();
        let mut totals = Totals::default();
        let mut live = console::is_terminal().then(|| Live::new(start));
        let result = loop {
            if signals::is_interrupted() {
                break Ok(Ending::Interrupted);
            }
            match self.batch(source, extractors, fields.as_deref_mut(), &mut totals) {
                Ok(None) => {}
                Ok(Some(ending)) => break Ok(ending),
                Err(error) => break Err(error),
            }
            if let Some(live) = &mut live {
                live.update(source, &totals);
            }
        };
        totals.time = start.elapsed();
        if live.is_some() {
            console::clear();
        }
        (result, totals)
    }

    /// Gets and writes one batch. Returns why the run ends, if it does.
    fn batch(
        &self,
        source: &mut Source<'_>,
        extractors: &mut [Extractor<'_>],
        mut fields: Option<&mut Fields<'_>>,
        totals: &mut Totals,
    ) -> Result<Option<Ending>, Error> {
        let mut batch = source.next_batch()?;
        let mut output = lock(self.output);
        write_log(&mut output, self.log);
        totals.batches += u64::from(!batch.is_empty());
        totals.timeouts += u64::from(batch.is_timeout());
        // Read the clock once for all events of a batch that have no timestamp: they came together, and reading is not free.
        let mut now = None;
        let mut limit_reached = false;
        for index in 0..batch.len() {
            let number = totals.events + 1;
            let event = batch
                .event(index, || *now.get_or_insert_with(timestamp::now))
                .map_err(|fault| abi::Error::Event { number, fault })?;
            // As in Falco, extract before anything is written: rules come first.
            let row = match &mut fields {
                Some(fields) => Some(fields.extract(&mut batch, extractors, &event, number)?),
                None => None,
            };
            let text = batch.event_to_string(&event, number);
            output.event(number, self.source_name, &event, text, row);
            totals.events = number;
            totals.bytes += event.payload().len() as u64;
            if Some(number) == self.limit {
                limit_reached = true;
                break;
            }
        }
        // Write before the next call of next_batch, which acknowledges these events to the source.
        output.flush();
        if output
            .error()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        {
            return Ok(Some(Ending::Unread));
        }
        if let Some(error) = output.take_error() {
            return Err(Error::Output(error));
        }
        if limit_reached {
            return Ok(Some(Ending::Limit));
        }
        match batch.into_result()? {
            Code::Success | Code::Timeout => Ok(None),
            Code::Eof => Ok(Some(Ending::Eof)),
        }
    }
}

/// Locks the output, also after a panic of another thread.
pub fn lock(output: &Mutex<Output>) -> MutexGuard<'_, Output> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes the log lines that wait.
pub fn write_log(output: &mut Output, log: &Log) {
    for record in log.drain() {
        output.log(&record);
    }
}

/// The live line on a terminal.
struct Live {
    start: Instant,
    next: Instant,
    shown_events: u64,
    shown_at: Instant,
}

impl Live {
    fn new(start: Instant) -> Self {
        Self {
            start,
            next: start + LIVE_INTERVAL,
            shown_events: 0,
            shown_at: start,
        }
    }

    /// Shows the line, if its time has come.
    fn update(&mut self, source: &mut Source<'_>, totals: &Totals) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        let rate = (totals.events - self.shown_events) as f64 / (now - self.shown_at).as_secs_f64();
        let seconds = (now - self.start).as_secs_f64();
        let mut line = format!("{}, {rate:.0}/s, {seconds:.0} s", format_count(totals.events, "event"));
        match source.progress() {
            (_, Some(description)) => line += &format!(", {description}"),
            (Some(fraction), None) => line += &format!(", {:.1} %", fraction * 100.0),
            (None, None) => {}
        }
        console::live(&line);
        (self.shown_events, self.shown_at, self.next) = (totals.events, now, now + LIVE_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_have_a_rate_if_the_run_is_long_enough() {
        for (events, bytes, milliseconds, text) in [
            (0, 0, 0, "0 events, 0 bytes, 0.000 s"),
            (1, 1, 99, "1 event, 1 byte, 0.099 s"),
            (50, 70, 100, "50 events, 70 bytes, 0.100 s, 500 events/s"),
        ] {
            let time = Duration::from_millis(milliseconds);
            let totals = Totals {
                events,
                bytes,
                time,
                ..Totals::default()
            };
            assert_eq!(totals.to_string(), text);
        }
    }
}
