//! The error of an input.

use std::fmt;
use std::io;

/// An input could not be opened or read.
#[derive(Debug)]
pub struct ReadError {
    /// The path, or another name of the input.
    pub name: String,
    pub error: io::Error,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, error } = self;
        if error.raw_os_error().is_some() {
            write!(f, "{error}: {name}")
        } else {
            write!(f, "{name}: {error}")
        }
    }
}

impl std::error::Error for ReadError {}
