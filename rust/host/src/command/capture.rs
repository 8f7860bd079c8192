//! The loop of `run` over `next_batch`, by the rules of libscap.

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::abi::{self, AsyncQueue, Code, Event, Extractor, Plugin, Source};
use crate::command::control::Control;
use crate::command::error::Error;
use crate::command::live::Live;
use crate::output::{Fields, Log, Output, Row};
use crate::select::{EventPlugins, OfSource, OwnPlugin};
use crate::signals;
use crate::text::count::format_count;
use crate::text::timestamp;

/// The shortest run that has a rate: a shorter one does not show how fast a source is.
const RATED_FROM: Duration = Duration::from_millis(100);
/// How long a capture without a source waits before it looks for async events again.
const IDLE: Duration = Duration::from_millis(30);

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Eof,
    Limit,
    /// The time was up.
    Seconds,
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
    Idle(Extractor<'p>),
}

impl<'p> Input<'p> {
    /// Returns the plugin, for the calls at the beginning of a capture.
    pub fn plugin(&mut self) -> &Plugin<'p> {
        match self {
            Self::Source(source) => source.plugin(),
            Self::Idle(extractor) => extractor.plugin(),
        }
    }
}

/// A run of a source.
pub struct Capture<'a> {
    pub output: &'a Mutex<Output>,
    pub log: &'a Log,
    pub control: &'a Control<'a>,
    /// The name of the source.
    pub source: CString,
    pub limit: Option<u64>,
    /// How long the run lasts at most.
    pub time: Option<Duration>,
    /// The async events that wait.
    pub queue: &'a AsyncQueue,
    /// For each plugin, whether it parses the events of the source. The first one is that of the source.
    pub parses: Vec<bool>,
}

impl Capture<'_> {
    /// Runs until the source ends, fails, or is interrupted. Extracts `fields` from each event, if there are any.
    pub fn run(
        &self,
        input: &mut Input<'_>,
        extractors: &mut [Extractor<'_>],
        fields: Option<&mut Fields<'_>>,
    ) -> (Result<Ending, Error>, Totals) {
        let start = Instant::now();
        let mut progress = Progress {
            totals: Totals::default(),
            fields,
        };
        let mut live = Live::begin(start);
        let result = loop {
            if let Some(ending) = is_over(start, self.time) {
                break Ok(ending);
            }
            if let Err(error) = self.control.run(input.plugin(), extractors, self.output) {
                break Err(error);
            }
            let batch = match input {
                Input::Source(source) => self.batch(source, extractors, &mut progress),
                Input::Idle(own) => self.idle(own, extractors, &mut progress),
            };
            match batch {
                Ok(None) => {}
                Ok(Some(ending)) => break Ok(ending),
                Err(error) => break Err(error),
            }
            if let (Some(live), Input::Source(source)) = (&mut live, &mut *input) {
                live.update(&progress.totals, || source.progress());
            }
        };
        let mut totals = progress.totals;
        totals.time = start.elapsed();
        (result, totals)
    }

    /// Gets and writes one batch. Returns why the run ends, if it does.
    fn batch(
        &self,
        source: &mut Source<'_>,
        extractors: &mut [Extractor<'_>],
        progress: &mut Progress<'_, '_>,
    ) -> Result<Option<Ending>, Error> {
        let mut batch = source.next_batch()?;
        let name = batch.source_name();
        let mut output = lock(self.output);
        write_log(&mut output, self.log);
        progress.totals.batches += u64::from(!batch.is_empty());
        progress.totals.timeouts += u64::from(batch.is_timeout());
        // Read the clock once for all events of a batch that have no timestamp: they came together, and reading is not free.
        let mut now = None;
        let mut limit_reached = false;
        // As in libs, a call without events is followed by one async event, and each event by those before it in time.
        if batch.is_timeout() && batch.is_empty() {
            limit_reached = self.next_async_event(&mut batch, extractors, progress, &mut output, timestamp::now())?;
        }
        for index in 0..batch.len() {
            let event = batch
                .event(index, || *now.get_or_insert_with(timestamp::now))
                .map_err(|fault| abi::Error::Event {
                    number: progress.totals.number() + 1,
                    fault,
                })?;
            while !limit_reached && self.has_async_event(event.timestamp()) {
                limit_reached =
                    self.next_async_event(&mut batch, extractors, progress, &mut output, event.timestamp())?;
            }
            if limit_reached {
                break;
            }
            let number = progress.totals.number() + 1;
            let mut plugins = OfSource {
                own: &mut batch,
                extractors: &mut *extractors,
                event: &event,
                number,
                source: name,
            };
            let row = pass(
                &mut plugins,
                &self.parses,
                &event,
                number,
                progress.fields.as_deref_mut(),
            )?;
            let text = batch.event_to_string(&event, number);
            output.event(number, source_text(name), &event, text, row);
            progress.totals.events += 1;
            progress.totals.bytes += event.payload().len() as u64;
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

    /// Waits, and delivers the next async event if there is one. Returns why the run ends, if it does.
    fn idle(
        &self,
        own: &mut Extractor<'_>,
        extractors: &mut [Extractor<'_>],
        progress: &mut Progress<'_, '_>,
    ) -> Result<Option<Ending>, Error> {
        let now = timestamp::now();
        if !self.has_async_event(now) {
            std::thread::sleep(IDLE);
            progress.totals.timeouts += 1;
        }
        let mut output = lock(self.output);
        write_log(&mut output, self.log);
        let limit_reached = self.next_async_event(own, extractors, progress, &mut output, timestamp::now())?;
        let ending = written(&mut output)?;
        Ok(ending.or(limit_reached.then_some(Ending::Limit)))
    }

    fn has_async_event(&self, time: u64) -> bool {
        self.queue.is_due(time)
    }

    /// Passes the next async event to the plugins and writes it, if there is one whose time is not after `time`. Returns
    /// whether the limit is reached.
    fn next_async_event(
        &self,
        own: &mut impl OwnPlugin,
        extractors: &mut [Extractor<'_>],
        progress: &mut Progress<'_, '_>,
        output: &mut Output,
        time: u64,
    ) -> Result<bool, Error> {
        let Some(sent) = self.queue.pop(time, timestamp::now) else {
            return Ok(false);
        };
        progress.totals.async_events += 1;
        let number = progress.totals.number();
        let event = Event::from_bytes(sent.bytes()).map_err(|fault| abi::Error::Event { number, fault })?;
        let mut plugins = OfSource {
            own,
            extractors,
            event: &event,
            number,
            source: &self.source,
        };
        let row = pass(
            &mut plugins,
            &self.parses,
            &event,
            number,
            progress.fields.as_deref_mut(),
        )?;
        output.async_event(number, source_text(&self.source), &sent, row);
        Ok(Some(number) == self.limit)
    }
}

/// The results of a run so far.
struct Progress<'f, 'p> {
    totals: Totals,
    /// `None` if no fields are selected.
    fields: Option<&'f mut Fields<'p>>,
}

/// Passes an event to the plugins, in load order: those that parse events of its source parse it before any extracts.
/// Returns the event's fields, if some are selected.
pub fn pass<'f>(
    plugins: &mut impl EventPlugins,
    parses: &[bool],
    event: &Event<'_>,
    number: u64,
    fields: Option<&'f mut Fields<'_>>,
) -> Result<Option<&'f Row>, Error> {
    for (plugin, _) in parses.iter().enumerate().filter(|(_, parses)| **parses) {
        plugins.parse(plugin)?;
    }
    match fields {
        Some(fields) => Ok(Some(fields.extract(plugins, event, number)?)),
        None => Ok(None),
    }
}

/// Returns why a run ends between two batches: it was interrupted, or has lasted as long as it may.
pub fn is_over(start: Instant, time: Option<Duration>) -> Option<Ending> {
    if signals::is_interrupted() {
        return Some(Ending::Interrupted);
    }
    time.filter(|time| start.elapsed() >= *time).map(|_| Ending::Seconds)
}

/// Returns the name of a source, which is checked and is UTF-8, as a string.
pub fn source_text(name: &CStr) -> &str {
    name.to_str().unwrap_or_default()
}

/// Writes what is buffered. Returns the end of the run if nobody reads the output any more.
pub fn written(output: &mut Output) -> Result<Option<Ending>, Error> {
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
