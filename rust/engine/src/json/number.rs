//! Numbers as JSON and careless programs write them, read exactly.

/// Why a text is not the number that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NumberFault {
    /// It is not a decimal number.
    NotANumber,
    Negative,
    /// It has digits finer than one.
    Fraction,
    /// It is larger than 2**64 - 1.
    TooLarge,
}

/// Reads a whole number from 0 to 2**64 - 1 in any notation: `33`, `33.0`, `3.3e1`, `+33`, `033`.
#[inline]
pub fn whole(text: &str) -> Result<u64, NumberFault> {
    // Most are short and have digits only.
    if text.len() < 20 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text
            .bytes()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
    }
    let (number, is_exact) = scaled(text, 0)?;
    is_exact.then_some(number).ok_or(NumberFault::Fraction)
}

/// Returns whether a text is a number by the grammar of JSON.
pub fn is_json(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    is_digits(whole) && (whole == "0" || !whole.starts_with('0')) && is_digits(fraction) && is_digits(exponent)
}

/// Reads a decimal number that is not negative, times ten to the power of `zeros`. Returns it without its fraction, and
/// whether it had none.
pub fn scaled(text: &str, zeros: i64) -> Result<(u64, bool), NumberFault> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits = !(whole.is_empty() && fraction.is_empty());
    let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if !has_digits
        || !is_digits(whole)
        || !is_digits(fraction)
        || exponent_digits.is_empty()
        || !is_digits(exponent_digits)
    {
        return Err(NumberFault::NotANumber);
    }
    let mut digits = whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0');
    let significant = digits.clone().count();
    if significant == 0 {
        return Ok((0, true));
    }
    if negative {
        return Err(NumberFault::Negative);
    }
    // An exponent that is too long for a number is larger than any that makes a difference.
    let exponent = exponent.parse::<i64>().unwrap_or(match exponent.starts_with('-') {
        true => i64::MIN,
        false => i64::MAX,
    });
    // How many digits stand in front of the point once it is moved.
    let point = exponent
        .saturating_add(zeros)
        .saturating_add(significant as i64)
        .saturating_sub(fraction.len() as i64);
    if point > 20 {
        return Err(NumberFault::TooLarge);
    }
    let mut number: u64 = 0;
    for _ in 0..point.max(0) {
        let digit = digits.next().map_or(0, |digit| digit - b'0');
        number = number
            .checked_mul(10)
            .and_then(|number| number.checked_add(u64::from(digit)))
            .ok_or(NumberFault::TooLarge)?;
    }
    Ok((number, digits.all(|digit| digit == b'0')))
}

#[cfg(test)]
mod tests {
    use super::NumberFault::{Fraction, Negative, NotANumber, TooLarge};
    use super::*;

    #[test]
    fn whole_numbers_are_read_in_every_notation() {
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
            ("18446744073709551616", Err(TooLarge)),
            ("1e20", Err(TooLarge)),
            ("1e99999999999999999999", Err(TooLarge)),
            ("33.5", Err(Fraction)),
            ("3.35e1", Err(Fraction)),
            ("1e-1", Err(Fraction)),
            ("1e-99999999999999999999", Err(Fraction)),
            ("-33", Err(Negative)),
            ("-1e-400", Err(Negative)),
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
            assert_eq!(whole(text), expected, "{text}");
        }
    }

    #[test]
    fn is_json_is_what_serde_json_takes() {
        for text in [
            "0", "-0", "10", "1.5", "1.50", "1e5", "1E+5", "1.5e-5", "", "-", "+1", "01", "1.", ".5", "1e", "1e+",
            "1.e5", "0x1", "NaN", "1 ", "--1",
        ] {
            let parsed = serde_json::from_str::<serde_json::Number>(text).is_ok() && !text.ends_with(' ');
            assert_eq!(is_json(text), parsed, "{text}");
        }
    }

    #[test]
    fn scaled_cuts_off_what_is_finer() {
        for (text, zeros, expected) in [
            ("1540475929.7305881239", 9, Ok((1_540_475_929_730_588_123, false))),
            ("1.5", 9, Ok((1_500_000_000, true))),
            ("1e-9", 9, Ok((1, true))),
            ("1e-10", 9, Ok((0, false))),
            ("18446744073.709551615", 9, Ok((u64::MAX, true))),
            ("18446744073.709551616", 9, Err(TooLarge)),
            ("1.5555555555e-9223372036854775808", 9, Ok((0, false))),
            ("1e9223372036854775807", 9, Err(TooLarge)),
            ("1500", -3, Ok((1, false))),
        ] {
            assert_eq!(scaled(text, zeros), expected, "{text}");
        }
    }
}
