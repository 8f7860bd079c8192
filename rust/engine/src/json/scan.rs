//! Steps over JSON text: where a string or a value ends, and what the members of a container are.
//!
//! Only what decides where a value ends is checked, so that a fault costs at most the value that contains it. A string
//! ends at its closing quote, whatever bytes it has. A container ends at its matching bracket, whatever is between
//! them. A value without quotes ends in front of the next comma, bracket or quote. There is no recursion, and no limit
//! on the depth. Offsets are those of bytes; an offset that is returned may be the end of the text.

use wide::u8x16;

use super::fault::{Fault, FaultKind};
use super::spans::Spans;
use super::text;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Returns the offset at which the document begins: behind white space, NULs and byte order marks.
pub fn find_start(json: &[u8]) -> usize {
    let mut pos = skip_space(json, 0);
    while let Some(rest) = json[pos..].strip_prefix(BYTE_ORDER_MARK) {
        pos = skip_space(json, json.len() - rest.len());
    }
    pos
}

/// Returns the extent of the document, a value that begins at `start`. Text behind it does not count, but behind a number
/// or a word there must not be any: a line of plain text may begin with either.
///
/// # Errors
/// If the text does not begin with a value.
pub fn read_root(json: &[u8], start: usize, spans: &mut Spans) -> Result<Extent, Fault> {
    let fault = |kind| Fault { offset: start, kind };
    match json.get(start) {
        None => Err(fault(FaultKind::NotJson)),
        Some(b'"' | b'{' | b'[') => value(json, start, spans).ok_or(fault(FaultKind::CutOff)),
        Some(_) => {
            let end = trimmed(json, start, json.len());
            let is_value = text::is_word(&json[start..end]) || text::is_number_like(&json[start..end]);
            is_value
                .then_some(Extent::Finished(end))
                .ok_or(fault(FaultKind::NotJson))
        }
    }
}

/// How far a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// To this offset.
    Finished(usize),
    /// A container that has no closing bracket: its first members may be there.
    Unfinished,
}

/// A member of an object or an element of an array.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The offset behind the opening quote of a member's key.
    pub key: usize,
    /// The offset of its value.
    pub start: usize,
    pub extent: Extent,
    pub behind: Continuation,
    /// Whether the key has a backslash.
    pub escaped: bool,
}

/// What follows an entry.
#[derive(Debug, Clone, Copy)]
pub enum Behind {
    /// Another entry, which [`read_entry`] reads from this offset on.
    Entry(usize),
    /// The end of the container: the offset behind its closing bracket.
    End(usize),
    /// A fault: what follows cannot be read.
    Fault(Fault),
}

/// What [`read_entry`] finds at an offset.
#[derive(Debug, Clone, Copy)]
pub enum Next {
    Entry(Entry),
    /// The end of the container: the offset behind its closing bracket.
    End(usize),
    Fault(Fault),
}

/// Reads the next member or element of a container, from behind its opening bracket or the comma in front of it.
#[inline(always)]
pub fn read_entry(json: &[u8], object: bool, pos: usize, spans: &mut Spans) -> Next {
    let pos = skip_space(json, pos);
    let (key, escaped, start) = if object {
        match member(json, pos) {
            Ok(Member::At(key, escaped, start)) => (key, escaped, start),
            Ok(Member::None(end)) => return Next::End(end),
            Err(fault) => return Next::Fault(fault),
        }
    } else {
        match json.get(pos) {
            Some(b']' | b'}') => return Next::End(pos + 1),
            Some(_) => (0, false, pos),
            None => return cut_off(pos),
        }
    };
    let Some(extent) = value(json, start, spans) else {
        return cut_off(start);
    };
    let Extent::Finished(end) = extent else {
        let fault = Fault {
            offset: json.len(),
            kind: FaultKind::CutOff,
        };
        let behind = Continuation::Fault(fault);
        return Next::Entry(Entry {
            key,
            start,
            extent,
            behind,
            escaped,
        });
    };
    let pos = skip_space(json, end);
    let behind = match json.get(pos) {
        Some(b',') => Continuation::Entry(pos + 1),
        Some(b'}' | b']') => Continuation::End(pos + 1),
        other => Continuation::Fault(Fault {
            offset: pos,
            kind: match other {
                Some(_) => FaultKind::NoComma,
                None => FaultKind::CutOff,
            },
        }),
    };
    Next::Entry(Entry {
        key,
        start,
        extent,
        behind,
        escaped,
    })
}

#[cold]
fn cut_off(offset: usize) -> Next {
    Next::Fault(Fault {
        offset,
        kind: FaultKind::CutOff,
    })
}

/// What [`member`] finds.
enum Member {
    At(usize, bool, usize),
    /// The end of the object: the offset behind its closing bracket.
    None(usize),
}

/// Reads the key at `pos`: returns the offset behind its opening quote, whether it has a backslash, and the offset of its
/// value.
#[inline(always)]
fn member(json: &[u8], mut pos: usize) -> Result<Member, Fault> {
    while json.get(pos) == Some(&b',') {
        pos = skip_space(json, pos + 1);
    }
    let fault = |offset, kind| Fault { offset, kind };
    match json.get(pos) {
        Some(b'"') => {}
        Some(b'}' | b']') => return Ok(Member::None(pos + 1)),
        Some(_) => return Err(fault(pos, FaultKind::NoKey)),
        None => return Err(fault(pos, FaultKind::CutOff)),
    }
    let end = run(json, pos + 1);
    let escaped = json.get(end) != Some(&b'"');
    let end = match escaped {
        false => end + 1,
        true => string_end(json, end).ok_or(fault(pos, FaultKind::CutOff))?,
    };
    let colon = skip_space(json, end);
    match json.get(colon) {
        Some(b':') => Ok(Member::At(pos + 1, escaped, skip_space(json, colon + 1))),
        Some(_) => Err(fault(colon, FaultKind::NoColon)),
        None => Err(fault(colon, FaultKind::CutOff)),
    }
}

/// Returns the extent of the value at `pos`; `None` if the text ends within a string or a value without quotes.
#[inline(always)]
fn value(json: &[u8], pos: usize, spans: &mut Spans) -> Option<Extent> {
    match *json.get(pos)? {
        b'"' => string_end(json, pos + 1).map(Extent::Finished),
        b'{' | b'[' => Some(spans.end(json, pos).map_or(Extent::Unfinished, Extent::Finished)),
        _ => bare(json, pos).map(Extent::Finished),
    }
}

/// Returns the end of the value without quotes at `pos`; `None` if the text ends first, since digits may be missing.
#[inline]
fn bare(json: &[u8], pos: usize) -> Option<usize> {
    let mut end = pos;
    while !matches!(json.get(end)?, b',' | b'}' | b']' | b'{' | b'[' | b'"') {
        end += 1;
    }
    Some(trimmed(json, pos, end))
}

/// Returns the end of the text in `start..end` without the white space at its end.
#[inline]
fn trimmed(json: &[u8], start: usize, mut end: usize) -> usize {
    while end > start && json[end - 1] <= b' ' {
        end -= 1;
    }
    end
}

/// Steps over white space: blanks and control characters. Most of JSON has none.
#[inline(always)]
pub fn skip_space(json: &[u8], pos: usize) -> usize {
    match json.get(pos) {
        Some(0..=b' ') => spaces(json, pos),
        _ => pos,
    }
}

// Never inlined: loops within loops take registers from the outer ones.
#[inline(never)]
fn spaces(json: &[u8], mut pos: usize) -> usize {
    while let Some(0..=b' ') = json.get(pos) {
        pos += 1;
    }
    pos
}

/// Returns the offset behind the closing quote of the string whose content begins at `pos`.
#[inline(always)]
pub fn string_end(json: &[u8], mut pos: usize) -> Option<usize> {
    loop {
        pos = run(json, pos);
        match *json.get(pos)? {
            b'"' => return Some(pos + 1),
            // A character that follows a backslash does not end the string.
            _ => pos += 2,
        }
    }
}

/// Steps up to a quote, a backslash or the end, 16 bytes at a time: most of JSON is strings.
#[inline(always)]
fn run(json: &[u8], mut pos: usize) -> usize {
    let (parts, _) = json.get(pos..).unwrap_or_default().as_chunks::<16>();
    for part in parts {
        let part = u8x16::new(*part);
        let stops = part.simd_eq(u8x16::splat(b'"')) | part.simd_eq(u8x16::splat(b'\\'));
        let stops = stops.to_bitmask();
        if stops != 0 {
            return pos + stops.trailing_zeros() as usize;
        }
        pos += 16;
    }
    run_at_end(json, pos)
}

/// Does the same for the last 15 bytes.
#[inline(never)]
fn run_at_end(json: &[u8], mut pos: usize) -> usize {
    let (words, _) = json.get(pos..).unwrap_or_default().as_chunks::<8>();
    for word in words {
        let stops = stops(u64::from_le_bytes(*word));
        if stops != 0 {
            return pos + (stops.trailing_zeros() / 8) as usize;
        }
        pos += 8;
    }
    while let Some(byte) = json.get(pos)
        && !matches!(byte, b'"' | b'\\')
    {
        pos += 1;
    }
    pos
}

/// Marks the high bit of each byte that is a quote or a backslash. Bytes behind the first of them may be marked too, by
/// the borrow of the subtraction.
#[inline]
fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    (zero(word ^ (ONES * b'"' as u64)) | zero(word ^ (ONES * b'\\' as u64))) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_that_is_cut_off_is_unfinished() {
        let text = r#"{"a": [1, {"b": "\u00e9\\ long enough for a word"}, null]}"#.as_bytes();
        for cut in 1..text.len() {
            let extent = value(&text[..cut], 0, &mut Spans::default());
            assert_eq!(extent, Some(Extent::Unfinished), "{cut}");
        }
    }

    #[test]
    fn string_ends_at_the_first_quote_without_backslash() {
        for place in 0..40 {
            for byte in 0..=255_u8 {
                let mut text = [b'a'; 42];
                text[place] = byte;
                text[41] = b'"';
                let expected = match byte {
                    b'"' => place + 1,
                    _ => 42,
                };
                assert_eq!(string_end(&text, 0), Some(expected), "{byte} at {place}");
            }
        }
        for (text, end) in [
            (r#"\"a""#, Some(4)),
            (r#"\\"a"#, Some(3)),
            (r#"\x5C""#, Some(5)),
            (r#"a\""#, None),
            ("a", None),
            ("a\\", None),
        ] {
            assert_eq!(string_end(text.as_bytes(), 0), end, "{text}");
        }
    }

    #[test]
    fn document_begins_behind_white_space_and_a_byte_order_mark() {
        for (text, expected) in [
            ("{}", 0),
            (" \t\r\n{}", 4),
            ("\0\0{}", 2),
            ("\u{feff}{}", 3),
            ("\0\u{feff} \0{}", 6),
            ("", 0),
            ("  ", 2),
        ] {
            assert_eq!(find_start(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn document_is_a_value() {
        for (text, expected) in [
            ("{}", Ok(Extent::Finished(2))),
            ("[1] and more", Ok(Extent::Finished(3))),
            (r#""a" b"#, Ok(Extent::Finished(3))),
            ("12 \n", Ok(Extent::Finished(2))),
            ("-1.5e3", Ok(Extent::Finished(6))),
            ("NaN", Ok(Extent::Finished(3))),
            ("null", Ok(Extent::Finished(4))),
            ("[1, 2", Ok(Extent::Unfinished)),
            ("12 o'clock", Err(FaultKind::NotJson)),
            ("2026-11-29 10:00:00 started", Err(FaultKind::NotJson)),
            ("nullable", Err(FaultKind::NotJson)),
            ("-", Err(FaultKind::NotJson)),
            ("", Err(FaultKind::NotJson)),
            (r#""a"#, Err(FaultKind::CutOff)),
        ] {
            let found = read_root(text.as_bytes(), 0, &mut Spans::default()).map_err(|fault| fault.kind);
            assert_eq!(found, expected, "{text:?}");
        }
    }

    /// A key and a value.
    type Found<'a> = (&'a str, &'a str);

    /// Returns the entries of a container, and the fault at which they end.
    fn entries(json: &str) -> (Vec<Found<'_>>, Option<(usize, FaultKind)>) {
        let bytes = json.as_bytes();
        let object = bytes[0] == b'{';
        let mut found = Vec::new();
        let mut pos = 1;
        loop {
            match read_entry(bytes, object, pos, &mut Spans::default()) {
                Next::End(_) => return (found, None),
                Next::Fault(Fault { offset, kind }) => return (found, Some((offset, kind))),
                Next::Entry(entry) => {
                    let key = match object {
                        true => &json[entry.key..string(bytes, entry.key).unwrap() - 1],
                        false => "",
                    };
                    let value = match entry.extent {
                        Extent::Finished(end) => &json[entry.start..end],
                        Extent::Unfinished => "...",
                    };
                    found.push((key, value));
                    match entry.behind {
                        Continuation::Entry(next) => pos = next,
                        Continuation::End(_) => return (found, None),
                        Continuation::Fault(Fault { offset, kind }) => return (found, Some((offset, kind))),
                    }
                }
            }
        }
    }

    #[test]
    fn entries_are_read_up_to_a_structural_fault() {
        use FaultKind::{CutOff, NoColon, NoComma, NoKey};
        let one = vec![("a", "1")];
        let elements = |values: &[&'static str]| values.iter().map(|value| ("", *value)).collect::<Vec<_>>();
        for (json, expected, fault) in [
            ("{}", vec![], None),
            (r#"{"a": 1}"#, one.clone(), None),
            (r#"{ "a" : 1 , }"#, one.clone(), None),
            (r#"{,, "a": 1,, "b": 2}"#, vec![("a", "1"), ("b", "2")], None),
            (r#"{"a": 1]"#, one.clone(), None),
            (r#"{"a": , "b": 2}"#, vec![("a", ""), ("b", "2")], None),
            (
                r#"{"a": 1 2 , "b": 2026-11-29 10:00 }"#,
                vec![("a", "1 2"), ("b", "2026-11-29 10:00")],
                None,
            ),
            (r#"{"a": {"x" 1}, "b": 2}"#, vec![("a", r#"{"x" 1}"#), ("b", "2")], None),
            (r#"{"a": 1, "b" 2, "c": 3}"#, one.clone(), Some((13, NoColon))),
            (r#"{"a": 1 "b": 2}"#, one.clone(), Some((8, NoComma))),
            (r#"{"a": 1, b: 2}"#, one.clone(), Some((9, NoKey))),
            (r#"{"a": 1, "b"#, one.clone(), Some((9, CutOff))),
            (r#"{"a": 1, "b": 12"#, one.clone(), Some((14, CutOff))),
            (r#"{"a": 1, "b": "x"#, one.clone(), Some((14, CutOff))),
            (
                r#"{"a": 1, "b": "x""#,
                vec![("a", "1"), ("b", r#""x""#)],
                Some((17, CutOff)),
            ),
            (r#"{"a": 1,"#, one.clone(), Some((8, CutOff))),
            (r#"{"a": [1"#, vec![("a", "...")], Some((8, CutOff))),
            ("[]", vec![], None),
            ("[1, 2]", elements(&["1", "2"]), None),
            ("[1, 2,]", elements(&["1", "2"]), None),
            ("[,1,,2]", elements(&["", "1", "", "2"]), None),
            (r#"[1 "a"]"#, elements(&["1"]), Some((3, NoComma))),
            ("[1, 2", elements(&["1"]), Some((4, CutOff))),
            ("[1, ", elements(&["1"]), Some((4, CutOff))),
        ] {
            assert_eq!(entries(json), (expected, fault), "{json}");
        }
    }
}
