//! Errors at the C boundary.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::abi::event::EventFault;

/// A library that cannot be loaded, a call that failed, or an answer that breaks the plugin API.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open {}: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("{} is not a shared library", .0.display())]
    NotALibrary(PathBuf),
    #[error("{} was built for {theirs}, but this machine is {ours}", path.display())]
    Architecture {
        path: PathBuf,
        theirs: String,
        ours: &'static str,
    },
    /// The dynamic linker's message, which names the library.
    #[error("cannot load {0}")]
    Load(String),
    #[error("{} is not a Falco plugin: it lacks {}", path.display(), missing.join(", "))]
    NotAPlugin { path: PathBuf, missing: Vec<&'static str> },
    #[error("the plugin sends no async events")]
    NotASender,
    #[error("the plugin has no event source: it lacks plugin_open, plugin_close or plugin_next_batch")]
    NotASource,
    #[error("{} contains a NUL", .0.display())]
    Nul(OsString),
    #[error("{0} returned NULL")]
    Null(&'static str),
    #[error("{function} failed: {message}")]
    Failed { function: &'static str, message: String },
    #[error("{0} failed without a message")]
    FailedSilently(&'static str),
    #[error("{function} did not set {what}")]
    Unset { function: &'static str, what: &'static str },
    #[error("next_batch returned success with no event")]
    NoEvent,
    #[error("next_batch returned the unknown code {0}")]
    UnknownCode(i32),
    #[error("next_batch returned {count} events, but this host accepts at most {most}")]
    TooManyEvents { count: u32, most: u32 },
    #[error("next_batch returned {0} events, but a NULL array")]
    NoArray(u32),
    #[error("get_metrics returned {count} metrics, but this host accepts at most {most}")]
    TooManyMetrics { count: u32, most: u32 },
    #[error("get_metrics returned {0} metrics, but a NULL array")]
    NoMetrics(u32),
    #[error("get_metrics returned a metric whose name is NULL")]
    UnnamedMetric,
    #[error("the metric {name} has the unknown type {code}")]
    MetricType { name: String, code: u32 },
    #[error("the plugin has no set_config: it lacks plugin_set_config")]
    NoSetConfig,
    #[error("parse_event returned the unknown code {0}")]
    UnknownParseCode(i32),
    #[error("event {number}: {fault}")]
    Event { number: u64, fault: EventFault },
}
