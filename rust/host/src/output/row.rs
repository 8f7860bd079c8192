//! The fields of one event, as its line shows them.

use crate::abi::value::Value;
use crate::abi::values::{Fault, Values};
use crate::select::column::Column;
use crate::text::escape;

/// A buffer that an unusually large value made is given back.
const KEPT: usize = 1024 * 1024;

/// How the fields of an event are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Columns `name=value` with a tab before each. Values are written as Falco prints them in a rule's output.
    Falco,
    /// The same columns, with values for a person to read.
    Pretty,
    /// Members of a JSON object.
    Json,
}

/// The fields of one event, in one of the styles.
pub struct Row {
    style: Style,
    bytes: Vec<u8>,
}

impl Row {
    pub fn new(style: Style) -> Self {
        Self {
            style,
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
        let [open, separator, close, absent] = match self.style {
            Style::Falco => ["(", ",", ")", "<NA>"],
            Style::Pretty => ["[", ", ", "]", "-"],
            Style::Json => ["[", ",", "]", "null"],
        };
        match self.style {
            Style::Falco | Style::Pretty => {
                self.bytes.push(b'\t');
                self.bytes.extend_from_slice(escape::column(&column.asked).as_bytes());
                self.bytes.push(b'=');
            }
            Style::Json => {
                if !self.bytes.is_empty() {
                    self.bytes.push(b',');
                }
                Value::String(&column.asked).write_json(&mut self.bytes);
                self.bytes.push(b':');
            }
        }
        let Some(values) = values else {
            self.bytes.extend_from_slice(absent.as_bytes());
            return Ok(());
        };
        if column.is_list {
            self.bytes.extend_from_slice(open.as_bytes());
        }
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.bytes.extend_from_slice(separator.as_bytes());
            }
            match self.style {
                Style::Falco => value?.write_falco(&mut self.bytes),
                Style::Pretty => value?.write_pretty(&mut self.bytes),
                Style::Json => value?.write_json(&mut self.bytes),
            }
        }
        if column.is_list {
            self.bytes.extend_from_slice(close.as_bytes());
        }
        Ok(())
    }
}
