//! `run`: loads the plugins, captures events, and tears everything down in Falco's order.

use std::ffi::CString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::abi::{AsyncQueue, Extractor, Metric, Plugin, Registry, Source, ThreadTable};
use crate::command::capture::{Capture, Ending, Input, Totals, lock, write_log};
use crate::command::control::Control;
use crate::command::error::Error;
use crate::command::finish::{Findings, finish, unwritable};
use crate::command::listeners;
use crate::command::recorded::EventFile;
use crate::command::replay::{File, Replay};
use crate::command::setup::{Loaded, Plugins, Setup, metrics};
use crate::output::{Fields, Format, Log, Output, Record, Style, console};
use crate::text::count::format_count;
use crate::{scap, signals};

/// How long the plugin may take to return after an interruption before the host reports that it does not.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest time that a line stays in the buffer while a call of the plugin blocks.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);

/// The options of `run`.
pub struct Options {
    pub setup: Setup,
    pub limit: Option<u64>,
    pub format: Format,
    /// Whether text has readable values of fields, instead of values as Falco prints them.
    pub pretty: bool,
    /// Whether to write the metrics of all plugins at the end.
    pub metrics: bool,
    /// The file with commands for the plugins while they run.
    pub control: Option<PathBuf>,
    /// The file that is made when the source is open.
    pub ready: Option<PathBuf>,
    /// The file to which events are also written.
    pub record: Option<PathBuf>,
    /// How long the run lasts at most.
    pub time: Option<Duration>,
    /// Whether to write the events of the plugins' states at the end.
    pub dump_state: bool,
}

/// Runs the plugin's source and writes its events.
pub fn run(options: &Options) -> Result<(), Error> {
    signals::install().map_err(Error::Signals)?;
    // Before the output takes over standard output.
    let colour = console::has_colour();
    let output = Mutex::new(Output::new(options.format).map_err(Error::Output)?);
    let plugins = Plugins::new(Loaded::load(&options.setup.library)?, &options.setup);
    let plugins = plugins.map_err(|error| match error {
        Error::NoSource(plugin) => Error::NoEvents(plugin),
        other => other,
    })?;
    let log = Arc::new(match options.format {
        Format::Text => Log::to_stderr(),
        Format::Json => Log::queue(),
    });
    let queue = Arc::new(AsyncQueue::new(&plugins.source, plugins.id));
    let setup = &options.setup;
    let file = open_file(&plugins, setup)?;
    if let Some(path) = &options.record {
        let is_read = [
            setup.scap.as_deref(),
            setup.recorded.as_ref().map(|(path, _)| path.as_path()),
        ]
        .into_iter()
        .flatten()
        .any(|read| matches!((read.canonicalize(), path.canonicalize()), (Ok(read), Ok(path)) if read == path));
        if is_read {
            return Err(Error::Usage(format!(
                "--record would overwrite {}, which is read: give another file",
                path.display()
            )));
        }
        lock(&output).record(path).map_err(|error| unwritable(path, error))?;
    }
    let columns = plugins.columns.as_deref();
    let style = match options.format {
        Format::Json => Style::Json,
        Format::Text if options.pretty => Style::Pretty { colour },
        Format::Text => Style::Falco,
    };
    let mut fields = columns.map(|columns| Fields::new(columns, style));
    if let Some(columns) = columns {
        lock(&output).fields(columns);
    }
    if options.pretty {
        lock(&output).make_pretty(colour);
    }
    for text in plugins.warnings() {
        warn(&mut lock(&output), options.format, text);
    }
    let run = Run {
        plugins: &plugins,
        options,
        output: &output,
        log: &log,
        queue: &queue,
        control: Control::open(plugins.descriptions().collect(), options.control.as_deref())?,
    };
    let captured = while_flushing(&output, &log, options.format, || match file {
        Some(file) => run.replay(file, fields.as_mut()),
        None => run.capture(fields.as_mut()),
    });
    let (result, totals, metrics) = match captured {
        Ok(((result, totals), metrics)) => (result, Some(totals), metrics),
        Err(error) => (Err(error), None, None),
    };
    if let Some(metrics) = metrics.filter(|_| !matches!(result, Ok(Ending::Unread))) {
        let mut output = lock(&output);
        write_log(&mut output, &log);
        output.metrics(&metrics);
    }
    let findings = Findings {
        never_present: fields.as_ref().map(Fields::never_present),
        invalid_json: fields.as_ref().and_then(Fields::invalid_json),
    };
    let format = options.format;
    let mut output = lock(&output);
    finish(&mut output, &log, format, result, totals, &findings, queue.dropped())?;
    match (&options.record, output.take_record_error()) {
        (Some(path), Some(error)) => Err(unwritable(path, error)),
        _ => Ok(()),
    }
}

/// Opens the file whose events are read instead of those of the source, if there is one.
fn open_file(plugins: &Plugins<'_>, setup: &Setup) -> Result<Option<File>, Error> {
    Ok(match (&setup.scap, &setup.recorded) {
        (Some(path), _) => Some(File::Capture(scap::Capture::open(path)?)),
        (None, Some((path, content))) => {
            let ids = plugins.own_sources().map(|(id, name)| (name.to_owned(), id));
            Some(File::Events(EventFile::open(path, *content, &plugins.source, ids)?))
        }
        (None, None) => None,
    })
}

/// Fails if one of the named tables does not exist after all plugins were initialised.
fn check_tables(tables: &Registry, names: &[String]) -> Result<(), Error> {
    let existing = tables.names();
    match names.iter().find(|name| !existing.contains(name)) {
        Some(name) => Err(Error::NoTable {
            name: name.clone(),
            existing,
        }),
        None => Ok(()),
    }
}

/// Writes the entries of the named tables.
fn show_tables(tables: &Registry, names: &[String], output: &mut Output) {
    for name in names {
        if let Some(rows) = tables.rows(name) {
            output.table(name, &rows);
        }
    }
}

/// The events of a run, and the metrics at its end if the user asked for them.
type Captured = ((Result<Ending, Error>, Totals), Option<Vec<Metric>>);

/// The parts of a run.
struct Run<'r> {
    plugins: &'r Plugins<'r>,
    options: &'r Options,
    output: &'r Mutex<Output>,
    log: &'r Arc<Log>,
    queue: &'r Arc<AsyncQueue>,
    control: Control<'r>,
}

impl Run<'_> {
    /// Runs the plugin's source.
    fn capture(&self, fields: Option<&mut Fields<'_>>) -> Result<Captured, Error> {
        let plugins = self.plugins;
        let capture = Capture {
            queue: self.queue,
            output: self.output,
            log: self.log,
            control: &self.control,
            // Names of sources are checked, and have no NUL.
            source: CString::new(plugins.source.as_str()).unwrap_or_default(),
            limit: self.options.limit,
            time: self.options.time,
            parses: plugins
                .descriptions()
                .map(|plugin| plugin.parses_from(&plugins.source))
                .collect(),
        };
        let (mut plugin, mut others) = self.init()?;
        let captured = {
            let mut input = match plugins.id {
                0 => Input::Idle(Extractor::new(&mut plugin)?),
                id => {
                    let params = self.options.setup.params();
                    Input::Source(Source::open(&mut plugin, params, id, &plugins.source)?)
                }
            };
            let begun = listeners::begin(&plugins.listeners(input.plugin(), &others), self.queue);
            begun
                .map_err(Error::from)
                .and_then(|()| self.report_ready())
                .and_then(|()| {
                    let mut extractors = others.iter_mut().map(Extractor::new).collect::<Result<Vec<_>, _>>()?;
                    // As Falco with several sources: next_batch has its own thread, which ends before this one closes and destroys.
                    let captured = on_thread(|| capture.run(&mut input, &mut extractors, fields));
                    drop(extractors);
                    self.dump_state(input.plugin(), &others)?;
                    Ok(captured)
                })
        };
        // As in libs, the source is closed first.
        self.end(&plugin, &others, captured)
    }

    /// Makes the file that shows that the source is open, if the user asked for it.
    fn report_ready(&self) -> Result<(), Error> {
        let Some(path) = &self.options.ready else { return Ok(()) };
        std::fs::write(path, "").map_err(|error| unwritable(path, error))
    }

    /// Passes the events of a file to all plugins. As in Falco, no source is opened.
    fn replay(&self, mut file: File, fields: Option<&mut Fields<'_>>) -> Result<Captured, Error> {
        let replay = Replay::new(
            self.output,
            self.log,
            (self.options.limit, self.options.time),
            &self.control,
            self.plugins,
        );
        let (mut plugin, mut others) = self.init()?;
        let mut threads = ThreadTable::new(&self.plugins.tables());
        file.read_lists(&mut threads)?;
        let begun = listeners::begin(&self.plugins.listeners(&plugin, &others), self.queue);
        let captured = begun
            .map_err(Error::from)
            .and_then(|()| self.report_ready())
            .and_then(|()| {
                let mut extractors = std::iter::once(&mut plugin)
                    .chain(&mut others)
                    .map(Extractor::new)
                    .collect::<Result<Vec<_>, _>>()?;
                let captured = on_thread(|| replay.run(&mut file, &mut threads, &mut extractors, fields));
                drop(extractors);
                self.dump_state(&plugin, &others)?;
                Ok(captured)
            });
        if file.skipped() > 0 {
            let text = format!(
                "{} were left out: their types are newer than this host",
                format_count(file.skipped(), "event")
            );
            warn(&mut lock(self.output), self.options.format, text);
        }
        self.end(&plugin, &others, captured)
    }

    /// Initialises all plugins, and configures the one that runs again if the user asked for it.
    fn init(&self) -> Result<(Plugin<'_>, Vec<Plugin<'_>>), Error> {
        let plugin = self.plugins.init_own(self.log)?;
        let others = self.plugins.init_others(self.log)?;
        if let Some(config) = self.plugins.set_config {
            plugin.set_config(config)?;
        }
        check_tables(&self.plugins.tables(), &self.options.setup.tables)?;
        Ok((plugin, others))
    }

    /// Writes the events of the plugins' states, if the user asked for them.
    fn dump_state(&self, plugin: &Plugin<'_>, others: &[Plugin<'_>]) -> Result<(), Error> {
        if self.options.dump_state {
            let events = listeners::dump(&self.plugins.listeners(plugin, others))?;
            lock(self.output).state(&events);
        }
        Ok(())
    }

    /// Ends the capture of the plugins, writes their tables, and reads their metrics: after close, which drops events
    /// that still wait, and before destroy.
    fn end(
        &self,
        plugin: &Plugin<'_>,
        others: &[Plugin<'_>],
        captured: Result<(Result<Ending, Error>, Totals), Error>,
    ) -> Result<Captured, Error> {
        let (plugins, options) = (self.plugins, self.options);
        let ended = listeners::end(&plugins.listeners(plugin, others));
        let (result, totals) = captured?;
        let result = result.and_then(|ending| Ok(ended.map(|()| ending)?));
        // Before destroy, because the tables of plugins are theirs.
        show_tables(&plugins.tables(), &options.setup.tables, &mut lock(self.output));
        let all = plugins.descriptions().zip(std::iter::once(plugin).chain(others));
        let metrics = options.metrics.then(|| metrics(all)).transpose()?;
        Ok(((result, totals), metrics))
    }
}

/// Runs code on another thread, and waits for it.
fn on_thread<T: Send>(code: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(code);
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Writes a warning.
fn warn(output: &mut Output, format: Format, text: String) {
    match format {
        Format::Text => console::message(&text),
        Format::Json => output.log(&Record {
            plugin: None,
            severity: "warning",
            text,
        }),
    }
}

/// Runs `action`. While it runs, another thread writes lines that are in the buffer for long, and warns if the plugin does not
/// return after an interruption.
fn while_flushing<T>(output: &Mutex<Output>, log: &Log, format: Format, action: impl FnOnce() -> T) -> T {
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
            let (mut interrupted_at, mut is_reported) = (None, false);
            while !stopped.load(Ordering::Relaxed) {
                thread::park_timeout(FLUSH_INTERVAL);
                let mut output = lock(output);
                write_log(&mut output, log);
                if signals::is_interrupted() && !is_reported {
                    let interrupted_at = interrupted_at.get_or_insert_with(Instant::now);
                    if interrupted_at.elapsed() >= PATIENCE {
                        is_reported = true;
                        let text = "interrupted, but the plugin has not returned: wait for it to close its source, or \
                                    interrupt again (Ctrl-C) to end it immediately";
                        warn(&mut output, format, text.into());
                    }
                }
                output.flush();
            }
        });
        // Stop the flusher on a panic too, because the scope waits for it.
        let _stop = Stop(&stopped, flusher.thread().clone());
        action()
    })
}
