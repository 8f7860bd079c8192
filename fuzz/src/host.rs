//! Checks how the native host reads the data of a plugin. The first byte of an input selects the kind of data.

use std::path::Path;

use falco_plugin_host::abi::elf;
use falco_plugin_host::abi::{Event, EventFault, OwnedEvent, PLUGIN_EVENT, Value as FieldValue};
use falco_plugin_host::config;
use falco_plugin_host::describe::Field;
use falco_plugin_host::output::payload;
use falco_plugin_host::output::value::{write_falco, write_json, write_pretty};
use falco_plugin_host::select;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

const OWN_ID: u32 = 999;
const NOW: u64 = 42;
const HEADER: usize = 26;
const PREFIX: usize = 34;
/// The largest number of keys that the host lists for a schema.
const MAX_KEYS: usize = 10_000;
/// Longer events are not tested: an event must have as much memory as its header states.
const MAX_LENGTH: usize = 1 << 16;

/// Checks one input.
///
/// # Panics
/// If the host accepts invalid data, or rejects valid data.
pub fn check(input: &[u8]) {
    let Some((kind, input)) = input.split_first() else {
        return;
    };
    match kind {
        b'e' => event(input),
        b'f' => fields(input),
        b's' => configuration(input),
        b'r' => requests(input),
        b't' => texts(input),
        b'h' => header(input),
        b'j' => payloads(input),
        _ => {}
    }
}

fn event(input: &[u8]) {
    let mut memory = input.to_vec();
    memory.resize(memory.len().max(HEADER), 0);
    let length = u32_at(&memory, 16) as usize;
    if length > MAX_LENGTH {
        return;
    }
    // Allocate no spare byte, so that the sanitizer detects a read beyond the end.
    memory.resize(length.max(HEADER), 0);
    let expected = model(&memory);
    let mut memory = memory.into_boxed_slice();
    // SAFETY: the memory has the length in the event's header, and at least that of a header. No one else uses it.
    let found = unsafe { Event::check(memory.as_mut_ptr().cast(), OWN_ID, || NOW) };
    let found = found.map(|event| {
        let owned = OwnedEvent::copy(&event);
        assert_eq!(owned.size(), length);
        assert_eq!(
            (owned.event().timestamp(), owned.event().payload()),
            (event.timestamp(), event.payload())
        );
        (event.timestamp(), event.payload().to_vec())
    });
    let is_good = expected.is_ok();
    assert_eq!(found, expected);
    if is_good {
        assert_eq!((u64_at(&memory, 8), u32_at(&memory, PREFIX)), (u64::MAX, OWN_ID));
        assert_ne!(u64_at(&memory, 0), u64::MAX);
    }
}

fn model(event: &[u8]) -> Result<(u64, Vec<u8>), EventFault> {
    let type_ = u16::from_ne_bytes([event[20], event[21]]);
    let (length, parameters) = (event.len() as u32, u32_at(event, 22));
    if type_ != PLUGIN_EVENT {
        return Err(EventFault::Type(type_));
    }
    if parameters != 2 {
        return Err(EventFault::Parameters(parameters));
    }
    // The header may state a length shorter than the header itself.
    let length = length.min(u32_at(event, 16));
    if (length as usize) < PREFIX {
        return Err(EventFault::Length {
            length,
            needed: PREFIX as u64,
        });
    }
    let (id_length, payload_length) = (u32_at(event, HEADER), u32_at(event, HEADER + 4));
    let needed = PREFIX as u64 + u64::from(id_length) + u64::from(payload_length);
    if needed != u64::from(length) {
        return Err(EventFault::Length { length, needed });
    }
    if id_length != 4 {
        return Err(EventFault::IdLength(id_length));
    }
    let id = u32_at(event, PREFIX);
    if id != 0 && id != OWN_ID {
        return Err(EventFault::Id { id, own: OWN_ID });
    }
    let timestamp = u64_at(event, 0);
    Ok((
        if timestamp == u64::MAX { NOW } else { timestamp },
        event[PREFIX + 4..].to_vec(),
    ))
}

fn u32_at(event: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(std::array::from_fn(|index| event[at + index]))
}

fn u64_at(event: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(std::array::from_fn(|index| event[at + index]))
}

/// Reads fields (`plugin_get_fields`).
fn fields(input: &[u8]) {
    let Ok(entries) = serde_json::from_slice::<Vec<Value>>(input) else {
        return;
    };
    for (index, entry) in entries.iter().enumerate() {
        let Ok(field) = Field::read(index, entry) else { continue };
        assert!(!field.name.is_empty() && !field.desc.is_empty());
        assert_eq!(entry["name"], field.name);
        assert_eq!(entry["type"], field.type_.name());
        assert!(field.argument.kind().is_some() || !field.argument.is_required);
    }
}

/// Reads a schema (`plugin_get_init_schema`), and a configuration after a NUL.
fn configuration(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let mut next = || serde_json::from_slice::<Value>(parts.next()?).ok();
    let Some(schema) = next() else { return };
    let keys = config::list_keys(&schema);
    assert!(keys.keys.len() <= MAX_KEYS);
    for key in keys.keys {
        assert!(!key.path.is_empty() || input.windows(2).any(|pair| pair == b"\"\""));
    }
    let Some(document) = next() else { return };
    let text = schema.to_string();
    // A pattern may take exponential time: its engine backtracks, like the one of Falco.
    if text.to_lowercase().contains("pattern") {
        return;
    }
    let Ok(problems) = config::find_problems(&schema, &document) else {
        return;
    };
    if !text.contains("$ref") {
        // A document that violates a schema satisfies its negation.
        match config::find_problems(&json!({ "not": schema }), &document) {
            Ok(opposite) => assert_eq!(opposite.is_empty(), !problems.is_empty()),
            // The negation needs one step and one level more, and may exceed a limit.
            Err(reason) => assert!(reason.contains("leave out references"), "{reason}"),
        }
    }
}

/// Parses a request for fields.
fn requests(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for asked in select::parse_fields(text).into_iter().flatten() {
        assert!(!asked.name.is_empty() && text.contains(&asked.asked));
        let again = select::parse_fields(&asked.asked);
        assert_eq!(again.as_deref(), Ok(&[asked][..]));
    }
}

/// Writes strings of a plugin to a terminal and to JSON.
fn texts(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let value = FieldValue::String(&text);
    let mut json = Vec::new();
    write_json(value, &mut json);
    for write in [write_falco, write_pretty] {
        let mut line = Vec::new();
        write(value, &mut line);
        let line = String::from_utf8(line).expect("UTF-8");
        assert!(!line.contains(|char: char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')));
    }
    assert_eq!(serde_json::from_slice::<String>(&json).expect("JSON"), text);
}

/// Checks a payload for JSON, and its lines as the payloads of a run.
fn payloads(input: &[u8]) {
    let found = payload::check(input);
    let document = without_prefix(input);
    let text = std::str::from_utf8(document);
    let is_valid = text.is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    assert_eq!(found.is_ok(), is_valid);
    if let Err(fault) = &found {
        assert!(fault.byte <= input.len() && !fault.cause.is_empty());
        assert_eq!(fault.is_cut_off, fault.byte == input.len(), "{fault:?}");
        // Everything before the fault is UTF-8, except a character that is truncated with the document.
        let start = input.len() - document.len();
        let before = &input[start..fault.byte.max(start)];
        let is_broken = std::str::from_utf8(before).is_err_and(|error| error.error_len().is_some());
        assert!(!is_broken, "{fault:?}");
    }
    let mut all = payload::Payloads::default();
    for (number, line) in (1..).zip(input.split(|byte| *byte == b'\n')) {
        all.add(number, line);
    }
    if let Some(summary) = all.summary() {
        assert!(summary.invalid > 0 && summary.invalid <= summary.payloads);
        let line = input.split(|byte| *byte == b'\n').nth(summary.event as usize - 1);
        assert_eq!(payload::check(line.expect("a line")), Err(summary.fault));
    }
}

/// Returns a payload without leading white space, NULs and byte order marks.
fn without_prefix(mut payload: &[u8]) -> &[u8] {
    while let Some(rest) = payload
        .strip_prefix(b"\xef\xbb\xbf")
        .or_else(|| match payload.split_first() {
            Some((b' ' | b'\t' | b'\n' | b'\r' | 0, rest)) => Some(rest),
            _ => None,
        })
    {
        payload = rest;
    }
    payload
}

/// Checks the first bytes of a library.
fn header(input: &[u8]) {
    if elf::check_header(Path::new("library"), input).is_ok() {
        assert!(input.len() >= 20 && input.starts_with(b"\x7fELF"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::corpus;

    #[test]
    fn host_reads_damaged_data_of_a_plugin() {
        let replacement = prop_oneof![
            corpus::bytes(),
            proptest::collection::vec(proptest::sample::select(br#"[]{}",:\ 0e.-"#.to_vec()), 1..4)
        ];
        corpus::check("host", 2048, replacement, super::check);
    }
}
