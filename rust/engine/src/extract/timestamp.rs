//! Reads the time in a JSON document.

use super::argument::Argument;
use super::json::JsonReader;
use super::values::{FieldType, Value, Values};
use crate::json::{ArgumentMode, Document};
use crate::time::{self, Time, TimeError};

/// Reads the time at a JSON pointer.
#[derive(Debug)]
pub struct TimestampReader {
    reader: JsonReader,
    // Memory that is reused for each document.
    document: Document,
    values: Values,
}

impl TimestampReader {
    /// Creates a reader.
    ///
    /// # Errors
    /// A description of the problem if the pointer is not valid, or names several values.
    pub fn new(pointer: &str) -> Result<Self, String> {
        let reader = JsonReader::new(pointer, FieldType::String)
            .map_err(|problem| format!("timestamp: the pointer {problem}"))?;
        let pattern = reader.pattern();
        if pattern.is_list() || pattern.index() != ArgumentMode::None || pattern.key() != ArgumentMode::None {
            return Err(format!(
                "timestamp: the pointer {pointer:?} must lead to one value, without * and {{…}}"
            ));
        }
        Ok(Self {
            reader,
            document: Document::default(),
            values: Values::default(),
        })
    }

    /// Reads the time of a document.
    ///
    /// # Errors
    /// The reason why the value is not a time. It is `None` if the document has no string there.
    pub fn read(&mut self, json: &[u8]) -> Result<Time, Option<TimeError>> {
        self.document.clear();
        self.values.clear();
        self.reader
            .read(&self.document, json, &Argument::default(), &mut self.values);
        let [Value::Text { start }] = *self.values.as_slice() else {
            return Err(None);
        };
        let text = str::from_utf8(self.values.text(start)).map_err(|_| TimeError::NotATime)?;
        Ok(time::parse(text)?)
    }
}
