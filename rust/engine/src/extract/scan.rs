//! Checked steps over JSON text: where a string, a key or a whole value ends.
//!
//! Everything that is stepped over is checked against the grammar of RFC 8259, so that what is found later is never
//! behind a fault. No recursion: the containers that are open are bits of one number, which is what bounds the depth.
//! Positions are byte offsets; a position that is returned may be the end of the text.

use std::num::NonZeroUsize;

/// How deep arrays and objects may be nested.
pub const MAX_DEPTH: u32 = u128::BITS;

/// Where a value ends that begins at `pos`; `None` where there is no complete one.
pub fn value(json: &[u8], pos: usize) -> Option<usize> {
    match *json.get(pos)? {
        b'{' | b'[' => container(json, 0, pos, 0, &mut ()),
        _ => scalar(json, pos),
    }
}

/// Hears of the values that are stepped over, in the order in which they begin. `key` is where the text of a member's
/// key begins.
pub(super) trait Notes {
    fn scalar(&mut self, _key: usize, _start: usize, _end: usize) {}
    fn opened(&mut self, _key: usize, _start: usize) {}
    fn closed(&mut self, _end: usize) {}
    fn escaped_key(&mut self) {}
}

impl Notes for () {}

/// A member or an element.
pub(super) struct Entry {
    pub(super) key: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where the next one begins.
    pub(super) rest: Option<NonZeroUsize>,
}

/// The first value of the object or array that begins at `start`.
pub(super) fn first(json: &[u8], start: usize) -> Option<NonZeroUsize> {
    let close = match *json.get(start)? {
        b'{' => b'}',
        b'[' => b']',
        _ => return None,
    };
    let first = space(json, start + 1);
    (*json.get(first)? != close).then(|| NonZeroUsize::new(first))?
}

/// The member or element of an outermost container that begins at `pos`. It counts where the text goes on as it must:
/// of a number at the end of a text that was cut, digits may be missing.
#[inline(always)]
pub(super) fn entry(json: &[u8], object: bool, pos: usize, notes: &mut impl Notes) -> Option<Entry> {
    let (key, start) = if object {
        (pos + 1, member(json, pos, notes)?.1)
    } else {
        (0, pos)
    };
    let end = match *json.get(start)? {
        // What is deeper was checked as a part of an entry of the outermost, if this is none.
        b'{' | b'[' => container(json, key, start, 1, notes)?,
        _ => {
            let end = scalar(json, start)?;
            notes.scalar(key, start, end);
            end
        }
    };
    let behind = space(json, end);
    let rest = match (*json.get(behind)?, object) {
        (b',', _) => NonZeroUsize::new(space(json, behind + 1)),
        (b'}', true) | (b']', false) => None,
        _ => return None,
    };
    Some(Entry { key, start, end, rest })
}

/// Where the object or array ends that begins at `pos` and stands in `outer` others.
fn container(json: &[u8], mut key: usize, mut pos: usize, outer: u32, notes: &mut impl Notes) -> Option<usize> {
    let mut depth = outer;
    // One bit a level, the innermost lowest: whether it is an object.
    let mut objects: u128 = 0;
    loop {
        match *json.get(pos)? {
            open @ (b'{' | b'[') => {
                if depth == MAX_DEPTH {
                    return None;
                }
                let object = open == b'{';
                notes.opened(key, pos);
                pos = space(json, pos + 1);
                depth += 1;
                objects = objects << 1 | u128::from(object);
                let first = *json.get(pos)?;
                if object && first != b'}' {
                    key = pos + 1;
                    pos = member(json, pos, notes)?.1;
                    continue;
                }
                if !object && first != b']' {
                    key = 0;
                    continue;
                }
            }
            _ => {
                let end = scalar(json, pos)?;
                notes.scalar(key, pos, end);
                pos = end;
            }
        }
        // Behind a value: up through what ends here, and on to the next.
        loop {
            if depth == outer {
                return Some(pos);
            }
            pos = space(json, pos);
            let object = objects & 1 == 1;
            match (*json.get(pos)?, object) {
                (b',', true) => {
                    pos = space(json, pos + 1);
                    key = pos + 1;
                    pos = member(json, pos, notes)?.1;
                    break;
                }
                (b',', false) => {
                    key = 0;
                    pos = space(json, pos + 1);
                    break;
                }
                (b'}', true) | (b']', false) => {
                    pos += 1;
                    depth -= 1;
                    objects >>= 1;
                    notes.closed(pos);
                }
                _ => return None,
            }
        }
    }
}

/// The end of the key whose opening quote is at `pos`, quote included, and the beginning of its value.
pub fn key(json: &[u8], pos: usize) -> Option<(usize, usize)> {
    member(json, pos, &mut ())
}

#[inline(always)]
fn member(json: &[u8], pos: usize, notes: &mut impl Notes) -> Option<(usize, usize)> {
    if *json.get(pos)? != b'"' {
        return None;
    }
    let mut end = run(json, pos + 1);
    if *json.get(end)? == b'"' {
        end += 1;
    } else {
        notes.escaped_key();
        end = string(json, end)?;
    }
    let colon = space(json, end);
    (*json.get(colon)? == b':').then(|| (end, space(json, colon + 1)))
}

/// Over white space. Most of JSON has none.
#[inline(always)]
pub fn space(json: &[u8], pos: usize) -> usize {
    match json.get(pos) {
        Some(0..=b' ') => spaces(json, pos),
        _ => pos,
    }
}

// Loops within loops take registers from the outer ones.
#[inline(never)]
fn spaces(json: &[u8], mut pos: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = json.get(pos) {
        pos += 1;
    }
    pos
}

/// Where a value ends that is neither object nor array.
#[inline(always)]
pub(super) fn scalar(json: &[u8], pos: usize) -> Option<usize> {
    match *json.get(pos)? {
        b'"' => string(json, pos + 1),
        b'-' | b'0'..=b'9' => number(json, pos),
        b't' => word(json, pos, b"true"),
        b'f' => word(json, pos, b"false"),
        b'n' => word(json, pos, b"null"),
        _ => None,
    }
}

fn word(json: &[u8], pos: usize, word: &[u8]) -> Option<usize> {
    let end = pos + word.len();
    (json.get(pos..end)? == word).then_some(end)
}

/// From behind the opening quote to behind the closing one.
#[inline(always)]
pub(super) fn string(json: &[u8], mut pos: usize) -> Option<usize> {
    loop {
        pos = run(json, pos);
        match *json.get(pos)? {
            b'"' => return Some(pos + 1),
            b'\\' => pos = escape(json, pos + 1)?,
            _ => return None,
        }
    }
}

/// Whether the value that begins at `start` and ends at `end` is a string without escapes.
#[inline]
pub(super) fn is_plain(json: &[u8], start: usize, end: usize) -> bool {
    json.get(start) == Some(&b'"') && run(json, start + 1) + 1 == end
}

/// Up to a quote, a backslash, a control character or the end. Eight bytes at a time: most of JSON is strings.
#[inline(always)]
fn run(json: &[u8], mut pos: usize) -> usize {
    let (words, _) = json.get(pos..).unwrap_or_default().as_chunks::<8>();
    for word in words {
        let stops = stops(u64::from_le_bytes(*word));
        if stops != 0 {
            return pos + (stops.trailing_zeros() / 8) as usize;
        }
        pos += 8;
    }
    run_bytes(json, pos)
}

/// The same, one at a time: among the last seven.
#[cold]
fn run_bytes(json: &[u8], mut pos: usize) -> usize {
    while let Some(byte) = json.get(pos)
        && !matches!(byte, b'"' | b'\\' | 0..0x20)
    {
        pos += 1;
    }
    pos
}

/// The high bit of each byte that is a quote, a backslash or a control character. Bytes behind the first of them may be
/// marked too, by the borrow of the subtraction.
#[inline]
fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    // With this bit turned the quote is next to the control characters.
    let quotes_controls = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslashes = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (quotes_controls | backslashes) & !word & HIGHS
}

/// From behind the backslash. Whether surrogates come in pairs is looked at where the string is decoded.
fn escape(json: &[u8], pos: usize) -> Option<usize> {
    match *json.get(pos)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(pos + 1),
        b'u' => {
            let digits = json.get(pos + 1..pos + 5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(pos + 5)
        }
        _ => None,
    }
}

fn number(json: &[u8], mut pos: usize) -> Option<usize> {
    if json[pos] == b'-' {
        pos += 1;
    }
    pos = match json.get(pos)? {
        b'0' => pos + 1,
        _ => digits(json, pos)?,
    };
    if json.get(pos) == Some(&b'.') {
        pos = digits(json, pos + 1)?;
    }
    if let Some(b'e' | b'E') = json.get(pos) {
        pos += 1;
        if let Some(b'+' | b'-') = json.get(pos) {
            pos += 1;
        }
        pos = digits(json, pos)?;
    }
    Some(pos)
}

/// Over one digit or more.
fn digits(json: &[u8], from: usize) -> Option<usize> {
    let mut pos = from;
    while json.get(pos).is_some_and(u8::is_ascii_digit) {
        pos += 1;
    }
    (pos > from).then_some(pos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What serde_json says of a text that is one value and nothing else.
    fn is_json(text: &str) -> bool {
        serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    }

    fn is_value(text: &str) -> bool {
        let start = space(text.as_bytes(), 0);
        value(text.as_bytes(), start).is_some_and(|end| space(text.as_bytes(), end) == text.len())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn what_is_a_value_is_what_json_says(
            // Pieces of JSON in any order: valid by chance, and broken in every way.
            text in r#"([\[\]{},:]|"(a|\\\\|\\"|\\n|\\u00e9|é|\\x|.{6,20})?"|-?(0|1[0-9]{0,3})(\.5?)?([eE][+-]?2?)?|true|false|null|nul| |\n){0,12}"#,
        ) {
            prop_assert_eq!(is_value(&text), is_json(&text));
        }

        #[test]
        fn a_document_that_is_cut_is_no_value(cut in 0_usize..60) {
            let text = r#"{"a": [1, {"b": "\u00e9\\ long enough for a word"}, null]}"#;
            prop_assume!(text.is_char_boundary(cut) && cut < text.len());
            prop_assert_eq!(value(&text.as_bytes()[..cut], 0), None);
        }
    }

    #[test]
    fn the_depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(value(nested(128).as_bytes(), 0), Some(256));
        assert_eq!(value(nested(129).as_bytes(), 0), None);
        assert_eq!(value("[".repeat(10_000_000).as_bytes(), 0), None);
        assert_eq!(container(nested(127).as_bytes(), 0, 0, 1, &mut ()), Some(254));
        assert_eq!(container(nested(128).as_bytes(), 0, 0, 1, &mut ()), None);
    }

    #[test]
    fn every_byte_that_ends_a_run_is_seen_at_every_place() {
        for place in 0..40 {
            for byte in 0..=255_u8 {
                let mut text = [b'a'; 41];
                text[place] = byte;
                text[40] = b'"';
                let expected = match byte {
                    b'"' => Some(place + 1),
                    b'\\' | 0..0x20 => None,
                    _ => Some(41),
                };
                assert_eq!(string(&text, 0), expected, "{byte} at {place}");
            }
        }
    }
}
