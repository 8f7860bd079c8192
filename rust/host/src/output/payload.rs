//! Finds the payloads of a run that are not valid JSON. Fields read from them may be absent.

use std::fmt;

use serde::Serialize;
use serde::de::IgnoredAny;

use crate::text::count::format_count;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where a payload stops being valid JSON, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The offset of the first byte that is wrong, counted from 0. The payload's length if the payload is cut off.
    pub byte: usize,
    pub cause: String,
    /// Whether the payload ends before its document does.
    #[serde(skip)]
    pub is_cut_off: bool,
}

/// Checks a payload strictly. A byte order mark, white space and NULs in front of the document do not count.
pub fn check(payload: &[u8]) -> Result<(), Fault> {
    let start = start(payload);
    let document = &payload[start..];
    if document.is_empty() {
        return Err(Fault {
            byte: payload.len(),
            cause: "empty".into(),
            is_cut_off: true,
        });
    }
    let syntax = serde_json::from_slice::<IgnoredAny>(document).err();
    let syntax = syntax.map(|error| fault(document, &error));
    let is_cut_off = syntax.as_ref().is_some_and(|fault| fault.is_cut_off);
    let utf8 = std::str::from_utf8(document).err();
    // A document that is cut off within a character is cut off.
    let utf8 = utf8.filter(|error| error.error_len().is_some() || !is_cut_off);
    let utf8 = utf8.map(|error| Fault {
        byte: error.valid_up_to(),
        cause: "invalid UTF-8".into(),
        is_cut_off: false,
    });
    let first = match (syntax, utf8) {
        // A byte that is not UTF-8 is also wrong outside of strings, where serde_json reports another cause.
        (Some(syntax), Some(utf8)) if syntax.byte < utf8.byte => Some(syntax),
        (syntax, utf8) => utf8.or(syntax),
    };
    first.map_or(Ok(()), |fault| {
        Err(Fault {
            byte: fault.byte + start,
            ..fault
        })
    })
}

/// Returns the offset of the document.
fn start(payload: &[u8]) -> usize {
    let mut start = 0;
    loop {
        match &payload[start..] {
            rest if rest.starts_with(BYTE_ORDER_MARK) => start += BYTE_ORDER_MARK.len(),
            [b'\0' | b' ' | b'\t' | b'\n' | b'\r', ..] => start += 1,
            _ => return start,
        }
    }
}

fn fault(document: &[u8], error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let is_cut_off = error.is_eof();
    Fault {
        byte: if is_cut_off {
            document.len()
        } else {
            offset(document, error)
        },
        cause: match is_cut_off {
            true => "cut off".into(),
            false => text.split(" at line ").next().unwrap_or_default().to_owned(),
        },
        is_cut_off,
    }
}

/// Returns the offset that serde_json reports as line and column, both counted from 1. The column counts bytes, and is
/// 0 for a line's own end.
fn offset(document: &[u8], error: &serde_json::Error) -> usize {
    let mut ends = document.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let line = match error.line().checked_sub(2) {
        None => 0,
        Some(before) => ends.nth(before).map_or(0, |(at, _)| at + 1),
    };
    (line + error.column()).saturating_sub(1)
}

/// Counts the payloads of a run.
#[derive(Debug, Default)]
pub struct Payloads {
    count: u64,
    invalid: u64,
    first: Option<(u64, Fault)>,
    /// Whether some payload is JSON, or is meant to be.
    has_json: bool,
}

/// The report of a run about its payloads.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub payloads: u64,
    pub invalid: u64,
    /// The number of the first event whose payload is invalid.
    pub event: u64,
    #[serde(flatten)]
    pub fault: Fault,
}

impl Payloads {
    /// Checks the payload of an event.
    pub fn add(&mut self, number: u64, payload: &[u8]) {
        let result = check(payload);
        self.count += 1;
        self.has_json |= is_meant_as_json(payload, &result);
        if let Err(fault) = result {
            self.invalid += 1;
            self.first.get_or_insert((number, fault));
        }
    }

    /// Returns what was found. Returns `None` if all payloads are valid JSON, or if none is meant to be: plain text is
    /// not reported.
    pub fn summary(&self) -> Option<Summary> {
        let (event, fault) = self.first.clone().filter(|_| self.has_json)?;
        Some(Summary {
            payloads: self.count,
            invalid: self.invalid,
            event,
            fault,
        })
    }
}

/// Returns whether a payload is an object or an array, or the damaged beginning of one. Lines of plain text begin with
/// `[` too, such as `[error] …` and `[12.5] …`, so what follows decides.
fn is_meant_as_json(payload: &[u8], result: &Result<(), Fault>) -> bool {
    let document = &payload[start(payload)..];
    match document {
        [b'{', ..] => true,
        [b'[', inner @ ..] => match result {
            Ok(()) => true,
            Err(fault) => fault.is_cut_off || matches!(inner.trim_ascii_start(), [b'{' | b'[' | b'"', ..]),
        },
        _ => false,
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invalid, event, .. } = self;
        let of = format_count(self.payloads, "payload");
        let is = if self.invalid == 1 { "is" } else { "are" };
        let Fault { byte, cause, .. } = &self.fault;
        write!(
            f,
            "{invalid} of {of} {is} not valid JSON, first in event {event} at byte {byte}: {cause} \
             (fields beside the fault are still read)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_reports_the_first_fault_with_its_offset() {
        let cases: [(&[u8], _); 21] = [
            (br#"{"a": [1, 2.5e3, "x", null, true]}"#, None),
            (b"\xef\xbb\xbf \0\r\n{\"a\": 1} \n", None),
            (b"7", None),
            (b"", Some((0, "empty"))),
            (b" \0", Some((2, "empty"))),
            (br#"{"a": 1"#, Some((7, "cut off"))),
            (br#"{"a": "x"#, Some((8, "cut off"))),
            (b"{\"a\": \"\xc3", Some((8, "cut off"))),
            (b"{\"a\": \"\xff\"}", Some((7, "invalid UTF-8"))),
            (b"{\"a\": \xff}", Some((6, "invalid UTF-8"))),
            (b"\0\0{\"a\": \"\xc3\"}", Some((9, "invalid UTF-8"))),
            (b"{\"a\": 007, \"b\": \"\xff\"}", Some((7, "invalid number"))),
            (b"{\"b\": \"\xff\", \"a\": 007}", Some((7, "invalid UTF-8"))),
            (br#"{"a": NaN}"#, Some((6, "expected value"))),
            (b"{\n \"a\": 1,\n \"b\": +1\n}", Some((17, "expected value"))),
            (b"{\"a\":\n\n x}", Some((8, "expected value"))),
            (br#"{"a" 1}"#, Some((5, "expected `:`"))),
            (br#"{'a': 1}"#, Some((1, "key must be a string"))),
            (br#"{"a": "\x5c"}"#, Some((8, "invalid escape"))),
            (br#"{"a": 1} {"b": 2}"#, Some((9, "trailing characters"))),
            (b"plain text", Some((0, "expected value"))),
        ];
        for (payload, expected) in cases {
            let shown = String::from_utf8_lossy(payload);
            let found = check(payload).err().map(|fault| (fault.byte, fault.cause));
            let expected = expected.map(|(byte, cause)| (byte, cause.to_owned()));
            assert_eq!(found, expected, "{shown}");
        }
    }

    fn summary(payloads: &[&[u8]]) -> Option<String> {
        let mut all = Payloads::default();
        for (index, payload) in payloads.iter().enumerate() {
            all.add(index as u64 + 1, payload);
        }
        all.summary().map(|summary| summary.to_string())
    }

    #[test]
    fn summary_has_the_counts_and_the_first_fault() {
        assert_eq!(
            summary(&[b"{}", b"x", br#"{"a""#]).as_deref(),
            Some(
                "2 of 3 payloads are not valid JSON, first in event 2 at byte 0: expected value \
                 (fields beside the fault are still read)"
            )
        );
        assert_eq!(
            summary(&[b"{'a': 1}"]).as_deref(),
            Some(
                "1 of 1 payload is not valid JSON, first in event 1 at byte 1: key must be a string \
                 (fields beside the fault are still read)"
            )
        );
    }

    #[test]
    fn summary_is_absent_for_valid_json_and_for_plain_text() {
        for payloads in [
            &[b"{}".as_slice(), b"[1]", b"5"] as &[&[u8]],
            &[],
            &[b"plain", b"", b"7 wonders"],
            &[
                b"[error] it broke",
                b"[2026-11-29 10:00:00] x",
                b"[   12.345678] usb 1-1: x",
                b"[::1]:80 x",
            ],
        ] {
            assert_eq!(summary(payloads), None, "{payloads:?}");
        }
        for payload in [
            b"[1, 2".as_slice(),
            b"[{]",
            b" [\"a\" \"b\"]",
            b"[[1,]]",
            b"\xef\xbb\xbf{",
            b"\0{",
        ] {
            assert!(summary(&[b"plain", payload]).is_some(), "{payload:?}");
        }
    }
}
