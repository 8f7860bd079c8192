//! A thread of the soak, which loads, opens, reads, closes and unloads one plugin repeatedly.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::kind::Kind;
use crate::loaded::{Host, Initialised, install, load, unload};
use crate::open_source::OpenSource;
use crate::random::Dice;
use crate::spec::{Limits, SourceSpec};
use crate::{totals, watcher};

/// The largest number of sources of one plugin that are open at the same time.
const MAX_OPEN_SOURCES: u64 = 3;
const MOST_PRODUCERS: u64 = 4;
/// The longest time that a source stays open, in milliseconds.
const LONGEST_OPEN: u64 = 3000;

/// A thread that reloads one plugin.
pub struct Lane<'s> {
    versions: &'s [&'s str],
    path: PathBuf,
    host: Host,
    /// The host of plugins that are tried while the first ones run.
    trial: Host,
}

impl<'s> Lane<'s> {
    /// Creates a lane whose library is at `path`.
    pub fn new(versions: &'s [&'s str], path: PathBuf) -> Self {
        Self {
            versions,
            path,
            host: Host::new(),
            trial: Host::new(),
        }
    }

    /// Reloads the plugin until the given time.
    pub fn run(&self, mut dice: Dice, until: Instant) {
        while Instant::now() < until {
            self.reload(&mut dice, until);
        }
    }

    /// Loads a version, opens some sources, and unloads the version.
    fn reload(&self, dice: &mut Dice, until: Instant) {
        let openings = 1 + dice.below(3);
        let version = install(
            self.versions,
            dice.below(self.versions.len() as u64) as usize,
            &self.path,
        );
        let library = load(&self.path);
        if dice.one_in(8) {
            self.host.init_failing(&library);
        }
        let plugin = self.host.init(&library, version);
        let stopped = AtomicBool::new(false);
        thread::scope(|scope| {
            let own = Dice(dice.roll());
            totals::THREADS.add(1);
            scope.spawn(|| watcher::watch(&plugin, own, &stopped));
            self.open_sources(&plugin, openings, dice, until);
            stopped.store(true, Ordering::Relaxed);
        });
        watcher::check_closed(&plugin);
        plugin.destroy();
        unload(library, &self.path);
    }

    /// Opens some sources, and closes them, a number of times.
    fn open_sources(&self, plugin: &Initialised<'_>, openings: u64, dice: &mut Dice, until: Instant) {
        for _ in 0..openings {
            if Instant::now() >= until {
                break;
            }
            thread::scope(|scope| {
                let mut opened = Vec::new();
                for index in 0..1 + dice.below(MAX_OPEN_SOURCES) {
                    let (spec, limits) = self.choose(dice, index, until);
                    let own = Dice(dice.roll());
                    opened.extend(OpenSource::open(scope, plugin, spec, limits, own));
                }
                if dice.one_in(4) {
                    let fails = dice.one_in(2);
                    totals::THREADS.add(1);
                    // Wait for the thread itself: Falco's trial ends before it closes anything.
                    let _ = scope.spawn(move || self.try_beside(fails)).join();
                }
                opened.into_iter().for_each(OpenSource::close);
            });
        }
    }

    /// Chooses a source and when it is closed.
    fn choose(&self, dice: &mut Dice, index: u64, until: Instant) -> (SourceSpec, Limits) {
        let kind = Kind::ALL[dice.below(Kind::ALL.len() as u64) as usize];
        let key = dice.roll();
        let count = match dice.one_in(8) {
            true => dice.below(4),
            false => dice.below(3000),
        };
        let producers = match kind {
            Kind::Push => 1 + dice.below(MOST_PRODUCERS),
            _ => 1,
        };
        let may_fail = kind != Kind::Retry && !kind.reads_lines();
        let spec = SourceSpec {
            kind,
            key,
            count: count as u32,
            producers: producers as usize,
            fails: may_fail && dice.one_in(4),
            longest_pause: if dice.one_in(3) { 0 } else { dice.below(20_000) },
            open_fails: dice.one_in(16),
            path: source_path(&self.path, index),
        };
        let events = if dice.one_in(2) {
            u64::MAX
        } else {
            dice.below(count + 1)
        };
        let events_per_thread = if dice.one_in(2) { u64::MAX } else { 1 + dice.below(500) };
        let milliseconds = if dice.one_in(3) { dice.below(300) } else { LONGEST_OPEN };
        let limits = Limits {
            until: Some(until.min(Instant::now() + Duration::from_millis(milliseconds))),
            events,
            events_per_thread,
        };
        (spec, limits)
    }

    /// Loads, initialises and destroys the library while the first plugin runs, as Falco tries a new configuration.
    fn try_beside(&self, fails: bool) {
        let library = load(&self.path);
        match fails {
            true => self.trial.init_failing(&library),
            false => self.trial.init(&library, 'a').destroy(),
        }
    }
}

/// Returns the path of the file that a source reads.
pub fn source_path(library: &Path, index: u64) -> PathBuf {
    PathBuf::from(format!("{}.{index}", library.display()))
}
