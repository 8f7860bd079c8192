//! A simple reader of the values of a `json_field`, for payloads that may be damaged. It keeps nothing between fields.
//!
//! One pass finds the end of each string and container. The reader then uses these ends to find members and elements.

use std::collections::HashMap;
use std::ops::Range;

use falco_plugin_engine::extract::{Argument, Location};

use super::values::{Form, Found, Kind, convert, decode_string};

enum Step {
    Each,
    Element(u64),
    Token(String),
}

/// A value in the payload, with its quotes or brackets.
#[derive(Clone)]
struct Node {
    form: Form,
    range: Range<usize>,
    /// Whether the value has its closing quote or bracket; for a value without quotes, whether anything follows it.
    is_finished: bool,
    /// The position of the first byte after the value, and after white space that follows a value without quotes.
    stop: usize,
}

/// A member with its key, or an element.
type Entry = (Option<String>, Node);

/// Returns the values of a field and their locations, none if the field is absent.
pub(crate) fn values(payload: &[u8], pattern: &str, kind: Kind, argument: &Argument<'_>) -> Vec<(Found, Location)> {
    let document = Document::new(payload);
    let (Some(root), Some(steps)) = (document.root(), steps(pattern, argument)) else {
        return Vec::new();
    };
    let mut nodes = vec![root];
    for step in &steps {
        nodes = nodes.iter().flat_map(|node| document.follow(node, step)).collect();
    }
    let finished = nodes.into_iter().filter(|node| node.is_finished);
    finished
        .filter_map(|Node { form, range, .. }| {
            let range = match form {
                Form::String => range.start + 1..range.end - 1,
                _ => range,
            };
            let location = Location {
                start: range.start as u32,
                length: range.len() as u32,
            };
            Some((convert(form, &payload[range], kind)?, location))
        })
        .collect()
}

// Pointers

fn steps(pattern: &str, argument: &Argument<'_>) -> Option<Vec<Step>> {
    let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
    if pattern == "{pointer}" {
        let key = argument.key?;
        // The first "/" of an argument may be missing.
        let tokens = key.strip_prefix('/').or_else(|| (!key.is_empty()).then_some(key));
        return Some(tokens.map_or_else(Vec::new, |tokens| {
            tokens.split('/').map(|token| Step::Token(unescape(token))).collect()
        }));
    }
    let step = |token: &str| match (token, argument.index) {
        ("*", _) | ("{index|*}", None) => Some(Step::Each),
        ("{index}" | "{index|*}", index) => index.map(Step::Element),
        ("{key}", _) => argument.key.map(|key| Step::Token(key.to_owned())),
        _ => Some(Step::Token(unescape(token))),
    };
    pattern.split('/').skip(1).map(step).collect()
}

// Structure

struct Document<'a> {
    payload: &'a [u8],
    start: usize,
    /// The end of each finished string and container, by its start.
    ends: HashMap<usize, usize>,
}

impl<'a> Document<'a> {
    fn new(payload: &'a [u8]) -> Self {
        let mut start = skip_space(payload, 0);
        while payload[start..].starts_with(b"\xef\xbb\xbf") {
            start = skip_space(payload, start + 3);
        }
        Self {
            payload,
            start,
            ends: find_ends(payload, start),
        }
    }

    fn root(&self) -> Option<Node> {
        if matches!(self.payload.get(self.start)?, b'"' | b'{' | b'[') {
            return Some(self.node(self.start));
        }
        // A value without quotes must be the whole payload.
        let end = self.start + trimmed_len(&self.payload[self.start..]);
        is_bare_root(&self.payload[self.start..end]).then_some(Node {
            form: Form::Bare,
            range: self.start..end,
            is_finished: true,
            stop: end,
        })
    }

    /// Returns the value at a position.
    fn node(&self, start: usize) -> Node {
        let form = match self.payload.get(start) {
            Some(b'"') => Form::String,
            Some(b'{') => Form::Object,
            Some(b'[') => Form::Array,
            _ => {
                let rest = &self.payload[start..];
                let len = rest.iter().position(|byte| b",{}[]\"".contains(byte));
                let len_or_rest = len.unwrap_or(rest.len());
                return Node {
                    form: Form::Bare,
                    range: start..start + trimmed_len(&rest[..len_or_rest]),
                    is_finished: len.is_some(),
                    stop: start + len_or_rest,
                };
            }
        };
        let end = self.ends.get(&start).copied();
        let end_or_rest = end.unwrap_or(self.payload.len());
        Node {
            form,
            range: start..end_or_rest,
            is_finished: end.is_some(),
            stop: end_or_rest,
        }
    }

    /// Returns the members of an object up to its end or its first structural fault.
    fn members(&self, object: &Node) -> Vec<Entry> {
        let mut members = Vec::new();
        let mut pos = object.range.start + 1;
        loop {
            while self.payload.get(pos).is_some_and(|&byte| byte <= b' ' || byte == b',') {
                pos += 1;
            }
            if self.payload.get(pos) != Some(&b'"') {
                return members;
            }
            let Some(&key_end) = self.ends.get(&pos) else {
                return members;
            };
            let key = decode_string(&self.payload[pos + 1..key_end - 1]);
            pos = skip_space(self.payload, key_end);
            if self.payload.get(pos) != Some(&b':') {
                return members;
            }
            let value = self.node(skip_space(self.payload, pos + 1));
            let next = self.next(&value);
            if value.is_finished || value.form != Form::Bare && value.form != Form::String {
                members.push((Some(key), value));
            }
            match next {
                Some(next) => pos = next,
                None => return members,
            }
        }
    }

    /// Returns the elements of an array up to its end or its first structural fault.
    fn elements(&self, array: &Node) -> Vec<Entry> {
        let mut elements = Vec::new();
        let mut pos = skip_space(self.payload, array.range.start + 1);
        while !matches!(self.payload.get(pos), Some(b']' | b'}')) {
            let value = self.node(pos);
            let next = self.next(&value);
            if value.is_finished || value.form != Form::Bare && value.form != Form::String {
                elements.push((None, value));
            }
            match next {
                Some(next) => pos = next,
                None => break,
            }
        }
        elements
    }

    /// Returns the position after the comma that follows a value, and after white space.
    fn next(&self, value: &Node) -> Option<usize> {
        let comma = skip_space(self.payload, value.stop);
        let is_followed = value.is_finished && self.payload.get(comma) == Some(&b',');
        is_followed.then(|| skip_space(self.payload, comma + 1))
    }

    /// Returns the values that a step leads to.
    fn follow(&self, node: &Node, step: &Step) -> Vec<Node> {
        match (&node.form, step) {
            (Form::Object, Step::Token(token)) => {
                let mut members = self.members(node).into_iter();
                let named = members.find(|(key, _)| key.as_ref() == Some(token));
                named.into_iter().map(|(_, value)| value).collect()
            }
            (Form::Array, step) => {
                let elements = self.elements(node).into_iter().enumerate();
                let wanted = elements.filter(|(index, _)| match step {
                    Step::Each => true,
                    Step::Element(wanted) => *index as u64 == *wanted,
                    Step::Token(token) => index.to_string() == *token,
                });
                wanted.map(|(_, (_, value))| value).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Finds the ends of the strings and containers of the value at a position. It does not distinguish the two kinds of
/// brackets.
fn find_ends(payload: &[u8], mut pos: usize) -> HashMap<usize, usize> {
    let (mut ends, mut opened) = (HashMap::new(), Vec::new());
    while let Some(byte) = payload.get(pos) {
        let start = pos;
        pos += 1;
        match byte {
            b'"' => {
                while payload.get(pos).is_some_and(|&byte| byte != b'"') {
                    pos += if payload[pos] == b'\\' { 2 } else { 1 };
                }
                if pos >= payload.len() {
                    break;
                }
                pos += 1;
                ends.insert(start, pos);
            }
            b'{' | b'[' => opened.push(start),
            b'}' | b']' => {
                if let Some(start) = opened.pop() {
                    ends.insert(start, pos);
                }
            }
            _ => {}
        }
        if opened.is_empty() {
            break;
        }
    }
    ends
}

fn skip_space(payload: &[u8], mut pos: usize) -> usize {
    while payload.get(pos).is_some_and(|&byte| byte <= b' ') {
        pos += 1;
    }
    pos
}

/// Returns the length without trailing white space.
fn trimmed_len(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte > b' ').map_or(0, |last| last + 1)
}

fn is_bare_root(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    ["true", "false", "null"].contains(&text)
        || ["nan", "inf", "infinity"].contains(&unsigned.to_ascii_lowercase().as_str())
        || unsigned.starts_with(|char: char| char.is_ascii_digit() || char == '.')
            && unsigned
                .chars()
                .all(|char| char.is_ascii_digit() || ".eE+-".contains(char))
}
