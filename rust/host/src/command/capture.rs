//! The loop of `run` over `next_batch`, by the rules of libscap.

use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::abi::{self, AsyncQueue, Code, Extractor, Plugin, Source};
use crate::command::error::Error;
use crate::output::{Fields, Log, Output, console};
use crate::select::OfSource;
use crate::signals;
use crate::text::count::format_count;
use crate::text::timestamp;

/// The time between two updates of the live line.
const LIVE_INTERVAL: Duration = Duration::from_millis(200);
/// The shortest run that has a rate: a shorter one does not show how fast a source is.
const RATED_FROM: Duration = Duration::from_millis(100);
/// How long a capture without a source waits before it looks for async events again.
const IDLE: Duration = Duration::from_millis(30);

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
    pub async_events: u64,
    /// The bytes of the payloads of the source's events.
    pub bytes: u64,
    /// The number of calls that returned events.
    pub batches: u64,
    /// The number of calls that returned TIMEOUT.
    pub timeouts: u64,
    pub time: Duration,
}

impl Totals {
    /// Returns the number of the last event, of either kind.
    pub fn number(&self) -> u64 {
        self.events + self.async_events
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (events, bytes) = (format_count(self.events, "event"), format_count(self.bytes, "byte"));
        let seconds = self.time.as_secs_f64();
        write!(f, "{events}, ")?;
        if self.async_events > 0 {
            write!(f, "{}, ", format_count(self.async_events, "async event"))?;
        }
        write!(f, "{bytes}, {seconds:.3} s")?;
        if self.time >= RATED_FROM {
            write!(f, ", {:.0} events/s", self.events as f64 / seconds)?;
        }
        Ok(())
    }
}

/// The origin of events.
pub enum Input<'p> {
    Source(Source<'p>),
    /// A plugin without a source: there are async events only, as in Falco's engine `nodriver`.
    Idle(&'p Plugin<'p>),
}

impl<'p> Input<'p> {
    /// Returns the plugin, for the calls at the beginning of a capture.
    pub fn plugin(&mut self) -> &Plugin<'p> {
        match self {
            Self::Source(source) => source.plugin(),
            Self::Idle(plugin) => plugin,
        }
    }
}

/// A run of a source.
pub struct Capture<'a> {
    pub output: &'a Mutex<Output>,
    pub log: &'a Log,
    pub source_name: &'a str,
    pub limit: Option<u64>,
    /// The async events that wait.
    pub queue: &'a AsyncQueue,
    /// For each plugin, whether it parses the events of the source. The first one is that of the source.
    pub parses: Vec<bool>,
}

impl Capture<'_> {
    /// Runs until the source ends, fails, or is interrupted. Extracts `fields` from each event, if there are any.
    pub fn run(
        &self,
        mut source: Option<&mut Source<'_>>,
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
            let batch = match &mut source {
                Some(source) => self.batch(source, extractors, fields.as_deref_mut(), &mut totals),
                None => self.idle(&mut totals),
            };
            match batch {
                Ok(None) => {}
                Ok(Some(ending)) => break Ok(ending),
                Err(error) => break Err(error),
            }
            if let (Some(live), Some(source)) = (&mut live, &mut source) {
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
        // As in libs, a call without events is followed by one async event, and each event by those before it in time.
        if batch.is_timeout() && batch.is_empty() {
            limit_reached = self.next_async_event(&mut output, totals, timestamp::now());
        }
        for index in 0..batch.len() {
            let event = batch
                .event(index, || *now.get_or_insert_with(timestamp::now))
                .map_err(|fault| abi::Error::Event {
                    number: totals.number() + 1,
                    fault,
                })?;
            while !limit_reached && self.has_async_event(event.timestamp()) {
                limit_reached = self.next_async_event(&mut output, totals, event.timestamp());
            }
            if limit_reached {
                break;
            }
            let number = totals.number() + 1;
            // As in Falco, parse by all plugins before any extracts, and extract before anything is written: rules come first.
            if self.parses[0] {
                batch.parse(&event, number)?;
            }
            for (extractor, _) in extractors
                .iter_mut()
                .zip(&self.parses[1..])
                .filter(|(_, parses)| **parses)
            {
                extractor.parse(&event, number, batch.source_name())?;
            }
            let row = match &mut fields {
                Some(fields) => {
                    let mut plugins = OfSource {
                        batch: &mut batch,
                        extractors: &mut *extractors,
                        event: &event,
                        number,
                    };
                    Some(fields.extract(&mut plugins, &event, number)?)
                }
                None => None,
            };
            let text = batch.event_to_string(&event, number);
            output.event(number, self.source_name, &event, text, row);
            totals.events += 1;
            totals.bytes += event.payload().len() as u64;
            if Some(number) == self.limit {
                limit_reached = true;
                break;
            }
        }
        // Write before the next call of next_batch, which acknowledges these events to the source.
        if let Some(ending) = written(&mut output)? {
            return Ok(Some(ending));
        }
        if limit_reached {
            return Ok(Some(Ending::Limit));
        }
        match batch.into_result()? {
            Code::Success | Code::Timeout => Ok(None),
            Code::Eof => Ok(Some(Ending::Eof)),
        }
    }

    /// Waits, and writes the next async event if there is one. Returns why the run ends, if it does.
    fn idle(&self, totals: &mut Totals) -> Result<Option<Ending>, Error> {
        let now = timestamp::now();
        if !self.has_async_event(now) {
            std::thread::sleep(IDLE);
            totals.timeouts += 1;
        }
        let mut output = lock(self.output);
        write_log(&mut output, self.log);
        let limit_reached = self.next_async_event(&mut output, totals, timestamp::now());
        let ending = written(&mut output)?;
        Ok(ending.or(limit_reached.then_some(Ending::Limit)))
    }

    fn has_async_event(&self, time: u64) -> bool {
        self.queue.is_due(time)
    }

    /// Writes the next async event, if there is one whose time is not after `time`. Returns whether the limit is
    /// reached.
    fn next_async_event(&self, output: &mut Output, totals: &mut Totals, time: u64) -> bool {
        let Some(event) = self.queue.pop(time, timestamp::now) else {
            return false;
        };
        totals.async_events += 1;
        output.async_event(totals.number(), self.source_name, &event);
        Some(totals.number()) == self.limit
    }
}

/// Writes what is buffered. Returns the end of the run if nobody reads the output any more.
fn written(output: &mut Output) -> Result<Option<Ending>, Error> {
    output.flush();
    if output
        .error()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    {
        return Ok(Some(Ending::Unread));
    }
    output.take_error().map_or(Ok(None), |error| Err(Error::Output(error)))
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
