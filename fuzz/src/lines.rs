//! The engine's splitter, read in pieces and over holes, against a search in the whole text.

use arbitrary::{Arbitrary, Unstructured};

use cursor::BEFORE;
use splitter::{Separator, Splitter};

// Compiled here a second time: nobody else can read from anything but files and sockets.
#[allow(dead_code, unreachable_pub)]
#[path = "../../rust/engine/src/source/lines/cursor.rs"]
mod cursor;
#[allow(dead_code)]
#[path = "../../rust/engine/src/source/lines/splitter.rs"]
mod splitter;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    separator: &'a [u8],
    limit: u8,
    block: u8,
    /// Bytes that one read gives, again and again.
    reads: &'a [u8],
    /// Where a hole is in the content, and how long, as the file system knows it.
    hole: (u16, u16),
    content: &'a [u8],
}

/// An event, whether it is a part of its line, and where the line begins.
type Line = (Vec<u8>, bool, u64);

/// Checks one text.
///
/// # Panics
/// If the lines are not those of the whole text.
pub fn check(input: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(input)) else {
        return;
    };
    if let Some(separator) = Separator::new(input.separator) {
        let content = input.with_hole();
        assert_eq!(input.split(separator, &content), input.model(&content), "{input:?}");
    }
}

impl Input<'_> {
    /// At least one byte of a line is an event.
    fn limit(&self) -> usize {
        usize::from(self.limit).max(1)
    }

    fn with_hole(&self) -> Vec<u8> {
        let (at, len) = self.hole;
        let (before, after) = self.content.split_at(usize::from(at).min(self.content.len()));
        [before, &vec![0; usize::from(len % 4096)], after].concat()
    }

    fn split(&self, separator: Separator, content: &[u8]) -> Vec<Line> {
        let block = usize::from(self.block).max(1);
        let most_room = 2 * (BEFORE + self.limit() + self.separator.len() + block);
        let mut splitter = Splitter::new(separator, block);
        let mut reads = self.reads.iter().map(|&len| usize::from(len).max(1)).cycle();
        let mut rest = content;
        let mut lines = Vec::new();
        loop {
            while let Some(line) = splitter.next(self.limit()) {
                assert_eq!(
                    splitter.next(self.limit()),
                    Some(line),
                    "a line that is not taken stays"
                );
                lines.push((splitter.bytes(line).to_vec(), line.cut, splitter.place().position));
                splitter.take_nuls();
                splitter.take(line);
            }
            if splitter.is_done() {
                let place = splitter.place();
                assert_eq!(place.position, content.len() as u64);
                assert!(content.ends_with(place.before()));
                return lines;
            }
            if splitter.is_in_nuls() {
                let nuls = rest.iter().take_while(|byte| **byte == 0).count();
                if nuls >= BEFORE {
                    splitter.skip_hole(nuls as u64);
                    rest = &rest[nuls..];
                }
            }
            let (before, room) = splitter.room();
            assert!(content[..content.len() - rest.len()].ends_with(before));
            assert!((1..=most_room).contains(&room.len()));
            let len = reads.next().unwrap_or(usize::MAX).min(room.len()).min(rest.len());
            let (read, after) = rest.split_at(len);
            room[..len].copy_from_slice(read);
            rest = after;
            splitter.filled(len);
            if rest.is_empty() {
                splitter.end();
            }
        }
    }

    fn model(&self, content: &[u8]) -> Vec<Line> {
        let mark = b"\xEF\xBB\xBF";
        let mut lines = Vec::new();
        let mut start = if content.starts_with(mark) { mark.len() } else { 0 };
        loop {
            while !self.separator.contains(&0) && content.get(start) == Some(&0) {
                start += 1;
            }
            if start >= content.len() {
                return lines;
            }
            let rest = &content[start..];
            let found = rest
                .windows(self.separator.len())
                .position(|part| part == self.separator);
            let mut line = &rest[..found.unwrap_or(rest.len())];
            let next = start + line.len() + self.separator.len();
            if self.separator == b"\n" {
                line = line.strip_suffix(b"\r").unwrap_or(line);
            }
            let event = &line[..line.len().min(self.limit())];
            lines.push((event.to_vec(), line.len() > self.limit(), start as u64));
            start = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::corpus;

    #[test]
    fn lines_are_those_of_the_whole_text() {
        corpus::check("lines", 2048, corpus::bytes(), super::check);
    }
}
