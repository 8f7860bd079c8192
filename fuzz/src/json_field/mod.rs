//! Compares `json_field` with a simple reader of damaged JSON. Both must find the same values at the same locations, in
//! any order of fields. If serde_json accepts the document, its tree must have the same values too.

mod tree;
mod values;
mod walk;

use falco_plugin_engine::extract::{Argument, Document, Family, FieldType, JsonReader, Location, Value, Values};

use tree::Tree;
use values::Found;

/// How many fields of an input are read. More find no further faults.
const MAX_READS: usize = 8;

/// A field and its argument.
#[derive(Debug)]
struct Read<'a> {
    reader: JsonReader,
    pattern: &'a str,
    family: Option<Family>,
    argument: Argument<'a>,
}

/// Checks one input: a line for each field, `TYPE POINTER [INDEX|- [KEY]]`, an empty line, and the payload.
///
/// # Panics
/// If a field differs from the value of the simple reader or of the tree.
pub fn check(input: &[u8]) {
    let Some(end) = input.windows(2).position(|pair| pair == b"\n\n") else {
        return;
    };
    let payload = &input[end + 2..];
    let Ok(head) = std::str::from_utf8(&input[..end]) else {
        return;
    };
    let mut reads: Vec<_> = head.lines().filter_map(Read::parse).take(MAX_READS).collect();
    let tree = Tree::read(payload);
    for _ in 0..2 {
        let document = Document::default();
        for read in &reads {
            let expected = walk::values(payload, read.pattern, (read.kind(), read.family), &read.argument);
            let found = read.found(&document, payload);
            assert_eq!(found, expected, "{read:?}");
            if let Some(tree) = tree.as_ref().filter(|_| !read.pattern.contains(['{', '*'])) {
                read.compare(&found, tree.at(read.pattern));
            }
        }
        reads.reverse();
    }
}

impl<'a> Read<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut parts = line.splitn(4, ' ');
        let (kind, family) = match parts.next()? {
            "string" => (FieldType::String, None),
            "uint64" => (FieldType::Uint64, None),
            "bool" => (FieldType::Bool, None),
            "abstime" => (FieldType::AbsTime, None),
            "reltime" => (FieldType::RelTime, None),
            "ipaddr" => (FieldType::IpAddr, None),
            "ipv4addr" => (FieldType::IpAddr, Some(Family::V4)),
            "ipv6addr" => (FieldType::IpAddr, Some(Family::V6)),
            "ipnet" => (FieldType::IpNet, None),
            "ipv4net" => (FieldType::IpNet, Some(Family::V4)),
            "ipv6net" => (FieldType::IpNet, Some(Family::V6)),
            _ => return None,
        };
        let pattern = parts.next()?;
        let reader = JsonReader::new(pattern, kind).ok()?;
        Some(Self {
            reader: match family {
                Some(family) => reader.with_family(family),
                None => reader,
            },
            pattern,
            family,
            argument: Argument {
                index: parts.next().and_then(|index| index.parse().ok()),
                key: parts.next(),
            },
        })
    }

    /// Compares the values of the engine with the value in the tree.
    fn compare(&self, found: &[(Found, Location)], tree: Option<&Tree>) {
        let found = found.first().map(|(found, _)| found);
        match (self.kind(), tree) {
            (_, None | Some(Tree::Null)) => assert_eq!(found, None),
            (FieldType::String, Some(Tree::Text(text))) => {
                assert_eq!(found, Some(&Found::Text(text.replace('\0', "\u{fffd}"))));
            }
            (FieldType::String, Some(tree)) => {
                let Some(Found::Text(text)) = found else {
                    panic!("no string for {tree:?}");
                };
                assert_eq!(Tree::read(text.as_bytes()).as_ref(), Some(tree));
            }
            (FieldType::Bool, Some(Tree::Bool(value))) => assert_eq!(found, Some(&Found::Bool(*value))),
            (FieldType::Bool, Some(Tree::Text(text))) => {
                assert_eq!(found, text.parse().ok().map(Found::Bool).as_ref());
            }
            // serde_json reads a whole number with a fraction or an exponent as a float, which is not exact.
            (FieldType::Uint64, Some(Tree::Number(number))) if !number.is_f64() => {
                assert_eq!(found, number.as_u64().map(Found::Number).as_ref());
            }
            (FieldType::Uint64, Some(Tree::Text(text))) if text.parse::<u64>().is_ok() => {
                assert_eq!(found, text.parse().ok().map(Found::Number).as_ref());
            }
            (FieldType::Bool, Some(_)) | (FieldType::Uint64, Some(Tree::Bool(_) | Tree::List(_) | Tree::Map(_))) => {
                assert_eq!(found, None);
            }
            _ => {}
        }
    }

    fn kind(&self) -> FieldType {
        self.reader.kind()
    }

    /// Returns the values that the engine reads.
    fn found(&self, document: &Document, payload: &[u8]) -> Vec<(Found, Location)> {
        let mut values = Values::default();
        self.reader.read(document, payload, &self.argument, &mut values);
        let found = values.as_slice().iter().map(|value| match *value {
            Value::Number(number) => Found::Number(number),
            Value::Bool(value) => Found::Bool(value),
            Value::Text { start } => Found::Text(String::from_utf8_lossy(values.text(start)).into_owned()),
            Value::Address { start, len, prefix } => {
                Found::Address(values.bytes()[start..start + len as usize].to_vec(), prefix)
            }
        });
        found.zip(values.locations().iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::corpus;

    #[test]
    fn fields_agree_with_the_simple_reader() {
        let json = prop::collection::vec(prop::sample::select(br#"[]{}",:\ 0e.-"#.to_vec()), 1..4);
        let text = prop::collection::vec(any::<char>(), 1..3).prop_map(|text| String::from_iter(text).into_bytes());
        let replacement = prop_oneof![json, text, corpus::bytes()];
        corpus::check("json_field", 2048, replacement, check);
    }

    /// Ensures that pointers of the corpus lead to values, so that damage changes a result.
    #[test]
    fn every_field_of_the_corpus_finds_something() {
        for input in corpus::read("json_field") {
            let end = input.windows(2).position(|pair| pair == b"\n\n").unwrap();
            for line in std::str::from_utf8(&input[..end]).unwrap().lines() {
                let read = Read::parse(line).expect(line);
                assert_ne!(read.found(&Document::default(), &input[end + 2..]), [], "{line}");
            }
        }
    }
}
