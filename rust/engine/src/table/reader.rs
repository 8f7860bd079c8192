//! Fields whose value is read from a table, without user code.

use std::ffi::CString;
use std::sync::Arc;

use super::data::{Data, DataType};
use super::entry::FieldId;
use super::host::{EntryId, HostTable};
use super::own::OwnTable;
use crate::extract::{FieldType, Location, Value, Values};
use crate::json::text::decode_lossy;

/// Reads the value of a field from an attribute of a table's entry.
#[derive(Debug)]
pub struct TableReader {
    place: Place,
    key: TableKey,
    kind: FieldType,
}

/// The key of the entry that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKey {
    /// The id of the event's thread.
    Thread,
    /// The first value of the plugin's field with this index.
    Field(usize),
}

/// The value of a field that is the key of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyValue {
    Number(u64),
    Bool(bool),
    Text(CString),
}

impl KeyValue {
    /// Returns the first value of a field. `None` if the field is absent, or an address, which no key can be.
    pub fn first_of(values: &Values) -> Option<Self> {
        match *values.as_slice().first()? {
            Value::Number(number) => Some(Self::Number(number)),
            Value::Bool(value) => Some(Self::Bool(value)),
            Value::Text { start } => Some(Self::Text(values.c_text(start).to_owned())),
            Value::Address { .. } => None,
        }
    }
}

#[derive(Debug)]
enum Place {
    Own(Arc<OwnTable>, FieldId),
    Host(Arc<dyn HostTable>, usize),
    /// The table or its field is optional, and the host does not have it.
    Absent,
}

impl TableReader {
    /// Reads from a table of the plugin itself.
    pub fn own(table: Arc<OwnTable>, field: FieldId, key: TableKey, kind: FieldType) -> Self {
        Self {
            place: Place::Own(table, field),
            key,
            kind,
        }
    }

    /// Reads from a table of the host or of another plugin. `field` is an index in the fields of the table.
    pub fn host(table: Arc<dyn HostTable>, field: usize, key: TableKey, kind: FieldType) -> Self {
        let is_present = table.fields().get(field).is_some_and(|field| field.kind.is_some());
        Self {
            place: if is_present {
                Place::Host(table, field)
            } else {
                Place::Absent
            },
            key,
            kind,
        }
    }

    /// Returns a reader whose field is always absent.
    pub fn absent(key: TableKey, kind: FieldType) -> Self {
        Self {
            place: Place::Absent,
            key,
            kind,
        }
    }

    pub fn key(&self) -> TableKey {
        self.key
    }

    /// Appends the value for the thread of an event. There is none if the table has no entry for it.
    pub(crate) fn read_for_thread(&self, thread: i64, values: &mut Values) {
        if let Some(data) = self.number(i128::from(thread)) {
            self.read(data, values);
        }
    }

    /// Appends the value for the value of another field. There is none if keys of the table cannot have it.
    pub(crate) fn read_for_value(&self, key: &KeyValue, values: &mut Values) {
        let data = match key {
            KeyValue::Number(number) => self.number(i128::from(*number)),
            KeyValue::Bool(value) => Some(Data::Bool(*value)),
            KeyValue::Text(text) => Some(Data::Text(text)),
        };
        if let (Some(data), Some(kind)) = (data, self.key_type())
            && kind.accepts(data)
        {
            self.read(data, values);
        }
    }

    fn key_type(&self) -> Option<DataType> {
        match &self.place {
            Place::Own(table, _) => Some(table.key_type()),
            Place::Host(table, _) => Some(table.key_type()),
            Place::Absent => None,
        }
    }

    /// Returns a number as a key, if the keys can have it.
    fn number(&self, number: i128) -> Option<Data<'static>> {
        let kind = self.key_type()?;
        let data = if kind.is_signed() {
            Data::Int(i64::try_from(number).ok()?)
        } else {
            Data::Uint(u64::try_from(number).ok()?)
        };
        kind.accepts(data).then_some(data)
    }

    /// Appends the value of the entry with a key. Errors of the host leave the field absent: a table without the entry is
    /// one of them.
    fn read(&self, key: Data<'_>, values: &mut Values) {
        match &self.place {
            Place::Own(table, field) => {
                if let Ok(Some(entry)) = table.get(key)
                    && let Ok(stored) = entry.get(*field)
                {
                    self.push(stored.data(), values);
                }
            }
            Place::Host(table, field) => {
                if let Ok(Some(entry)) = table.get(key) {
                    let entry = Taken(table.as_ref(), entry);
                    let _ = table.read(entry.1, *field, &mut |data| self.push(data, values));
                }
            }
            Place::Absent => {}
        }
    }

    /// Appends a value if the field can have it: rules have no negative numbers.
    fn push(&self, data: Data<'_>, values: &mut Values) {
        match (data, self.kind) {
            (Data::Int(number), FieldType::Uint64) => {
                if let Ok(number) = u64::try_from(number) {
                    values.push_number(number, Location::default());
                }
            }
            (Data::Uint(number), FieldType::Uint64) => values.push_number(number, Location::default()),
            (Data::Bool(value), FieldType::Bool) => values.push_bool(value, Location::default()),
            (Data::Text(text), FieldType::String) => match text.to_str() {
                Ok(_) => values.push_plain(text.to_bytes(), Location::default()),
                // As in all other fields, each byte that is not UTF-8 becomes U+FFFD.
                Err(_) => values.push_text(&decode_lossy(text.to_bytes()).text, Location::default()),
            },
            _ => {}
        }
    }
}

/// An entry of a host's table, which is released when this is dropped.
struct Taken<'a>(&'a dyn HostTable, EntryId);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.release(self.1);
    }
}
