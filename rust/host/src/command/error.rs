//! Why a command failed, in one line.

use std::io;
use std::path::PathBuf;

use crate::{abi, bench, config, describe, scap, select};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} (see --help)")]
    Usage(String),
    #[error("cannot handle signals: {0}")]
    Signals(io::Error),
    #[error(transparent)]
    Abi(#[from] abi::Error),
    #[error(transparent)]
    Describe(#[from] describe::Error),
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Select(#[from] select::Error),
    #[error(transparent)]
    Field(#[from] select::MalformedField),
    #[error(transparent)]
    Bench(#[from] bench::Error),
    #[error("the plugin {0} has no event source to run: run a plugin that has one, and add this one by --with")]
    NoSource(String),
    #[error(
        "the plugin {0} has no event source to run: give it events by --events, or run a plugin that has a source, and \
         add this one by --with"
    )]
    NoEvents(String),
    #[error("the plugin {0} neither has fields to extract nor parses events: leave it out")]
    ReadsNothing(String),
    #[error(transparent)]
    Scap(#[from] scap::Error),
    #[error(
        "two plugins have the name {name}, and Falco does not load two plugins with one name: \
         leave one out, or rename one ({} and {})",
        paths[0].display(), paths[1].display()
    )]
    SameName { name: String, paths: [PathBuf; 2] },
    #[error(
        "the plugins {} and {} have the id {id}, and Falco does not load two plugins with one id: give one of \
         them another id, \
         1073741824 to 2147483647 for private use ({} and {})",
        names[0], names[1], paths[0].display(), paths[1].display()
    )]
    SameId {
        id: u32,
        names: [String; 2],
        paths: [PathBuf; 2],
    },
    #[error("there is no table {name} to show (tables: {})", existing.join(", "))]
    NoTable { name: String, existing: Vec<String> },
    #[error("cannot fill tables from {}: {reason}", path.display())]
    TableContents { path: PathBuf, reason: String },
    #[error("cannot read commands from {}: {error}", path.display())]
    Control { path: PathBuf, error: io::Error },
    #[error("a line of --control is not a command: {0}")]
    Command(String),
    #[error("{}:{line}: {reason}", path.display())]
    Recorded { path: PathBuf, line: u64, reason: String },
    #[error("cannot read {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("cannot write {}: {error}", path.display())]
    Unwritable { path: PathBuf, error: io::Error },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}
