//! The text of JSON values: strings, and values as they are written.

use std::borrow::Cow;
use std::cmp::Ordering;

/// The string that a JSON string stands for; `None` where it has half of a surrogate pair. `quoted` is its text with
/// the quotes, already checked against the grammar.
pub fn decode(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = &quoted[1..quoted.len() - 1];
    if inner.contains('\\') {
        serde_json::from_str(quoted).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// As [`decode`], with U+FFFD in the place of each half of a surrogate pair: whoever writes an event must not be able to
/// hide the rest of a text from a rule by one bad character.
pub(super) fn decode_replacing(quoted: &str) -> Cow<'_, str> {
    decode(quoted).unwrap_or_else(|| {
        let mut text = String::with_capacity(quoted.len());
        let mut rest = &quoted[1..quoted.len() - 1];
        while let Some((plain, behind)) = rest.split_once('\\') {
            text.push_str(plain);
            match escaped(behind.as_bytes()) {
                Some((char, left)) => {
                    text.push(char);
                    rest = &behind[behind.len() - left.len()..];
                }
                // A half is `u` and four digits.
                None => {
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &behind[5..];
                }
            }
        }
        text.push_str(rest);
        text.into()
    })
}

/// Whether the text of a key, without its quotes, stands for `key`. No further than to the first difference: a payload may
/// have many keys, and long ones.
#[inline]
pub(super) fn is_key(raw: &[u8], key: &str) -> bool {
    // An escape is longer than what it stands for.
    match raw.len().cmp(&key.len()) {
        Ordering::Less => false,
        Ordering::Equal => raw == key.as_bytes() && !raw.contains(&b'\\'),
        Ordering::Greater => {
            let first = raw.first();
            (first == key.as_bytes().first() || first == Some(&b'\\')) && is_escaped_key(raw, key.as_bytes())
        }
    }
}

fn is_escaped_key(mut raw: &[u8], mut key: &[u8]) -> bool {
    while let Some((&byte, rest)) = raw.split_first() {
        if byte != b'\\' {
            match key.split_first() {
                Some((&wanted, wanted_rest)) if wanted == byte => (raw, key) = (rest, wanted_rest),
                _ => return false,
            }
            continue;
        }
        let Some((char, rest)) = escaped(rest) else {
            return false;
        };
        match key.strip_prefix(char.encode_utf8(&mut [0; 4]).as_bytes()) {
            Some(wanted_rest) => (raw, key) = (rest, wanted_rest),
            None => return false,
        }
    }
    key.is_empty()
}

/// The character of an escape, and what stands behind it; `None` for half of a surrogate pair. `raw` begins behind the
/// backslash.
fn escaped(raw: &[u8]) -> Option<(char, &[u8])> {
    let (&letter, rest) = raw.split_first()?;
    let char = match letter {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return escaped_units(rest),
        other => char::from(other),
    };
    Some((char, rest))
}

fn escaped_units(raw: &[u8]) -> Option<(char, &[u8])> {
    let (first, rest) = unit(raw)?;
    let second = rest.strip_prefix(b"\\u").and_then(unit);
    let units = [first, second.map_or(0, |(second, _)| second)];
    match char::decode_utf16(units).next()?.ok()? {
        char if char.len_utf16() == 2 => Some((char, second?.1)),
        char => Some((char, rest)),
    }
}

/// Four hexadecimal digits, and what stands behind them.
fn unit(raw: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = raw.split_at_checked(4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

/// A JSON text without the white space between its parts.
pub(super) fn compact(json: &str) -> Cow<'_, str> {
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    if !json.bytes().any(|byte| is_space(&byte)) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len());
    for (index, part) in parts(json).enumerate() {
        // Every other part is a string.
        if index % 2 == 1 {
            text.push_str(part);
        } else {
            text.extend(part.chars().filter(|char| !char.is_ascii_whitespace()));
        }
    }
    Cow::Owned(text)
}

/// A JSON text in turns: what stands outside of strings, and a string with its quotes.
fn parts(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    let mut inside = false;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = if inside { string_end(rest) } else { rest.find('"') };
        let (part, tail) = rest.split_at(end.unwrap_or(rest.len()));
        (rest, inside) = (tail, !inside);
        Some(part)
    })
}

/// Behind the closing quote of a text that begins with a string.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn a_key_is_what_its_text_decodes_to(
            raw in r#"(a|b|é|😀|\\n|\\\\|\\/|\\"|\\u0061|\\u00e9|\\ud83d\\ude00|\\ud83d|\\ude00|\\u000a){0,5}"#,
            other in "[ab/é😀\"\n\\\\]{0,5}",
        ) {
            let decoded = decode(&format!("\"{raw}\"")).map(Cow::into_owned);
            prop_assert_eq!(is_key(raw.as_bytes(), &other), decoded.as_deref() == Some(other.as_str()));
            if let Some(decoded) = decoded {
                prop_assert!(is_key(raw.as_bytes(), &decoded));
            }
        }
    }

    #[test]
    fn of_a_string_only_halves_of_surrogate_pairs_are_replaced() {
        for (inner, expected) in [
            (r"a\\\ud83d\nb", "a\\\u{fffd}\nb"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83dude00", "\u{fffd}ude00"),
            (r"\u00e9\t", "é\t"),
            ("é", "é"),
        ] {
            assert_eq!(decode_replacing(&format!("\"{inner}\"")), expected, "{inner}");
        }
    }

    #[test]
    fn compact_text_keeps_what_stands_in_strings() {
        for (json, expected) in [
            ("[ 1 ,\n 2 ]", "[1,2]"),
            (r#"{ "a b" : "c \" d" , "e" : [ ] }"#, r#"{"a b":"c \" d","e":[]}"#),
            (r#"["\\", " "]"#, r#"["\\"," "]"#),
        ] {
            assert_eq!(compact(json), expected);
        }
    }
}
