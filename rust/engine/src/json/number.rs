//! Reads whole numbers exactly, in the notation of JSON or of careless programs.

use crate::decimal::{Decimal, WholeFault};

/// Why a string is not a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberFault {
    /// The string is not a decimal number.
    NotANumber,
    NotWhole(WholeFault),
}

/// Reads a whole number from 0 to 2**64 - 1 in any notation: `33`, `33.0`, `3.3e1`, `+33`, `033`.
#[inline]
pub(crate) fn parse_whole(text: &str) -> Result<u64, NumberFault> {
    // Fast path: most numbers are short and have only digits.
    if text.len() < 20 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text
            .bytes()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
    }
    let number = Decimal::parse(text).ok_or(NumberFault::NotANumber)?;
    number.to_whole().map_err(NumberFault::NotWhole)
}

/// Returns whether a string is a number by the grammar of JSON.
pub fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    is_digits(whole) && (whole == "0" || !whole.starts_with('0')) && is_digits(fraction) && is_digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::NumberFault::NotANumber;
    use super::*;

    #[test]
    fn parse_whole_reads_every_notation() {
        for (text, expected) in [
            ("33", Ok(33)),
            ("33.0", Ok(33)),
            ("3.3e1", Ok(33)),
            ("3.3E+1", Ok(33)),
            ("330e-1", Ok(33)),
            ("0.033e3", Ok(33)),
            ("033", Ok(33)),
            ("+33", Ok(33)),
            ("33.", Ok(33)),
            (".33e2", Ok(33)),
            ("-0", Ok(0)),
            ("-0.0", Ok(0)),
            ("0e99999999999999999999", Ok(0)),
            ("18446744073709551615", Ok(u64::MAX)),
            ("18446744073709551615.000", Ok(u64::MAX)),
            ("1.8446744073709551615e19", Ok(u64::MAX)),
            ("000000000000000000000000000001", Ok(1)),
            ("18446744073709551616", Err(NumberFault::NotWhole(WholeFault::TooLarge))),
            ("1e20", Err(NumberFault::NotWhole(WholeFault::TooLarge))),
            (
                "1e99999999999999999999",
                Err(NumberFault::NotWhole(WholeFault::TooLarge)),
            ),
            ("33.5", Err(NumberFault::NotWhole(WholeFault::Fraction))),
            ("3.35e1", Err(NumberFault::NotWhole(WholeFault::Fraction))),
            ("1e-1", Err(NumberFault::NotWhole(WholeFault::Fraction))),
            (
                "1e-99999999999999999999",
                Err(NumberFault::NotWhole(WholeFault::Fraction)),
            ),
            ("-33", Err(NumberFault::NotWhole(WholeFault::Negative))),
            ("-1e-400", Err(NumberFault::NotWhole(WholeFault::Negative))),
            ("", Err(NotANumber)),
            ("-", Err(NotANumber)),
            (".", Err(NotANumber)),
            ("e5", Err(NotANumber)),
            ("1e", Err(NotANumber)),
            ("1e+", Err(NotANumber)),
            ("1.2.3", Err(NotANumber)),
            ("--1", Err(NotANumber)),
            ("0x1F", Err(NotANumber)),
            ("NaN", Err(NotANumber)),
            (" 1", Err(NotANumber)),
            ("1_000", Err(NotANumber)),
        ] {
            assert_eq!(parse_whole(text), expected, "{text}");
        }
    }

    #[test]
    fn is_json_number_agrees_with_serde_json() {
        for text in [
            "0", "-0", "10", "1.5", "1.50", "1e5", "1E+5", "1.5e-5", "", "-", "+1", "01", "1.", ".5", "1e", "1e+",
            "1.e5", "0x1", "NaN", "1 ", "--1",
        ] {
            let parsed = serde_json::from_str::<serde_json::Number>(text).is_ok() && !text.ends_with(' ');
            assert_eq!(is_json_number(text), parsed, "{text}");
        }
    }
}
