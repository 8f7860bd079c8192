//! Splits a payload that may contain several JSON documents, so that each of them can become an event.
//!
//! Fields are read from the first document of a payload, so a second document would be invisible to rules. The payload
//! may be damaged. Only its structure decides, not its values: a container ends at its matching bracket, as for fields,
//! and brackets in strings do not count. The splitter visits each byte a bounded number of times.

mod container;
mod one_line;

use std::ops::Range;

use memchr::{memchr, memchr2};

use super::scan::{BYTE_ORDER_MARK, skip_space};
use container::{Container, find_member, is_opening, scalar_end};

/// How to split a payload.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Whether each line is a record, as the sender declares. Otherwise lines are records only if at least one of them
    /// is a whole document.
    pub lines: bool,
    /// The name of the member whose array contains the records of a document.
    pub items: Option<&'a [u8]>,
}

/// Returns the ranges of the records of a payload, in order. Records are not empty and do not overlap.
///
/// - Documents may follow each other directly, or with white space or commas between them.
/// - An array whose elements are all objects is a batch: its elements are records. A colon between them counts as a
///   comma, so that it does not hide the objects from rules.
/// - Text after a document belongs to it, up to the end of the line. Other lines without a document are records.
/// - Lines are split even if one of them is damaged: a missing bracket or quote must not hide the lines after it.
/// - A payload without several documents is one unchanged record. A blank payload has no records.
pub fn split(payload: &[u8], options: Options<'_>) -> Vec<Range<usize>> {
    let items = options.items.filter(|_| !options.lines);
    items
        .and_then(|name| one_line::split_items(payload, name))
        .unwrap_or_else(|| split_any(payload, options))
}

/// Does the same for any payload.
fn split_any(payload: &[u8], options: Options<'_>) -> Vec<Range<usize>> {
    let mut splitter = Splitter {
        payload,
        options,
        records: Vec::new(),
        documents: 0,
        is_expanded: false,
        begins_with_text: None,
        attaches_text: false,
        line: 0..0,
    };
    splitter.read(0, payload.len(), true);
    splitter.finish()
}

struct Splitter<'a> {
    payload: &'a [u8],
    options: Options<'a>,
    records: Vec<Range<usize>>,
    /// The number of containers at the top level.
    documents: usize,
    /// Whether the elements of a container became records.
    is_expanded: bool,
    /// Whether the first record is not a container; `None` before the first record.
    begins_with_text: Option<bool>,
    /// Whether text on the rest of the line belongs to the last record.
    attaches_text: bool,
    /// The part of the current line whose end is known. It is kept because each of many documents in a long line needs
    /// it.
    line: Range<usize>,
}

impl Splitter<'_> {
    /// Reads the records between two offsets. If `by_lines`, the lines of a container may become records instead of the
    /// container.
    fn read(&mut self, start: usize, end: usize, by_lines: bool) {
        let payload = &self.payload[..end];
        let mut previous = start;
        loop {
            let pos = skip_between(payload, previous);
            let Some(&byte) = payload.get(pos) else {
                return;
            };
            self.attaches_text &= memchr(b'\n', &payload[previous..pos]).is_none();
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
        let first_line = self.line_end(start);
        let line = self.line_end(stop);
        let next = skip_between(&self.payload[..line], stop);
        let is_followed_by_text = self.payload[next..line].first().is_some_and(|&byte| !is_opening(byte));
        let is_intact = container.end.is_some() && !container.is_faulty && !is_followed_by_text;
        if is_intact && (!self.options.lines || container.is_batch()) {
            return false;
        }
        let is_damaged = container.end.is_none() || container.is_faulty;
        (self.options.lines && is_damaged) || has_document_line(&self.payload[..line], first_line)
    }

    /// Returns the offset of the next line feed from `pos` on, or the end of the payload.
    fn line_end(&mut self, pos: usize) -> usize {
        if !(self.line.start..=self.line.end).contains(&pos) || self.line.is_empty() {
            self.line = pos..find_line_end(self.payload, pos);
        }
        self.line.end
    }

    /// Reads each line separately, from `start` to the end of the line that contains `stop`. Returns that end.
    fn read_lines(&mut self, start: usize, stop: usize) -> usize {
        let stop = self.line_end(stop);
        let mut line = start;
        while line < stop {
            let end = self.line_end(line).min(stop);
            self.attaches_text = false;
            self.read(line, end, false);
            line = end + 1;
        }
        self.attaches_text = false;
        stop
    }

    fn add_document(&mut self, payload: &[u8], start: usize, container: Container) {
        self.documents += 1;
        self.begins_with_text.get_or_insert(false);
        self.attaches_text = false;
        let end = container.end.unwrap_or(payload.len());
        if container.is_batch() {
            self.is_expanded = true;
            let rest = container.unfinished;
            for element in container.elements {
                self.add_object(&payload[..element.end], element.start);
            }
            if let Some(start) = rest {
                self.add_object(payload, start);
            }
        } else {
            self.attaches_text = !self.add_object(&payload[..end], start);
        }
    }

    /// Adds the object that begins at `start` and ends with the payload, or the items of the object. Returns whether it
    /// has items.
    fn add_object(&mut self, payload: &[u8], start: usize) -> bool {
        let items = self
            .options
            .items
            .filter(|_| payload[start] == b'{')
            .and_then(|name| find_member(payload, start, name))
            .filter(|&items| payload.get(items) == Some(&b'['));
        let Some(items) = items else {
            self.add(payload, start);
            return false;
        };
        let items = Container::read(payload, items);
        self.is_expanded = true;
        self.records.extend(items.elements);
        if let Some(start) = items.unfinished {
            self.add(payload, start);
        }
        true
    }

    /// Adds text outside of containers. Returns its end: the end of the line, or after a document the beginning of the
    /// next document.
    fn add_text(&mut self, payload: &[u8], start: usize) -> usize {
        let line = self.line_end(start).min(payload.len());
        if !self.attaches_text {
            self.begins_with_text.get_or_insert(true);
            self.add(&payload[..line], start);
            return line;
        }
        let end = memchr2(b'{', b'[', &payload[start..line]).map_or(line, |offset| start + offset);
        if let Some(last) = self.records.last_mut() {
            last.end = start + trimmed_len(&payload[start..end]);
        }
        end
    }

    /// Adds the text from `start` to the end of the payload, without trailing white space.
    fn add(&mut self, payload: &[u8], start: usize) {
        self.records.push(start..start + trimmed_len(&payload[start..]));
    }

    fn finish(self) -> Vec<Range<usize>> {
        let Some(begins_with_text) = self.begins_with_text else {
            return Vec::new();
        };
        let is_split = self.options.lines
            || if begins_with_text {
                has_document_line(self.payload, find_line_end(self.payload, 0))
                    || (self.records.len() > 1 && self.has_scalars_only())
            } else {
                // A leading comma is not white space: fields would not find a document after it.
                let first = self.records.first().map_or(0, |record| record.start);
                self.documents > 1 || self.is_expanded || self.payload[..first].contains(&b',')
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

/// Returns whether a line after the one that ends at `first_line` is a document, and begins with it.
///
/// The lines of a document that spans several lines do not count: they are indented, or end with commas.
fn has_document_line(text: &[u8], first_line: usize) -> bool {
    let mut line = first_line + 1;
    while line < text.len() {
        let end = find_line_end(text, line);
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
            // A record separator (RFC 7464), or a NUL from a hole in a file.
            Some(0 | 0x1e) => start += 1,
            Some(&byte) if is_opening(byte) => break,
            Some(_) if text[start..].starts_with(BYTE_ORDER_MARK) => start += BYTE_ORDER_MARK.len(),
            _ => return false,
        }
    }
    let container = Container::read(text, start);
    !container.is_faulty && container.end.is_some_and(|end| skip_space(text, end) == text.len())
}

fn is_scalar(text: &[u8]) -> bool {
    match text {
        [b'"', ..] => scalar_end(text, 0) == Some(text.len()),
        b"true" | b"false" | b"null" => true,
        [b'-' | b'0'..=b'9', rest @ ..] => rest
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')),
        _ => false,
    }
}

/// Returns the offset of the next line feed from `start` on, or the end of the text.
fn find_line_end(text: &[u8], start: usize) -> usize {
    text.get(start..)
        .and_then(|rest| memchr(b'\n', rest))
        .map_or(text.len(), |offset| start + offset)
}

/// Skips separators between documents: white space, commas and byte order marks.
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
fn trimmed_len(text: &[u8]) -> usize {
    text.iter()
        .rposition(|byte| !matches!(byte, 0..=b' '))
        .map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests;
