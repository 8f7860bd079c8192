//! The loop of `run --scap`, `--replay` and `--events` over the events of a file.

use std::ffi::CString;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use falco_plugin_schema::{ASYNC_EVENT, PLUGIN_EVENT, RawEvent, Value};

use crate::abi::{self, AsyncEvent, Event, Extractor, ThreadTable};
use crate::command::capture::{Ending, Totals, is_over, lock, pass, source_text, write_log, written};
use crate::command::control::Control;
use crate::command::error::Error;
use crate::command::live::Live;
use crate::command::recorded::{EventFile, Read};
use crate::command::setup::{Plugins, SYSCALL, UNREGISTERED};
use crate::describe::Description;
use crate::output::{Fields, Log, Output};
use crate::scap::Capture;
use crate::select::OfCapture;

/// The number of events after which an interruption is noticed, and lines are written.
const EVENTS_AT_ONCE: u64 = 128;

/// The source that is shown for an event of a plugin that is not loaded.
const UNKNOWN: &str = "unknown";

/// A file whose events replace those of a source.
pub enum File {
    Capture(Capture),
    Events(EventFile),
}

impl File {
    fn next_event(&mut self) -> Result<Read<'_>, Error> {
        match self {
            Self::Capture(capture) => Ok(capture
                .next_event()?
                .map_or(Read::End, |bytes| Read::Event { bytes, source: None })),
            Self::Events(file) => file.next_event(),
        }
    }

    fn progress(&self) -> Option<f64> {
        match self {
            Self::Capture(_) => None,
            Self::Events(file) => file.progress(),
        }
    }

    /// Reads the lists of processes that precede the events of a capture file.
    pub fn read_lists(&mut self, threads: &mut ThreadTable) -> Result<(), Error> {
        match self {
            Self::Capture(capture) => Ok(capture.read_lists(&mut |listed| threads.list(listed))?),
            Self::Events(_) => Ok(()),
        }
    }

    /// Returns how many events were left out, because their types are not known.
    pub fn skipped(&self) -> u64 {
        match self {
            Self::Capture(capture) => capture.skipped(),
            Self::Events(_) => 0,
        }
    }
}

/// A run over a file.
pub struct Replay<'a> {
    output: &'a Mutex<Output>,
    log: &'a Log,
    limit: Option<u64>,
    /// How long the run lasts at most.
    time: Option<Duration>,
    control: &'a Control<'a>,
    /// The metadata of all plugins.
    plugins: Vec<&'a Description>,
    sources: Vec<Source>,
}

/// An event source of a file.
struct Source {
    /// The id of its plugin; 0 for system calls.
    id: u32,
    name: CString,
    /// The index of the plugin that makes its events.
    maker: Option<usize>,
    /// For each plugin, whether it parses events of the source.
    parses: Vec<bool>,
}

impl Source {
    fn new(id: u32, name: &str, plugins: &[&Description]) -> Self {
        Self {
            id,
            // Names of sources are checked, and have no NUL.
            name: CString::new(name).unwrap_or_default(),
            maker: plugins
                .iter()
                .position(|plugin| plugin.event_source.as_deref() == Some(name)),
            parses: plugins.iter().map(|plugin| plugin.parses_from(name)).collect(),
        }
    }
}

impl<'a> Replay<'a> {
    pub fn new(
        output: &'a Mutex<Output>,
        log: &'a Log,
        (limit, time): (Option<u64>, Option<Duration>),
        control: &'a Control<'a>,
        plugins: &'a Plugins<'a>,
    ) -> Self {
        let sources = std::iter::once((0, SYSCALL)).chain(plugins.own_sources());
        let descriptions: Vec<_> = plugins.descriptions().collect();
        Self {
            output,
            log,
            limit,
            time,
            control,
            sources: sources.map(|(id, name)| Source::new(id, name, &descriptions)).collect(),
            plugins: descriptions,
        }
    }

    /// Passes all events of the file to the plugins. Extracts `fields` from each, if there are any.
    pub fn run(
        mut self,
        file: &mut File,
        threads: &mut ThreadTable,
        extractors: &mut [Extractor<'_>],
        mut fields: Option<&mut Fields<'_>>,
    ) -> (Result<Ending, Error>, Totals) {
        let start = Instant::now();
        let mut totals = Totals::default();
        let mut live = Live::begin(start);
        let result = loop {
            if let Some(ending) = is_over(start, self.time) {
                break Ok(ending);
            }
            if let Some((own, others)) = extractors.split_first_mut()
                && let Err(error) = self.control.run(own.plugin(), others, self.output)
            {
                break Err(error);
            }
            match self.events(file, threads, extractors, fields.as_deref_mut(), &mut totals) {
                Ok(None) => {}
                Ok(Some(ending)) => break Ok(ending),
                Err(error) => break Err(error),
            }
            if let Some(live) = &mut live {
                live.update(&totals, || (file.progress(), None));
            }
        };
        totals.time = start.elapsed();
        (result, totals)
    }

    /// Passes some events to the plugins and writes them. Returns why the run ends, if it does.
    fn events(
        &mut self,
        file: &mut File,
        threads: &mut ThreadTable,
        extractors: &mut [Extractor<'_>],
        mut fields: Option<&mut Fields<'_>>,
        totals: &mut Totals,
    ) -> Result<Option<Ending>, Error> {
        let mut ending = None;
        for _ in 0..EVENTS_AT_ONCE {
            // Read without the lock of the output, because a read of a pipe waits.
            let (bytes, source) = match file.next_event()? {
                Read::Event { bytes, source } => (bytes, source),
                Read::Pending => break,
                Read::End => {
                    ending = Some(Ending::Eof);
                    break;
                }
            };
            let mut output = lock(self.output);
            write_log(&mut output, self.log);
            let number = totals.number() + 1;
            let malformed = |fault| abi::Error::Event { number, fault };
            let event = Event::from_bytes(bytes).map_err(malformed)?;
            let raw = RawEvent::new(bytes).ok_or(malformed(abi::EventFault::Header))?;
            // As in Falco, plugins find the table as it is after the event.
            threads.update(&raw);
            let known = match source {
                Some(name) => Some(self.source_named(name)),
                None => self.source_of(&raw),
            };
            let (name, row) = match known {
                Some(source) => {
                    let mut plugins = OfCapture {
                        extractors: &mut *extractors,
                        event: &event,
                        number,
                        source: &source.name,
                    };
                    let row = pass(&mut plugins, &source.parses, &event, number, fields.as_deref_mut())?;
                    (source_text(&source.name), row)
                }
                None => {
                    let fields = fields.as_deref_mut();
                    (UNKNOWN, fields.map(|fields| fields.absent(number)).transpose()?)
                }
            };
            let of_plugin = source.and(known);
            let sent = of_plugin.and_then(|_| AsyncEvent::from_bytes(bytes));
            match (of_plugin, sent) {
                (_, Some(sent)) => {
                    totals.async_events += 1;
                    output.async_event(number, name, &sent, row);
                }
                (Some(source), None) => {
                    totals.events += 1;
                    totals.bytes += event.payload().len() as u64;
                    let maker = source.maker.map(|index| &mut extractors[index]);
                    let text = maker.and_then(|maker| maker.event_to_string(&event, number, &source.name));
                    output.event(number, name, &event, text, row);
                }
                (None, None) => {
                    totals.events += 1;
                    totals.bytes += bytes.len() as u64;
                    output.raw_event(number, name, &raw, row);
                }
            }
            if Some(number) == self.limit {
                ending = Some(Ending::Limit);
                break;
            }
        }
        let unread = written(&mut lock(self.output))?;
        Ok(unread.or(ending))
    }

    /// Returns the source with a name. The host makes the events of a source whose plugin is not loaded.
    fn source_named(&mut self, name: &str) -> &Source {
        let index = self
            .sources
            .iter()
            .position(|source| source.name.as_bytes() == name.as_bytes());
        let index = index.unwrap_or_else(|| {
            self.sources.push(Source::new(UNREGISTERED, name, &self.plugins));
            self.sources.len() - 1
        });
        &self.sources[index]
    }

    /// Returns the source of an event: that of the plugin that made it, or system calls. Returns `None` if the plugin is not
    /// loaded.
    fn source_of(&self, event: &RawEvent<'_>) -> Option<&Source> {
        let id = match event.code() {
            PLUGIN_EVENT | ASYNC_EVENT => match event.params().value(0) {
                Some(Value::Unsigned(id)) => u32::try_from(id).ok()?,
                _ => return None,
            },
            _ => 0,
        };
        self.sources
            .iter()
            .find(|source| source.id == id && (id == 0 || source.maker.is_some()))
    }
}
