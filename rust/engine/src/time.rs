//! Parses times and durations into nanoseconds.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::decimal::Decimal;
use crate::event::NO_TIMESTAMP;

/// The powers of 10 that convert seconds, milliseconds, microseconds and nanoseconds to nanoseconds.
const SECONDS: i64 = 9;
const MILLISECONDS: i64 = 6;
const MICROSECONDS: i64 = 3;
const NANOSECONDS: i64 = 0;

/// The form that is passed to the crate `time`. Each part has a fixed position.
const EPOCH: [u8; 35] = *b"1970-01-01T00:00:00.000000000+00:00";
/// The length of the date, and of the date with the time of day, in bytes.
const DATE_LEN: usize = 10;
const DATE_TIME_LEN: usize = 19;
/// The position of the fraction's first digit, and the number of its digits.
const FRACTION: usize = 20;
const FRACTION_LEN: usize = 9;
/// The position of the time zone's sign.
const SIGN: usize = 29;

/// A parsed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Nanoseconds since the epoch; never [`NO_TIMESTAMP`].
    pub nanoseconds: u64,
    /// Whether the string has a time zone. Without one the time is read as UTC. A number is in UTC by definition.
    pub has_zone: bool,
}

/// Why a string cannot be read as the time of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("not a time")]
    NotATime,
    #[error("a time before 1970 or after 2554")]
    OutOfRange,
}

/// Parses a time in the format of RFC 3339 or a common variant, or a number since the epoch.
///
/// A time consists of a date; `T`, `t`, a space or `_`; a time of day; an optional fraction of any length after `.` or
/// `,`; and a time zone such as `Z`, `+01:00`, `+0100` or `+01`, after an optional space. A number below 1e11 is in
/// seconds, below 1e14 in milliseconds, below 1e17 in microseconds, and otherwise in nanoseconds. Digits beyond
/// nanoseconds are cut off.
pub fn parse(text: &str) -> Result<Time, TimeError> {
    let time = match Decimal::parse(text) {
        Some(number) => Time {
            nanoseconds: number.scaled(find_unit(&number)).ok_or(TimeError::OutOfRange)?,
            has_zone: true,
        },
        None => parse_date_time(text)?,
    };
    if time.nanoseconds == NO_TIMESTAMP {
        return Err(TimeError::OutOfRange);
    }
    Ok(time)
}

/// Parses a number of seconds, which must not be negative, into nanoseconds. Digits beyond nanoseconds are cut off.
pub(crate) fn parse_seconds(text: &str) -> Option<u64> {
    Decimal::parse(text)?.scaled(SECONDS)
}

/// Returns the power of 10 that converts a number since the epoch to nanoseconds.
fn find_unit(number: &Decimal<'_>) -> i64 {
    match number.integer_digits() {
        ..=11 => SECONDS,
        12..=14 => MILLISECONDS,
        15..=17 => MICROSECONDS,
        _ => NANOSECONDS,
    }
}

fn parse_date_time(text: &str) -> Result<Time, TimeError> {
    // Check the byte here: the crate `time` accepts any.
    if !matches!(text.as_bytes().get(DATE_LEN), Some(b'T' | b't' | b' ' | b'_')) {
        return Err(TimeError::NotATime);
    }
    // Fast path: most times are already in the format of RFC 3339.
    let (time, has_zone) = match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(time) => (time, true),
        Err(_) => {
            let (normal, has_zone) = normalize(text.as_bytes()).ok_or(TimeError::NotATime)?;
            let normal = str::from_utf8(&normal).map_err(|_| TimeError::NotATime)?;
            let time = OffsetDateTime::parse(normal, &Rfc3339).map_err(|_| TimeError::NotATime)?;
            (time, has_zone)
        }
    };
    let nanoseconds = u64::try_from(time.unix_timestamp_nanos()).map_err(|_| TimeError::OutOfRange)?;
    Ok(Time { nanoseconds, has_zone })
}

/// Converts a time into the form of [`EPOCH`], and returns whether it has a time zone. The crate `time` checks the
/// digits and the calendar.
fn normalize(text: &[u8]) -> Option<([u8; EPOCH.len()], bool)> {
    let mut normal = EPOCH;
    let (date_time, mut rest) = text.split_at_checked(DATE_TIME_LEN)?;
    normal[..DATE_TIME_LEN].copy_from_slice(date_time);
    if let [b'.' | b',', fraction @ ..] = rest {
        let len = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len == 0 {
            return None;
        }
        let kept = len.min(FRACTION_LEN);
        normal[FRACTION..FRACTION + kept].copy_from_slice(&fraction[..kept]);
        rest = &fraction[len..];
    }
    let zone = rest.strip_prefix(b" ").unwrap_or(rest);
    let (sign, hour, minute) = match *zone {
        [] => return Some((normal, false)),
        [b'Z' | b'z'] => return Some((normal, true)),
        [sign, h1, h2] => (sign, [h1, h2], *b"00"),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, [h1, h2], [m1, m2]),
        _ => return None,
    };
    normal[SIGN] = sign;
    normal[SIGN + 1..SIGN + 3].copy_from_slice(&hour);
    normal[SIGN + 4..].copy_from_slice(&minute);
    Some((normal, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-25T08:00:00Z
    const MOMENT: u64 = 1_795_593_600_000_000_000;
    const HOUR: u64 = 3_600_000_000_000;
    const MINUTE: u64 = 60_000_000_000;

    fn nanoseconds(text: &str) -> Result<u64, TimeError> {
        parse(text).map(|time| time.nanoseconds)
    }

    #[test]
    fn parse_reads_rfc_3339_and_its_variants() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-25T08:00:00Z", MOMENT),
            ("2026-11-25t08:00:00z", MOMENT),
            ("2026-11-25 08:00:00Z", MOMENT),
            ("2026-11-25_08:00:00Z", MOMENT),
            ("2026-11-25 08:00:00 Z", MOMENT),
            ("2026-11-25T08:00:00.5Z", MOMENT + 500_000_000),
            ("2026-11-25T08:00:00,5Z", MOMENT + 500_000_000),
            ("2026-11-25T08:00:00.123456789Z", MOMENT + 123_456_789),
            ("2026-11-25T08:00:00,1234567899999 +0000", MOMENT + 123_456_789),
            ("2026-11-25T08:00:00+00:00", MOMENT),
            ("2026-11-25T08:00:00-00:00", MOMENT),
            ("2026-11-25T08:00:00+0000", MOMENT),
            ("2026-11-25T08:00:00+0100", MOMENT - HOUR),
            ("2026-11-25T08:00:00+01:30", MOMENT - HOUR - 30 * MINUTE),
            ("2026-11-25T08:00:00-0530", MOMENT + 5 * HOUR + 30 * MINUTE),
            ("2026-11-25T08:00:00+01", MOMENT - HOUR),
            ("2026-11-25 08:00:00 -08", MOMENT + 8 * HOUR),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_799_999_999_999),
            ("2017-01-01T00:59:60.5+0100", 1_483_228_799_999_999_999),
            ("2554-07-21T23:34:33.709551614Z", NO_TIMESTAMP - 1),
        ] {
            let time = Time {
                nanoseconds: expected,
                has_zone: true,
            };
            assert_eq!(parse(text), Ok(time), "{text}");
        }
    }

    #[test]
    fn parse_reads_a_time_without_zone_as_utc() {
        for (text, expected) in [
            ("2026-11-25T08:00:00", MOMENT),
            ("2026-11-25 08:00:00", MOMENT),
            ("2026-11-25 08:00:00,5", MOMENT + 500_000_000),
        ] {
            let time = Time {
                nanoseconds: expected,
                has_zone: false,
            };
            assert_eq!(parse(text), Ok(time), "{text}");
        }
    }

    #[test]
    fn parse_reads_numbers_by_their_magnitude() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("+1", 1_000_000_000),
            ("1540475929", 1_540_475_929_000_000_000),
            ("1540475929.730588123", 1_540_475_929_730_588_123),
            ("1540475929.7305881239", 1_540_475_929_730_588_123),
            ("1.540475929730588123e9", 1_540_475_929_730_588_123),
            ("1540475929730", 1_540_475_929_730_000_000),
            ("1540475929730.588123", 1_540_475_929_730_588_123),
            ("1540475929730588", 1_540_475_929_730_588_000),
            ("1540475929730588.123", 1_540_475_929_730_588_123),
            ("1540475929730588123", 1_540_475_929_730_588_123),
            ("1540475929730588123.9", 1_540_475_929_730_588_123),
            ("0001540475929", 1_540_475_929_000_000_000),
            ("18446744073.709551614", NO_TIMESTAMP - 1),
            ("100000000000", 100_000_000_000_000_000),
            ("100000000000000", 100_000_000_000_000_000),
            ("100000000000000000", 100_000_000_000_000_000),
        ] {
            assert_eq!(nanoseconds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn parse_rejects_times_out_of_range() {
        for text in [
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "0000-01-01T00:00:00Z",
            "2554-07-21T23:34:33.709551615Z",
            "9999-12-31T23:59:59-23:59",
            "-1",
            "-1e-400",
            "18446744073.709551615",
            "99999999999",
            "99999999999999",
            "99999999999999999",
            "18446744073709551615",
            "1e400",
            "1e99999999999999999999",
        ] {
            assert_eq!(parse(text), Err(TimeError::OutOfRange), "{text}");
        }
    }

    #[test]
    fn parse_rejects_other_strings() {
        for text in [
            "",
            "now",
            "true",
            "NaN",
            "-Infinity",
            "{}",
            "2026-11-25",
            "2026-11-25T08:00",
            "2026-11-25T08:00Z",
            "20261125T080000Z",
            "2026-11-25x08:00:00Z",
            "2026-11-25é08:00:00Z",
            "2026-11-25T08:00:0é",
            "2026-11-25T08:00:00.Z",
            "2026-11-25T08:00:00.5.5Z",
            "2026-11-25T08:00:00  Z",
            "2026-11-25T08:00:00Z ",
            " 2026-11-25T08:00:00Z",
            "2026-11-25T08:00:00ZZ",
            "2026-11-25T08:00:00 UTC",
            "2026-11-25T08:00:00+1",
            "2026-11-25T08:00:00+010",
            "2026-11-25T08:00:00+01:3",
            "2026-11-25T08:00:00+01:",
            "2026-11-25T08:00:00+01:000",
            "2026-11-25T08:00:00*0100",
            "2026-11-25T08:00:00+24:00",
            "2026-11-25T08:00:00+01:60",
            "2026-13-25T08:00:00Z",
            "2026-02-29T08:00:00Z",
            "2026-11-25T24:00:00Z",
            "2026-11-25T08:60:00Z",
            "2026-11-25T08:00:60Z",
            "2026-11-25T08:00:61Z",
            "+026-11-25T08:00:00Z",
            "2026-11-25T08:00:00Z\0",
        ] {
            assert_eq!(parse(text), Err(TimeError::NotATime), "{text}");
        }
    }

    #[test]
    fn parse_seconds_accepts_only_numbers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("+1.5", Some(1_500_000_000)),
            ("100000000000", None),
            ("18446744073.709551615", Some(u64::MAX)),
            ("18446744073.709551616", None),
            ("-1", None),
            ("2026-11-25T08:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(parse_seconds(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parse_reads_times_that_the_crate_time_formats(
            nanoseconds in 0..NO_TIMESTAMP - 86_400_000_000_000, minutes in 0i64..1440,
            separator in "[Tt _]", point in "[.,]", space in " ?", colon in ":?",
        ) {
            let local = nanoseconds + minutes.unsigned_abs() * MINUTE;
            let time = OffsetDateTime::from_unix_timestamp_nanos(local.into()).unwrap();
            let (date, clock) = (time.date(), time.time());
            let text = format!(
                "{:04}-{:02}-{:02}{separator}{:02}:{:02}:{:02}{point}{:09}{space}+{:02}{colon}{:02}",
                date.year(), u8::from(date.month()), date.day(),
                clock.hour(), clock.minute(), clock.second(), clock.nanosecond(),
                minutes / 60, minutes % 60,
            );
            prop_assert_eq!(parse(&text), Ok(Time { nanoseconds, has_zone: true }), "{}", text);
        }

        #[test]
        fn parse_never_panics(text in r"(\PC|[0-9TZ:.,+-]){0,40}", damage in any::<char>(), at in 0usize..36) {
            let _ = parse(&text);
            let mut valid: Vec<char> = "2026-11-25T08:00:00.123456789+01:00".chars().collect();
            valid.insert(at.min(valid.len()), damage);
            let _ = parse(&valid.into_iter().collect::<String>());
        }
    }
}
