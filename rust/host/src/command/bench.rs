//! `bench`: what a plugin costs its host, in one pass.

use std::ffi::CString;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::abi::extractor::Extractor;
use crate::abi::plugin::Plugin;
use crate::abi::source::Source;
use crate::command::error::Error;
use crate::command::setup::{Loaded, Plugins, Setup};
use crate::output::console;
use crate::output::format::Format;
use crate::output::log::Log;
use crate::output::stdout::Stdout;
use crate::signals;

use crate::bench::checksum::Of;
use crate::bench::clock::nanoseconds;
use crate::bench::events::{Events, Purpose};
use crate::bench::extraction::{self, Kept};
use crate::bench::live::Live;
use crate::bench::process;
use crate::bench::report::{Memory, Report};

/// How long is measured where nothing else is said.
const TIME: Duration = Duration::from_secs(2);

pub struct Options {
    pub setup: Setup,
    /// How long the source runs at most, and as long again may the extraction of fields take that follows.
    pub time: Option<Duration>,
    pub limit: Option<u64>,
    /// Fields are extracted from each event as it arrives, not from some afterwards.
    pub live: bool,
    pub checksum: Of,
    pub format: Format,
}

pub fn run(options: &Options) -> Result<(), Error> {
    signals::install().map_err(|error| Error::Usage(format!("cannot handle signals: {error}")))?;
    let mut stdout = Stdout::new().map_err(Error::Output)?;
    let start_kib = process::resident_kib();
    let start = Instant::now();
    let own = Loaded::load(&options.setup.library)?;
    let load = start.elapsed();
    let load_kib = process::resident_kib();
    let plugins = Plugins::new(own, &options.setup)?;
    plugins.warnings().for_each(|text| console::message(&text));
    // Never freed, because the owners that refer to it are not freed either.
    let log: &'static Log = Box::leak(Box::new(Log::to_stderr()));
    let (owner, owners) = plugins.owners(log);
    let start = Instant::now();
    let mut plugin = Plugin::init(&plugins.own.library, plugins.config, owner)?;
    let init = start.elapsed();
    let others = plugins.others.iter().zip(owners);
    let others = others.map(|((other, config), owner)| Plugin::init(&other.library, config, owner));
    let mut others = others.collect::<Result<Vec<_>, _>>()?;
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
    let time = options.time.or(options.limit.is_none().then_some(TIME));
    let events = Events::new(options.checksum, options.limit, time, purpose);
    // Like Falco with one source: all on one thread.
    let measured = events.measure(&mut source, &mut extractors)?;
    let end_kib = process::resident_kib();
    let memory = Memory {
        start_kib,
        load_kib,
        open_kib,
        end_kib,
        // The kernel's own counts lag by some pages: what was seen is the least that it was.
        peak_kib: process::peak_kib().max(open_kib).max(end_kib),
    };
    let (mut fields, mut live) = (None, None);
    match (measured.purpose, columns) {
        (Purpose::Keep(kept), Some(columns)) if !kept.is_empty() => {
            let name = CString::new(plugins.source.as_str()).unwrap_or_default();
            let mut all = vec![source.extractor()];
            all.extend(extractors);
            let time = options.time.unwrap_or(TIME);
            fields = Some(extraction::measure(columns, &kept, &mut all, &name, time)?);
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
        fields,
        live,
    };
    let mut text = Vec::new();
    match options.format {
        Format::Text => report.write_text(&mut text),
        Format::Json => report.write_json(&mut text),
    }
    .map_err(Error::Output)?;
    match stdout.write_all(&text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}
