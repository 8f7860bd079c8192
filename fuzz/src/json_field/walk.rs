//! What a `json_field` has to give, out of serde_json's raw values: slow, and with nothing kept.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use falco_plugin_engine::extract::{Argument, FieldType, Place};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::MAX_DEPTH;

const NANOS: u64 = 1_000_000_000;

/// A value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Number(u64),
    Bool(bool),
    Text(String),
    /// 4 or 16 bytes, and the length of the prefix.
    Address(Vec<u8>, u8),
}

enum Step {
    Each,
    Element(u64),
    Token(String),
}

/// The values of a field with their places; none where it is absent.
pub(crate) fn values(payload: &[u8], pattern: &str, kind: FieldType, argument: &Argument<'_>) -> Vec<(Found, Place)> {
    let (Ok(json), Some(steps)) = (std::str::from_utf8(payload), steps(pattern, argument)) else {
        return Vec::new();
    };
    let mut ranges: Vec<_> = std::iter::once(space(json, 0)..json.len()).collect();
    for (level, step) in steps.iter().enumerate() {
        ranges = ranges
            .into_iter()
            .flat_map(|range| below(json, range, level == 0, step))
            .collect();
    }
    if steps.is_empty() {
        // Of a document that is not JSON to its end there may be members, but no whole.
        let whole = serde_json::from_str::<&RawValue>(json).ok().map(|raw| raw.get());
        ranges = whole
            .filter(|whole| depth(whole) <= MAX_DEPTH)
            .map(|whole| range(json, whole))
            .into_iter()
            .collect();
    }
    ranges
        .into_iter()
        .filter_map(|range| convert(json, range, kind))
        .collect()
}

// Pointers

fn steps(pattern: &str, argument: &Argument<'_>) -> Option<Vec<Step>> {
    let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
    if pattern == "{pointer}" {
        let key = argument.key?;
        if key.replace("~0", "").replace("~1", "").contains('~') {
            return None;
        }
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

/// Where a step leads from a value.
fn below(json: &str, from: Range<usize>, outermost: bool, step: &Step) -> Vec<Range<usize>> {
    let entries = entries(json, from.start, outermost);
    match step {
        Step::Token(token) => {
            let mut entries = entries.into_iter().enumerate();
            let named = entries.find(|(index, (key, _))| match key {
                Some(key) => serde_json::from_str::<String>(key).is_ok_and(|key| key == *token),
                None => index.to_string() == *token,
            });
            named.into_iter().map(|(_, (_, range))| range).collect()
        }
        Step::Element(_) | Step::Each => {
            let elements = entries
                .into_iter()
                .filter(|(key, _)| key.is_none())
                .map(|(_, range)| range);
            match *step {
                Step::Element(index) => elements
                    .skip(usize::try_from(index).unwrap_or(usize::MAX))
                    .take(1)
                    .collect(),
                _ => elements.collect(),
            }
        }
    }
}

// Members and elements

/// A member with the text of its key, or an element.
type Entry<'a> = (Option<&'a str>, Range<usize>);

/// What a container holds; of the outermost, what stands before a fault: complete, and followed by what must follow.
fn entries(json: &str, start: usize, outermost: bool) -> Vec<Entry<'_>> {
    let mut raw = Vec::new();
    let read = Collect(&mut raw).deserialize(&mut serde_json::Deserializer::from_str(&json[start..]));
    assert!(
        read.is_ok() || outermost || !json[start..].starts_with(['{', '[']),
        "what is inside was checked before"
    );
    let close = if json[start..].starts_with('{') { b'}' } else { b']' };
    let entries = raw.into_iter().map(|(key, value)| (key, range(json, value)));
    let good = entries.take_while(|(_, range)| {
        let behind = json.as_bytes().get(space(json, range.end));
        depth(&json[range.clone()]) < MAX_DEPTH && behind.is_some_and(|&byte| byte == b',' || byte == close)
    });
    good.collect()
}

/// Collects entries up to the first that is no JSON.
struct Collect<'v, 'a>(&'v mut Vec<(Option<&'a str>, &'a str)>);

impl<'a> DeserializeSeed<'a> for Collect<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Collect<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a container")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            self.0.push((Some(key.get()), value.get()));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element::<&RawValue>()? {
            self.0.push((None, value.get()));
        }
        Ok(())
    }
}

/// Where a part of a text stands in it.
fn range(json: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - json.as_ptr().addr();
    start..start + part.len()
}

fn space(json: &str, from: usize) -> usize {
    json.len() - json[from..].trim_start_matches([' ', '\t', '\r', '\n']).len()
}

/// The characters of a JSON text, and whether each stands in a string.
fn chars(json: &str) -> impl Iterator<Item = (char, bool)> {
    let (mut inside, mut escaped) = (false, false);
    json.chars().map(move |char| {
        let before = inside;
        inside ^= char == '"' && !escaped;
        escaped = inside && char == '\\' && !escaped;
        (char, before || inside)
    })
}

fn depth(json: &str) -> usize {
    let (mut depth, mut most) = (0, 0);
    for (char, _) in chars(json).filter(|&(_, inside)| !inside) {
        match char {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        most = depth.max(most);
    }
    most
}

// Values

/// The characters of a string with its quotes; U+FFFD for halves of surrogate pairs.
fn string(text: &str) -> String {
    let mut units = Vec::new();
    let mut chars = text[1..text.len() - 1].chars();
    while let Some(char) = chars.next() {
        let escape = (char == '\\').then(|| chars.next().unwrap());
        let char = match escape {
            None => char,
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                units.push(u16::from_str_radix(&digits, 16).unwrap());
                continue;
            }
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(other) => other,
        };
        units.extend_from_slice(char.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

fn convert(json: &str, range: Range<usize>, kind: FieldType) -> Option<(Found, Place)> {
    let text = &json[range.clone()];
    let is_string = text.starts_with('"');
    let is_number = text.starts_with(|char: char| char == '-' || char.is_ascii_digit());
    let found = if is_string {
        let string = string(text);
        match kind {
            FieldType::String => Found::Text(string.replace('\0', "\u{fffd}")),
            FieldType::AbsTime => Found::Number(rfc3339(&string)?),
            FieldType::IpAddr => address(string.parse().ok()?, None)?,
            FieldType::IpNet => network(&string)?,
            _ => return None,
        }
    } else {
        match kind {
            FieldType::String if text != "null" => Found::Text(
                chars(text)
                    .filter(|&(char, inside)| inside || !" \t\r\n".contains(char))
                    .map(|(char, _)| char)
                    .collect(),
            ),
            FieldType::Bool if text == "true" || text == "false" => Found::Bool(text == "true"),
            FieldType::Uint64 if text == "-0" => Found::Number(0),
            FieldType::Uint64 if text.bytes().all(|byte| byte.is_ascii_digit()) => Found::Number(text.parse().ok()?),
            FieldType::AbsTime | FieldType::RelTime if is_number => Found::Number(seconds(text)?),
            _ => return None,
        }
    };
    let quotes = usize::from(is_string);
    let place = Place {
        start: (range.start + quotes) as u32,
        length: (range.len() - 2 * quotes) as u32,
    };
    Some((found, place))
}

/// Nanoseconds of a number of seconds, by moving its point.
fn seconds(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let unsigned = mantissa.trim_start_matches('-');
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    if mantissa.starts_with('-') {
        return None;
    }
    let far = if exponent.starts_with('-') {
        i128::from(i64::MIN)
    } else {
        i128::from(i64::MAX)
    };
    let zeros = (digits.len() - significant.len()) as i128;
    let point = whole.len() as i128 - zeros + exponent.parse::<i128>().unwrap_or(far) + 9;
    match point {
        ..=0 => Some(0),
        21.. => None,
        _ => significant
            .chars()
            .chain("0".repeat(20).chars())
            .take(point as usize)
            .collect::<String>()
            .parse()
            .ok(),
    }
}

/// Nanoseconds since the epoch of a time of RFC 3339, with any one byte between date and time.
fn rfc3339(text: &str) -> Option<u64> {
    let (date, rest) = (text.get(..10)?, text.get(11..)?);
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone);
    let (time, fraction) = time
        .split_once('.')
        .map_or((time, None), |(time, fraction)| (time, Some(fraction)));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, mut second] = numbers(time, ':', [2, 2, 2])?;
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let [hour, minute] = numbers(zone.strip_prefix(['+', '-'])?, ':', [2, 2])?;
            if hour > 23 || minute > 59 {
                return None;
            }
            let minutes = (hour * 60 + minute) as i128;
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    let mut nanos = match fraction {
        None => 0,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{digits:0<9}")[..9].parse().ok()?
        }
        Some(_) => return None,
    };
    let leaps = second == 60;
    if leaps {
        (second, nanos) = (59, NANOS - 1);
    }
    // An offset is shorter than a day.
    if !(1969..).contains(&year) || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if !(1..=month_days(year)[month as usize - 1]).contains(&day) {
        return None;
    }
    let years: u64 = (1969..year).map(|year| month_days(year).iter().sum::<u64>()).sum();
    let days = (years + month_days(year)[..month as usize - 1].iter().sum::<u64>() + day - 1) as i128 - 365;
    let minutes = (days * 24 + hour as i128) * 60 + minute as i128 - offset;
    let total = (minutes * 60 + second as i128) * i128::from(NANOS) + i128::from(nanos);
    if leaps {
        // It ends the last day of a month, in UTC.
        let mut day = (minutes + 1) / (24 * 60);
        let mut months = (1970..).flat_map(month_days);
        while day > 0 {
            day -= i128::from(months.next()?);
        }
        if day != 0 || (minutes + 1) % (24 * 60) != 0 {
            return None;
        }
    }
    total.try_into().ok()
}

/// Numbers of so many digits with a separator between them.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u64; N]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let fits = |(part, digits): (&&str, usize)| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() != N || !parts.iter().zip(digits).all(fits) {
        return None;
    }
    let numbers: Vec<u64> = parts.iter().map(|part| part.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

fn month_days(year: u64) -> [u64; 12] {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

fn network(text: &str) -> Option<Found> {
    let Some((text, digits)) = text.split_once('/') else {
        return address(text.parse().ok()?, None);
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    address(text.parse().ok()?, Some(digits.parse().ok()?))
}

/// An address as a network; none of the bits behind the prefix may be set.
fn address(address: IpAddr, prefix: Option<u8>) -> Option<Found> {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let bits = bytes.len() * 8;
    let prefix = prefix.map_or(bits, usize::from);
    let is_set = |bit: usize| bytes[bit / 8] & (0x80 >> (bit % 8)) != 0;
    (prefix <= bits && !(prefix..bits).any(is_set)).then_some(Found::Address(bytes, prefix as u8))
}
