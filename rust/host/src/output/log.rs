//! The log lines of plugins: text on standard error, or JSON between the events.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::abi::{Owner, Registry};
use crate::output::console;

/// The most lines that wait for standard output: if nobody reads the output, they must not fill the memory.
const MOST_WAITING: usize = 65_536;

/// One log line.
pub struct Record {
    /// The name of the plugin that logged the line, or `None` if the host did.
    pub plugin: Option<Arc<str>>,
    pub severity: &'static str,
    pub text: String,
}

/// Receives the log lines of all plugins.
pub struct Log {
    /// The lines that wait for standard output, or `None` if lines go to standard error. They wait, because a plugin may log
    /// during a call that the host makes while it writes the output.
    waiting: Option<Mutex<VecDeque<Record>>>,
    dropped: AtomicU64,
}

impl Log {
    /// Makes a log that writes text to standard error.
    pub fn to_stderr() -> Self {
        Self {
            waiting: None,
            dropped: AtomicU64::new(0),
        }
    }

    /// Makes a log that keeps the lines until they are drained.
    pub fn queue() -> Self {
        Self {
            waiting: Some(Mutex::default()),
            dropped: AtomicU64::new(0),
        }
    }

    /// Removes and returns the lines that wait.
    pub fn drain(&self) -> Vec<Record> {
        let Some(waiting) = &self.waiting else {
            return Vec::new();
        };
        let mut records: Vec<_> = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect();
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            records.push(Record {
                plugin: None,
                severity: "warning",
                text: format!("{dropped} log lines were dropped"),
            });
        }
        records
    }

    /// Makes the owner of a plugin, which logs here. If `is_named`, lines of text begin with the plugin's name; lines of
    /// JSON always have it. The plugin shares `tables` with others.
    pub fn owner(self: &Arc<Self>, plugin: &str, is_named: bool, tables: &Arc<Registry>) -> &'static Owner {
        let (log, plugin): (_, Arc<str>) = (Arc::clone(self), plugin.into());
        Owner::with_tables(Arc::clone(tables), move |severity, text| {
            log.add(&plugin, is_named, severity.name(), text)
        })
    }

    fn add(&self, plugin: &Arc<str>, is_named: bool, severity: &'static str, text: String) {
        let Some(waiting) = &self.waiting else {
            return console::lines(&match is_named {
                true => format!("[{severity}] {plugin}: {text}"),
                false => format!("[{severity}] {text}"),
            });
        };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST_WAITING {
            waiting.push_back(Record {
                plugin: Some(Arc::clone(plugin)),
                severity,
                text,
            });
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
