//! Scans JSON text: finds where values end, and reads the entries of containers.
//!
//! The scanner checks only what decides where a value ends, so that a fault costs at most the value that contains it:
//!
//! - A string ends at its closing quote, whatever bytes it contains.
//! - A container ends at its matching bracket, whatever is between the brackets.
//! - A value without quotes ends before the next comma, bracket or quote.
//!
//! There is no recursion, and no limit of the depth. All offsets count bytes. A returned offset may be the end of the
//! text.

use super::fault::{Fault, FaultKind};
use super::spans::Spans;
use super::string::{skip_plain, string_end};
use super::text;

pub(super) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Returns the offset of the document, after white space, NULs and byte order marks.
pub fn find_start(json: &[u8]) -> usize {
    let mut pos = skip_space(json, 0);
    while let Some(rest) = json[pos..].strip_prefix(BYTE_ORDER_MARK) {
        pos = skip_space(json, json.len() - rest.len());
    }
    pos
}

/// Returns the extent of the document, a value that begins at `start`.
///
/// Text after the document is ignored. Only a number or a word must not be followed by text, because a line of plain
/// text may begin with either.
///
/// # Errors
/// If the text does not begin with a value.
pub fn read_root(json: &[u8], start: usize, spans: &mut Spans) -> Result<Extent, Fault> {
    let fault = |kind| Fault { offset: start, kind };
    match json.get(start) {
        None => Err(fault(FaultKind::NotJson)),
        Some(b'"' | b'{' | b'[') => find_extent(json, start, spans).ok_or(fault(FaultKind::CutOff)),
        Some(_) => {
            let end = trim_end(json, start, json.len());
            let is_value = text::is_word(&json[start..end]) || text::is_number_like(&json[start..end]);
            is_value
                .then_some(Extent::Finished(end))
                .ok_or(fault(FaultKind::NotJson))
        }
    }
}

/// The extent of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It ends at this offset.
    Finished(usize),
    /// It is a container without a closing bracket. It may have complete entries.
    Unfinished,
}

/// A member of an object or an element of an array.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The offset after the opening quote of a member's key.
    pub key: usize,
    /// The offset of its value.
    pub start: usize,
    pub extent: Extent,
    pub continuation: Continuation,
    /// Whether the key contains a backslash.
    pub has_escape: bool,
}

/// The rest of a container after an entry.
#[derive(Debug, Clone, Copy)]
pub enum Continuation {
    /// Another entry, which [`read_entry`] reads from this offset on.
    Entry(usize),
    /// The end of the container, as the offset after its closing bracket.
    End(usize),
    /// A fault, because of which the rest of the container cannot be read.
    Fault(Fault),
}

/// The result of [`read_entry`].
#[derive(Debug, Clone, Copy)]
pub enum NextEntry {
    Entry(Entry),
    /// The end of the container, as the offset after its closing bracket.
    End(usize),
    Fault(Fault),
}

/// Reads the next member or element of a container. `pos` is the offset after the opening bracket or a comma.
#[inline(always)]
pub fn read_entry(json: &[u8], is_object: bool, pos: usize, spans: &mut Spans) -> NextEntry {
    let pos = skip_space(json, pos);
    let (key, has_escape, start) = if is_object {
        match read_key(json, pos) {
            Ok(Member::At(key, has_escape, start)) => (key, has_escape, start),
            Ok(Member::None(end)) => return NextEntry::End(end),
            Err(fault) => return NextEntry::Fault(fault),
        }
    } else {
        match json.get(pos) {
            Some(b']' | b'}') => return NextEntry::End(pos + 1),
            Some(_) => (0, false, pos),
            None => return cut_off(pos),
        }
    };
    let Some(extent) = find_extent(json, start, spans) else {
        return cut_off(start);
    };
    let Extent::Finished(end) = extent else {
        let fault = Fault {
            offset: json.len(),
            kind: FaultKind::CutOff,
        };
        let continuation = Continuation::Fault(fault);
        return NextEntry::Entry(Entry {
            key,
            start,
            extent,
            continuation,
            has_escape,
        });
    };
    let pos = skip_space(json, end);
    let continuation = match json.get(pos) {
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
    NextEntry::Entry(Entry {
        key,
        start,
        extent,
        continuation,
        has_escape,
    })
}

#[cold]
fn cut_off(offset: usize) -> NextEntry {
    NextEntry::Fault(Fault {
        offset,
        kind: FaultKind::CutOff,
    })
}

/// The result of [`read_key`].
enum Member {
    /// A member: the offset after the opening quote of its key, whether the key contains a backslash, and the offset of
    /// its value.
    At(usize, bool, usize),
    /// The end of the object, as the offset after its closing bracket.
    None(usize),
}

/// Reads the key and the colon of the member at `pos`.
#[inline(always)]
fn read_key(json: &[u8], mut pos: usize) -> Result<Member, Fault> {
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
    let end = skip_plain(json, pos + 1);
    let has_escape = json.get(end) != Some(&b'"');
    let end = match has_escape {
        false => end + 1,
        true => string_end(json, end).ok_or(fault(pos, FaultKind::CutOff))?,
    };
    let colon = skip_space(json, end);
    match json.get(colon) {
        Some(b':') => Ok(Member::At(pos + 1, has_escape, skip_space(json, colon + 1))),
        Some(_) => Err(fault(colon, FaultKind::NoColon)),
        None => Err(fault(colon, FaultKind::CutOff)),
    }
}

/// Returns the extent of the value at `pos`; `None` if the text ends within a string or a value without quotes.
#[inline(always)]
fn find_extent(json: &[u8], pos: usize, spans: &mut Spans) -> Option<Extent> {
    match *json.get(pos)? {
        b'"' => string_end(json, pos + 1).map(Extent::Finished),
        b'{' | b'[' => Some(spans.end(json, pos).map_or(Extent::Unfinished, Extent::Finished)),
        _ => bare_end(json, pos).map(Extent::Finished),
    }
}

/// Returns the end of the value without quotes at `pos`; `None` if the text ends first, because digits may be missing.
#[inline]
fn bare_end(json: &[u8], pos: usize) -> Option<usize> {
    let mut end = pos;
    while !matches!(json.get(end)?, b',' | b'}' | b']' | b'{' | b'[' | b'"') {
        end += 1;
    }
    Some(trim_end(json, pos, end))
}

/// Returns the end of `start..end` without trailing white space.
#[inline]
fn trim_end(json: &[u8], start: usize, mut end: usize) -> usize {
    while end > start && json[end - 1] <= b' ' {
        end -= 1;
    }
    end
}

/// Skips white space: blanks and control characters. Most JSON has none.
#[inline(always)]
pub fn skip_space(json: &[u8], pos: usize) -> usize {
    match json.get(pos) {
        Some(0..=b' ') => skip_spaces(json, pos),
        _ => pos,
    }
}

// Forbid inlining: an inner loop would take registers from the outer ones.
#[inline(never)]
fn skip_spaces(json: &[u8], mut pos: usize) -> usize {
    while let Some(0..=b' ') = json.get(pos) {
        pos += 1;
    }
    pos
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_without_its_end_is_unfinished() {
        let text = r#"{"a": [1, {"b": "\u00e9\\ long enough for a word"}, null]}"#.as_bytes();
        for cut in 1..text.len() {
            let extent = find_extent(&text[..cut], 0, &mut Spans::default());
            assert_eq!(extent, Some(Extent::Unfinished), "{cut}");
        }
    }

    #[test]
    fn find_start_skips_white_space_and_byte_order_marks() {
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
    fn read_root_requires_a_value() {
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
        let is_object = bytes[0] == b'{';
        let mut found = Vec::new();
        let mut pos = 1;
        loop {
            match read_entry(bytes, is_object, pos, &mut Spans::default()) {
                NextEntry::End(_) => return (found, None),
                NextEntry::Fault(Fault { offset, kind }) => return (found, Some((offset, kind))),
                NextEntry::Entry(entry) => {
                    let key = match is_object {
                        true => &json[entry.key..string_end(bytes, entry.key).unwrap() - 1],
                        false => "",
                    };
                    let value = match entry.extent {
                        Extent::Finished(end) => &json[entry.start..end],
                        Extent::Unfinished => "...",
                    };
                    found.push((key, value));
                    match entry.continuation {
                        Continuation::Entry(next) => pos = next,
                        Continuation::End(_) => return (found, None),
                        Continuation::Fault(Fault { offset, kind }) => return (found, Some((offset, kind))),
                    }
                }
            }
        }
    }

    #[test]
    fn read_entry_continues_up_to_a_structural_fault() {
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
