//! The soak: a source of each kind stays open during the whole run. At the same time, lanes load, open, read, close and
//! reload.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::lane::{Lane, source_path};
use crate::loaded::{Host, Initialised, install, load, unload};
use crate::open_source::OpenSource;
use crate::random::{Dice, mix};
use crate::spec::{Limits, SourceSpec};
use crate::{process, report, totals};

const LANES: u64 = 3;
const FEWEST_ROUNDS: u64 = 10;
/// The number of rounds in which a long soak is divided.
const ROUNDS: u32 = 40;
const SHORTEST_ROUND: Duration = Duration::from_secs(1);
const LONGEST_ROUND: Duration = Duration::from_secs(5);
/// How long threads that a round has left behind may take to end.
const SETTLE: Duration = Duration::from_millis(300);
const PUSH_PRODUCERS: usize = 4;

/// Runs the soak. `versions` are libraries of the plugin, whose events have the versions `a`, `b`, …
pub fn run(seed: u64, seconds: u64, folder: &str, versions: &[&str]) {
    let (start, length) = (Instant::now(), Duration::from_secs(seconds));
    let round_length = (length / ROUNDS).clamp(SHORTEST_ROUND, LONGEST_ROUND);
    let folder = Path::new(folder);
    let path = folder.join("resident.so");
    let version = install(versions, 0, &path);
    let library = load(&path);
    let host = Host::new();
    let plugin = host.init(&library, version);
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| Lane::new(versions, folder.join(format!("lane{lane}.so"))))
        .collect();
    thread::scope(|scope| {
        let residents = Kind::ALL.map(|kind| {
            let (spec, limits, dice) = resident(kind, seed, &path);
            let opened = OpenSource::open(scope, &plugin, spec, limits, dice);
            opened.unwrap_or_else(|| report::abort("a resident cannot be opened"))
        });
        let mut round = 0;
        while round < FEWEST_ROUNDS || start.elapsed() < length {
            run_round(&lanes, seed, round, round_length);
            sample(&plugin, start);
            round += 1;
        }
        residents.iter().for_each(OpenSource::stop);
        residents.into_iter().for_each(OpenSource::close);
    });
    plugin.destroy();
    unload(library, &path);
    let mut total = totals::to_json();
    total["seconds"] = seconds_since(start);
    report::line(&json!({ "total": total }));
}

/// Returns a source that stays open.
fn resident(kind: Kind, seed: u64, library: &Path) -> (SourceSpec, Limits, Dice) {
    let key = mix(seed.wrapping_add(kind as u64));
    let spec = SourceSpec {
        kind,
        key,
        count: u32::MAX,
        producers: if kind == Kind::Push { PUSH_PRODUCERS } else { 1 },
        fails: false,
        open_fails: false,
        longest_pause: 100_000,
        path: source_path(library, kind as u64),
    };
    let limits = Limits {
        until: None,
        events: u64::MAX,
        events_per_thread: 100,
    };
    (spec, limits, Dice(key))
}

fn run_round(lanes: &[Lane<'_>], seed: u64, round: u64, length: Duration) {
    let until = Instant::now() + length;
    thread::scope(|scope| {
        for (index, lane) in lanes.iter().enumerate() {
            let dice = Dice(mix(seed ^ mix(round << 8 | index as u64)));
            totals::THREADS.add(1);
            scope.spawn(move || lane.run(dice, until));
        }
    });
}

/// Writes a sample of the quantities that must not grow. The plugin describes the interpreter by its suggested open
/// parameters.
fn sample(plugin: &Initialised<'_>, start: Instant) {
    thread::sleep(SETTLE);
    let python = plugin.plugin.list_open_params();
    let python = python.unwrap_or_else(|error| report::abort(error)).unwrap_or_default();
    let mut sample = process::sample(&python);
    sample["seconds"] = seconds_since(start);
    report::line(&json!({ "sample": sample }));
}

fn seconds_since(start: Instant) -> Value {
    ((start.elapsed().as_secs_f64() * 10.0).round() / 10.0).into()
}
