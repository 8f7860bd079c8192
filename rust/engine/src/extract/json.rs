//! Fields that are read from JSON payloads.

use std::net::IpAddr;
use std::ops::Range;

use super::argument::Argument;
use super::problem::{ActualType, Problem};
use super::values::{FieldType, Location, Values};
use crate::json::text::{self, DecodedText};
use crate::json::{Document, Fault, FaultKind, Pattern, PatternError, Step, Token, Tree, ValueRef, number, tokens};
use crate::time::{self, TimeError};

/// Reads the values that a pattern names, and converts them to one type.
#[derive(Debug)]
pub struct JsonReader {
    pattern: Pattern,
    kind: FieldType,
    family: Option<Family>,
}

/// The address family that a field accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl JsonReader {
    pub fn new(pattern: &str, kind: FieldType) -> Result<Self, PatternError> {
        Ok(Self {
            pattern: Pattern::parse(pattern)?,
            kind,
            family: None,
        })
    }

    /// Accepts only addresses and networks of one family.
    #[must_use]
    pub fn with_family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    pub fn kind(&self) -> FieldType {
        self.kind
    }

    /// Returns the declared type in Python's notation.
    pub(super) fn type_name(&self) -> &'static str {
        match (self.kind, self.family) {
            (FieldType::String, _) => "str",
            (FieldType::Uint64, _) => "int",
            (FieldType::Bool, _) => "bool",
            (FieldType::AbsTime, _) => "datetime",
            (FieldType::RelTime, _) => "timedelta",
            (FieldType::IpAddr, None) => "IPv4Address | IPv6Address",
            (FieldType::IpAddr, Some(Family::V4)) => "IPv4Address",
            (FieldType::IpAddr, Some(Family::V6)) => "IPv6Address",
            (FieldType::IpNet, None) => "IPv4Network | IPv6Network",
            (FieldType::IpNet, Some(Family::V4)) => "IPv4Network",
            (FieldType::IpNet, Some(Family::V6)) => "IPv6Network",
        }
    }

    /// Adds the values to `into`, none if the field is absent. `payload` is the text of the document. Returns the first
    /// problem that made a value unreadable or doubtful.
    pub fn read(
        &self,
        document: &Document,
        payload: &[u8],
        argument: &Argument<'_>,
        into: &mut Values,
    ) -> Option<Problem> {
        let mut read = Read {
            reader: self,
            tree: &mut document.tree(),
            json: payload,
            argument,
            into,
            problem: None,
        };
        let walked = match read.tree.root(payload) {
            Ok(root) => read.walk(root, self.pattern.steps()),
            Err(fault) => Err(Some(Problem::Fault(fault))),
        };
        read.problem.or(walked.err().flatten())
    }
}

/// Why there is no value: a problem because of which it cannot be read; `None` if the payload does not contain it.
type Absence = Option<Problem>;

struct Read<'a> {
    reader: &'a JsonReader,
    tree: &'a mut Tree,
    json: &'a [u8],
    argument: &'a Argument<'a>,
    into: &'a mut Values,
    /// The first problem of a value that was read nevertheless, or of one of several values.
    problem: Option<Problem>,
}

impl Read<'_> {
    /// Follows the steps from a value. The depth of the recursion is the number of `*` in the pattern.
    fn walk(&mut self, mut value: ValueRef, steps: &[Step]) -> Result<(), Absence> {
        let json = self.json;
        for (index, step) in steps.iter().enumerate() {
            let index_argument = self.argument.index;
            let found = match step {
                Step::Token(token) => self.tree.child(json, value, token),
                Step::Index => self.tree.at(json, value, index_argument.ok_or(None)?),
                Step::IndexOrEach if index_argument.is_some() => self.tree.at(json, value, index_argument.ok_or(None)?),
                Step::Each | Step::IndexOrEach => return self.each(value, &steps[index + 1..]),
                Step::Key => self.token(value, self.argument.key.ok_or(None)?),
                Step::Pointer => self.pointer(value, self.argument.key.ok_or(None)?),
            };
            value = found.map_err(|miss| miss.map(Problem::Fault))?;
        }
        self.convert(value)
    }

    fn each(&mut self, value: ValueRef, steps: &[Step]) -> Result<(), Absence> {
        let fault = |miss: Option<Fault>| miss.map(Problem::Fault);
        let mut walk = self.tree.elements(self.json, value).map_err(fault)?;
        loop {
            match self.tree.next_element(self.json, &mut walk) {
                Ok(element) => {
                    // Leave out an element without a value.
                    if let Err(problem) = self.walk(element, steps) {
                        self.problem = self.problem.or(problem);
                    }
                }
                Err(None) => return Ok(()),
                Err(miss) => return Err(fault(miss)),
            }
        }
    }

    fn token(&mut self, value: ValueRef, token: &str) -> Result<ValueRef, Option<Fault>> {
        self.tree.child(self.json, value, &Token::new(token.to_owned()))
    }

    fn pointer(&mut self, mut value: ValueRef, pointer: &str) -> Result<ValueRef, Option<Fault>> {
        for token in tokens(pointer) {
            value = self.token(value, &token)?;
        }
        Ok(value)
    }

    fn convert(&mut self, value: ValueRef) -> Result<(), Absence> {
        let Some(Range { start, end }) = self.tree.range(self.json, value) else {
            return Err(Some(Problem::Fault(Fault {
                offset: self.json.len(),
                kind: FaultKind::CutOff,
            })));
        };
        let raw = &self.json[start..end];
        match raw {
            [b'"', content @ .., b'"'] => self.convert_string(content, start),
            [] => Err(Some(self.fault(start, FaultKind::NoValue))),
            [b'{' | b'[', ..] => self.convert_container(raw, start),
            b"null" => Err(None),
            _ => self.convert_bare(raw, start),
        }
    }

    #[inline]
    fn convert_string(&mut self, content: &[u8], start: usize) -> Result<(), Absence> {
        let location = location(start + 1, content.len());
        if self.reader.kind == FieldType::String && text::is_plain(content) {
            // Fast path for most strings: nothing more than one check and one copy.
            self.into.push_plain(content, location);
            return Ok(());
        }
        let DecodedText { text, fault } = text::decode(content);
        self.keep_fault(fault, start + 1);
        let mismatch = |found| Some(Problem::Mismatch { offset: start, found });
        let found = match self.reader.kind {
            FieldType::String => {
                self.into.push_text(&text, location);
                return Ok(());
            }
            FieldType::IpAddr => {
                let address = text.parse().map_err(|_| mismatch(ActualType::NotAnAddress))?;
                self.check_family(address).map_err(mismatch)?;
                self.into.push_address(address, location);
                return Ok(());
            }
            FieldType::IpNet => {
                let (address, prefix) = parse_network(&text).ok_or(mismatch(ActualType::NotANetwork))?;
                self.check_family(address).map_err(mismatch)?;
                self.into.push_network(address, prefix, location);
                return Ok(());
            }
            FieldType::AbsTime => self.convert_text(&text, location, ActualType::NotATime),
            _ => self.convert_text(&text, location, ActualType::String),
        };
        found.map_err(mismatch)
    }

    fn convert_bare(&mut self, raw: &[u8], start: usize) -> Result<(), Absence> {
        let location = location(start, raw.len());
        let DecodedText { text, fault } = text::decode_lossy(raw);
        self.keep_fault(fault, start);
        let is_known = text::is_word(raw) || text::is_number_like(raw);
        if self.reader.kind == FieldType::String {
            if !is_known {
                let fault = self.fault(start, FaultKind::UnknownWord);
                self.problem.get_or_insert(fault);
            }
            self.into.push_text(&text, location);
            return Ok(());
        }
        let other = match raw {
            b"true" | b"false" => ActualType::Bool,
            _ if is_known => ActualType::Number,
            _ => ActualType::Word,
        };
        let found = self.convert_text(&text, location, other);
        found.map_err(|found| Some(Problem::Mismatch { offset: start, found }))
    }

    /// Converts the text of a number or a boolean, with or without quotes. Returns `other` as its type if it does not
    /// have the declared type.
    fn convert_text(&mut self, text: &str, location: Location, other: ActualType) -> Result<(), ActualType> {
        let number = |fault| ActualType::from_number_fault(fault, other);
        match self.reader.kind {
            FieldType::Uint64 => self
                .into
                .push_number(number::parse_whole(text).map_err(number)?, location),
            FieldType::Bool => self.into.push_bool(text.parse().map_err(|_| other)?, location),
            FieldType::RelTime => self.into.push_number(time::parse_seconds(text).ok_or(other)?, location),
            FieldType::AbsTime => {
                let time = time::parse(text).map_err(|error| match error {
                    TimeError::NotATime => other,
                    TimeError::OutOfRange => ActualType::OutOfRange,
                })?;
                self.into.push_number(time.nanoseconds, location);
            }
            _ => return Err(other),
        }
        Ok(())
    }

    fn convert_container(&mut self, raw: &[u8], start: usize) -> Result<(), Absence> {
        if self.reader.kind != FieldType::String {
            let found = if raw[0] == b'{' {
                ActualType::Object
            } else {
                ActualType::Array
            };
            return Err(Some(Problem::Mismatch { offset: start, found }));
        }
        let compact = text::compact(raw);
        let DecodedText { text, fault } = text::decode_lossy(&compact);
        if let Some(fault) = fault {
            // Use the offset in the original text, with its white space.
            let offset = text::decode_lossy(raw)
                .fault
                .map_or(start, |fault| start + fault.offset);
            let fault = self.fault(offset, fault.kind);
            self.problem.get_or_insert(fault);
        }
        self.into.push_text(&text, location(start, raw.len()));
        Ok(())
    }

    fn check_family(&self, address: IpAddr) -> Result<(), ActualType> {
        let family = Family::of(address);
        match self.reader.family {
            Some(wanted) if wanted != family => Err(match family {
                Family::V4 => ActualType::Ipv4,
                Family::V6 => ActualType::Ipv6,
            }),
            _ => Ok(()),
        }
    }

    /// Keeps the fault of a text that begins at `start`, unless there is an earlier one.
    fn keep_fault(&mut self, fault: Option<Fault>, start: usize) {
        if let Some(Fault { offset, kind }) = fault {
            let fault = self.fault(start + offset, kind);
            self.problem.get_or_insert(fault);
        }
    }

    fn fault(&self, offset: usize, kind: FaultKind) -> Problem {
        Problem::Fault(Fault { offset, kind })
    }
}

fn location(start: usize, length: usize) -> Location {
    Location {
        start: start as u32,
        length: length as u32,
    }
}

/// Parses a network such as `10.1.0.0/16` into its address and the length of its prefix. A bare address has the longest
/// prefix. Returns `None` if a bit after the prefix is set.
fn parse_network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    // Align the bits of both families to the left.
    let (bits, aligned) = match address {
        IpAddr::V4(address) => (32, u128::from(address.to_bits()) << 96),
        IpAddr::V6(address) => (128, address.to_bits()),
    };
    let prefix: u8 = match prefix {
        None => bits,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
    };
    let host_bits = aligned.checked_shl(prefix.into()).unwrap_or(0);
    (prefix <= bits && host_bits == 0).then_some((address, prefix))
}
