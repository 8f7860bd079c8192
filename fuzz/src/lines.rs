//! The engine's splitter, read in pieces, against a search in the whole text.

use arbitrary::{Arbitrary, Unstructured};

use splitter::{Separator, Splitter};

// Compiled here a second time: nobody else can read from anything but files and sockets.
#[allow(dead_code, unreachable_pub)]
#[path = "../../rust/engine/src/lines/cursor.rs"]
mod cursor;
#[allow(dead_code)]
#[path = "../../rust/engine/src/lines/splitter.rs"]
mod splitter;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    separator: &'a [u8],
    limit: u8,
    block: u8,
    /// Bytes that one read gives, again and again.
    reads: &'a [u8],
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
        assert_eq!(input.split(separator), input.model(), "{input:?}");
    }
}

impl Input<'_> {
    /// At least one byte of a line is an event.
    fn limit(&self) -> usize {
        usize::from(self.limit).max(1)
    }

    fn split(&self, separator: Separator) -> Vec<Line> {
        let block = usize::from(self.block).max(1);
        let most_room = 2 * (cursor::BEFORE + self.limit() + self.separator.len() + block);
        let mut splitter = Splitter::new(separator, block);
        let mut reads = self.reads.iter().map(|&len| usize::from(len).max(1)).cycle();
        let mut rest = self.content;
        let mut lines = Vec::new();
        loop {
            while let Some(line) = splitter.next(self.limit()) {
                assert_eq!(
                    splitter.next(self.limit()),
                    Some(line),
                    "a line that is not taken stays"
                );
                lines.push((splitter.bytes(line).to_vec(), line.cut, splitter.place().position));
                splitter.take(line);
            }
            if splitter.is_done() {
                let place = splitter.place();
                assert_eq!(place.position, self.content.len() as u64);
                assert!(self.content.ends_with(place.before()));
                return lines;
            }
            let room = splitter.room();
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

    fn model(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut start = 0;
        while start < self.content.len() {
            let rest = &self.content[start..];
            let found = rest
                .windows(self.separator.len())
                .position(|part| part == self.separator);
            let len = found.unwrap_or(rest.len());
            lines.push((rest[..len.min(self.limit())].to_vec(), len > self.limit(), start as u64));
            start += len + self.separator.len();
        }
        lines
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
