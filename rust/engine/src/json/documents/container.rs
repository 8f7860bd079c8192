//! Reads the structure of an object or array that may be damaged.

use std::ops::Range;

use crate::json::scan::skip_space;
use crate::json::string::string_end;

/// An object or array that may be damaged.
#[derive(Default)]
pub(super) struct Container {
    /// The offset after its matching bracket; `None` if the bracket is missing.
    pub(super) end: Option<usize>,
    /// Whether two values follow each other without a comma or colon. A missing bracket or quote causes this.
    pub(super) is_faulty: bool,
    /// The complete elements of an array.
    pub(super) elements: Vec<Range<usize>>,
    /// The offset of the last element, if the text ends inside of it.
    pub(super) unfinished: Option<usize>,
    /// Whether any element is not an object.
    has_others: bool,
}

impl Container {
    /// Reads the container that begins at `start`.
    pub(super) fn read(text: &[u8], start: usize) -> Self {
        let mut container = Self::default();
        let is_array = text[start] == b'[';
        let mut depth = 0_usize;
        let mut follows_value = false;
        let mut pos = start;
        while let Some(&byte) = text.get(pos) {
            let at = pos;
            pos += 1;
            match byte {
                0..=b' ' => {}
                b',' | b':' => follows_value = false,
                b'}' | b']' => {
                    depth -= 1;
                    follows_value = true;
                    if depth == 0 {
                        container.end = Some(pos);
                        return container;
                    }
                    if depth == 1
                        && let Some(start) = container.unfinished.take()
                    {
                        container.elements.push(start..pos);
                    }
                }
                _ => {
                    container.is_faulty |= follows_value;
                    let is_element = is_array && depth == 1;
                    container.has_others |= is_element && byte != b'{';
                    if is_element {
                        container.unfinished = Some(at);
                    }
                    if is_opening(byte) {
                        depth += 1;
                        follows_value = false;
                        continue;
                    }
                    follows_value = true;
                    let Some(end) = scalar_end(text, at) else {
                        return container;
                    };
                    pos = end;
                    if is_element {
                        container.unfinished = None;
                        container.elements.push(at..end);
                    }
                }
            }
        }
        container
    }

    /// Returns whether the container is an array of objects.
    pub(super) fn is_batch(&self) -> bool {
        !self.elements.is_empty() && !self.has_others
    }
}

/// Returns the offset of a member's value in the object that begins at `start`. If names are equal, the first counts.
pub(super) fn find_member(text: &[u8], start: usize, name: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut is_key_next = true;
    let mut key: Option<&[u8]> = None;
    let mut pos = start;
    loop {
        let at = pos;
        pos += 1;
        match *text.get(at)? {
            0..=b' ' => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return None;
                }
            }
            b',' => is_key_next |= depth == 1,
            b':' if depth == 1 && key.take() == Some(name) => return Some(skip_space(text, pos)),
            b':' => {}
            byte => {
                pos = scalar_end(text, at)?;
                if depth == 1 && is_key_next && byte == b'"' {
                    key = Some(&text[at + 1..pos - 1]);
                }
                is_key_next &= depth != 1;
            }
        }
    }
}

/// Returns the end of the string or the value without quotes at `start`; `None` for a string without a closing quote.
pub(super) fn scalar_end(text: &[u8], start: usize) -> Option<usize> {
    if text[start] != b'"' {
        let is_end = |byte: &u8| matches!(byte, 0..=b' ' | b',' | b':' | b'"' | b'{' | b'[' | b'}' | b']');
        return Some(
            text[start..]
                .iter()
                .position(is_end)
                .map_or(text.len(), |offset| start + offset),
        );
    }
    string_end(text, start + 1)
}

pub(super) fn is_opening(byte: u8) -> bool {
    matches!(byte, b'{' | b'[')
}
