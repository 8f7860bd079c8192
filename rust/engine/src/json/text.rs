//! Decodes the text of JSON values: strings with escapes, and values without quotes.

use std::borrow::Cow;

use memchr::memchr;

use super::fault::{Fault, FaultKind};

/// DecodedText text, and the first fault in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedText<'a> {
    pub text: Cow<'a, str>,
    /// Its offset counts from the beginning of the decoded bytes.
    pub fault: Option<Fault>,
}

/// Decodes the content of a JSON string, without its quotes. A fault does not end the text.
///
/// Half of a surrogate pair becomes U+FFFD, and so does each byte that is not part of a UTF-8 character. An unknown
/// escape is kept as it is written.
pub fn decode(content: &[u8]) -> DecodedText<'_> {
    if memchr(b'\\', content).is_none() {
        return decode_lossy(content);
    }
    let mut text = String::with_capacity(content.len());
    let mut fault = None;
    let mut rest = content;
    while let Some(at) = memchr(b'\\', rest) {
        push_lossy(&mut text, &mut fault, content, &rest[..at]);
        let raw = &rest[at + 1..];
        rest = match read_escape(raw) {
            Escape::Char(char, rest) => {
                text.push(char);
                rest
            }
            Escape::Half(rest) => {
                text.push(char::REPLACEMENT_CHARACTER);
                rest
            }
            Escape::Unknown => {
                let offset = content.len() - rest.len() + at;
                fault.get_or_insert(Fault {
                    offset,
                    kind: FaultKind::UnknownEscape,
                });
                text.push('\\');
                raw
            }
        };
    }
    push_lossy(&mut text, &mut fault, content, rest);
    DecodedText {
        text: text.into(),
        fault,
    }
}

/// Decodes UTF-8. Each byte that is not part of a character becomes U+FFFD.
pub fn decode_lossy(bytes: &[u8]) -> DecodedText<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => DecodedText {
            text: text.into(),
            fault: None,
        },
        Err(_) => {
            let (mut text, mut fault) = (String::with_capacity(bytes.len()), None);
            push_lossy(&mut text, &mut fault, bytes, bytes);
            DecodedText {
                text: text.into(),
                fault,
            }
        }
    }
}

/// Decodes `part` of `whole` and adds it to `text`. Keeps its first fault, unless there is one already.
fn push_lossy(text: &mut String, fault: &mut Option<Fault>, whole: &[u8], part: &[u8]) {
    let mut offset = part.as_ptr().addr() - whole.as_ptr().addr();
    for chunk in part.utf8_chunks() {
        text.push_str(chunk.valid());
        offset += chunk.valid().len();
        for _ in chunk.invalid() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
        if !chunk.invalid().is_empty() {
            fault.get_or_insert(Fault {
                offset,
                kind: FaultKind::InvalidUtf8,
            });
        }
        offset += chunk.invalid().len();
    }
}

/// Returns whether a string's content can be copied unchanged: it is valid UTF-8 without backslashes and NULs.
#[inline]
pub(crate) fn is_plain(content: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let is_plain_ascii = |word: u64| {
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        (word | zero(word) | zero(word ^ (ONES * b'\\' as u64))) & HIGHS == 0
    };
    let (words, rest) = content.as_chunks::<8>();
    // Pad with a character that can be copied unchanged.
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mut words = words.iter().chain([&last]);
    words.all(|word| is_plain_ascii(u64::from_le_bytes(*word))) || is_plain_unicode(content)
}

#[inline(never)]
fn is_plain_unicode(content: &[u8]) -> bool {
    memchr::memchr2(b'\\', 0, content).is_none() && std::str::from_utf8(content).is_ok()
}

/// Returns whether the content of a key decodes to `key`.
pub(crate) fn is_key(content: &[u8], key: &str) -> bool {
    if memchr(b'\\', content).is_none() && !key.contains(char::REPLACEMENT_CHARACTER) {
        return content == key.as_bytes();
    }
    // An escaped or replaced character takes one to six bytes of the content.
    let may_be = content.len() <= key.len() * 6 && key.len() <= content.len() * 3;
    may_be && decode(content).text == key
}

/// A decoded escape, and the bytes that follow it.
enum Escape<'a> {
    Char(char, &'a [u8]),
    /// One half of a surrogate pair.
    Half(&'a [u8]),
    Unknown,
}

/// Reads the escape that follows a backslash.
fn read_escape(raw: &[u8]) -> Escape<'_> {
    let Some((&letter, rest)) = raw.split_first() else {
        return Escape::Unknown;
    };
    let char = match letter {
        b'"' | b'\\' | b'/' => char::from(letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return read_units(rest),
        _ => return Escape::Unknown,
    };
    Escape::Char(char, rest)
}

/// Reads the UTF-16 code units of a `\u` escape.
fn read_units(raw: &[u8]) -> Escape<'_> {
    let Some((first, rest)) = read_unit(raw) else {
        return Escape::Unknown;
    };
    let second = rest.strip_prefix(b"\\u").and_then(read_unit);
    let units = [first, second.map_or(0, |(second, _)| second)];
    match char::decode_utf16(units).next() {
        Some(Ok(char)) => match second {
            Some((_, rest)) if char.len_utf16() == 2 => Escape::Char(char, rest),
            _ => Escape::Char(char, rest),
        },
        _ => Escape::Half(rest),
    }
}

/// Reads four hexadecimal digits.
fn read_unit(raw: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = raw.split_at_checked(4)?;
    let unit = digits.iter().try_fold(0, |unit, &digit| {
        Some(unit << 4 | char::from(digit).to_digit(16)? as u16)
    })?;
    Some((unit, rest))
}

/// Returns whether a value without quotes is `true`, `false` or `null`.
pub(crate) fn is_word(text: &[u8]) -> bool {
    matches!(text, b"true" | b"false" | b"null")
}

/// Returns whether a value without quotes is a number, or what a careless program writes for one: `NaN`, `-Infinity`,
/// `007`, `+1`.
pub(crate) fn is_number_like(text: &[u8]) -> bool {
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        text => text,
    };
    let is_name = [&b"nan"[..], b"inf", b"infinity"]
        .iter()
        .any(|name| unsigned.eq_ignore_ascii_case(name));
    let is_number = matches!(unsigned, [b'0'..=b'9' | b'.', ..])
        && unsigned
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    is_name || is_number
}

/// Removes the white space of a container. Strings are kept as they are written.
pub(crate) fn compact(json: &[u8]) -> Cow<'_, [u8]> {
    let is_space = |byte: &u8| *byte <= b' ';
    if !json.iter().any(is_space) {
        return Cow::Borrowed(json);
    }
    let mut text = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = memchr(b'"', rest) {
        let (between, string) = rest.split_at(at);
        text.extend(between.iter().filter(|byte| !is_space(byte)));
        // Each string in a closed container has a closing quote.
        let end = super::string::string_end(string, 1).unwrap_or(string.len());
        text.extend_from_slice(&string[..end]);
        rest = &string[end..];
    }
    text.extend(rest.iter().filter(|byte| !is_space(byte)));
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Joins up to five of the pieces.
    fn joined(pieces: &[&'static str]) -> impl Strategy<Value = String> + use<> {
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn is_key_compares_decoded_text(
            raw in joined(&[
                "a", "b", "é", "😀", r"\n", r"\\", r"\/", r#"\""#, r"\u0061", r"\u00e9", r"\ud83d\ude00", r"\ud83d", r"\ude00",
                r"\u000a", r"\x", "\u{fffd}",
            ]),
            other in joined(&["a", "b", "/", "é", "😀", "\"", "\n", r"\", "\u{fffd}"]),
        ) {
            let decoded = decode(raw.as_bytes()).text;
            prop_assert_eq!(is_key(raw.as_bytes(), &other), decoded == other);
            prop_assert!(is_key(raw.as_bytes(), &decoded));
        }

        #[test]
        fn decode_agrees_with_serde_json(text: String) {
            let quoted = serde_json::to_string(&text).unwrap();
            let content = &quoted.as_bytes()[1..quoted.len() - 1];
            prop_assert_eq!(decode(content), DecodedText { text: text.as_str().into(), fault: None });
            prop_assert_eq!(is_plain(content), !content.contains(&b'\\'));
        }

        #[test]
        fn decode_replaces_each_invalid_byte(bytes in prop::collection::vec(prop::sample::select(b"abc\xff\xe2\x82\xac\xf0\x9f\x98\x80".to_vec()), 0..20)) {
            let mut expected = String::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let char = (1..=4.min(rest.len())).find_map(|len| std::str::from_utf8(&rest[..len]).ok());
                expected.push_str(char.unwrap_or("\u{fffd}"));
                rest = &rest[char.map_or(1, str::len)..];
            }
            prop_assert_eq!(decode(&bytes).text, expected);
        }
    }

    #[test]
    fn decode_keeps_unknown_escapes() {
        let unknown = |offset| Some((offset, FaultKind::UnknownEscape));
        for (content, expected, fault) in [
            (&br"a\\\ud83d\nb"[..], "a\\\u{fffd}\nb", None),
            (br"\ud83d\ud83d\ude00", "\u{fffd}😀", None),
            (br"\ude00\ud83d", "\u{fffd}\u{fffd}", None),
            (br"\ud83dude00", "\u{fffd}ude00", None),
            (br"\u00e9\t", "é\t", None),
            (br"a\x5Cb", r"a\x5Cb", unknown(1)),
            (br"\u12G4", r"\u12G4", unknown(0)),
            (br"\u+123", r"\u+123", unknown(0)),
            (br"\u1", r"\u1", unknown(0)),
            (br"\n\d", "\n\\d", unknown(2)),
            ("é\\é".as_bytes(), "é\\é", unknown(2)),
            (b"a\nb\0c", "a\nb\0c", None),
            (
                b"a\xffb\xe2\x82c",
                "a\u{fffd}b\u{fffd}\u{fffd}c",
                Some((1, FaultKind::InvalidUtf8)),
            ),
            (b"\\n\xff\\x", "\n\u{fffd}\\x", Some((2, FaultKind::InvalidUtf8))),
        ] {
            let found = decode(content);
            assert_eq!(found.text, expected);
            assert_eq!(found.fault.map(|fault| (fault.offset, fault.kind)), fault, "{expected}");
        }
    }

    #[test]
    fn is_plain_rejects_content_that_must_change() {
        for (content, expected) in [
            (&b""[..], true),
            (b"a", true),
            (b"abcdefgh", true),
            (b"abcdefghi\\n", false),
            (b"abc\0", false),
            (b"abcdefgh\0", false),
            ("abcdefghé".as_bytes(), true),
            (b"abcdefgh\xff", false),
            ("é\0".as_bytes(), false),
            ("é\\n".as_bytes(), false),
        ] {
            assert_eq!(is_plain(content), expected, "{content:?}");
        }
    }

    #[test]
    fn is_number_like_distinguishes_numbers_from_words() {
        for text in [
            "0", "007", "+1", "-1.5e3", ".5", "NaN", "-nan", "Infinity", "-inf", "1.2.3.4",
        ] {
            assert!(is_number_like(text.as_bytes()), "{text}");
        }
        for text in ["", "-", "+", "e5", "infinite", "1 2", "0x1F", "true", "12:00"] {
            assert!(!is_number_like(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn compact_keeps_white_space_in_strings() {
        for (json, expected) in [
            ("[ 1 ,\n 2 ]", "[1,2]"),
            (r#"{ "a b" : "c \" d" , "e" : [ ] }"#, r#"{"a b":"c \" d","e":[]}"#),
            (r#"["\\", " "]"#, r#"["\\"," "]"#),
            (r#"[ a b , "]"]"#, r#"[ab,"]"]"#),
        ] {
            assert_eq!(compact(json.as_bytes()), expected.as_bytes());
        }
    }
}
