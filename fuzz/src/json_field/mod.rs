//! `json_field` against a plain walk: the same values, absences and places, in any order of fields.

#![forbid(unsafe_code)]

mod walk;

use falco_plugin_engine::extract::{Argument, Document, FieldType, JsonReader, Place, Value, Values};

pub use walk::Found;

/// Fields of one input. More of them find nothing more.
const MOST_READS: usize = 8;

/// A field, and the argument that it is read with.
#[derive(Debug)]
struct Read<'a> {
    reader: JsonReader,
    pattern: &'a str,
    argument: Argument<'a>,
}

/// Checks one input: a line for each field, `TYPE POINTER [INDEX|- [KEY]]`, an empty line, and the payload.
///
/// # Panics
/// If a field is not what the walk finds.
pub fn check(input: &[u8]) {
    let Some(end) = input.windows(2).position(|pair| pair == b"\n\n") else {
        return;
    };
    let payload = &input[end + 2..];
    let Ok(head) = std::str::from_utf8(&input[..end]) else {
        return;
    };
    let mut reads: Vec<_> = head.lines().filter_map(Read::parse).take(MOST_READS).collect();
    for _ in 0..2 {
        let document = Document::default();
        for read in &reads {
            let expected = walk::values(payload, read.pattern, read.reader.kind(), &read.argument);
            assert_eq!(read.found(&document, payload), expected, "{read:?}");
        }
        reads.reverse();
    }
}

impl<'a> Read<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut parts = line.splitn(4, ' ');
        let kind = match parts.next()? {
            "string" => FieldType::String,
            "uint64" => FieldType::Uint64,
            "bool" => FieldType::Bool,
            "abstime" => FieldType::AbsTime,
            "reltime" => FieldType::RelTime,
            "ipaddr" => FieldType::IpAddr,
            "ipnet" => FieldType::IpNet,
            _ => return None,
        };
        let pattern = parts.next()?;
        Some(Self {
            reader: JsonReader::new(pattern, kind).ok()?,
            pattern,
            argument: Argument {
                index: parts.next().and_then(|index| index.parse().ok()),
                key: parts.next(),
            },
        })
    }

    /// What the engine gives.
    fn found(&self, document: &Document, payload: &[u8]) -> Vec<(Found, Place)> {
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
        found.zip(values.places().iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::Index;

    fn corpus() -> Vec<Vec<u8>> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/json_field");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        files.map(|path| std::fs::read(path).unwrap()).collect()
    }

    #[test]
    fn the_corpus_is_read_as_the_walk_reads_it() {
        for input in corpus() {
            check(&input);
            // Every field finds something: what is changed below is not lost on pointers that lead nowhere.
            let end = input.windows(2).position(|pair| pair == b"\n\n").unwrap();
            for line in std::str::from_utf8(&input[..end]).unwrap().lines() {
                let read = Read::parse(line).expect(line);
                assert_ne!(read.found(&Document::default(), &input[end + 2..]), [], "{line}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn a_damaged_corpus_is_read_as_the_walk_reads_it(
            chosen: Index,
            changes in prop::collection::vec(
                (any::<Index>(), 0_usize..4, prop_oneof!["[\\[\\]{}\",:\\\\ 0e.-]{1,3}", "\\PC{1,2}"]),
                1..4,
            ),
        ) {
            let corpus = corpus();
            let mut input = chosen.get(&corpus).clone();
            for (at, removed, put) in changes {
                let at = at.index(input.len());
                input.splice(at..(at + removed).min(input.len()), put.into_bytes());
            }
            check(&input);
        }

        #[test]
        fn a_corpus_cut_anywhere_is_read_as_the_walk_reads_it(chosen: Index, cut: Index) {
            let corpus = corpus();
            let input = chosen.get(&corpus);
            check(&input[..cut.index(input.len())]);
        }
    }
}
