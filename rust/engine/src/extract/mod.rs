//! Fields of events: their values, read out of JSON here or by the plugin's own code, and kept for the event.

mod document;
mod json;
mod pointer;
pub mod scan;
pub mod text;
mod time;
mod values;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use document::Document;
pub use json::JsonReader;
pub use pointer::{Pattern, PatternError, Takes, array_index};
pub use values::{FieldType, Place, Value, Values};

use crate::event::Event;

/// The argument of a field, as the host gives it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Argument<'a> {
    pub index: Option<u64>,
    pub key: Option<&'a str>,
}

/// A field that a plugin declares.
#[derive(Debug)]
pub struct Field {
    pub kind: FieldType,
    pub index: Takes,
    pub key: Takes,
    pub reader: Reader,
}

/// How a field's values are made.
#[derive(Debug)]
pub enum Reader {
    Json(Arc<JsonReader>),
    /// By the plugin's own code.
    Code,
}

/// The fields of one plugin, and what is known of the last event: the host keeps nothing, and asks anew for every rule.
#[derive(Debug)]
pub struct Extractor {
    fields: Vec<Field>,
    current: Mutex<Current>,
}

/// What is known of one event.
#[derive(Debug)]
struct Current {
    identity: Option<Identity>,
    /// Goes up with each event: kept values of another one are of no use.
    turn: u64,
    document: Arc<Document>,
    kept: Vec<Kept>,
}

/// What tells an event from the one before. Number and address alone come again when a source is opened anew.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Identity {
    number: u64,
    timestamp: u64,
    address: usize,
    len: usize,
}

impl Identity {
    fn of(event: &Event<'_>) -> Self {
        Self {
            number: event.number,
            timestamp: event.timestamp,
            address: event.data.as_ptr().addr(),
            len: event.data.len(),
        }
    }
}

/// A field's values for each argument that was asked for, in memory that outlives the event.
#[derive(Debug, Default)]
struct Kept {
    turn: u64,
    count: usize,
    slots: Vec<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    index: Option<u64>,
    key: Option<String>,
    values: Values,
}

impl Slot {
    fn is_for(&self, argument: &Argument<'_>) -> bool {
        self.index == argument.index && self.key.as_deref() == argument.key
    }
}

impl Kept {
    /// The values for an argument, where they are known.
    fn find(&self, turn: u64, argument: &Argument<'_>) -> Option<&Values> {
        let slots = if self.turn == turn {
            &self.slots[..self.count]
        } else {
            &[]
        };
        slots.iter().find(|slot| slot.is_for(argument)).map(|slot| &slot.values)
    }

    /// Empty memory for the values of an argument.
    fn make(&mut self, turn: u64, argument: &Argument<'_>) -> &mut Values {
        if self.turn != turn {
            (self.turn, self.count) = (turn, 0);
        }
        if self.count == self.slots.len() {
            self.slots.push(Slot::default());
        }
        let slot = &mut self.slots[self.count];
        self.count += 1;
        slot.index = argument.index;
        slot.key = argument.key.map(str::to_owned);
        slot.values.clear();
        &mut slot.values
    }
}

impl Extractor {
    pub fn new(fields: Vec<Field>) -> Self {
        let kept = fields.iter().map(|_| Kept::default()).collect();
        Self {
            fields,
            current: Mutex::new(Current {
                identity: None,
                turn: 1,
                document: Arc::default(),
                kept,
            }),
        }
    }

    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Adds the values of a field to `into`; none where it is absent. `code` makes those of a field of the plugin's own;
    /// it is called while nothing is locked, and may extract other fields of this event.
    ///
    /// # Panics
    /// If there is no such field.
    pub fn extract<E>(
        &self,
        event: &Event<'_>,
        field: usize,
        argument: &Argument<'_>,
        into: &mut Values,
        code: impl FnOnce(&Arc<Document>, &mut Values) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut current = self.lock();
        current.turn_to(event);
        let turn = current.turn;
        if let Some(values) = current.kept[field].find(turn, argument) {
            into.append(values);
            return Ok(());
        }
        match &self.fields[field].reader {
            Reader::Json(reader) => {
                let Current { document, kept, .. } = &mut *current;
                let values = kept[field].make(turn, argument);
                reader.read(document, event.data, argument, values);
                into.append(values);
                Ok(())
            }
            Reader::Code => {
                let document = current.document.clone();
                drop(current);
                let mut values = Values::default();
                let made = code(&document, &mut values);
                if made.is_err() {
                    // It would fail again, for this event.
                    values.clear();
                }
                let mut current = self.lock();
                if current.turn == turn {
                    current.kept[field].make(turn, argument).append(&values);
                }
                into.append(&values);
                made
            }
        }
    }

    /// The document of an event, for others that read it.
    pub fn document(&self, event: &Event<'_>) -> Arc<Document> {
        let mut current = self.lock();
        current.turn_to(event);
        current.document.clone()
    }

    /// Forgets the last event: after a source was opened or closed, another may look the same.
    pub fn forget(&self) {
        self.lock().identity = None;
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        // A panic leaves values behind that belong to the event, or none.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn turn_to(&mut self, event: &Event<'_>) {
        let identity = Identity::of(event);
        if self.identity == Some(identity) {
            return;
        }
        self.identity = Some(identity);
        self.turn += 1;
        match Arc::get_mut(&mut self.document) {
            Some(document) => document.clear(),
            // Somebody still reads the event before.
            None => self.document = Arc::default(),
        }
    }
}
