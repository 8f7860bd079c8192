//! Fields that are read out of JSON payloads.

use std::net::IpAddr;
use std::ops::Range;

use super::Argument;
use super::problem::{Found, Problem};
use super::values::{FieldType, Location, Values};
use crate::json::text::{self, Text};
use crate::json::{Document, Fault, FaultKind, Pattern, PatternError, Spot, Step, Token, Tree, number, tokens};
use crate::time::{self, TimeError};

/// Reads the values that a pattern names, as values of one type.
#[derive(Debug)]
pub struct JsonReader {
    pattern: Pattern,
    kind: FieldType,
    family: Option<Family>,
}

/// The family of the addresses and networks that a field takes.
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

    /// Takes only addresses and networks of one family.
    #[must_use]
    pub fn of_family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    pub fn kind(&self) -> FieldType {
        self.kind
    }

    /// The declared type of a value, as Python writes it.
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

    /// Adds the values to `into`; none if the field is absent. `payload` is that of the document. Returns the first
    /// problem that kept a value from being read, or from being read as it was meant.
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

/// Why there is no value: the payload does not have it (`None`), or a problem keeps it from being read.
type Absent = Option<Problem>;

struct Read<'a> {
    reader: &'a JsonReader,
    tree: &'a mut Tree,
    json: &'a [u8],
    argument: &'a Argument<'a>,
    into: &'a mut Values,
    /// The first problem of a value that was read nevertheless, or of one of several.
    problem: Option<Problem>,
}

impl Read<'_> {
    /// Continues from a value. Recursion is as deep as the pattern has `*`.
    fn walk(&mut self, mut spot: Spot, steps: &[Step]) -> Result<(), Absent> {
        let json = self.json;
        for (index, step) in steps.iter().enumerate() {
            let index_argument = self.argument.index;
            let found = match step {
                Step::Token(token) => self.tree.child(json, spot, token),
                Step::Index => self.tree.at(json, spot, index_argument.ok_or(None)?),
                Step::IndexOrEach if index_argument.is_some() => self.tree.at(json, spot, index_argument.ok_or(None)?),
                Step::Each | Step::IndexOrEach => return self.each(spot, &steps[index + 1..]),
                Step::Key => self.token(spot, self.argument.key.ok_or(None)?),
                Step::Pointer => self.pointer(spot, self.argument.key.ok_or(None)?),
            };
            spot = found.map_err(|miss| miss.map(Problem::Fault))?;
        }
        self.convert(spot)
    }

    fn each(&mut self, spot: Spot, steps: &[Step]) -> Result<(), Absent> {
        let fault = |miss: Option<Fault>| miss.map(Problem::Fault);
        let mut walk = self.tree.elements(self.json, spot).map_err(fault)?;
        loop {
            match self.tree.next_element(self.json, &mut walk) {
                Ok(element) => {
                    // An element without a value is left out.
                    if let Err(problem) = self.walk(element, steps) {
                        self.problem = self.problem.or(problem);
                    }
                }
                Err(None) => return Ok(()),
                Err(miss) => return Err(fault(miss)),
            }
        }
    }

    fn token(&mut self, spot: Spot, token: &str) -> Result<Spot, Option<Fault>> {
        self.tree.child(self.json, spot, &Token::new(token.to_owned()))
    }

    fn pointer(&mut self, mut spot: Spot, pointer: &str) -> Result<Spot, Option<Fault>> {
        for token in tokens(pointer) {
            spot = self.token(spot, &token)?;
        }
        Ok(spot)
    }

    fn convert(&mut self, spot: Spot) -> Result<(), Absent> {
        let Some(Range { start, end }) = self.tree.range(self.json, spot) else {
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
    fn convert_string(&mut self, content: &[u8], start: usize) -> Result<(), Absent> {
        let place = place(start + 1, content.len());
        if self.reader.kind == FieldType::String && text::is_plain(content) {
            // Most fields are: no check, search or copy more than there must be.
            self.into.push_plain(content, place);
            return Ok(());
        }
        let Text { text, fault } = text::decode(content);
        self.note(fault, start + 1);
        let mismatch = |found| Some(Problem::Mismatch { offset: start, found });
        let found = match self.reader.kind {
            FieldType::String => {
                self.into.push_text(&text, place);
                return Ok(());
            }
            FieldType::IpAddr => {
                let address = text.parse().map_err(|_| mismatch(Found::NotAnAddress))?;
                self.check_family(address).map_err(mismatch)?;
                self.into.push_address(address, place);
                return Ok(());
            }
            FieldType::IpNet => {
                let (address, prefix) = network(&text).ok_or(mismatch(Found::NotANetwork))?;
                self.check_family(address).map_err(mismatch)?;
                self.into.push_network(address, prefix, place);
                return Ok(());
            }
            FieldType::AbsTime => self.convert_text(&text, place, Found::NotATime),
            _ => self.convert_text(&text, place, Found::String),
        };
        found.map_err(mismatch)
    }

    fn convert_bare(&mut self, raw: &[u8], start: usize) -> Result<(), Absent> {
        let place = place(start, raw.len());
        let Text { text, fault } = text::decode_lossy(raw);
        self.note(fault, start);
        let is_known = text::is_word(raw) || text::is_number_like(raw);
        if self.reader.kind == FieldType::String {
            if !is_known {
                let fault = self.fault(start, FaultKind::UnknownWord);
                self.problem.get_or_insert(fault);
            }
            self.into.push_text(&text, place);
            return Ok(());
        }
        let other = match raw {
            b"true" | b"false" => Found::Bool,
            _ if is_known => Found::Number,
            _ => Found::Word,
        };
        let found = self.convert_text(&text, place, other);
        found.map_err(|found| Some(Problem::Mismatch { offset: start, found }))
    }

    /// Converts the text of a number or a boolean, with or without quotes. `other` is reported as its type if it does
    /// not fit.
    fn convert_text(&mut self, text: &str, place: Location, other: Found) -> Result<(), Found> {
        let number = |fault| Found::of_number(fault, other);
        match self.reader.kind {
            FieldType::Uint64 => self.into.push_number(number::whole(text).map_err(number)?, place),
            FieldType::Bool => self.into.push_bool(text.parse().map_err(|_| other)?, place),
            FieldType::RelTime => self.into.push_number(time::seconds(text).ok_or(other)?, place),
            FieldType::AbsTime => {
                let time = time::parse(text).map_err(|error| match error {
                    TimeError::NotATime => other,
                    TimeError::OutOfRange => Found::OutOfRange,
                })?;
                self.into.push_number(time.nanoseconds, place);
            }
            _ => return Err(other),
        }
        Ok(())
    }

    fn convert_container(&mut self, raw: &[u8], start: usize) -> Result<(), Absent> {
        if self.reader.kind != FieldType::String {
            let found = if raw[0] == b'{' { Found::Object } else { Found::Array };
            return Err(Some(Problem::Mismatch { offset: start, found }));
        }
        let compact = text::compact(raw);
        let Text { text, fault } = text::decode_lossy(&compact);
        if let Some(fault) = fault {
            // The offset is that of the text as it is written.
            let offset = text::decode_lossy(raw)
                .fault
                .map_or(start, |fault| start + fault.offset);
            let fault = self.fault(offset, fault.kind);
            self.problem.get_or_insert(fault);
        }
        self.into.push_text(&text, place(start, raw.len()));
        Ok(())
    }

    fn check_family(&self, address: IpAddr) -> Result<(), Found> {
        let family = Family::of(address);
        match self.reader.family {
            Some(wanted) if wanted != family => Err(match family {
                Family::V4 => Found::Ipv4,
                Family::V6 => Found::Ipv6,
            }),
            _ => Ok(()),
        }
    }

    /// Keeps the fault of a text that begins at `start`, if it is the first.
    fn note(&mut self, fault: Option<Fault>, start: usize) {
        if let Some(Fault { offset, kind }) = fault {
            let fault = self.fault(start + offset, kind);
            self.problem.get_or_insert(fault);
        }
    }

    fn fault(&self, offset: usize, kind: FaultKind) -> Problem {
        Problem::Fault(Fault { offset, kind })
    }
}

fn place(start: usize, length: usize) -> Location {
    Location {
        start: start as u32,
        length: length as u32,
    }
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
