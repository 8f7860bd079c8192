//! Bytes in, lines out: one buffer that is read into, and that lines are copied from.

use memchr::memchr;
use memchr::memmem::Finder;

use super::cursor::{BEFORE, Place};

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

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
    /// `\n`, or `\r\n`.
    Newline,
    Byte(u8),
    Bytes(Box<Finder<'static>>),
}

impl Separator {
    /// `None` where there are no bytes.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [] => None,
            b"\n" => Some(Self::Newline),
            [byte] => Some(Self::Byte(*byte)),
            bytes => Some(Self::Bytes(Box::new(Finder::new(bytes).into_owned()))),
        }
    }

    #[inline]
    fn find(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Newline => memchr(b'\n', text),
            Self::Byte(byte) => memchr(*byte, text),
            Self::Bytes(finder) => finder.find(text),
        }
    }

    #[inline]
    fn len(&self) -> usize {
        match self {
            Self::Newline | Self::Byte(_) => 1,
            Self::Bytes(finder) => finder.needle().len(),
        }
    }

    /// Bytes at the end of a line that belong to its separator.
    #[inline]
    fn len_in(&self, line: &[u8]) -> usize {
        usize::from(matches!(self, Self::Newline) && line.ends_with(b"\r"))
    }

    /// The largest number of these bytes.
    fn most_in_line(&self) -> usize {
        usize::from(matches!(self, Self::Newline))
    }

    fn has_nul(&self) -> bool {
        match self {
            Self::Newline => false,
            Self::Byte(byte) => *byte == 0,
            Self::Bytes(finder) => finder.needle().contains(&0),
        }
    }
}

/// Splits an input as `bytes.split` of Python does, with nothing behind the last separator; but where a newline is the
/// separator, `\r\n` is one too, as is `\r` at the end of the input.
///
/// A byte order mark at the beginning of the input does not belong to its first line. NULs at the beginning of a line
/// are passed over, unless the separator has one: they are a hole in the file, which `copytruncate` leaves where the
/// writer does not append.
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
    /// Whether a byte order mark may follow.
    is_beginning: bool,
    keeps_nuls: bool,
    /// NULs that were passed over in front of the next line.
    nuls: u64,
    block: usize,
}

impl Splitter {
    /// `block`: bytes that are read at once; more where a line is longer.
    pub(super) fn new(separator: Separator, block: usize) -> Self {
        Self {
            keeps_nuls: separator.has_nul(),
            separator,
            buffer: vec![0; BEFORE + block],
            start: 0,
            searched: 0,
            end: 0,
            position: 0,
            passing: None,
            ended: false,
            is_beginning: true,
            nuls: 0,
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
        if self.is_beginning && !self.pass_over_mark() {
            return None;
        }
        if self.start < self.end && self.buffer[self.start] == 0 && !self.keeps_nuls {
            self.pass_over_nuls();
        }
        let (len, taken, whole) = if let Some(at) = self.find() {
            let line = &self.buffer[self.start..at];
            let len = line.len() - self.separator.len_in(line);
            (len, line.len() + self.separator.len(), true)
        } else if self.ended && self.start < self.end {
            let line = &self.buffer[self.start..self.end];
            (line.len() - self.separator.len_in(line), line.len(), true)
        } else if self.searched - self.start > limit + self.separator.most_in_line() {
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

    /// Returns the bytes that were read last, at most [`BEFORE`], and the free space for the next read, which is never
    /// empty.
    pub(super) fn room(&mut self) -> (&[u8], &mut [u8]) {
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
        let (read, room) = self.buffer.split_at_mut(self.end);
        (&read[read.len().saturating_sub(BEFORE)..], room)
    }

    /// So many bytes of the room were filled.
    pub(super) fn filled(&mut self, len: usize) {
        self.end += len;
    }

    /// Whether all that was read of the next line are NULs, so that a hole may follow.
    #[inline]
    pub(super) fn is_in_nuls(&self) -> bool {
        self.nuls > 0 && self.start == self.end && self.passing.is_none() && !self.ended
    }

    /// Continues behind `len` NULs, at least [`BEFORE`], which were not read.
    pub(super) fn skip_hole(&mut self, len: u64) {
        self.buffer[..BEFORE].fill(0);
        (self.start, self.searched, self.end) = (BEFORE, BEFORE, BEFORE);
        self.position += len;
        self.nuls += len;
    }

    /// Returns how many NULs were skipped in front of the line that was found, or of the end. Each count is returned
    /// once.
    #[inline]
    pub(super) fn take_nuls(&mut self) -> u64 {
        std::mem::take(&mut self.nuls)
    }

    /// Returns the bytes that were read and not split.
    pub(super) fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
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
        self.is_beginning = place.position == 0;
    }

    /// Skips a byte order mark. Returns whether it is known that no byte order mark follows.
    fn pass_over_mark(&mut self) -> bool {
        let pending = self.pending();
        if pending.starts_with(MARK) {
            self.skip(MARK.len());
        } else if MARK.starts_with(pending) && !self.ended {
            return false;
        }
        self.is_beginning = false;
        true
    }

    #[cold]
    fn pass_over_nuls(&mut self) {
        let pending = self.pending();
        // By blocks first, since holes are large.
        let blocks = pending
            .chunks_exact(64)
            .take_while(|block| block.iter().fold(0, |all, byte| all | byte) == 0);
        let blocks = 64 * blocks.count();
        let len = blocks + pending[blocks..].iter().take_while(|byte| **byte == 0).count();
        self.skip(len);
        self.nuls += len as u64;
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
            let (before, room) = splitter.room();
            assert!(content[..content.len() - rest.len()].ends_with(before));
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
        let mut start = if content.starts_with(MARK) { MARK.len() } else { 0 };
        loop {
            while content.get(start) == Some(&0) && !separator.contains(&0) {
                start += 1;
            }
            if start >= content.len() {
                return lines;
            }
            let found = content[start..]
                .windows(separator.len())
                .position(|part| part == separator);
            let end = found.map_or(content.len(), |at| start + at);
            let mut line = &content[start..end];
            if separator == b"\n" {
                line = line.strip_suffix(b"\r").unwrap_or(line);
            }
            lines.push((line[..line.len().min(limit)].to_vec(), line.len() > limit, start as u64));
            start = end + separator.len();
        }
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_whole_text_however_it_is_read(
            content in prop::collection::vec(
                prop::sample::select(vec![&b"a"[..], b"b", b"\n", b"\r\n", b"\r", b"\0", b"\n\0\0", MARK, &MARK[..2]]), 0..300,
            ).prop_map(|parts| parts.concat()),
            separator in prop_oneof![
                Just(b"\n".to_vec()),
                prop::collection::vec(prop::sample::select(b"ab\n\r\0\xEF".to_vec()), 1..4),
            ],
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
            let (_, room) = splitter.room();
            room.fill(b'x');
            let len = room.len();
            splitter.filled(len);
            while let Some(line) = splitter.next(500) {
                splitter.take(line);
            }
            assert!(splitter.buffer.len() <= 2048 + BEFORE);
        }
        splitter.room().1[0] = b'\n';
        splitter.filled(1);
        assert_eq!(splitter.next(500), None);
        splitter.room();
        assert_eq!(splitter.buffer.capacity(), BEFORE + 64);
    }
}
