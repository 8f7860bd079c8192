//! What a plugin chooses for a source of lines.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::cursor::Cursor;

/// Tells the operator something.
pub type Warn = Box<dyn Fn(&str) + Send>;

/// How an input is read.
#[derive(Debug, Clone)]
pub struct Options {
    /// What ends a line.
    pub separator: Vec<u8>,
    /// A JSON pointer to the time of an event.
    pub timestamp: Option<String>,
    /// Whether to go on at the end, as `tail -F`.
    pub follow: bool,
    /// Where to begin in a regular file.
    pub start: Start,
    pub timeout: Duration,
}

/// Where lines come from.
#[derive(Debug)]
pub enum Source {
    Path(PathBuf),
    Descriptor(OwnedFd),
}

/// Where in a file the first line begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    Offset(u64),
    /// Behind the last line that has an end.
    End,
    Cursor(Cursor),
}
