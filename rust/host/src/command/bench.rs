//! `bench`: runs a plugin's source, and measures what it costs.

use std::ffi::{CStr, CString};
use std::io::{self, Write};
use std::mem;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::abi::{self, Event, Extractor, Source};
use crate::bench::checksum::Scope;
use crate::bench::clock::nanoseconds;
use crate::bench::events::{Events, Purpose};
use crate::bench::extraction::{self, Kept};
use crate::bench::live::Live;
use crate::bench::metrics;
use crate::bench::parsing::{self, Parsing};
use crate::bench::process;
use crate::bench::report::{Memory, Report};
use crate::bench::sending::{self, Sending};
use crate::bench::threads::{self, Lane, Parallel};
use crate::command::error::Error;
use crate::command::setup::{Loaded, Plugins, Setup};
use crate::output::{Format, Log, Stdout, console};
use crate::{scap, signals};

/// The default length of a measurement.
const DEFAULT_TIME: Duration = Duration::from_secs(2);

/// The options of `bench`.
pub struct Options {
    pub setup: Setup,
    /// The longest time that the source runs. The extraction of fields that follows may take as long again.
    pub time: Option<Duration>,
    pub limit: Option<u64>,
    /// Whether to extract fields from each event as it arrives, instead of from some events afterwards.
    pub live: bool,
    /// The number of threads that extract fields at the same time, instead of the measurements on one thread.
    pub threads: Option<NonZeroUsize>,
    pub checksum: Scope,
    pub format: Format,
}

impl Options {
    /// Prepares a measurement of a source.
    fn events<'c>(&self, purpose: Purpose<'c>) -> Events<'c> {
        let time = self.time.or(self.limit.is_none().then_some(DEFAULT_TIME));
        Events::new(self.checksum, self.limit, time, purpose)
    }

    /// Returns the longest time to extract fields from kept events.
    fn fields_time(&self) -> Duration {
        self.time.unwrap_or(DEFAULT_TIME)
    }
}

/// Measures a plugin and writes the report.
pub fn run(options: &Options) -> Result<(), Error> {
    signals::install().map_err(Error::Signals)?;
    let mut stdout = Stdout::new().map_err(Error::Output)?;
    let start_kib = process::resident_kib();
    let start = Instant::now();
    let own = Loaded::load(&options.setup.library)?;
    let load = start.elapsed();
    let load_kib = process::resident_kib();
    let plugins = Plugins::new(own, &options.setup)?;
    if let Some(path) = &options.setup.scap {
        return measure_parsing(options, &plugins, path, &mut stdout);
    }
    if plugins.id == 0 && !plugins.own.description.async_events.is_empty() {
        return measure_sending(options, &plugins, &mut stdout);
    }
    if plugins.id == 0 {
        return Err(Error::NoSource(plugins.own.description.name.clone()));
    }
    plugins.warnings().for_each(|text| console::message(&text));
    let log = Arc::new(Log::to_stderr());
    let start = Instant::now();
    let mut plugin = plugins.init_own(&log)?;
    let init = start.elapsed();
    let mut others = plugins.init_others(&log)?;
    let mut extractors = others.iter_mut().map(Extractor::new).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let mut source = Source::open(&mut plugin, options.setup.params(), plugins.id, &plugins.source)?;
    let open = start.elapsed();
    let open_kib = process::resident_kib();
    let columns = plugins.columns.as_deref();
    let purpose = match columns {
        None => Purpose::Count,
        Some(columns) if options.live => Purpose::Extract(Live::new(columns)),
        Some(_) => Purpose::Keep(Kept::default()),
    };
    // As Falco with one source: all calls are on one thread.
    let measured = options.events(purpose).measure(&mut source, &mut extractors)?;
    let end_kib = process::resident_kib();
    let memory = Memory {
        start_kib,
        load_kib,
        open_kib,
        end_kib,
        // The kernel's maximum may be some pages too low: it is at least what was measured.
        peak_kib: process::peak_kib().max(open_kib).max(end_kib),
    };
    let metrics = metrics::measure(&mut source)?;
    let (mut fields, mut live, mut threads) = (None, None, None);
    match (measured.purpose, columns) {
        (Purpose::Keep(kept), Some(columns)) if !kept.is_empty() => {
            let name = CString::new(plugins.source.as_str()).unwrap_or_default();
            let mut own = Lane::new(&mut source, extractors, kept);
            let time = options.fields_time();
            match options.threads {
                None => {
                    fields = Some(extraction::measure(
                        columns,
                        &own.kept,
                        &mut own.extractors,
                        &name,
                        time,
                    )?)
                }
                Some(number) => threads = measure_threads(options, &plugins, &log, own, number.get(), &name)?,
            }
        }
        (Purpose::Extract(calls), _) => live = Some(calls.calls(measured.span.count)),
        _ => {}
    }
    let report = Report {
        name: &plugins.own.description.name,
        version: &plugins.own.description.version,
        result: measured.ending,
        load_ns: nanoseconds(load),
        first_event_ns: measured.first.map(|first| nanoseconds(init + open + first)),
        events: measured.span,
        latency: measured.latency,
        memory,
        metrics,
        fields,
        live,
        threads,
    };
    let mut text = Vec::new();
    match options.format {
        Format::Text => report.write_text(&mut text),
        Format::Json => report.write_json(&mut text),
    }
    .map_err(Error::Output)?;
    write(&mut stdout, &text)
}

/// Measures how long the plugin takes to parse the events of a capture file.
fn measure_parsing(options: &Options, plugins: &Plugins<'_>, path: &Path, stdout: &mut Stdout) -> Result<(), Error> {
    let mut capture = scap::Capture::open(path)?;
    let mut kept = Vec::new();
    let limit = options.limit.unwrap_or(u64::MAX);
    while let Some(event) = capture.next_event()?.filter(|_| (kept.len() as u64) < limit) {
        kept.push(event.to_vec());
    }
    let events = kept.iter().enumerate().map(|(index, bytes)| {
        let number = index as u64 + 1;
        Event::from_bytes(bytes).map_err(|fault| abi::Error::Event { number, fault })
    });
    let events = events.collect::<Result<Vec<_>, _>>()?;
    let log = Arc::new(Log::to_stderr());
    let mut plugin = plugins.init_own(&log)?;
    let mut extractor = Extractor::new(&mut plugin)?;
    let name = CString::new(plugins.source.as_str()).unwrap_or_default();
    let report = Parsing {
        name: &plugins.own.description.name,
        version: &plugins.own.description.version,
        events: events.len(),
        parse: parsing::measure(&mut extractor, &events, &name, options.time.unwrap_or(DEFAULT_TIME))?,
    };
    let mut text = Vec::new();
    match options.format {
        Format::Text => report.write_text(&mut text),
        Format::Json => report.write_json(&mut text),
    }
    .map_err(Error::Output)?;
    write(stdout, &text)
}

/// Measures how long the plugin takes to send an async event.
fn measure_sending(options: &Options, plugins: &Plugins<'_>, stdout: &mut Stdout) -> Result<(), Error> {
    let log = Arc::new(Log::to_stderr());
    let plugin = plugins.init_own(&log)?;
    let report = Sending {
        name: &plugins.own.description.name,
        version: &plugins.own.description.version,
        events: sending::measure(&plugin, options.time.unwrap_or(DEFAULT_TIME))?,
    };
    let mut text = Vec::new();
    match options.format {
        Format::Text => report.write_text(&mut text),
        Format::Json => report.write_json(&mut text),
    }
    .map_err(Error::Output)?;
    write(stdout, &text)
}

/// Writes the result. It does not fail if the reader has closed its end.
fn write(stdout: &mut Stdout, text: &[u8]) -> Result<(), Error> {
    match stdout.write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// Measures the extraction of fields on several threads. The first one uses the state whose source has run. For each of
/// the others, initialises the plugins again and runs a source. Returns `None` if one of the sources had no event.
fn measure_threads<'c>(
    options: &Options,
    plugins: &'c Plugins<'_>,
    log: &Arc<Log>,
    first: Lane<'_>,
    number: usize,
    source_name: &CStr,
) -> Result<Option<Vec<Parallel<'c>>>, Error> {
    let init = || {
        plugins.renew_tables()?;
        Ok((plugins.init_own(log)?, plugins.init_others(log)?))
    };
    let states = (1..number).map(|_| init()).collect::<Result<Vec<_>, Error>>();
    let mut states = states?;
    let mut running = Vec::new();
    for (own, others) in &mut states {
        let extractors = others.iter_mut().map(Extractor::new).collect::<Result<Vec<_>, _>>()?;
        let source = Source::open(own, options.setup.params(), plugins.id, &plugins.source)?;
        running.push((source, extractors));
    }
    let mut lanes = vec![first];
    for (source, extractors) in &mut running {
        let measured = options
            .events(Purpose::Keep(Kept::default()))
            .measure(source, extractors)?;
        let Purpose::Keep(kept) = measured.purpose else {
            unreachable!("the purpose does not change")
        };
        lanes.push(Lane::new(source, mem::take(extractors), kept));
    }
    if lanes.iter().any(|lane| lane.kept.is_empty()) {
        return Ok(None);
    }
    let columns = plugins.columns.as_deref().unwrap_or_default();
    Ok(Some(threads::measure(
        columns,
        &mut lanes,
        source_name,
        options.fields_time(),
    )?))
}
