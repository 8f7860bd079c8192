//! Reloads several plugins together, as Falco does. While the sources run, another thread loads, initialises and destroys
//! each library, and then ends. Then all are closed, destroyed and unloaded, and everything begins again. A plugin may have
//! several variants: each reload installs the next one under the same path.
//!
//! The payload of each event is `SERIES NUMBER`. The numbers of a series begin at 0 and have no gap. After a reload, a source
//! may repeat events that it has delivered, but must not leave any out.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use falco_plugin_host::abi::{Code, Library, Owner, Plugin, Severity, Source};
use serde_json::json;

use crate::{process, report};

/// The most series of one plugin.
const MOST_SERIES: usize = 8;
/// How long a source may take to deliver its first event.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long threads may take to end.
const SETTLE: Duration = Duration::from_secs(1);
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The time between two reloads.
struct Round {
    reload: u64,
    /// The number of interpreters that run in the last round.
    interpreters: u64,
    /// The least time that the round takes.
    time: Duration,
}

/// A plugin, and the events that it has delivered.
struct Reloaded<'a> {
    /// The path that the host loads.
    path: PathBuf,
    /// The libraries of the variants. The series of the events of each is its index. A plugin without variants has any series.
    variants: Vec<&'a Path>,
    params: &'a str,
    /// The only series of this round, if the plugin has variants.
    expected: Option<usize>,
    /// For each series, the next number.
    next: [u64; MOST_SERIES],
    /// For each series, whether it has had an event since the last reload.
    is_seen: [bool; MOST_SERIES],
    events: u64,
    repeated: u64,
}

/// Reloads plugins `count` times, with at least some milliseconds between two reloads. `interpreters` is the number of
/// interpreters that run at the end, each of which has a thread. `plugins` are libraries and their open parameters. Libraries
/// that are separated by commas are variants.
pub fn run(count: u64, milliseconds: u64, interpreters: u64, plugins: &[&str]) {
    let start = Instant::now();
    let owner = Owner::leak(|severity, message| {
        // Events that are in the channel at a close are delivered again, because the sources have cursors.
        if severity <= Severity::WARNING && !message.contains("still in the channel") {
            report::fault(format!("logged with severity {severity}: {message}"));
        }
    });
    let (pairs, _) = plugins.as_chunks::<2>();
    let mut plugins: Vec<_> = pairs
        .iter()
        .map(|[libraries, params]| Reloaded::new(libraries, params))
        .collect();
    for reload in 0..=count {
        for plugin in &mut plugins {
            plugin.install(reload);
        }
        let round = Round {
            reload,
            interpreters,
            time: Duration::from_millis(milliseconds),
        };
        run_once(&mut plugins, owner, &round);
        for plugin in &plugins {
            if Library::is_loaded(&plugin.path) {
                report::fault(format!("{} is still loaded after dlclose", plugin.path.display()));
            }
        }
    }
    let events: Vec<_> = plugins.iter().map(|plugin| plugin.events).collect();
    let repeated: u64 = plugins.iter().map(|plugin| plugin.repeated).sum();
    let seconds = (start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    report::line(&json!({"total": {"seconds": seconds, "repeated": repeated, "events": events}}));
}

/// Loads all plugins, runs their sources, and unloads the plugins.
fn run_once(plugins: &mut [Reloaded<'_>], owner: &'static Owner, round: &Round) {
    let paths: Vec<PathBuf> = plugins.iter().map(|plugin| plugin.path.clone()).collect();
    let libraries: Vec<Library> = paths.iter().map(|path| load(path)).collect();
    let mut states: Vec<_> = libraries.iter().map(|library| init(library, owner)).collect();
    sample(&states[0], round);
    let mut sources: Vec<_> = states
        .iter_mut()
        .zip(&libraries)
        .zip(plugins.iter_mut())
        .map(|((state, library), plugin)| plugin.open(state, library))
        .collect();
    let is_stopped = AtomicBool::new(false);
    let counts: Vec<_> = paths.iter().map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        let sources = sources.iter_mut().zip(plugins.iter_mut()).zip(&counts);
        for ((source, plugin), count) in sources {
            let is_stopped = &is_stopped;
            scope.spawn(move || plugin.capture(source, count, is_stopped));
        }
        let trial = scope.spawn(|| {
            for path in &paths {
                drop(init(&load(path), owner));
            }
        });
        trial.join().unwrap_or_else(|_| report::abort("the trial panicked"));
        wait_for_events(&paths, &counts, round.time);
        is_stopped.store(true, Ordering::Relaxed);
    });
}

fn load(path: &Path) -> Library {
    Library::load(path).unwrap_or_else(|error| report::abort(error))
}

fn init<'l>(library: &'l Library, owner: &'static Owner) -> Plugin<'l> {
    Plugin::init(library, OsStr::new(""), owner).unwrap_or_else(|error| report::abort(error))
}

/// Waits until the time is over and each source has delivered an event.
fn wait_for_events(paths: &[PathBuf], counts: &[AtomicU64], time: Duration) {
    let start = Instant::now();
    for (path, count) in paths.iter().zip(counts) {
        while count.load(Ordering::Relaxed) == 0 {
            if start.elapsed() > PATIENCE {
                report::fault(format!("{}: no event in {} s", path.display(), PATIENCE.as_secs()));
                break;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
    thread::sleep(time.saturating_sub(start.elapsed()));
}

/// Writes a sample of the quantities that must not grow. The first plugin describes the interpreter by its suggested open
/// parameters.
fn sample(plugin: &Plugin<'_>, round: &Round) {
    // Wait first, so that Python does not count a thread that is ending. This thread counts, too.
    let start = Instant::now();
    while process::threads() as u64 > round.interpreters + 1 && start.elapsed() < SETTLE {
        thread::sleep(POLL_INTERVAL);
    }
    let python = plugin.list_open_params();
    let python = python.unwrap_or_else(|error| report::abort(error)).unwrap_or_default();
    let mut sample = process::sample(&python);
    sample["reload"] = round.reload.into();
    report::line(&json!({ "sample": sample }));
}

impl<'a> Reloaded<'a> {
    fn new(libraries: &'a str, params: &'a str) -> Self {
        let variants: Vec<&Path> = libraries.split(',').map(Path::new).collect();
        let path = match variants.as_slice() {
            [only] => only.to_path_buf(),
            [first, ..] => first.with_extension("installed.so"),
            [] => PathBuf::new(),
        };
        Self {
            path,
            variants,
            params,
            expected: None,
            next: [0; MOST_SERIES],
            is_seen: [false; MOST_SERIES],
            events: 0,
            repeated: 0,
        }
    }

    /// Installs the variant of a reload as a package manager does: by a rename.
    fn install(&mut self, reload: u64) {
        if self.variants.len() == 1 {
            return;
        }
        let variant = usize::try_from(reload % self.variants.len() as u64).unwrap_or_default();
        let part = self.path.with_extension("part");
        fs::copy(self.variants[variant], &part)
            .and_then(|_| fs::rename(&part, &self.path))
            .unwrap_or_else(|error| report::abort(format!("{}: {error}", self.path.display())));
        self.expected = Some(variant);
    }

    fn open<'p>(&mut self, plugin: &'p mut Plugin<'_>, library: &Library) -> Source<'p> {
        self.is_seen = [false; MOST_SERIES];
        let name = library.event_source().unwrap_or_default();
        let source = Source::open(plugin, OsStr::new(self.params), library.id(), &name);
        source.unwrap_or_else(|error| report::abort(format!("{}: {error}", self.path.display())))
    }

    fn fault(&self, problem: impl std::fmt::Display) {
        report::fault(format!("{}: {problem}", self.path.display()));
    }

    /// Reads the source until the host stops it.
    fn capture(&mut self, source: &mut Source<'_>, count: &AtomicU64, is_stopped: &AtomicBool) {
        while !is_stopped.load(Ordering::Relaxed) {
            match self.read_batch(source, count) {
                Ok(Code::Success | Code::Timeout) => {}
                Ok(Code::Eof) => return self.fault("the source ended"),
                Err(problem) => return self.fault(problem),
            }
        }
    }

    fn read_batch(&mut self, source: &mut Source<'_>, count: &AtomicU64) -> Result<Code, String> {
        let mut batch = source.next_batch().map_err(|error| error.to_string())?;
        for index in 0..batch.len() {
            let event = batch.event(index, || 0).map_err(|fault| fault.to_string())?;
            self.check(&String::from_utf8_lossy(event.payload()));
            count.fetch_add(1, Ordering::Relaxed);
        }
        batch.into_result().map_err(|error| error.to_string())
    }

    /// Checks the number of an event.
    fn check(&mut self, payload: &str) {
        let parsed = payload.split_once(' ').and_then(|(series, number)| {
            let series = series.parse::<usize>().ok().filter(|series| *series < MOST_SERIES)?;
            Some((series, number.trim_end().parse::<u64>().ok()?))
        });
        let Some((series, number)) = parsed else {
            return self.fault(format!("an event is {payload:?}"));
        };
        if self.expected.is_some_and(|expected| series != expected) {
            self.fault(format!("an event comes from variant {series}, which is not installed"));
        }
        let next = self.next[series];
        if number > next || (self.is_seen[series] && number != next) {
            self.fault(format!(
                "number {number} of series {series} arrived, but {next} is expected"
            ));
        }
        self.repeated += next.saturating_sub(number);
        self.next[series] = number + 1;
        self.is_seen[series] = true;
        self.events += 1;
    }
}
