//! Faults: why a payload, or a part of it, cannot be read as JSON.

use std::fmt;

/// A fault of a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The offset in bytes from the beginning of the payload.
    pub offset: usize,
    pub kind: FaultKind,
}

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The payload does not begin with a JSON value.
    NotJson,
    /// The text ends inside of a value.
    CutOff,
    /// A key is missing.
    NoKey,
    /// The colon after a key is missing.
    NoColon,
    /// The comma or closing bracket after a value is missing.
    NoComma,
    /// A value is missing.
    NoValue,
    /// A value without quotes that is not JSON.
    UnknownWord,
    /// A backslash is followed by something that is not an escape.
    UnknownEscape,
    InvalidUtf8,
    /// Text follows the document, such as another document.
    TextAfter,
    /// Containers are nested too deeply to be read.
    TooDeep,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "not a JSON value",
            Self::CutOff => "the text ends within a value",
            Self::NoKey => "expected a key in double quotes",
            Self::NoColon => "expected a colon after the key",
            Self::NoComma => "expected a comma or a closing bracket after the value",
            Self::NoValue => "expected a value",
            Self::UnknownWord => "a value without quotes that is not JSON",
            Self::UnknownEscape => "an escape that is not JSON",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::TextAfter => "text after the end of the document",
            Self::TooDeep => "nested too deeply",
        })
    }
}
