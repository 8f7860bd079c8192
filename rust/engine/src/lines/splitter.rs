//! Bytes in, lines out: one buffer that is read into, and that lines are copied from.

use memchr::memchr;
use memchr::memmem::Finder;

use super::cursor::{BEFORE, Place};

/// Where the next line stands in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// Bytes of it that are an event.
    pub(super) len: usize,
    /// Whether these are not all of it.
    pub(super) cut: bool,
    /// Bytes to the next line, or as far as this one, which is cut, is there.
    taken: usize,
    /// Whether its end is there.
    whole: bool,
}

/// What ends a line.
#[derive(Debug)]
pub(super) enum Separator {
    Byte(u8),
    Bytes(Box<Finder<'static>>),
}

impl Separator {
    /// `None` where there are no bytes.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [] => None,
            [byte] => Some(Self::Byte(*byte)),
            bytes => Some(Self::Bytes(Box::new(Finder::new(bytes).into_owned()))),
        }
    }

    #[inline]
    fn find(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Byte(byte) => memchr(*byte, text),
            Self::Bytes(finder) => finder.find(text),
        }
    }

    #[inline]
    fn len(&self) -> usize {
        match self {
            Self::Byte(_) => 1,
            Self::Bytes(finder) => finder.needle().len(),
        }
    }
}

/// Splits an input as `bytes.split` of Python does, with nothing behind the last separator.
///
/// A line longer than its limit is cut: the rest is passed over without being kept, however long it is.
#[derive(Debug)]
pub(super) struct Splitter {
    separator: Separator,
    /// What was read and not taken is in `start..end`, some of what was taken before that; no separator begins in
    /// `start..searched`.
    buffer: Vec<u8>,
    start: usize,
    searched: usize,
    end: usize,
    /// Where in the input `start` is.
    position: u64,
    /// Where the line began whose rest is passed over.
    passing: Option<Place>,
    /// Whether nothing follows: what is left is a line.
    ended: bool,
    block: usize,
}

impl Splitter {
    /// `block`: bytes that are read at once; more where a line is longer.
    pub(super) fn new(separator: Separator, block: usize) -> Self {
        Self {
            separator,
            buffer: vec![0; BEFORE + block],
            start: 0,
            searched: 0,
            end: 0,
            position: 0,
            passing: None,
            ended: false,
            block,
        }
    }

    /// Where in the input the first line begins that was not taken to its end.
    #[inline]
    pub(super) fn place(&self) -> Place {
        self.passing.unwrap_or_else(|| self.here())
    }

    #[inline]
    fn here(&self) -> Place {
        let before = self.start.saturating_sub(BEFORE);
        Place::new(self.position, &self.buffer[before..self.start])
    }

    /// The next line, of which `limit` bytes are an event; `None` where more has to be read.
    #[inline]
    pub(super) fn next(&mut self, limit: usize) -> Option<Line> {
        if self.passing.is_some() && !self.pass_over() {
            return None;
        }
        let (len, taken, whole) = if let Some(at) = self.find() {
            (at - self.start, at - self.start + self.separator.len(), true)
        } else if self.ended && self.start < self.end {
            (self.end - self.start, self.end - self.start, true)
        } else if self.searched - self.start > limit {
            let there = self.searched - self.start;
            (there, there, false)
        } else {
            return None;
        };
        Some(Line {
            len: len.min(limit),
            cut: len > limit,
            taken,
            whole,
        })
    }

    pub(super) fn bytes(&self, line: Line) -> &[u8] {
        &self.buffer[self.start..self.start + line.len]
    }

    /// Goes on behind the line that `next` found.
    #[inline]
    pub(super) fn take(&mut self, line: Line) {
        if !line.whole {
            self.passing = Some(self.here());
        }
        self.skip(line.taken);
    }

    /// Room for what is read next, never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let unused = self.start.saturating_sub(BEFORE);
        if unused > 0 {
            self.buffer.copy_within(unused..self.end, 0);
            self.start -= unused;
            self.searched -= unused;
            self.end -= unused;
        }
        let held = self.end - self.start;
        let size = self.buffer.len() - BEFORE;
        if held <= self.block / 2 && size > self.block {
            self.buffer.truncate(BEFORE + self.block);
            self.buffer.shrink_to_fit();
        } else if size.saturating_sub(held) <= self.block / 2 {
            self.buffer.resize(BEFORE + 2 * size, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes of the room were filled.
    pub(super) fn filled(&mut self, len: usize) {
        self.end += len;
    }

    /// Nothing follows.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether nothing follows, and all was taken.
    #[inline]
    pub(super) fn is_done(&self) -> bool {
        self.ended && self.start == self.end
    }

    /// Begins anew, at a place in another input.
    pub(super) fn begin(&mut self, place: &Place) {
        let before = place.before();
        self.buffer[..before.len()].copy_from_slice(before);
        (self.start, self.searched, self.end) = (before.len(), before.len(), before.len());
        (self.position, self.passing, self.ended) = (place.position, None, false);
    }

    #[inline]
    fn find(&mut self) -> Option<usize> {
        if let Some(at) = self.separator.find(&self.buffer[self.searched..self.end]) {
            // It is found again at once where the line is not taken now.
            self.searched += at;
            return Some(self.searched);
        }
        // The last bytes may be the beginning of a separator.
        self.searched = self.searched.max((self.end + 1).saturating_sub(self.separator.len()));
        None
    }

    /// Passes over the rest of a cut line; says whether all of it was there.
    fn pass_over(&mut self) -> bool {
        let rest = match self.find() {
            Some(at) => at - self.start + self.separator.len(),
            None if self.ended => self.end - self.start,
            None => {
                self.skip(self.searched - self.start);
                return false;
            }
        };
        self.passing = None;
        self.skip(rest);
        true
    }

    #[inline]
    fn skip(&mut self, len: usize) {
        self.start += len;
        self.searched = self.start;
        self.position += len as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines of all bytes, read in pieces of these sizes; each with the position that is reached by then.
    fn split(
        content: &[u8],
        separator: &[u8],
        limit: usize,
        block: usize,
        reads: &[usize],
    ) -> Vec<(Vec<u8>, bool, u64)> {
        let mut splitter = Splitter::new(Separator::new(separator).unwrap(), block);
        let mut rest = content;
        let mut reads = reads.iter().cycle();
        let mut lines = Vec::new();
        loop {
            while let Some(line) = splitter.next(limit) {
                assert_eq!(splitter.next(limit), Some(line), "a line that is not taken stays");
                lines.push((splitter.bytes(line).to_vec(), line.cut, splitter.place().position));
                splitter.take(line);
            }
            if splitter.is_done() {
                assert_eq!(splitter.place().position, content.len() as u64);
                assert_eq!(
                    splitter.place().before(),
                    &content[content.len().saturating_sub(BEFORE)..]
                );
                return lines;
            }
            let room = splitter.room();
            assert!(!room.is_empty());
            assert!(room.len() <= 2 * (BEFORE + limit + separator.len() + block));
            let len = room.len().min(rest.len()).min(*reads.next().unwrap());
            room[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            splitter.filled(len);
            if rest.is_empty() {
                splitter.end();
            }
        }
    }

    fn model(content: &[u8], separator: &[u8], limit: usize) -> Vec<(Vec<u8>, bool, u64)> {
        let mut lines = Vec::new();
        let mut start = 0;
        while start < content.len() {
            let found = content[start..]
                .windows(separator.len())
                .position(|part| part == separator);
            let len = found.unwrap_or(content.len() - start);
            lines.push((
                content[start..start + len.min(limit)].to_vec(),
                len > limit,
                start as u64,
            ));
            start += len + separator.len();
        }
        lines
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_whole_text_however_it_is_read(
            content in prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 0..600),
            separator in prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 1..4),
            limit in 1usize..20, block in 1usize..40,
            reads in prop::collection::vec(1usize..50, 1..10),
        ) {
            prop_assert_eq!(split(&content, &separator, limit, block, &reads), model(&content, &separator, limit));
        }
    }

    #[test]
    fn memory_is_bounded_whatever_the_length_of_a_line_and_given_back() {
        let mut splitter = Splitter::new(Separator::new(b"\n").unwrap(), 64);
        for _ in 0..1000 {
            let room = splitter.room();
            room.fill(b'x');
            let len = room.len();
            splitter.filled(len);
            while let Some(line) = splitter.next(500) {
                splitter.take(line);
            }
            assert!(splitter.buffer.len() <= 2048 + BEFORE);
        }
        splitter.room()[0] = b'\n';
        splitter.filled(1);
        assert_eq!(splitter.next(500), None);
        splitter.room();
        assert_eq!(splitter.buffer.capacity(), BEFORE + 64);
    }
}
