//! Points in time and durations as JSON has them, in nanoseconds.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const DIGITS_OF_NANOS: i64 = 9;

/// Nanoseconds since the epoch of a time such as `2026-11-25T08:00:00.5+01:00`; `None` before 1970 and after 2554.
pub(super) fn rfc3339(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp_nanos()).ok()
}

/// Nanoseconds of a JSON number of seconds, not negative. Exact: what is finer is cut off.
pub(super) fn seconds(number: &str) -> Option<u64> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    if sign == "-" {
        return None;
    }
    // How many zeros the digits lack to be nanoseconds, or how many of them are finer.
    let zeros = match exponent.parse::<i64>() {
        Ok(exponent) => exponent.saturating_add(DIGITS_OF_NANOS - fraction.len() as i64),
        Err(_) if exponent.starts_with('-') => i64::MIN,
        Err(_) => i64::MAX,
    };
    let finer = usize::try_from(zeros.min(0).unsigned_abs()).ok()?;
    let Some(kept) = digits.len().checked_sub(finer).filter(|&kept| kept > 0) else {
        return Some(0);
    };
    let zeros = u32::try_from(zeros.max(0)).ok()?;
    digits[..kept]
        .parse::<u64>()
        .ok()?
        .checked_mul(10_u64.checked_pow(zeros)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("-0.0", Some(0)),
            ("1", Some(1_000_000_000)),
            ("1540475929.730588123", Some(1_540_475_929_730_588_123)),
            ("1540475929.7305881239", Some(1_540_475_929_730_588_123)),
            ("1.5e9", Some(1_500_000_000_000_000_000)),
            ("15E-1", Some(1_500_000_000)),
            ("1e-9", Some(1)),
            ("1e-10", Some(0)),
            ("18446744073.709551615", Some(u64::MAX)),
            ("18446744073.709551616", None),
            ("1e400", None),
            ("0e99999999999999999999", Some(0)),
            ("1e99999999999999999999", None),
            ("1e-99999999999999999999", Some(0)),
            ("1.5555555555e-9223372036854775808", Some(0)),
            ("1e-400", Some(0)),
            ("-1", None),
            ("-1e-400", None),
            ("1e9223372036854775807", None),
            ("1e-9223372036854775808", Some(0)),
        ] {
            assert_eq!(seconds(text), nanos, "{text}");
        }
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2018-10-25T13:58:49.730588Z", Some(1_540_475_929_730_588_000)),
            ("2018-10-25T15:58:49.730588123+02:00", Some(1_540_475_929_730_588_123)),
            ("1969-12-31T23:59:59Z", None),
            ("2018-10-25", None),
            ("2018-10-25T13:58:49", None),
            ("now", None),
        ] {
            assert_eq!(rfc3339(text), nanos, "{text}");
        }
    }
}
