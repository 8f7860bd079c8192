//! Finds the end of a JSON string, 16 bytes at a time: most of JSON is strings.

use wide::u8x16;

/// Returns the offset after the closing quote of the string whose content begins at `pos`; `None` if the text ends
/// first.
#[inline(always)]
pub fn string_end(json: &[u8], mut pos: usize) -> Option<usize> {
    loop {
        pos = skip_plain(json, pos);
        match *json.get(pos)? {
            b'"' => return Some(pos + 1),
            // A character that follows a backslash does not end the string.
            _ => pos += 2,
        }
    }
}

/// Returns the offset of the next quote or backslash, or the end of the text.
#[inline(always)]
pub(super) fn skip_plain(json: &[u8], mut pos: usize) -> usize {
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
    skip_plain_at_end(json, pos)
}

/// Does the same for the last bytes, up to 15.
#[inline(never)]
fn skip_plain_at_end(json: &[u8], mut pos: usize) -> usize {
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

/// Sets the high bit of each byte that is a quote or a backslash. Bytes after the first of them may be set too, because
/// of the borrow of the subtraction.
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
    fn string_end_finds_the_first_quote_without_a_backslash() {
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
}
