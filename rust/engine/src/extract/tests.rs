//! Tests of the extractor and its cache.

use std::sync::Arc;

use super::*;
use crate::event::{Event, PLUGIN_EVENT_TYPE};
use crate::metrics::{Metrics, Value as MetricValue};

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
        code: PLUGIN_EVENT_TYPE,
        thread_id: -1,
        raw: data,
        data,
    }
}

fn texts(values: &Values) -> Vec<String> {
    let text = |value: &Value| match *value {
        Value::Text { start } => String::from_utf8_lossy(values.text(start)).into_owned(),
        _ => unreachable!("all fields are strings"),
    };
    values.as_slice().iter().map(text).collect()
}

/// A thread of the host that extracts fields. A field of user code returns the number of its calls.
#[derive(Default)]
struct Thread {
    cache: Cache,
    calls: u32,
}

impl Thread {
    fn extract(&mut self, extractor: &Extractor, event: &Event<'_>, field: usize, index: Option<u64>) -> Vec<String> {
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
fn extract_makes_values_once_for_an_event_and_argument() {
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
fn code_gets_the_document_and_its_state_of_the_event() {
    let (extractor, mut cache) = (extractor(), Cache::default());
    let reader = JsonReader::new("/name", FieldType::String).unwrap();
    let mut serials = Vec::new();
    for number in [1, 1, 2] {
        let event = event(number, PAYLOAD);
        let argument = Argument {
            index: Some(serials.len() as u64),
            key: None,
        };
        let values = extractor.extract(&mut cache, &event, 2, &argument, |state, values| {
            reader.read(state.document, event.data, &Argument::default(), values);
            let kept = state.user_state.get_or_insert_with(|| Box::new(0_u32));
            *kept.downcast_mut::<u32>().unwrap() += 1;
            serials.push(state.serial);
        });
        assert_eq!(texts(values), ["tea"]);
    }
    assert!(serials[0] == serials[1] && serials[1] != serials[2]);
    let mut kept = None;
    cache.string(&event(3, PAYLOAD), |state| {
        kept = state.user_state.take();
        String::new()
    });
    assert_eq!(kept.unwrap().downcast_ref::<u32>(), Some(&3));
}

#[test]
fn string_is_made_once_for_an_event() {
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
        let text = cache.string(&event, |_| {
            calls += 1;
            calls.to_string()
        });
        assert_eq!(text, expected);
    }
}

#[test]
fn string_is_made_again_after_a_panic() {
    let mut cache = Cache::default();
    let event = event(1, PAYLOAD);
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cache.string(&event, |_| panic!("expected by the test"));
    }));
    assert!(panics.is_err());
    assert_eq!(cache.string(&event, |_| "made".into()), "made");
}

#[test]
fn cache_leaves_a_document_in_use_to_its_reader() {
    let mut cache = Cache::default();
    let extractor = extractor();
    let mut document = |number, index| {
        let mut found = None;
        let argument = Argument {
            index: Some(index),
            key: None,
        };
        extractor.extract(&mut cache, &event(number, PAYLOAD), 2, &argument, |state, _| {
            found = Some(state.document.clone());
        });
        found.unwrap()
    };
    let kept = document(1, 0);
    assert!(Arc::ptr_eq(&kept, &document(1, 1)));
    assert!(!Arc::ptr_eq(&kept, &document(2, 0)));
}

#[test]
fn extract_drops_the_values_of_code_that_panics() {
    let (extractor, mut thread) = (extractor(), Thread::default());
    let event = event(1, PAYLOAD);
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        extractor.extract(&mut thread.cache, &event, 2, &Argument::default(), |_, _| {
            panic!("expected by the test")
        });
    }));
    assert!(panics.is_err());
    assert_eq!(thread.extract(&extractor, &event, 2, None), ["1"]);
}

#[test]
fn extract_frees_large_values_with_the_next_event() {
    let (extractor, mut thread) = (extractor(), Thread::default());
    let large = format!(r#"{{"name": "{}"}}"#, "a".repeat(1 << 20));
    thread.extract(&extractor, &event(1, large.as_bytes()), 0, None);
    thread.extract(&extractor, &event(2, PAYLOAD), 1, None);
    let kept = &thread.cache.fields[0];
    assert!(kept.is_empty(), "even if the field is not requested again");
}

#[test]
fn metrics_count_fields_and_causes_once_for_an_event() {
    let json = |pattern, kind| Reader::Json(Arc::new(JsonReader::new(pattern, kind).unwrap()));
    let field = |reader, kind| Field {
        name: "a.field".into(),
        kind,
        index: ArgumentMode::None,
        key: ArgumentMode::None,
        reader,
    };
    let extractor = Extractor::new(
        vec![
            field(json("/name", FieldType::String), FieldType::String),
            field(json("/name", FieldType::Uint64), FieldType::Uint64),
            field(json("/missing", FieldType::String), FieldType::String),
        ],
        Box::new(|_| ()),
    );
    let mut metrics = Metrics::new();
    extractor.add_metrics(&mut metrics);
    let damaged = &PAYLOAD[..PAYLOAD.len() - 1];
    // Two threads of the host, and each rule requests each field again.
    for thread in [&mut Cache::default(), &mut Cache::default()] {
        for payload in [PAYLOAD, damaged] {
            for _ in 0..3 {
                for index in 0..3 {
                    extractor.extract(thread, &event(1, payload), index, &Argument::default(), |_, _| ());
                }
            }
        }
    }
    let values: Vec<_> = metrics.iter().map(|metric| (metric.name(), metric.value())).collect();
    assert_eq!(
        values,
        [
            (c"sdk_fields_extracted", MetricValue::Counter(4)),
            (c"sdk_fields_absent", MetricValue::Counter(8)),
            (c"sdk_fields_mistyped", MetricValue::Counter(4)),
            (c"sdk_events_not_json", MetricValue::Counter(2)),
        ]
    );
}

#[test]
fn request_counts_have_each_field_and_argument() {
    let extractor = extractor().with_request_counts();
    let mut thread = Thread::default();
    for number in 0..2 {
        let event = event(number, PAYLOAD);
        for index in [None, Some(1), Some(1), Some(7)] {
            thread.extract(&extractor, &event, 1, index);
        }
    }
    let counts = extractor.request_counts().unwrap();
    assert_eq!(counts, r#"{"a.field":[2,0],"a.field[1]":[2,0],"a.field[7]":[0,2]}"#);
    assert_eq!(super::Extractor::new(vec![], Box::new(|_| ())).request_counts(), None);
}
