//! The text of JSON values: strings, and values as they are written.

use std::borrow::Cow;

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

/// Whether the text of a key, without its quotes, stands for `key`.
#[inline]
pub(super) fn is_key(raw: &[u8], key: &str) -> bool {
    // An escape is longer than what it stands for.
    match raw.len().cmp(&key.len()) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => raw == key.as_bytes() && !raw.contains(&b'\\'),
        std::cmp::Ordering::Greater => {
            let first = raw.first();
            (first == Some(&b'\\') || first == key.as_bytes().first()) && is_escaped_key(raw, key)
        }
    }
}

#[cold]
fn is_escaped_key(raw: &[u8], key: &str) -> bool {
    raw.contains(&b'\\')
        && std::str::from_utf8(raw).is_ok_and(|raw| decode(&format!("\"{raw}\"")).is_some_and(|found| found == key))
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
