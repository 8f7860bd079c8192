//! Converts a JSON string, container or value without quotes to the value of a `json_field`.

use std::net::IpAddr;

use falco_plugin_engine::extract::{Family, FieldType};

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

/// The type of a field, and the address family that it accepts.
pub(crate) type Kind = (FieldType, Option<Family>);

/// The form of a value in the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    String,
    Bare,
    Object,
    Array,
}

/// Converts the bytes of a value, without the quotes of a string. Returns `None` if the field is absent.
pub(crate) fn convert(form: Form, raw: &[u8], (kind, family): Kind) -> Option<Found> {
    let text = match form {
        Form::Object | Form::Array if kind == FieldType::String => return Some(Found::Text(visible(&compact(raw)))),
        Form::Object | Form::Array => return None,
        Form::String => decode_string(raw),
        Form::Bare if raw.is_empty() || raw == b"null" => return None,
        Form::Bare => decode_utf8(raw),
    };
    Some(match kind {
        FieldType::String => Found::Text(visible(&text)),
        FieldType::Uint64 => Found::Number(Number::parse(&text)?.whole()?),
        FieldType::Bool => Found::Bool(text.parse().ok()?),
        FieldType::RelTime => Found::Number(Number::parse(&text)?.scaled(9)?),
        FieldType::AbsTime => {
            let nanos = match Number::parse(&text) {
                Some(number) => number.since_epoch()?,
                None => time(&text)?,
            };
            // The plugin API reserves this value for an event without a time.
            Found::Number(Some(nanos).filter(|&nanos| nanos != u64::MAX)?)
        }
        FieldType::IpAddr if form == Form::String => address(text.parse().ok()?, None, family)?,
        FieldType::IpNet if form == Form::String => network(&text, family)?,
        _ => return None,
    })
}

// Text

/// Decodes a string without its quotes. Invalid escapes are kept; halves of surrogate pairs become U+FFFD.
pub(crate) fn decode_string(raw: &[u8]) -> String {
    let mut units = Vec::new();
    let text: Vec<char> = decode_utf8(raw).chars().collect();
    let mut rest = text.as_slice();
    while let [char, following @ ..] = rest {
        rest = following;
        let char = match (char, following) {
            ('\\', ['u', a, b, c, d, following @ ..]) if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => {
                rest = following;
                let digits: String = [a, b, c, d].into_iter().collect();
                units.push(u16::from_str_radix(&digits, 16).unwrap());
                continue;
            }
            ('\\', [escape, following @ ..]) => {
                rest = following;
                match escape {
                    '"' | '\\' | '/' => *escape,
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    other => {
                        units.push(u16::from(b'\\'));
                        *other
                    }
                }
            }
            _ => *char,
        };
        units.extend_from_slice(char.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

/// Decodes UTF-8. Each byte that is not part of a character becomes U+FFFD.
fn decode_utf8(raw: &[u8]) -> String {
    let chunks = raw.utf8_chunks();
    chunks
        .map(|chunk| format!("{}{}", chunk.valid(), "\u{fffd}".repeat(chunk.invalid().len())))
        .collect()
}

/// Removes the white space of a container outside of its strings.
fn compact(raw: &[u8]) -> String {
    let (mut inside, mut escaped) = (false, false);
    let mut kept = Vec::new();
    for &byte in raw {
        if inside || byte > b' ' {
            kept.push(byte);
        }
        inside ^= byte == b'"' && !escaped;
        escaped = inside && byte == b'\\' && !escaped;
    }
    decode_utf8(&kept)
}

/// Replaces NULs, which the plugin API cannot pass.
fn visible(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

// Numbers

/// A decimal number, `0.DIGITS * 10^point`, without zeros around the digits.
struct Number {
    is_negative: bool,
    digits: String,
    point: i128,
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if ![whole, fraction, exponent_digits].into_iter().all(is_digits) || exponent_digits.is_empty() {
            return None;
        }
        let all = format!("{whole}{fraction}");
        if all.is_empty() {
            return None;
        }
        let digits = all.trim_start_matches('0');
        let zeros = all.len() - digits.len();
        // No payload has enough digits to compensate for a larger exponent.
        let size = exponent_digits
            .parse::<i128>()
            .unwrap_or(i128::from(i64::MAX))
            .min(i64::MAX.into());
        let exponent = if exponent.starts_with('-') { -size } else { size };
        Some(Self {
            is_negative: text.starts_with('-') && !digits.is_empty(),
            digits: digits.trim_end_matches('0').to_owned(),
            point: whole.len() as i128 - zeros as i128 + exponent,
        })
    }

    /// Returns the integer part of the number times `10^places`.
    fn scaled(&self, places: i128) -> Option<u64> {
        if self.is_negative {
            return None;
        }
        match self.point + places {
            _ if self.digits.is_empty() => Some(0),
            ..=0 => Some(0),
            21.. => None,
            point => {
                let digits = self.digits.chars().chain(std::iter::repeat('0'));
                digits.take(point as usize).collect::<String>().parse().ok()
            }
        }
    }

    /// Returns the number if it is whole.
    fn whole(&self) -> Option<u64> {
        let is_whole = self.digits.is_empty() || self.digits.len() as i128 <= self.point;
        is_whole.then(|| self.scaled(0)).flatten()
    }

    /// Returns nanoseconds. The magnitude of the number decides whether it is in seconds, milliseconds, microseconds or
    /// nanoseconds.
    fn since_epoch(&self) -> Option<u64> {
        self.scaled(match self.point {
            ..=11 => 9,
            12..=14 => 6,
            15..=17 => 3,
            _ => 0,
        })
    }
}

// Times

/// Parses a date and time into nanoseconds since the epoch. Without a zone it is in UTC.
fn time(text: &str) -> Option<u64> {
    let [year, month, day] = numbers(text.get(..10)?, '-', [4, 2, 2])?;
    if !["T", "t", " ", "_"].contains(&text.get(10..11)?) {
        return None;
    }
    let [hour, minute, mut second] = numbers(text.get(11..19)?, ':', [2, 2, 2])?;
    let mut rest = &text[19..];
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        rest = fraction.trim_start_matches(|char: char| char.is_ascii_digit());
        let digits = &fraction[..fraction.len() - rest.len()];
        if digits.is_empty() {
            return None;
        }
        nanos = format!("{digits:0<9}")[..9].parse().ok()?;
    }
    let offset = i128::from(offset_minutes(rest.strip_prefix(' ').unwrap_or(rest))?);
    let is_leap_second = second == 60;
    if is_leap_second {
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
    if is_leap_second {
        // A leap second ends the last day of a month in UTC.
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

/// Returns the offset of a zone from UTC in minutes.
fn offset_minutes(zone: &str) -> Option<i64> {
    if ["", "Z", "z"].contains(&zone) {
        return Some(0);
    }
    let unsigned = zone.strip_prefix(['+', '-'])?;
    let [hour, minute] = match unsigned.len() {
        2 => [numbers(unsigned, ':', [2])?[0], 0],
        4 => numbers(&format!("{}:{}", unsigned.get(..2)?, unsigned.get(2..)?), ':', [2, 2])?,
        _ => numbers(unsigned, ':', [2, 2])?,
    };
    if hour > 23 || minute > 59 {
        return None;
    }
    let minutes = (hour * 60 + minute) as i64;
    Some(if zone.starts_with('-') { -minutes } else { minutes })
}

/// Parses numbers with the given numbers of digits, separated by `separator`.
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

// Addresses

fn network(text: &str, family: Option<Family>) -> Option<Found> {
    let Some((text, digits)) = text.split_once('/') else {
        return address(text.parse().ok()?, None, family);
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    address(text.parse().ok()?, Some(digits.parse().ok()?), family)
}

/// Returns an address with its prefix; `None` if a bit after the prefix is set, or for another family.
fn address(address: IpAddr, prefix: Option<u8>, family: Option<Family>) -> Option<Found> {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let is_other = family.is_some_and(|family| (family == Family::V4) != address.is_ipv4());
    let bits = bytes.len() * 8;
    let prefix = prefix.map_or(bits, usize::from);
    let is_set = |bit: usize| bytes[bit / 8] & (0x80 >> (bit % 8)) != 0;
    (!is_other && prefix <= bits && !(prefix..bits).any(is_set)).then_some(Found::Address(bytes, prefix as u8))
}
