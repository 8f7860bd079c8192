//! Fields that are read out of JSON payloads.

use std::net::IpAddr;
use std::ops::Range;

use super::Argument;
use super::document::{Document, Spot, Tree};
use super::pointer::{self, Pattern, PatternError, Step, Token};
use super::scan;
use super::text::{compact, decode_replacing};
use super::values::{FieldType, Place, Values};
use crate::time;

/// Reads the values that a pattern names, as values of one type.
#[derive(Debug)]
pub struct JsonReader {
    pattern: Pattern,
    kind: FieldType,
}

impl JsonReader {
    pub fn new(pattern: &str, kind: FieldType) -> Result<Self, PatternError> {
        Ok(Self {
            pattern: Pattern::parse(pattern)?,
            kind,
        })
    }

    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    pub fn kind(&self) -> FieldType {
        self.kind
    }

    /// Adds the values to `into`; none where the field is absent. `payload` is that of the document.
    pub fn read(&self, document: &Document, payload: &[u8], argument: &Argument<'_>, into: &mut Values) {
        let mut read = Read {
            tree: &mut document.tree(),
            json: payload,
            kind: self.kind,
            argument,
            into,
        };
        if let Some(root) = read.tree.root(payload) {
            // Absent is no failure: all that a reading can say is in `into`.
            let _ = read.walk(root, self.pattern.steps());
        }
    }
}

struct Read<'a> {
    tree: &'a mut Tree,
    json: &'a [u8],
    kind: FieldType,
    argument: &'a Argument<'a>,
    into: &'a mut Values,
}

impl Read<'_> {
    /// Goes on from a value. Recursion is as deep as the pattern has `*`.
    fn walk(&mut self, mut spot: Spot, steps: &[Step]) -> Option<()> {
        for (index, step) in steps.iter().enumerate() {
            spot = match step {
                Step::Token(token) => self.tree.child(self.json, spot, token)?,
                Step::Index => self.tree.at(self.json, spot, self.argument.index?)?,
                Step::IndexOrEach if self.argument.index.is_some() => {
                    self.tree.at(self.json, spot, self.argument.index?)?
                }
                Step::Each | Step::IndexOrEach => return self.each(spot, &steps[index + 1..]),
                Step::Key => self.token(spot, self.argument.key?)?,
                Step::Pointer => self.pointer(spot, self.argument.key?)?,
            };
        }
        self.convert(spot)
    }

    fn each(&mut self, spot: Spot, steps: &[Step]) -> Option<()> {
        let mut walk = self.tree.elements(self.json, spot)?;
        while let Some(element) = self.tree.next_element(self.json, &mut walk) {
            // An element without a value is left out.
            let _ = self.walk(element, steps);
        }
        Some(())
    }

    fn token(&mut self, spot: Spot, token: &str) -> Option<Spot> {
        self.tree.child(self.json, spot, &Token::new(token.to_owned()))
    }

    fn pointer(&mut self, mut spot: Spot, pointer: &str) -> Option<Spot> {
        for token in pointer::tokens(pointer) {
            spot = self.token(spot, &token.ok()?)?;
        }
        Some(spot)
    }

    fn convert(&mut self, spot: Spot) -> Option<()> {
        let Range { start, end } = self.tree.range(self.json, spot)?;
        if self.kind == FieldType::String && scan::is_plain(self.json, start, end) {
            // Most fields are: no check, search or copy more than there must be.
            let place = place(start + 1, end - 1);
            self.into.push_plain(&self.json[start + 1..end - 1], place);
            return Some(());
        }
        let text = std::str::from_utf8(&self.json[start..end]).ok()?;
        let first = text.as_bytes().first()?;
        let (place, string) = if *first == b'"' {
            (place(start + 1, end - 1), Some(decode_replacing(text)))
        } else {
            (place(start, end), None)
        };
        match (self.kind, string.as_deref()) {
            _ if text == "null" => return None,
            (FieldType::String, Some(string)) => self.into.push_text(string, place),
            (FieldType::String, None) => self.into.push_text(&compact(text), place),
            (FieldType::Uint64, None) => self.into.push_number(integer(text)?, place),
            (FieldType::Bool, None) => self.into.push_bool(text.parse().ok()?, place),
            (FieldType::AbsTime, string) => {
                self.into
                    .push_number(time::parse(string.unwrap_or(text)).ok()?.nanoseconds, place);
            }
            (FieldType::RelTime, string) => self.into.push_number(time::seconds(string.unwrap_or(text))?, place),
            (FieldType::IpAddr, Some(string)) => self.into.push_address(string.parse().ok()?, place),
            (FieldType::IpNet, Some(string)) => {
                let (address, prefix) = network(string)?;
                self.into.push_network(address, prefix, place);
            }
            _ => return None,
        }
        Some(())
    }
}

fn place(start: usize, end: usize) -> Place {
    Place {
        start: start as u32,
        length: (end - start) as u32,
    }
}

fn integer(text: &str) -> Option<u64> {
    // JSON has a negative zero.
    if text == "-0" { Some(0) } else { text.parse().ok() }
}

/// A network such as `10.1.0.0/16`, as its address and the length of its prefix; a bare address is a network of one. No
/// bit behind the prefix may be set.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    // Left-aligned, whatever the family.
    let (bits, aligned) = match address {
        IpAddr::V4(address) => (32, u128::from(address.to_bits()) << 96),
        IpAddr::V6(address) => (128, address.to_bits()),
    };
    let prefix: u8 = match prefix {
        None => bits,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
    };
    let behind = aligned.checked_shl(prefix.into()).unwrap_or(0);
    (prefix <= bits && behind == 0).then_some((address, prefix))
}
