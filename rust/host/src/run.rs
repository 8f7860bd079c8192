//! `run`: loads a plugin, captures its events, and tears everything down in Falco's order.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use serde::de::IgnoredAny;

use crate::capture::{Capture, Ending, Totals, lock, write_log};
use crate::console;
use crate::description::Description;
use crate::error::Error;
use crate::library::{Library, Plugin, Source};
use crate::log::Log;
use crate::output::{End, Format, Output};
use crate::signals;

/// How old a line may get before it is written, where the plugin waits without saying so.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);

pub struct Options {
    pub library: PathBuf,
    pub config: OsString,
    pub params: OsString,
    pub limit: Option<u64>,
    pub format: Format,
}

pub fn run(options: &Options) -> Result<(), Error> {
    signals::install().map_err(|error| Error::Usage(format!("cannot handle signals: {error}")))?;
    let output = Mutex::new(Output::new(options.format).map_err(Error::Output)?);
    let library = Library::load(&options.library)?;
    let description = Description::read(&library)?;
    let (Some(id), Some(source)) = (description.id, &description.event_source) else {
        return Err(Error::NoSource(description.name));
    };
    let config = config(options, &description)?;
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
    let (result, totals) = while_flushing(&output, log, || {
        let mut plugin = match Plugin::init(&library, config, log) {
            Ok(plugin) => plugin,
            Err(error) => return (Err(error), None),
        };
        let mut source = match Source::open(&mut plugin, trim(&options.params), id, source) {
            Ok(source) => source,
            Err(error) => return (Err(error), None),
        };
        // Like Falco with several sources: a thread for next_batch, which is gone when this one closes and destroys.
        let (result, totals) = thread::scope(|scope| {
            let capture = &capture;
            let source = &mut source;
            let thread = scope.spawn(move || capture.run(source));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        (result, Some(totals))
    });
    finish(&mut lock(&output), log, options.format, result, totals)
}

/// The configuration as Falco passes it: with a schema it is JSON, and `{}` if there is none.
fn config<'a>(options: &'a Options, description: &Description) -> Result<&'a OsStr, Error> {
    if description.schema.is_none() {
        return Ok(&options.config);
    }
    if trim(&options.config).is_empty() {
        return Ok(OsStr::new("{}"));
    }
    serde_json::from_slice::<IgnoredAny>(options.config.as_bytes()).map_err(Error::Config)?;
    Ok(&options.config)
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
        });
    }
    output.flush();
    if let (Format::Text, Some(totals)) = (format, totals) {
        console::message(&format!(
            "{} events, {} bytes, {:.3} s, {:.0} events/s: {words}",
            totals.events,
            totals.bytes,
            totals.time.as_secs_f64(),
            totals.rate()
        ));
    }
    result?;
    match output.take_error() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}
