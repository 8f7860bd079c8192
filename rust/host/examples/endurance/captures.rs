//! Captures system calls with several plugins, again and again. In each capture the plugins parse events, use tables of the
//! host and of each other, send async events and run routines. Another thread reads metrics and a table at the same
//! time. After each capture, the plugins are destroyed and unloaded.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use falco_plugin_host::abi::{
    AsyncQueue, AsyncSender, Event, Extractor, FieldQuery, Library, Owner, Plugin, Registry, Severity,
};
use falco_plugin_host::describe::Description;
use serde_json::json;

use crate::random::{Dice, mix};
use crate::{process, report};

/// How long one capture takes.
const LENGTH: Duration = Duration::from_millis(500);
const FEWEST: u64 = 12;
/// How long threads may take to end.
const SETTLE: Duration = Duration::from_millis(300);
const SOURCE: &str = "syscall";
/// The table that the first plugin adds.
const TABLE: &str = "captures_sessions";
const EXECVE: u16 = 293;
const CLOSE: u16 = 5;
/// Parts of the log lines for exceptions that the plugins raise on purpose, and for events that the host cannot take.
const EXPECTED: [&str; 3] = ["RequestedError", "is called again in", "the queue is full"];

#[derive(Default)]
struct Totals {
    captures: u64,
    parsed: u64,
    fields: u64,
    async_events: u64,
    state_events: u64,
    metrics: AtomicU64,
    rows: AtomicU64,
}

/// A plugin whose metrics another thread reads.
struct Shared<'p, 'l>(&'p Plugin<'l>);

// SAFETY: the plugin API allows to read metrics on any thread, and plugins of this SDK do so at any time.
unsafe impl Send for Shared<'_, '_> {}

/// Captures for some seconds.
pub fn run(seed: u64, seconds: u64, libraries: &[&str]) {
    let (start, length) = (Instant::now(), Duration::from_secs(seconds));
    let mut totals = Totals::default();
    while totals.captures < FEWEST || start.elapsed() < length {
        capture(libraries, Dice(mix(seed ^ totals.captures)), &mut totals);
        totals.captures += 1;
        for path in libraries {
            if Library::is_loaded(Path::new(path)) {
                report::fault(format!("{path} is still loaded after dlclose"));
            }
        }
    }
    report::line(&json!({"total": {
        "seconds": (start.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        "captures": totals.captures,
        "parsed": totals.parsed,
        "fields": totals.fields,
        "async_events": totals.async_events,
        "state_events": totals.state_events,
        "metrics": totals.metrics.into_inner(),
        "rows": totals.rows.into_inner(),
    }}));
}

fn capture(paths: &[&str], mut dice: Dice, totals: &mut Totals) {
    let registry = Registry::new();
    let threads = json!({"threads": [
        {"tid": 1, "comm": "bash", "args": ["-c", "ls"]}, {"tid": 2, "comm": "sshd"}, {"tid": 3, "comm": "cat"},
    ]});
    registry.fill(&threads).unwrap_or_else(|error| report::abort(error));
    let libraries: Vec<_> = paths.iter().map(load).collect();
    let described: Vec<_> = libraries.iter().map(describe).collect();
    let plugins: Vec<_> = libraries.iter().map(|library| init(library, &registry)).collect();
    sample(&plugins[0], totals.captures);
    let queue = Arc::new(AsyncQueue::new(SOURCE, 0));
    for (plugin, description) in plugins.iter().zip(&described) {
        expect(plugin.set_async_event_handler(sender(description), &queue));
        expect(plugin.capture_open());
    }
    let is_stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        let shared: Vec<_> = plugins.iter().map(Shared).collect();
        let (is_stopped, registry) = (&is_stopped, &registry);
        let (metrics, rows) = (&totals.metrics, &totals.rows);
        scope.spawn(move || {
            while !is_stopped.load(Ordering::Relaxed) {
                for plugin in &shared {
                    expect(plugin.0.metrics());
                    metrics.fetch_add(1, Ordering::Relaxed);
                }
                let found = registry.rows(TABLE).map_or(0, |rows| rows.rows.len());
                rows.fetch_add(found as u64, Ordering::Relaxed);
            }
        });
        let mut extractors: Vec<_> = plugins.iter().map(extractor).collect();
        let (begin, mut number) = (Instant::now(), 0);
        while begin.elapsed() < LENGTH {
            number += 1;
            let event = encode(&mut dice);
            let event = Event::from_bytes(&event).unwrap_or_else(|fault| report::abort(fault));
            for extractor in &mut extractors {
                expect(extractor.parse(&event, number, c"syscall"));
                totals.parsed += 1;
            }
            for (extractor, description) in extractors.iter_mut().zip(&described) {
                for (id, field) in description.fields.iter().enumerate() {
                    let query = FieldQuery {
                        id: id as u32,
                        name: c"captures".into(),
                        type_: field.type_,
                        is_list: field.is_list,
                        has_argument: false,
                        key: None,
                        index: None,
                    };
                    expect(extractor.extract(&event, number, c"syscall", &query));
                    totals.fields += 1;
                }
            }
            while queue.pop(u64::MAX, || 1).is_some() {
                totals.async_events += 1;
            }
        }
        is_stopped.store(true, Ordering::Relaxed);
    });
    for (plugin, description) in plugins.iter().zip(&described) {
        let dumped = expect(plugin.dump_state(sender(description)));
        totals.state_events += dumped.map_or(0, |events| events.len() as u64);
        expect(plugin.reset_async_event_handler());
    }
    while queue.pop(u64::MAX, || 1).is_some() {}
    for plugin in &plugins {
        expect(plugin.capture_close());
    }
    thread::sleep(Duration::from_millis(2));
    if queue.pop(u64::MAX, || 1).is_some() {
        report::fault("an async event came after the end of the capture");
    }
}

fn extractor<'p>(plugin: &'p Plugin<'_>) -> Extractor<'p> {
    // SAFETY: plugins of this SDK allow to read metrics at the same time, which is the only other call.
    unsafe { Extractor::new_shared(plugin) }.unwrap_or_else(|error| report::abort(error))
}

/// Returns the result of a call that does not fail.
fn expect<T: Default, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| {
        report::fault(error);
        T::default()
    })
}

fn load(path: &&str) -> Library {
    Library::load(Path::new(path)).unwrap_or_else(|error| report::abort(error))
}

fn describe(library: &Library) -> Description {
    Description::read(library).unwrap_or_else(|error| report::abort(error))
}

fn init<'l>(library: &'l Library, registry: &Arc<Registry>) -> Plugin<'l> {
    let owner = Owner::with_tables(Arc::clone(registry), |severity, message| {
        let is_expected = EXPECTED.iter().any(|part| message.contains(part));
        if severity <= Severity::WARNING && !is_expected {
            report::fault(format!("logged with severity {severity}: {message}"));
        }
    });
    Plugin::init(library, OsStr::new(""), owner).unwrap_or_else(|error| report::abort(error))
}

fn sender(description: &Description) -> AsyncSender {
    AsyncSender {
        plugin: description.name.clone(),
        names: description.async_events.clone(),
        sources: description.async_event_sources.clone(),
    }
}

/// Encodes the end of an execve or of a close.
fn encode(dice: &mut Dice) -> Vec<u8> {
    let bits = dice.roll();
    let thread_id = bits % 8;
    let (code, params): (u16, &[&[u8]]) = if bits & 256 == 0 {
        (EXECVE, &[&[0; 8], b"/bin/ls\0", b"-l\0/\0"])
    } else {
        (CLOSE, &[&[0; 8], &[3, 0, 0, 0, 0, 0, 0, 0]])
    };
    let mut event = 5_u64.to_le_bytes().to_vec();
    event.extend(thread_id.to_le_bytes());
    let len = 26 + params.iter().map(|param| 2 + param.len()).sum::<usize>();
    event.extend((len as u32).to_le_bytes());
    event.extend(code.to_le_bytes());
    event.extend((params.len() as u32).to_le_bytes());
    for param in params {
        event.extend((param.len() as u16).to_le_bytes());
    }
    event.extend(params.concat());
    event
}

/// Writes a sample of the quantities that must not grow. The first plugin describes the interpreter by its suggested open
/// parameters.
fn sample(plugin: &Plugin<'_>, number: u64) {
    thread::sleep(SETTLE);
    let python = expect(plugin.list_open_params()).unwrap_or_default();
    let mut sample = process::sample(&python);
    sample["capture"] = number.into();
    report::line(&json!({ "sample": sample }));
}
