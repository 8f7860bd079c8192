//! Compares the engine's splitter of JSON documents with serde_json's stream of documents.

use std::collections::BTreeMap;
use std::ops::Range;

use falco_plugin_engine::json::documents::{Options, split};
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// Checks one payload.
///
/// # Panics
/// If the splitter drops anything but separators, or if the records of valid JSON are not its documents or items.
pub fn check(input: &[u8]) {
    let Some((&flags, payload)) = input.split_first() else {
        return;
    };
    let options = Options {
        lines: flags & 1 == 1,
        items: (flags & 2 == 2).then_some(b"items"),
    };
    let records = split(payload, options);
    check_order(payload, &records);
    if options.items.is_none() {
        check_separators(payload, &records);
    }
    if let Some(documents) = documents(payload)
        && !options.lines
        && options.items.is_none()
    {
        let expected = if documents.len() == 1 && !is_batch(documents[0]) {
            vec![payload]
        } else {
            documents.iter().flat_map(|document| elements(document)).collect()
        };
        let found: Vec<&[u8]> = records.into_iter().map(|record| &payload[record]).collect();
        assert_eq!(found, expected);
    } else if options.items.is_some()
        && !options.lines
        && let Some(expected) = items(payload)
    {
        let found: Vec<&[u8]> = records.into_iter().map(|record| &payload[record]).collect();
        assert_eq!(found, expected);
    }
}

/// Returns the items of an object whose member `items` is an array of objects. Returns `None` for other payloads, and for
/// those with escapes or with the name twice, because the splitter decodes no names and reads the first member of a name.
fn items(payload: &[u8]) -> Option<Vec<&[u8]>> {
    let members: BTreeMap<&str, &RawValue> = serde_json::from_slice(payload).ok()?;
    let items: Vec<&RawValue> = serde_json::from_str(members.get("items")?.get()).ok()?;
    let is_supported = !payload.contains(&b'\\')
        && payload.windows(7).filter(|part| part == b"\"items\"").count() == 1
        && items.iter().all(|item| item.get().starts_with('{'));
    is_supported.then(|| items.iter().map(|item| item.get().as_bytes()).collect())
}

fn check_order(payload: &[u8], records: &[Range<usize>]) {
    let mut end = 0;
    for record in records {
        assert!(end <= record.start && record.start < record.end, "{records:?}");
        end = record.end;
    }
    assert!(end <= payload.len());
}

fn check_separators(payload: &[u8], records: &[Range<usize>]) {
    let starts = records.iter().map(|record| record.start).chain([payload.len()]);
    let ends = [0].into_iter().chain(records.iter().map(|record| record.end));
    for (end, start) in ends.zip(starts) {
        // Elements of a damaged array may have a colon between them.
        let is_separator = |byte: &u8| matches!(byte, 0..=b' ' | b',' | b':' | b'[' | b']' | b'}' | 0xef | 0xbb | 0xbf);
        assert!(payload[end..start].iter().all(is_separator));
    }
}

/// Returns the objects and arrays of a payload; `None` if it contains anything else.
fn documents(payload: &[u8]) -> Option<Vec<&[u8]>> {
    let text = std::str::from_utf8(payload).ok()?;
    let documents: Vec<&RawValue> = Deserializer::from_str(text)
        .into_iter()
        .collect::<Result<_, _>>()
        .ok()?;
    let are_containers = documents.iter().all(|document| document.get().starts_with(['{', '[']));
    (are_containers && !documents.is_empty())
        .then(|| documents.iter().map(|document| document.get().as_bytes()).collect())
}

fn elements(document: &[u8]) -> Vec<&[u8]> {
    if !is_batch(document) {
        return vec![document];
    }
    let elements: Vec<&RawValue> = serde_json::from_slice(document).unwrap();
    elements.iter().map(|element| element.get().as_bytes()).collect()
}

fn is_batch(document: &[u8]) -> bool {
    let elements: Result<Vec<&RawValue>, _> = serde_json::from_slice(document);
    elements.is_ok_and(|elements| !elements.is_empty() && elements.iter().all(|element| element.get().starts_with('{')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::corpus;

    #[test]
    fn split_agrees_with_serde_json() {
        let pieces = prop::sample::select(vec!["{", "}", "[", "]", "\"", "\\", "\n", ",", "{}", "{\"a\":1}\n"]);
        let replacement = prop::collection::vec(pieces, 0..3).prop_map(|pieces| pieces.concat().into_bytes());
        corpus::check("documents", 2048, replacement, super::check);
    }
}
