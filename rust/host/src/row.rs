//! The fields of one event, as its line shows them.

use crate::escape;
use crate::extraction::{Fault, Values};
use crate::output::Format;
use crate::selection::Column;
use crate::value::Value;

/// A buffer that an unusually large value made is given back.
const KEPT: usize = 1024 * 1024;

/// Columns `name=value` with a tab before each, or the members of a JSON object.
pub struct Row {
    format: Format,
    bytes: Vec<u8>,
}

impl Row {
    pub fn new(format: Format) -> Self {
        Self {
            format,
            bytes: Vec::new(),
        }
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds one field; `values` is None where it is absent.
    pub fn push(&mut self, column: &Column, values: Option<&Values<'_>>) -> Result<(), Fault> {
        let (separator, absent) = match self.format {
            Format::Text => {
                self.bytes.push(b'\t');
                self.bytes.extend_from_slice(escape::column(&column.asked).as_bytes());
                self.bytes.push(b'=');
                (", ", "-")
            }
            Format::Json => {
                if !self.bytes.is_empty() {
                    self.bytes.push(b',');
                }
                Value::String(&column.asked).write_json(&mut self.bytes);
                self.bytes.push(b':');
                (",", "null")
            }
        };
        let Some(values) = values else {
            self.bytes.extend_from_slice(absent.as_bytes());
            return Ok(());
        };
        if column.is_list {
            self.bytes.push(b'[');
        }
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.bytes.extend_from_slice(separator.as_bytes());
            }
            match self.format {
                Format::Text => value?.write_text(&mut self.bytes),
                Format::Json => value?.write_json(&mut self.bytes),
            }
        }
        if column.is_list {
            self.bytes.push(b']');
        }
        Ok(())
    }
}
