//! Why a payload, or a part of it, could not be read as JSON.

use std::fmt;

/// A fault of a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The byte at which it is, from the beginning of the payload.
    pub offset: usize,
    pub kind: FaultKind,
}

/// What is wrong with a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The payload does not begin with a JSON value.
    NotJson,
    /// The text ends within a value.
    CutOff,
    /// There is no key where one must be.
    NoKey,
    /// There is no colon behind a key.
    NoColon,
    /// There is neither a comma nor a closing bracket behind a value.
    NoComma,
    /// There is no value where one must be.
    NoValue,
    /// A value without quotes that JSON does not know.
    UnknownWord,
    /// A backslash is followed by something that is not an escape.
    UnknownEscape,
    InvalidUtf8,
    /// There is text behind the document, such as another document.
    TextBehind,
    /// Containers are nested more deeply than they are read.
    TooDeep,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "not a JSON value",
            Self::CutOff => "the text ends within a value",
            Self::NoKey => "expected a key in double quotes",
            Self::NoColon => "expected a colon behind the key",
            Self::NoComma => "expected a comma or a closing bracket behind the value",
            Self::NoValue => "expected a value",
            Self::UnknownWord => "a value without quotes that is not JSON",
            Self::UnknownEscape => "an escape that JSON does not have",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::TextBehind => "text behind the end of the document",
            Self::TooDeep => "nested too deeply",
        })
    }
}
