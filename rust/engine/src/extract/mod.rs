//! Fields of events: their values, read out of JSON here or by the plugin's own code, and kept for the event.

mod diagnosis;
mod json;
mod problem;
mod values;

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

pub use diagnosis::Report;
pub use json::{Family, JsonReader};
pub use problem::{Found, Problem};
pub use values::{FieldType, Location, Value, Values};

use crate::event::Event;
pub use crate::json::{ArgumentMode, Document, Pattern, PatternError, array_index};
use diagnosis::Diagnosis;

/// The argument of a field, as the host gives it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Argument<'a> {
    pub index: Option<u64>,
    pub key: Option<&'a str>,
}

/// A field that a plugin declares.
#[derive(Debug)]
pub struct Field {
    /// As rules write it.
    pub name: String,
    pub kind: FieldType,
    pub index: ArgumentMode,
    pub key: ArgumentMode,
    pub reader: Reader,
}

impl Field {
    /// What reads the field out of JSON.
    fn json(&self) -> Option<&JsonReader> {
        match &self.reader {
            Reader::Json(reader) => Some(reader),
            Reader::Code => None,
        }
    }
}

/// How a field's values are made.
#[derive(Debug)]
pub enum Reader {
    Json(Arc<JsonReader>),
    /// By the plugin's own code.
    Code,
}

/// The fields of one plugin.
#[derive(Debug)]
pub struct Extractor {
    fields: Vec<Field>,
    diagnosis: Diagnosis,
}

/// What one thread knows of the last event: the host keeps nothing, and asks anew for every rule.
#[derive(Debug, Default)]
pub struct Cache {
    identity: Identity,
    /// Goes up with each event: what was kept of another one is of no use.
    turn: u64,
    document: Arc<Document>,
    kept: Vec<Kept>,
    /// The turn in which some values took more memory than is kept for the next event.
    large: Option<u64>,
    /// The turn in which the payload was found to be damaged.
    damaged: Option<u64>,
    /// The text of the event, once it was made.
    text: Option<String>,
    companion: Companion,
    private: bool,
}

/// What the plugin's own code keeps of an event.
pub type Companion = Option<Box<dyn Any + Send>>;

/// An event, for the plugin's own code.
#[derive(Debug)]
pub struct Moment<'c> {
    /// Another number for each event of the thread.
    pub turn: u64,
    pub document: &'c mut Arc<Document>,
    /// Left from this event, or from one before.
    pub companion: &'c mut Companion,
    /// Whether the companion is the only one that shares the document, so that both may serve the next event.
    pub private: &'c mut bool,
}

/// What tells an event from the one before. Number and address alone come again when a source is opened anew. That of a
/// cache which has seen nothing is of no event, since none is at address 0.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Identity {
    generation: u64,
    number: u64,
    timestamp: u64,
    address: usize,
    len: usize,
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
    /// Where the values for an argument are, if they are known.
    #[inline]
    fn find(&self, turn: u64, argument: &Argument<'_>) -> Option<usize> {
        if self.turn != turn {
            return None;
        }
        self.slots[..self.count].iter().position(|slot| slot.is_for(argument))
    }

    /// Empty memory for the values of an argument. They count once `count` says so.
    fn begin(&mut self, turn: u64, argument: &Argument<'_>) -> &mut Values {
        if self.turn != turn {
            (self.turn, self.count) = (turn, 0);
        }
        if self.count == self.slots.len() {
            self.slots.push(Slot::default());
        }
        let slot = &mut self.slots[self.count];
        // Mostly it is the one that the event before was asked for.
        if !slot.is_for(argument) {
            slot.index = argument.index;
            slot.key = argument.key.map(str::to_owned);
        }
        slot.values.clear();
        &mut slot.values
    }
}

impl Extractor {
    /// `report` is called once in a while with the reason why fields are absent, on the thread that extracts.
    pub fn new(fields: Vec<Field>, report: Report) -> Self {
        Self {
            fields,
            diagnosis: Diagnosis::new(report),
        }
    }

    /// Reports the counts that were not reported yet. Nothing is extracted afterwards.
    pub fn finish(&self) {
        self.diagnosis.finish(Instant::now());
    }

    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The values of a field; none where it is absent. `code` makes those of a field of the plugin's own.
    ///
    /// # Panics
    /// If there is no such field.
    pub fn extract<'c>(
        &self,
        cache: &'c mut Cache,
        event: &Event<'_>,
        field: usize,
        argument: &Argument<'_>,
        code: impl FnOnce(Moment<'_>, &mut Values),
    ) -> &'c Values {
        cache.turn_to(event);
        let turn = cache.turn;
        if cache.large.is_some_and(|large| large != turn) {
            // Not before the next extraction: until then the host may read them.
            cache.kept.clear();
            cache.large = None;
        }
        if cache.kept.len() < self.fields.len() {
            cache.kept.resize_with(self.fields.len(), Kept::default);
        }
        let kept = &mut cache.kept[field];
        let place = if let Some(known) = kept.find(turn, argument) {
            known
        } else {
            let values = kept.begin(turn, argument);
            let problem = match &self.fields[field].reader {
                Reader::Json(reader) => reader.read(&cache.document, event.data, argument, values),
                Reader::Code => {
                    let moment = Moment {
                        turn,
                        document: &mut cache.document,
                        companion: &mut cache.companion,
                        private: &mut cache.private,
                    };
                    code(moment, values);
                    cache.document.take_noted().map(Problem::Fault)
                }
            };
            if let Some(problem) = problem {
                // A damaged payload counts once, however many fields are read from it.
                let is_fault = matches!(problem, Problem::Fault(_));
                if !(is_fault && cache.damaged == Some(turn)) {
                    let field = (field, &self.fields[field]);
                    self.diagnosis
                        .note(problem, event.number, field, argument, Instant::now());
                }
                if is_fault {
                    cache.damaged = Some(turn);
                }
            }
            if values.is_large() {
                cache.large = Some(turn);
            }
            kept.count += 1;
            kept.count - 1
        };
        &kept.slots[place].values
    }
}

impl Cache {
    /// Returns the text of an event. `make` is called once for each event, however often the text is asked for.
    pub fn text(&mut self, event: &Event<'_>, make: impl FnOnce(Moment<'_>) -> String) -> &str {
        self.turn_to(event);
        if self.text.is_none() {
            let made = make(Moment {
                turn: self.turn,
                document: &mut self.document,
                companion: &mut self.companion,
                private: &mut self.private,
            });
            self.text = Some(made);
        }
        self.text.as_deref().unwrap_or_default()
    }

    #[inline]
    fn turn_to(&mut self, event: &Event<'_>) {
        let identity = Identity {
            generation: event.generation,
            number: event.number,
            timestamp: event.timestamp,
            address: event.data.as_ptr().addr(),
            len: event.data.len(),
        };
        if self.identity == identity {
            return;
        }
        self.identity = identity;
        self.turn += 1;
        self.text = None;
        if self.private {
            self.document.clear_shared();
        } else if let Some(document) = Arc::get_mut(&mut self.document) {
            document.clear();
        } else {
            // Somebody still reads the event before.
            self.document = Arc::default();
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
            name: "a.field".into(),
            kind: FieldType::String,
            index: ArgumentMode::Optional,
            key: ArgumentMode::None,
            reader,
        };
        Extractor::new(
            vec![
                field(json("/name")),
                field(json("/tags/{index|*}")),
                field(Reader::Code),
            ],
            Box::new(|_| ()),
        )
    }

    fn event(number: u64, data: &[u8]) -> Event<'_> {
        Event {
            generation: 0,
            number,
            timestamp: 0,
            source: b"test",
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

    /// A thread of the host, which asks for fields. What a field of code gives is how often it was called.
    #[derive(Default)]
    struct Thread {
        cache: Cache,
        calls: u32,
    }

    impl Thread {
        fn extract(
            &mut self,
            extractor: &Extractor,
            event: &Event<'_>,
            field: usize,
            index: Option<u64>,
        ) -> Vec<String> {
            let calls = &mut self.calls;
            let argument = Argument { index, key: None };
            texts(
                extractor.extract(&mut self.cache, event, field, &argument, |_, values| {
                    *calls += 1;
                    values.push_text(&calls.to_string(), Location::default());
                }),
            )
        }
    }

    #[test]
    fn values_are_made_once_for_an_event_and_argument() {
        let (extractor, mut thread) = (extractor(), Thread::default());
        let other = PAYLOAD.to_vec();
        let first = event(1, PAYLOAD);
        for _ in 0..3 {
            assert_eq!(thread.extract(&extractor, &first, 0, None), ["tea"]);
            assert_eq!(thread.extract(&extractor, &first, 1, None), ["a", "b"]);
            assert_eq!(thread.extract(&extractor, &first, 1, Some(1)), ["b"]);
            assert_eq!(thread.extract(&extractor, &first, 2, None), ["1"]);
        }
        for (event, index, calls, what) in [
            (first, Some(0), "2", "another argument"),
            (event(2, PAYLOAD), None, "3", "another number"),
            (event(2, &other), None, "4", "another address"),
            (event(2, &other[..9]), None, "5", "another length"),
        ] {
            assert_eq!(thread.extract(&extractor, &event, 2, index), [calls], "{what}");
        }
        let last = Event {
            generation: 1,
            ..event(2, &other[..9])
        };
        assert_eq!(thread.extract(&extractor, &last, 2, None), ["6"], "a source was opened");
    }

    #[test]
    fn code_sees_the_document_and_what_it_kept_of_the_event() {
        let (extractor, mut cache) = (extractor(), Cache::default());
        let reader = JsonReader::new("/name", FieldType::String).unwrap();
        let mut turns = Vec::new();
        for number in [1, 1, 2] {
            let event = event(number, PAYLOAD);
            let argument = Argument {
                index: Some(turns.len() as u64),
                key: None,
            };
            let values = extractor.extract(&mut cache, &event, 2, &argument, |moment, values| {
                reader.read(moment.document, event.data, &Argument::default(), values);
                let kept = moment.companion.get_or_insert_with(|| Box::new(0_u32));
                *kept.downcast_mut::<u32>().unwrap() += 1;
                turns.push(moment.turn);
            });
            assert_eq!(texts(values), ["tea"]);
        }
        assert!(turns[0] == turns[1] && turns[1] != turns[2]);
        let mut kept = None;
        cache.text(&event(3, PAYLOAD), |moment| {
            kept = moment.companion.take();
            String::new()
        });
        assert_eq!(kept.unwrap().downcast_ref::<u32>(), Some(&3));
    }

    #[test]
    fn text_is_made_once_for_an_event() {
        let mut cache = Cache::default();
        let mut calls = 0;
        let other = PAYLOAD.to_vec();
        let opened_again = Event {
            generation: 1,
            ..event(2, &other)
        };
        for (event, expected) in [
            (event(1, PAYLOAD), "1"),
            (event(1, PAYLOAD), "1"),
            (event(2, PAYLOAD), "2"),
            (event(2, &other), "3"),
            (opened_again, "4"),
            (opened_again, "4"),
        ] {
            let text = cache.text(&event, |_| {
                calls += 1;
                calls.to_string()
            });
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn text_is_made_again_after_a_panic() {
        let mut cache = Cache::default();
        let event = event(1, PAYLOAD);
        let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cache.text(&event, |_| panic!("as it should"));
        }));
        assert!(panics.is_err());
        assert_eq!(cache.text(&event, |_| "made".into()), "made");
    }

    #[test]
    fn a_document_that_somebody_still_reads_is_left_to_them() {
        let mut cache = Cache::default();
        let extractor = extractor();
        let mut document = |number, index| {
            let mut found = None;
            let argument = Argument {
                index: Some(index),
                key: None,
            };
            extractor.extract(&mut cache, &event(number, PAYLOAD), 2, &argument, |moment, _| {
                found = Some(moment.document.clone());
            });
            found.unwrap()
        };
        let kept = document(1, 0);
        assert!(Arc::ptr_eq(&kept, &document(1, 1)));
        assert!(!Arc::ptr_eq(&kept, &document(2, 0)));
    }

    #[test]
    fn values_of_code_that_panics_are_not_kept() {
        let (extractor, mut thread) = (extractor(), Thread::default());
        let event = event(1, PAYLOAD);
        let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            extractor.extract(&mut thread.cache, &event, 2, &Argument::default(), |_, _| {
                panic!("as it should")
            });
        }));
        assert!(panics.is_err());
        assert_eq!(thread.extract(&extractor, &event, 2, None), ["1"]);
    }

    #[test]
    fn memory_of_large_values_goes_with_their_event() {
        let (extractor, mut thread) = (extractor(), Thread::default());
        let large = format!(r#"{{"name": "{}"}}"#, "a".repeat(1 << 20));
        thread.extract(&extractor, &event(1, large.as_bytes()), 0, None);
        thread.extract(&extractor, &event(2, PAYLOAD), 1, None);
        let kept = &thread.cache.kept[0];
        assert!(kept.slots.is_empty(), "though nobody asked for this field again");
    }
}
