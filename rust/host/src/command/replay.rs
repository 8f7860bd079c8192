//! The loop of `run --scap` over the events of a capture file.

use std::ffi::CString;
use std::io;
use std::sync::Mutex;
use std::time::Instant;

use falco_plugin_schema::{ASYNC_EVENT, PLUGIN_EVENT, RawEvent, Value};

use crate::abi::{self, Event, Extractor, ThreadTable};
use crate::command::capture::{Ending, Totals, lock, pass, source_text, write_log};
use crate::command::control::Control;
use crate::command::error::Error;
use crate::command::setup::{Plugins, SYSCALL};
use crate::output::{Fields, Log, Output};
use crate::scap::Capture;
use crate::select::OfCapture;
use crate::signals;

/// The number of events after which an interruption is noticed, and lines are written.
const EVENTS_AT_ONCE: u64 = 128;

/// The source that is shown for an event of a plugin that is not loaded.
const UNKNOWN: &str = "unknown";

/// A run over a capture file.
pub struct Replay<'a> {
    pub output: &'a Mutex<Output>,
    pub log: &'a Log,
    pub limit: Option<u64>,
    control: &'a Control<'a>,
    sources: Vec<Source>,
}

/// An event source of a capture file.
struct Source {
    /// The id of its plugin; 0 for system calls.
    id: u32,
    name: CString,
    /// For each plugin, whether it parses events of the source.
    parses: Vec<bool>,
}

impl<'a> Replay<'a> {
    pub fn new(
        output: &'a Mutex<Output>,
        log: &'a Log,
        limit: Option<u64>,
        control: &'a Control<'a>,
        plugins: &Plugins<'_>,
    ) -> Self {
        let named = plugins
            .descriptions()
            .filter_map(|plugin| Some((plugin.id?, plugin.event_source.as_deref()?)));
        let sources = std::iter::once((0, SYSCALL)).chain(named).map(|(id, name)| Source {
            id,
            // Names of sources are checked, and have no NUL.
            name: CString::new(name).unwrap_or_default(),
            parses: plugins.descriptions().map(|plugin| plugin.parses_from(name)).collect(),
        });
        Self {
            output,
            log,
            limit,
            control,
            sources: sources.collect(),
        }
    }

    /// Passes all events of the file to the plugins. Extracts `fields` from each, if there are any.
    pub fn run(
        &self,
        capture: &mut Capture,
        threads: &mut ThreadTable,
        extractors: &mut [Extractor<'_>],
        mut fields: Option<&mut Fields<'_>>,
    ) -> (Result<Ending, Error>, Totals) {
        let start = Instant::now();
        let mut totals = Totals::default();
        let result = loop {
            if signals::is_interrupted() {
                break Ok(Ending::Interrupted);
            }
            if let Some((own, others)) = extractors.split_first_mut()
                && let Err(error) = self.control.run(own.plugin(), others, self.output)
            {
                break Err(error);
            }
            match self.events(capture, threads, extractors, fields.as_deref_mut(), &mut totals) {
                Ok(None) => {}
                Ok(Some(ending)) => break Ok(ending),
                Err(error) => break Err(error),
            }
        };
        totals.time = start.elapsed();
        (result, totals)
    }

    /// Passes some events to the plugins and writes them. Returns why the run ends, if it does.
    fn events(
        &self,
        capture: &mut Capture,
        threads: &mut ThreadTable,
        extractors: &mut [Extractor<'_>],
        mut fields: Option<&mut Fields<'_>>,
        totals: &mut Totals,
    ) -> Result<Option<Ending>, Error> {
        let mut output = lock(self.output);
        write_log(&mut output, self.log);
        let mut ending = None;
        for _ in 0..EVENTS_AT_ONCE {
            let Some(bytes) = capture.next_event()? else {
                ending = Some(Ending::Eof);
                break;
            };
            let number = totals.events + 1;
            let malformed = |fault| abi::Error::Event { number, fault };
            let event = Event::from_bytes(bytes).map_err(malformed)?;
            let raw = RawEvent::new(bytes).ok_or(malformed(abi::EventFault::Header))?;
            totals.events = number;
            totals.bytes += bytes.len() as u64;
            // As in Falco, plugins find the table as it is after the event.
            threads.update(&raw);
            let (name, row) = match self.source_of(&raw) {
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
            output.raw_event(number, name, &raw, row);
            if Some(number) == self.limit {
                ending = Some(Ending::Limit);
                break;
            }
        }
        output.flush();
        match output.error() {
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Some(Ending::Unread)),
            _ => {}
        }
        match output.take_error() {
            Some(error) => Err(Error::Output(error)),
            None => Ok(ending),
        }
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
        self.sources.iter().find(|source| source.id == id)
    }
}
