//! Parses decimal numbers exactly.

use std::iter;

/// Numbers with more digits do not fit into a `u64`.
const MAX_DIGITS: i64 = 20;

/// A decimal number such as `-12`, `007`, `5.`, `.5` or `1.5e-3`. It borrows its digits, so that it can have any number
/// of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal<'a> {
    is_negative: bool,
    /// The digits before and after the decimal point, without the leading zeros of the number.
    digits: [&'a str; 2],
    /// The position of the decimal point, counted from the first digit. It has no meaning for zero.
    point: i64,
}

/// Why a number is not a whole number from 0 to 2**64 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WholeFault {
    Negative,
    /// It has a digit other than 0 after the decimal point.
    Fraction,
    TooLarge,
}

impl<'a> Decimal<'a> {
    /// Parses an optional sign, digits with an optional decimal point, and an optional exponent. Returns `None` for any
    /// other string, and for a number without digits.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let is_negative = text.starts_with('-');
        let (digits, text) = split_digits(text.strip_prefix(['+', '-']).unwrap_or(text));
        let (fraction, text) = text.strip_prefix('.').map_or(("", text), split_digits);
        if digits.is_empty() && fraction.is_empty() {
            return None;
        }
        let exponent = if text.is_empty() { 0 } else { parse_exponent(text)? };
        let whole = digits.trim_start_matches('0');
        let significant = if whole.is_empty() {
            fraction.trim_start_matches('0')
        } else {
            fraction
        };
        let zeros = fraction.len() - significant.len();
        Some(Self {
            is_negative,
            digits: [whole, significant],
            point: exponent.saturating_add(whole.len() as i64 - zeros as i64),
        })
    }

    /// Returns the number of digits of the integer part; 0 for zero.
    pub(crate) fn integer_digits(&self) -> i64 {
        if self.is_zero() { 0 } else { self.point.max(0) }
    }

    /// Returns the integer part of the number times 10 to the power of `power`. Returns `None` if the number is
    /// negative or the result does not fit.
    pub(crate) fn scaled(&self, power: i64) -> Option<u64> {
        if self.is_zero() {
            return Some(0);
        }
        let kept = self.point.saturating_add(power);
        if self.is_negative || kept > MAX_DIGITS {
            return None;
        }
        let digits = self.digits.iter().flat_map(|digits| digits.bytes());
        digits
            .chain(iter::repeat(b'0'))
            .take(kept.max(0) as usize)
            .try_fold(0_u64, |value, digit| {
                value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
            })
    }

    /// Returns the number if it is a whole number from 0 to 2**64 - 1.
    pub(crate) fn to_whole(self) -> Result<u64, WholeFault> {
        if self.is_zero() {
            return Ok(0);
        }
        if self.is_negative {
            return Err(WholeFault::Negative);
        }
        let number = self.scaled(0).ok_or(WholeFault::TooLarge)?;
        let mut fraction = self.digits.iter().flat_map(|digits| digits.bytes());
        let integer_digits = self.point.max(0) as usize;
        match fraction.by_ref().skip(integer_digits).all(|digit| digit == b'0') {
            true => Ok(number),
            false => Err(WholeFault::Fraction),
        }
    }

    fn is_zero(&self) -> bool {
        self.digits == ["", ""]
    }
}

/// Splits a string after its leading digits.
fn split_digits(text: &str) -> (&str, &str) {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(len)
}

/// Parses an exponent, including its `e`. Returns the largest or smallest `i64` if the exponent does not fit.
fn parse_exponent(text: &str) -> Option<i64> {
    let text = text.strip_prefix(['e', 'E'])?;
    let is_negative = text.starts_with('-');
    let (digits, rest) = split_digits(text.strip_prefix(['+', '-']).unwrap_or(text));
    if digits.is_empty() || !rest.is_empty() {
        return None;
    }
    let limit = if is_negative { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scaled_is_exact() {
        for (text, power, value) in [
            ("0", 9, Some(0)),
            ("-0.0", 9, Some(0)),
            ("+.0e5", 9, Some(0)),
            ("1", 0, Some(1)),
            ("+1", 0, Some(1)),
            ("007", 0, Some(7)),
            ("5.", 1, Some(50)),
            (".5", 1, Some(5)),
            (".05e1", 1, Some(5)),
            ("1540475929.7305881239", 9, Some(1_540_475_929_730_588_123)),
            ("1.5e9", 9, Some(1_500_000_000_000_000_000)),
            ("15E-1", 9, Some(1_500_000_000)),
            ("1e+2", 0, Some(100)),
            ("1e-10", 9, Some(0)),
            ("18446744073709551615", 0, Some(u64::MAX)),
            ("18446744073.709551616", 9, None),
            ("1e400", 9, None),
            ("0e99999999999999999999", 9, Some(0)),
            ("1e99999999999999999999", 9, None),
            ("1e-99999999999999999999", 9, Some(0)),
            ("1.5555555555e-9223372036854775808", 9, Some(0)),
            ("1e9223372036854775807", 9, None),
            ("-1", 9, None),
            ("-1e-400", 9, None),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().scaled(power), value, "{text}");
        }
    }

    #[test]
    fn integer_digits_ignores_notation() {
        for (text, digits) in [
            ("0", 0),
            ("0.9", 0),
            ("0.0009", 0),
            ("1", 1),
            ("0099.9", 2),
            ("-1234", 4),
            ("0.00123e5", 3),
            ("99999e-2", 3),
            ("1e9223372036854775807", i64::MAX),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().integer_digits(), digits, "{text}");
        }
    }

    #[test]
    fn parse_rejects_other_strings() {
        for text in [
            "",
            "+",
            "-",
            ".",
            "e5",
            ".e5",
            "1e",
            "1e+",
            "1e5x",
            "1x",
            "--1",
            "+-1",
            " 1",
            "1 ",
            "1_000",
            "0x1F",
            "1.2.3",
            "NaN",
            "inf",
            "-Infinity",
            "١",
        ] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn scaled_agrees_with_integer_arithmetic(
            zeros in 0usize..4, whole in 0u64..1_000_000_000_000, fraction in "[0-9]{0,8}", exponent in -12i32..12,
        ) {
            let text = format!("{}{whole}.{fraction}e{exponent}", "0".repeat(zeros));
            let digits: u128 = format!("{whole}{fraction}").parse().unwrap();
            let power = exponent - fraction.len() as i32 + 9;
            let ten = |power: i32| 10_u128.pow(power.unsigned_abs());
            let expected = if power < 0 { digits / ten(power) } else { digits * ten(power) };
            prop_assert_eq!(Decimal::parse(&text).unwrap().scaled(9), u64::try_from(expected).ok(), "{}", text);
        }
    }
}
