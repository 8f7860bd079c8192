//! Splits a payload that may hold several JSON documents, so that each of them can become an event.
//!
//! Fields are read from the first document of a payload: a document behind it would be invisible to rules. The payload may
//! be damaged. Only its structure decides, not its values: a container ends at its matching bracket, as for fields, and
//! brackets within strings do not count. Each byte is visited a bounded number of times.

use std::ops::Range;

use memchr::{memchr, memchr2};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a payload is split.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Each line is a record, as the sender declared. Without it lines are records only if at least one of
    /// them is a whole document.
    pub lines: bool,
    /// The member that holds the records of a document, in an array.
    pub items: Option<&'a [u8]>,
}

/// Returns the records of a payload, in their order. Each has at least one byte, and none overlaps another.
///
/// - Documents may follow each other directly, or with white space or commas between them.
/// - An array whose elements are all objects is a batch: its elements are records.
/// - Text behind a document belongs to it, up to the end of the line. Other lines without a document are records.
/// - Lines are split even if one of them is damaged, so that a bracket or quote that is missing in one line does not hide
///   the lines behind it.
/// - A payload that does not hold several documents is one unchanged record; a blank payload has no records.
pub fn split(payload: &[u8], options: Options<'_>) -> Vec<Range<usize>> {
    let mut splitter = Splitter {
        payload,
        options,
        records: Vec::new(),
        documents: 0,
        expanded: false,
        begins_with_text: None,
        attach: false,
        line: 0..0,
    };
    splitter.read(0, payload.len(), true);
    splitter.finish()
}

struct Splitter<'a> {
    payload: &'a [u8],
    options: Options<'a>,
    records: Vec<Range<usize>>,
    /// Containers that were found at the top level.
    documents: usize,
    /// Whether the elements of a container became records.
    expanded: bool,
    /// Whether the first record is not a container; `None` before it.
    begins_with_text: Option<bool>,
    /// Whether text that follows on the same line belongs to the last record.
    attach: bool,
    /// The part of a line that was searched for its end: a long line has many documents, each of which asks for it.
    line: Range<usize>,
}

impl Splitter<'_> {
    /// Reads the records between two offsets. With `by_lines`, the lines of a container may become records instead of
    /// the container.
    fn read(&mut self, start: usize, end: usize, by_lines: bool) {
        let payload = &self.payload[..end];
        let mut previous = start;
        loop {
            let pos = skip_between(payload, previous);
            let Some(&byte) = payload.get(pos) else {
                return;
            };
            self.attach &= memchr(b'\n', &payload[previous..pos]).is_none();
            previous = if is_opening(byte) {
                let container = Container::read(payload, pos);
                let stop = container.end.unwrap_or(end);
                if by_lines && self.is_split_by_lines(&container, pos, stop) {
                    self.read_lines(pos, stop)
                } else {
                    self.add_document(payload, pos, container);
                    stop
                }
            } else {
                self.add_text(payload, pos)
            };
        }
    }

    /// Returns whether the lines of a container become records instead of the container.
    fn is_split_by_lines(&mut self, container: &Container, start: usize, stop: usize) -> bool {
        let first_line = self.end_of_line(start);
        let line = self.end_of_line(stop);
        let behind = skip_between(&self.payload[..line], stop);
        let has_text_behind = self.payload[behind..line]
            .first()
            .is_some_and(|&byte| !is_opening(byte));
        let is_intact = container.end.is_some() && !container.is_faulty && !has_text_behind;
        if is_intact && (!self.options.lines || container.is_batch()) {
            return false;
        }
        let is_damaged = container.end.is_none() || container.is_faulty;
        (self.options.lines && is_damaged) || has_document_line(&self.payload[..line], first_line)
    }

    /// Returns the offset of the line feed behind `pos`, or the end of the payload.
    fn end_of_line(&mut self, pos: usize) -> usize {
        if !(self.line.start..=self.line.end).contains(&pos) || self.line.is_empty() {
            self.line = pos..end_of_line(self.payload, pos);
        }
        self.line.end
    }

    /// Reads each line by itself, from `start` to the end of the line that contains `stop`. Returns that end.
    fn read_lines(&mut self, start: usize, stop: usize) -> usize {
        let stop = self.end_of_line(stop);
        let mut line = start;
        while line < stop {
            let end = self.end_of_line(line).min(stop);
            self.attach = false;
            self.read(line, end, false);
            line = end + 1;
        }
        self.attach = false;
        stop
    }

    fn add_document(&mut self, payload: &[u8], start: usize, container: Container) {
        self.documents += 1;
        self.begins_with_text.get_or_insert(false);
        self.attach = false;
        let end = container.end.unwrap_or(payload.len());
        if container.is_batch() {
            self.expanded = true;
            let rest = container.unfinished;
            for element in container.elements {
                self.add_object(&payload[..element.end], element.start);
            }
            if let Some(start) = rest {
                self.add_object(payload, start);
            }
        } else {
            self.attach = !self.add_object(&payload[..end], start);
        }
    }

    /// Adds the object that begins at `start` and ends with the payload, or its items. Returns whether it has items.
    fn add_object(&mut self, payload: &[u8], start: usize) -> bool {
        let items = self
            .options
            .items
            .filter(|_| payload[start] == b'{')
            .and_then(|name| member(payload, start, name))
            .filter(|&items| payload.get(items) == Some(&b'['));
        let Some(items) = items else {
            self.add(payload, start);
            return false;
        };
        let items = Container::read(payload, items);
        self.expanded = true;
        self.records.extend(items.elements);
        if let Some(start) = items.unfinished {
            self.add(payload, start);
        }
        true
    }

    /// Adds text that is not in a container. Returns its end: the end of the line, or, behind a document, the beginning
    /// of the next document.
    fn add_text(&mut self, payload: &[u8], start: usize) -> usize {
        let line = self.end_of_line(start).min(payload.len());
        if !self.attach {
            self.begins_with_text.get_or_insert(true);
            self.add(&payload[..line], start);
            return line;
        }
        let end = memchr2(b'{', b'[', &payload[start..line]).map_or(line, |offset| start + offset);
        if let Some(last) = self.records.last_mut() {
            last.end = start + trimmed(&payload[start..end]);
        }
        end
    }

    /// Adds the text between `start` and the end of the payload, without trailing white space.
    fn add(&mut self, payload: &[u8], start: usize) {
        self.records.push(start..start + trimmed(&payload[start..]));
    }

    fn finish(self) -> Vec<Range<usize>> {
        let Some(begins_with_text) = self.begins_with_text else {
            return Vec::new();
        };
        let is_split = self.options.lines
            || if begins_with_text {
                has_document_line(self.payload, end_of_line(self.payload, 0))
                    || (self.records.len() > 1 && self.has_scalars_only())
            } else {
                // A leading comma is not white space: fields would not find a document behind it.
                let first = self.records.first().map_or(0, |record| record.start);
                self.documents > 1 || self.expanded || self.payload[..first].contains(&b',')
            };
        if is_split {
            self.records
        } else {
            std::iter::once(0..self.payload.len()).collect()
        }
    }

    fn has_scalars_only(&self) -> bool {
        self.records
            .iter()
            .all(|record| is_scalar(&self.payload[record.clone()]))
    }
}

/// An object or array, which may be damaged.
#[derive(Default)]
struct Container {
    /// The offset behind its matching bracket; `None` if the bracket is missing.
    end: Option<usize>,
    /// Whether two values in it follow each other without a comma or colon, as where a bracket or quote is missing.
    is_faulty: bool,
    /// The complete elements of an array.
    elements: Vec<Range<usize>>,
    /// The offset of the element that is cut off by the end of the text.
    unfinished: Option<usize>,
    /// Whether an element is not an object.
    has_others: bool,
}

impl Container {
    /// Reads the container that begins at `start`.
    fn read(text: &[u8], start: usize) -> Self {
        let mut container = Self::default();
        let is_array = text[start] == b'[';
        let mut depth = 0_usize;
        let mut is_behind_value = false;
        let mut pos = start;
        while let Some(&byte) = text.get(pos) {
            let at = pos;
            pos += 1;
            match byte {
                0..=b' ' => {}
                b',' | b':' => is_behind_value = false,
                b'}' | b']' => {
                    depth -= 1;
                    is_behind_value = true;
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
                    container.is_faulty |= is_behind_value;
                    let is_element = is_array && depth == 1;
                    container.has_others |= is_element && byte != b'{';
                    if is_element {
                        container.unfinished = Some(at);
                    }
                    if is_opening(byte) {
                        depth += 1;
                        is_behind_value = false;
                        continue;
                    }
                    is_behind_value = true;
                    let Some(end) = end_of_scalar(text, at) else {
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

    /// Whether it is an array of objects.
    fn is_batch(&self) -> bool {
        !self.elements.is_empty() && !self.has_others
    }
}

/// Returns the offset of a member's value in the object that begins at `start`. Of equal names the first counts.
fn member(text: &[u8], start: usize, name: &[u8]) -> Option<usize> {
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
                pos = end_of_scalar(text, at)?;
                if depth == 1 && is_key_next && byte == b'"' {
                    key = Some(&text[at + 1..pos - 1]);
                }
                is_key_next &= depth != 1;
            }
        }
    }
}

/// Whether a line behind the one that ends at `first_line` is a document by itself, and begins with it.
///
/// The lines of a document that was written over several lines are indented, and end with commas.
fn has_document_line(text: &[u8], first_line: usize) -> bool {
    let mut line = first_line + 1;
    while line < text.len() {
        let end = end_of_line(text, line);
        if is_document(&text[..end], line) {
            return true;
        }
        line = end + 1;
    }
    false
}

fn is_document(text: &[u8], mut start: usize) -> bool {
    loop {
        match text.get(start) {
            // The separator of JSON text sequences, and holes of files.
            Some(0 | 0x1e) => start += 1,
            Some(&byte) if is_opening(byte) => break,
            Some(_) if text[start..].starts_with(BYTE_ORDER_MARK) => start += BYTE_ORDER_MARK.len(),
            _ => return false,
        }
    }
    let container = Container::read(text, start);
    !container.is_faulty && container.end.is_some_and(|end| skip_space(text, end) == text.len())
}

/// Returns the end of the string or bare value that begins at `start`; `None` for a string without a closing quote.
fn end_of_scalar(text: &[u8], start: usize) -> Option<usize> {
    if text[start] != b'"' {
        let is_end = |byte: &u8| matches!(byte, 0..=b' ' | b',' | b':' | b'"' | b'{' | b'[' | b'}' | b']');
        return Some(
            text[start..]
                .iter()
                .position(is_end)
                .map_or(text.len(), |offset| start + offset),
        );
    }
    let mut pos = start + 1;
    loop {
        let found = pos + memchr2(b'"', b'\\', text.get(pos..)?)?;
        if text[found] == b'"' {
            return Some(found + 1);
        }
        pos = found + 2;
    }
}

fn is_scalar(text: &[u8]) -> bool {
    match text {
        [b'"', ..] => end_of_scalar(text, 0) == Some(text.len()),
        b"true" | b"false" | b"null" => true,
        [b'-' | b'0'..=b'9', rest @ ..] => rest
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')),
        _ => false,
    }
}

fn is_opening(byte: u8) -> bool {
    matches!(byte, b'{' | b'[')
}

/// Returns the offset of the line feed behind `start`, or the end of the text.
fn end_of_line(text: &[u8], start: usize) -> usize {
    text.get(start..)
        .and_then(|rest| memchr(b'\n', rest))
        .map_or(text.len(), |offset| start + offset)
}

fn skip_space(text: &[u8], mut pos: usize) -> usize {
    while let Some(0..=b' ') = text.get(pos) {
        pos += 1;
    }
    pos
}

/// Skips the separators that are allowed between two documents.
fn skip_between(text: &[u8], mut pos: usize) -> usize {
    loop {
        match text.get(pos) {
            Some(0..=b' ' | b',') => pos += 1,
            Some(_) if text[pos..].starts_with(BYTE_ORDER_MARK) => pos += BYTE_ORDER_MARK.len(),
            _ => return pos,
        }
    }
}

/// Returns the length of a text without trailing white space.
fn trimmed(text: &[u8]) -> usize {
    text.iter()
        .rposition(|byte| !matches!(byte, 0..=b' '))
        .map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests;
