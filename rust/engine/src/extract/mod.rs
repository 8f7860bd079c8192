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
    /// Whether some values took more memory than is kept for the next event.
    large: bool,
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
                large: false,
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
    pub fn extract(
        &self,
        event: &Event<'_>,
        field: usize,
        argument: &Argument<'_>,
        into: &mut Values,
        code: impl FnOnce(&Arc<Document>, &mut Values),
    ) {
        let mut current = self.lock();
        current.turn_to(event);
        let turn = current.turn;
        if let Some(values) = current.kept[field].find(turn, argument) {
            return into.append(values);
        }
        let mut values = match &self.fields[field].reader {
            Reader::Json(reader) => {
                let Current {
                    document, kept, large, ..
                } = &mut *current;
                let values = kept[field].make(turn, argument);
                reader.read(document, event.data, argument, values);
                *large |= values.is_large();
                return into.append(values);
            }
            Reader::Code => Values::default(),
        };
        let document = current.document.clone();
        drop(current);
        code(&document, &mut values);
        into.append(&values);
        let mut current = self.lock();
        if current.turn == turn {
            current.large |= values.is_large();
            *current.kept[field].make(turn, argument) = values;
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
        let mut current = self.lock();
        current.identity = None;
        current.give_back();
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        // A panic leaves values behind that belong to the event, or none.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    /// Memory of values that were unusually large.
    fn give_back(&mut self) {
        if std::mem::take(&mut self.large) {
            self.kept.fill_with(Kept::default);
        }
    }

    fn turn_to(&mut self, event: &Event<'_>) {
        let identity = Identity::of(event);
        if self.identity == Some(identity) {
            return;
        }
        self.identity = Some(identity);
        self.turn += 1;
        self.give_back();
        match Arc::get_mut(&mut self.document) {
            Some(document) => document.clear(),
            // Somebody still reads the event before.
            None => self.document = Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &[u8] = br#"{"name": "tea", "tags": ["a", "b"]}"#;

    fn extractor() -> Extractor {
        let json = |pattern| Reader::Json(Arc::new(JsonReader::new(pattern, FieldType::String).unwrap()));
        let field = |reader| Field {
            kind: FieldType::String,
            index: Takes::Optional,
            key: Takes::No,
            reader,
        };
        Extractor::new(vec![
            field(json("/name")),
            field(json("/tags/{index|*}")),
            field(Reader::Code),
        ])
    }

    fn event(number: u64, data: &[u8]) -> Event<'_> {
        Event {
            number,
            timestamp: 0,
            source: "test".into(),
            data,
        }
    }

    fn texts(values: &Values) -> Vec<String> {
        let text = |value: &Value| match *value {
            Value::Text { start } => String::from_utf8_lossy(values.text(start)).into_owned(),
            _ => unreachable!("all fields are of strings"),
        };
        values.as_slice().iter().map(text).collect()
    }

    /// What a field of code gives is how often it was called.
    fn extract(
        extractor: &Extractor,
        event: &Event<'_>,
        field: usize,
        index: Option<u64>,
        calls: &mut u32,
    ) -> Vec<String> {
        let mut into = Values::default();
        extractor.extract(event, field, &Argument { index, key: None }, &mut into, |_, values| {
            *calls += 1;
            values.push_text(&calls.to_string(), Place::default());
        });
        texts(&into)
    }

    #[test]
    fn values_are_made_once_for_an_event_and_argument() {
        let (extractor, mut calls) = (extractor(), 0);
        let other = PAYLOAD.to_vec();
        let first = event(1, PAYLOAD);
        for _ in 0..3 {
            assert_eq!(extract(&extractor, &first, 0, None, &mut calls), ["tea"]);
            assert_eq!(extract(&extractor, &first, 1, None, &mut calls), ["a", "b"]);
            assert_eq!(extract(&extractor, &first, 1, Some(1), &mut calls), ["b"]);
            assert_eq!(extract(&extractor, &first, 2, None, &mut calls), ["1"]);
        }
        assert_eq!(
            extract(&extractor, &first, 2, Some(0), &mut calls),
            ["2"],
            "another argument"
        );
        assert_eq!(
            extract(&extractor, &event(2, PAYLOAD), 2, None, &mut calls),
            ["3"],
            "another number"
        );
        assert_eq!(
            extract(&extractor, &event(2, &other), 2, None, &mut calls),
            ["4"],
            "another address"
        );
        assert_eq!(
            extract(&extractor, &event(2, &other[..9]), 2, None, &mut calls),
            ["5"],
            "another length"
        );
        extractor.forget();
        assert_eq!(
            extract(&extractor, &event(2, &other[..9]), 2, None, &mut calls),
            ["6"],
            "a source was opened"
        );
    }

    #[test]
    fn code_may_extract_other_fields_of_the_event() {
        let extractor = extractor();
        let event = event(1, PAYLOAD);
        let mut into = Values::default();
        extractor.extract(&event, 2, &Argument::default(), &mut into, |document, values| {
            assert!(Arc::ptr_eq(document, &extractor.document(&event)));
            extractor.extract(&event, 0, &Argument::default(), values, |_, _| {
                unreachable!("it is JSON")
            });
        });
        assert_eq!(texts(&into), ["tea"]);
    }

    #[test]
    fn values_that_come_too_late_are_not_kept() {
        let (extractor, mut calls) = (extractor(), 0);
        let mut into = Values::default();
        extractor.extract(&event(1, PAYLOAD), 2, &Argument::default(), &mut into, |_, values| {
            values.push_text("of the first event", Place::default());
            extractor.document(&event(2, PAYLOAD));
        });
        assert_eq!(texts(&into), ["of the first event"]);
        assert_eq!(extract(&extractor, &event(2, PAYLOAD), 2, None, &mut calls), ["1"]);
    }

    #[test]
    fn memory_of_large_values_goes_with_their_event() {
        let (extractor, mut calls) = (extractor(), 0);
        let large = format!(r#"{{"name": "{}"}}"#, "a".repeat(1 << 20));
        extract(&extractor, &event(1, large.as_bytes()), 0, None, &mut calls);
        extract(&extractor, &event(2, PAYLOAD), 1, None, &mut calls);
        let current = extractor.lock();
        assert!(
            current.kept[0].slots.is_empty(),
            "though nobody asked for this field again"
        );
    }
}
