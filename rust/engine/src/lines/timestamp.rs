//! The time that a line of JSON says of itself.

use crate::error::Error;
use crate::event::NO_TIMESTAMP;
use crate::extract::{Argument, Document, FieldType, JsonReader, Takes, Value, Values};

/// Reads the time that a JSON pointer leads to, in memory that is kept from line to line.
#[derive(Debug)]
pub(super) struct Timestamp {
    reader: JsonReader,
    document: Document,
    values: Values,
}

impl Timestamp {
    pub(super) fn new(pointer: &str) -> Result<Self, Error> {
        let refuse = |problem: String| Err(Error::InvalidOption(format!("timestamp: the pointer {problem}")));
        let reader = match JsonReader::new(pointer, FieldType::AbsTime) {
            Ok(reader) => reader,
            Err(problem) => return refuse(problem.to_string()),
        };
        let pattern = reader.pattern();
        if pattern.is_list() || pattern.index() != Takes::No || pattern.key() != Takes::No {
            return refuse(format!("{pointer:?} must lead to one value, without * and {{…}}"));
        }
        Ok(Self {
            reader,
            document: Document::default(),
            values: Values::default(),
        })
    }

    /// Nanoseconds since the epoch, or [`NO_TIMESTAMP`].
    pub(super) fn of(&mut self, line: &[u8]) -> u64 {
        self.document.clear();
        self.values.clear();
        self.reader
            .read(&self.document, line, &Argument::default(), &mut self.values);
        match self.values.as_slice() {
            [Value::Number(nanoseconds)] => *nanoseconds,
            _ => NO_TIMESTAMP,
        }
    }
}
