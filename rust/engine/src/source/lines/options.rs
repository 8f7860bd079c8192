//! The options of a source of lines.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::cursor::Cursor;

/// Logs a warning to the operator.
pub type Warn = Box<dyn Fn(&str) + Send>;

/// How to read an input.
#[derive(Debug, Clone)]
pub struct Options {
    /// The bytes that end a line.
    pub separator: Vec<u8>,
    /// A JSON pointer to the time of an event.
    pub timestamp: Option<String>,
    /// Whether to continue at the end of the file, as `tail -F` does.
    pub follow: bool,
    /// The position of the first line in a regular file.
    pub start: Start,
    /// The limit for the duration of a `next_batch`.
    pub timeout: Duration,
}

/// The input to read.
#[derive(Debug)]
pub enum Source {
    Path(PathBuf),
    Descriptor(OwnedFd),
}

/// The position of the first line in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Bytes from the beginning.
    Offset(u64),
    /// After the last separator.
    End,
    Cursor(Cursor),
}
