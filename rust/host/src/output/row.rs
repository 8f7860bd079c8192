//! The fields of one event, as the event's line shows them.

use crate::abi::{Value, ValueFault, Values};
use crate::output::pretty::Pretty;
use crate::output::value::{write_falco, write_json, write_pretty};
use crate::select::Column;
use crate::text::escape;

/// The capacity to which a buffer shrinks after an unusually large value, in bytes.
const KEPT_CAPACITY: usize = 1024 * 1024;

/// How the fields of an event are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Columns `name=value` with a tab before each. Values are written as Falco prints them in a rule's output.
    Falco,
    /// Lines below the event, with readable values.
    Pretty { colour: bool },
    /// Members of a JSON object.
    Json,
}

/// The fields of one event, in one of the styles.
pub struct Row {
    style: Style,
    /// The width of the longest name, in characters.
    width: usize,
    bytes: Vec<u8>,
}

impl Row {
    /// Makes an empty row for some columns.
    pub fn new(style: Style, columns: &[Column]) -> Self {
        let widths = columns
            .iter()
            .map(|column| escape::column(&column.asked).chars().count());
        Self {
            style,
            width: widths.max().unwrap_or(0),
            bytes: Vec::new(),
        }
    }

    /// Removes all fields.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_CAPACITY);
    }

    /// Returns the row's text.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds one field, which is absent if `values` is `None`.
    pub fn push(&mut self, column: &Column, values: Option<&Values<'_>>) -> Result<(), ValueFault> {
        let [open, separator, close, absent] = match self.style {
            Style::Falco => ["(", ",", ")", "<NA>"],
            Style::Pretty { .. } => ["[", ", ", "]", ""],
            Style::Json => ["[", ",", "]", "null"],
        };
        match self.style {
            Style::Pretty { colour } => {
                let name = escape::column(&column.asked);
                Pretty { colour }.write_name(&mut self.bytes, &name, self.width);
            }
            Style::Falco => {
                self.bytes.push(b'\t');
                self.bytes.extend_from_slice(escape::column(&column.asked).as_bytes());
                self.bytes.push(b'=');
            }
            Style::Json => {
                if !self.bytes.is_empty() {
                    self.bytes.push(b',');
                }
                write_json(Value::String(&column.asked), &mut self.bytes);
                self.bytes.push(b':');
            }
        }
        let Some(values) = values else {
            if let Style::Pretty { colour } = self.style {
                Pretty { colour }.write_absent(&mut self.bytes);
            }
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
                Style::Falco => write_falco(value?, &mut self.bytes),
                Style::Pretty { .. } => write_pretty(value?, &mut self.bytes),
                Style::Json => write_json(value?, &mut self.bytes),
            }
        }
        if column.is_list {
            self.bytes.extend_from_slice(close.as_bytes());
        }
        Ok(())
    }
}
