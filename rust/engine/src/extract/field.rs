//! The declaration of a field.

use std::sync::Arc;

use super::json::JsonReader;
use super::values::FieldType;
use crate::json::ArgumentMode;
use crate::table::TableReader;

/// A field that a plugin declares.
#[derive(Debug)]
pub struct Field {
    /// The name that rules use.
    pub name: String,
    pub kind: FieldType,
    /// Whether the field has an index argument.
    pub index: ArgumentMode,
    /// Whether the field has a key argument.
    pub key: ArgumentMode,
    pub reader: Reader,
}

impl Field {
    /// Returns the reader of a JSON field; `None` for a field of user code.
    pub(super) fn json(&self) -> Option<&JsonReader> {
        match &self.reader {
            Reader::Json(reader) => Some(reader),
            Reader::Table(_) | Reader::Code => None,
        }
    }
}

/// How the values of a field are made.
#[derive(Debug)]
pub enum Reader {
    Json(Arc<JsonReader>),
    /// From an entry of a table.
    Table(Arc<TableReader>),
    /// By user code.
    Code,
}
