//! Escapes for JSON strings, and for text on one line. Most bytes need no escape, so both search eight bytes at a time for
//! the first one that does.

use std::fmt::Write as _;

/// The lowest and the highest bit of each byte of a word.
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` as the content of a JSON string.
pub fn json(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = find_json(bytes, from) {
        out.extend_from_slice(&bytes[from..at]);
        let short = match bytes[at] {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            byte => {
                out.extend_from_slice(&[
                    b'\\',
                    b'u',
                    b'0',
                    b'0',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ]);
                from = at + 1;
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
        from = at + 1;
    }
    out.extend_from_slice(&bytes[from..]);
}

/// Returns the offset of the first byte at or after `from` that JSON escapes.
fn find_json(bytes: &[u8], from: usize) -> Option<usize> {
    let needs = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // Each term sets the high bit of each byte that is a control character, a quote or a backslash. A borrow can also set
    // the bit of a plain byte, but only above such a byte. So a word of zero has only plain bytes.
    let suspicious = |word: u64| {
        let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        control | zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')))
    };
    find(bytes, from, suspicious, needs)
}

/// Returns the offset of the first byte at or after `from` that `needs` an escape. Skips words that are not `suspicious`.
fn find(bytes: &[u8], from: usize, suspicious: impl Fn(u64) -> u64, needs: impl Fn(u8) -> bool) -> Option<usize> {
    let (words, rest) = bytes[from..].as_chunks::<8>();
    let mut at = from;
    for word in words {
        if suspicious(u64::from_ne_bytes(*word)) != 0
            && let Some(offset) = word.iter().position(|byte| needs(*byte))
        {
            return Some(at + offset);
        }
        at += 8;
    }
    rest.iter().position(|byte| needs(*byte)).map(|offset| at + offset)
}

/// Appends `text` so that it stays on one line and cannot control a terminal: control characters, line separators and
/// paragraph separators become escapes. Everything else stays, also backslashes, because the result is for users.
pub fn line(out: &mut String, text: &str) {
    let mut from = 0;
    // Skip words of ASCII between 0x20 and 0x7e. Check other bytes character by character.
    let suspicious = |word: u64| (word.wrapping_sub(ONES * 0x20) | word.wrapping_add(ONES) | word) & HIGHS;
    let unusual = |byte: u8| !(0x20..0x7f).contains(&byte);
    while let Some(at) = find(text.as_bytes(), from, suspicious, unusual) {
        out.push_str(&text[from..at]);
        let Some(character) = text[at..].chars().next() else {
            return;
        };
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push('\t'),
            '\u{2028}' | '\u{2029}' => push_code(out, character),
            other if other.is_control() => push_code(out, other),
            other => out.push(other),
        }
        from = at + character.len_utf8();
    }
    out.push_str(&text[from..]);
}

/// Returns a text as [`line()`] writes it, but with tabs escaped, because tabs separate columns.
pub fn column(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    line(&mut out, &text.replace('\t', "\\t"));
    out
}

/// Appends the escape of a character's code.
fn push_code(out: &mut String, character: char) {
    let code = u32::from(character);
    // Writing to a String cannot fail.
    let _ = if code < 0x100 {
        write!(out, "\\x{code:02x}")
    } else {
        write!(out, "\\u{{{code:x}}}")
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_escapes_are_valid_at_each_offset() {
        for special in (0..=0x7fu8).map(char::from).chain(['é', '\u{2028}', '😀']) {
            for before in 0..17 {
                for after in [0, 1, 8, 20] {
                    let text = format!("{}{special}{}", "x".repeat(before), "y ".repeat(after));
                    let mut out = vec![b'"'];
                    json(&mut out, &text);
                    out.push(b'"');
                    assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
                }
            }
        }
    }

    #[test]
    fn line_escapes_control_characters() {
        let escaped = |text: &str| {
            let mut out = String::new();
            line(&mut out, text);
            out
        };
        assert_eq!(
            escaped("two\nlines\r\0\u{1b}[31m\u{7f}\u{85}"),
            "two\\nlines\\r\\x00\\x1b[31m\\x7f\\x85"
        );
        assert_eq!(
            escaped("a tab\tand a \\ and ü and \u{2028}."),
            "a tab\tand a \\ and ü and \\u{2028}."
        );
        for code in (0..0x300).filter_map(char::from_u32) {
            for before in 0..9 {
                let text = format!("{}{code}{}", "x".repeat(before), "plain text");
                let out = escaped(&text);
                assert!(!out.chars().any(|c| c.is_control() && c != '\t'), "{text:?}");
                assert_eq!(code.is_control() && code != '\t', out != text, "{text:?}");
            }
        }
    }
}
