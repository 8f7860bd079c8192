//! `run`: loads a plugin and what extracts from its events, captures them, and tears everything down in Falco's order.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::capture::{Capture, Ending, Totals, lock, write_log};
use crate::config;
use crate::console;
use crate::description::Description;
use crate::error::Error;
use crate::fields::Fields;
use crate::library::{Extractor, Library, Plugin, Source};
use crate::log::{Log, Record};
use crate::output::{End, Format, Output};
use crate::selection::{self, Wanted};
use crate::signals;

/// How old a line may get before it is written, where the plugin waits without saying so.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);

/// A further library, whose fields are extracted from the source's events too.
pub struct With {
    pub library: PathBuf,
    pub config: Option<OsString>,
}

pub struct Options {
    pub library: PathBuf,
    pub with: Vec<With>,
    pub fields: Wanted,
    pub config: OsString,
    pub params: OsString,
    pub limit: Option<u64>,
    pub format: Format,
}

pub fn run(options: &Options) -> Result<(), Error> {
    signals::install().map_err(|error| Error::Usage(format!("cannot handle signals: {error}")))?;
    let output = Mutex::new(Output::new(options.format).map_err(Error::Output)?);
    let loaded = Loaded::load(&options.library)?;
    let (Some(id), Some(source)) = (loaded.description.id, &loaded.description.event_source) else {
        return Err(Error::NoSource(loaded.description.name));
    };
    let extracting = options.with.iter().map(|with| Loaded::load(&with.library));
    let extracting = extracting.collect::<Result<Vec<_>, _>>()?;
    if let Some(plugin) = extracting.iter().find(|plugin| plugin.description.fields.is_empty()) {
        return Err(Error::NoFields(plugin.description.name.clone()));
    }
    let plugins = std::iter::once(&loaded).chain(&extracting);
    let descriptions: Vec<_> = plugins.map(|plugin| &plugin.description).collect();
    let columns = selection::select(&options.fields, &descriptions, source).map_err(Error::Fields)?;
    let config = config::checked(&options.config, &loaded.description)?;
    let configs = extracting.iter().zip(&options.with).map(|(plugin, with)| {
        let config = with.config.as_deref().unwrap_or_default();
        config::checked(config, &plugin.description)
    });
    let configs = configs.collect::<Result<Vec<_>, _>>()?;
    // Never freed: a thread that the plugin leaves behind may log after destroy.
    let log: &'static Log = Box::leak(Box::new(match options.format {
        Format::Text => Log::to_stderr(),
        Format::Json => Log::waiting(),
    }));
    let capture = Capture {
        output: &output,
        log,
        source_name: source,
        limit: options.limit,
    };
    let mut fields = columns.as_deref().map(|columns| Fields::new(columns, options.format));
    if let Some(columns) = &columns {
        lock(&output).fields(columns);
    }
    if options.fields.all {
        for plugin in descriptions.iter().filter(|plugin| !plugin.extracts_from(source)) {
            warn(&mut lock(&output), options.format, without_fields(plugin, source));
        }
    }
    let captured = while_flushing(&output, log, || {
        let mut plugin = Plugin::init(&loaded.library, config, log)?;
        let others = extracting.iter().zip(configs);
        let others = others.map(|(other, config)| Plugin::init(&other.library, config, log));
        let mut others = others.collect::<Result<Vec<_>, _>>()?;
        let mut extractors = others.iter_mut().map(Extractor::new).collect::<Result<Vec<_>, _>>()?;
        let mut source = Source::open(&mut plugin, trim(&options.params), id, source)?;
        // Like Falco with several sources: a thread for next_batch, which is gone when this one closes and destroys.
        Ok(thread::scope(|scope| {
            let capture = &capture;
            let (source, extractors, fields) = (&mut source, &mut extractors, &mut fields);
            let thread = scope.spawn(move || capture.run(source, extractors, fields.as_mut()));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        }))
    });
    let (result, totals) = match captured {
        Ok((result, totals)) => (result, Some(totals)),
        Err(error) => (Err(error), None),
    };
    let never_present = fields.as_ref().map(Fields::never_present);
    finish(&mut lock(&output), log, options.format, result, totals, never_present)
}

/// A library and what it says of its plugin.
struct Loaded {
    library: Library,
    description: Description,
}

impl Loaded {
    fn load(path: &Path) -> Result<Self, Error> {
        let library = Library::load(path)?;
        let description = Description::read(&library)?;
        Ok(Self { library, description })
    }
}

fn without_fields(plugin: &Description, source: &str) -> String {
    let named = plugin.sources().collect::<Vec<_>>().join(", ");
    format!(
        "the plugin {} has no fields for the source {source}: it names {named}",
        plugin.name
    )
}

/// Tells what does not keep the source from running.
fn warn(output: &mut Output, format: Format, text: String) {
    match format {
        Format::Text => console::message(&text),
        Format::Json => output.log(&Record {
            severity: "warning",
            text,
        }),
    }
}

fn trim(text: &OsStr) -> &OsStr {
    OsStr::from_bytes(text.as_bytes().trim_ascii())
}

/// Runs `action` while another thread sees to it that no line waits for long.
fn while_flushing<T>(output: &Mutex<Output>, log: &Log, action: impl FnOnce() -> T) -> T {
    struct Stop<'a>(&'a AtomicBool, Thread);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
            self.1.unpark();
        }
    }
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        let flusher = scope.spawn(|| {
            while !stopped.load(Ordering::Relaxed) {
                thread::park_timeout(FLUSH_INTERVAL);
                let mut output = lock(output);
                write_log(&mut output, log);
                output.flush();
            }
        });
        // Dropped on a panic too: the scope waits for the flusher.
        let _stop = Stop(&stopped, flusher.thread().clone());
        action()
    })
}

/// Says how it ended; `totals` is there if the source was open.
fn finish(
    output: &mut Output,
    log: &Log,
    format: Format,
    result: Result<Ending, Error>,
    totals: Option<Totals>,
    never_present: Option<Vec<&str>>,
) -> Result<(), Error> {
    if matches!(result, Ok(Ending::Unread)) {
        return Ok(());
    }
    let (word, words) = match &result {
        Ok(Ending::Eof) => ("eof", "the source ended"),
        Ok(Ending::Limit) => ("limit", "the limit was reached"),
        Ok(Ending::Interrupted) => ("interrupted", "interrupted"),
        Ok(Ending::Unread) | Err(_) => ("failure", "failed"),
    };
    if format == Format::Json {
        let error = result.as_ref().err().map(ToString::to_string);
        let totals = totals.unwrap_or_default();
        write_log(output, log);
        output.end(&End {
            kind: "end",
            result: word,
            error: error.as_deref(),
            events: totals.events,
            bytes: totals.bytes,
            batches: totals.batches,
            timeouts: totals.timeouts,
            seconds: totals.time.as_secs_f64(),
            never_present: never_present.as_deref(),
        });
    }
    output.flush();
    if let (Format::Text, Some(totals)) = (format, totals) {
        console::message(&format!("{totals}: {words}"));
        if let Some(names) = never_present.filter(|names| totals.events > 0 && !names.is_empty()) {
            console::message(&format!("never present: {}", names.join(", ")));
        }
    }
    result?;
    match output.take_error() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}
