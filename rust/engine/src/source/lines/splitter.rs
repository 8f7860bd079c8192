//! Splits input into lines. It has one buffer: input is read into it, and lines are copied out of it.

use super::cursor::{Checkpoint, PRECEDING};
use super::separator::Separator;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The next line in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// How many bytes of the line become the event.
    pub(super) len: usize,
    /// Whether the line is longer than the event.
    pub(super) is_cut: bool,
    /// How many bytes of the buffer the line uses, its separator included.
    consumed: usize,
    /// Whether the end of the line is in the buffer.
    is_complete: bool,
}

/// Splits input like Python's `bytes.split`, without an empty line after the last separator.
///
/// - If the separator is a newline, `\r\n` is a separator too, and so is `\r` at the end of the input.
/// - A byte order mark at the beginning of the input is skipped.
/// - NULs at the beginning of a line are skipped, unless the separator contains one. They are a hole in the file, which
///   `copytruncate` leaves if the writer does not append.
/// - A line longer than its limit is cut. Its rest is skipped without using memory, however long it is.
#[derive(Debug)]
pub(super) struct Splitter {
    separator: Separator,
    /// Bytes that were read and not consumed are in `start..end`, preceded by some consumed bytes. No separator begins
    /// in `start..searched`.
    buffer: Vec<u8>,
    start: usize,
    searched: usize,
    end: usize,
    /// The position of `start` in the input.
    position: u64,
    /// The beginning of the cut line whose rest is being skipped.
    cut_line: Option<Checkpoint>,
    /// Whether the input has ended: the remaining bytes are a line.
    has_ended: bool,
    /// Whether a byte order mark may follow.
    is_beginning: bool,
    keeps_nuls: bool,
    /// NULs that were skipped before the next line.
    nuls: u64,
    block: usize,
}

impl Splitter {
    /// Creates a splitter. `block` is the number of bytes to read in one step; a longer line uses more memory.
    pub(super) fn new(separator: Separator, block: usize) -> Self {
        Self {
            keeps_nuls: separator.has_nul(),
            separator,
            buffer: vec![0; PRECEDING + block],
            start: 0,
            searched: 0,
            end: 0,
            position: 0,
            cut_line: None,
            has_ended: false,
            is_beginning: true,
            nuls: 0,
            block,
        }
    }

    /// Returns the beginning of the first line that was not consumed to its end.
    #[inline]
    pub(super) fn checkpoint(&self) -> Checkpoint {
        self.cut_line.unwrap_or_else(|| self.start_checkpoint())
    }

    #[inline]
    fn start_checkpoint(&self) -> Checkpoint {
        let preceding = self.start.saturating_sub(PRECEDING);
        Checkpoint::new(self.position, &self.buffer[preceding..self.start])
    }

    /// Returns the next line, of which at most `limit` bytes become an event. Returns `None` if more must be read
    /// first.
    #[inline]
    pub(super) fn next_line(&mut self, limit: usize) -> Option<Line> {
        if self.cut_line.is_some() && !self.skip_cut_line() {
            return None;
        }
        if self.is_beginning && !self.skip_byte_order_mark() {
            return None;
        }
        if self.start < self.end && self.buffer[self.start] == 0 && !self.keeps_nuls {
            self.skip_nuls();
        }
        let (len, consumed, is_complete) = if let Some(at) = self.find_separator() {
            let line = &self.buffer[self.start..at];
            let len = line.len() - self.separator.len_in(line);
            (len, line.len() + self.separator.len(), true)
        } else if self.has_ended && self.start < self.end {
            let line = &self.buffer[self.start..self.end];
            (line.len() - self.separator.len_in(line), line.len(), true)
        } else if self.searched - self.start > limit + self.separator.max_len_in() {
            let available = self.searched - self.start;
            (available, available, false)
        } else {
            return None;
        };
        Some(Line {
            len: len.min(limit),
            is_cut: len > limit,
            consumed,
            is_complete,
        })
    }

    pub(super) fn bytes(&self, line: Line) -> &[u8] {
        &self.buffer[self.start..self.start + line.len]
    }

    /// Continues after the line that [`Self::next_line`] returned.
    #[inline]
    pub(super) fn consume(&mut self, line: Line) {
        if !line.is_complete {
            self.cut_line = Some(self.start_checkpoint());
        }
        self.skip(line.consumed);
    }

    /// Returns the bytes that were read last, at most [`PRECEDING`], and free space for the next read, which is never
    /// empty.
    pub(super) fn free_space(&mut self) -> (&[u8], &mut [u8]) {
        let unused = self.start.saturating_sub(PRECEDING);
        if unused > 0 {
            self.buffer.copy_within(unused..self.end, 0);
            self.start -= unused;
            self.searched -= unused;
            self.end -= unused;
        }
        let held = self.end - self.start;
        let size = self.buffer.len() - PRECEDING;
        if held <= self.block / 2 && size > self.block {
            self.buffer.truncate(PRECEDING + self.block);
            self.buffer.shrink_to_fit();
        } else if size.saturating_sub(held) <= self.block / 2 {
            self.buffer.resize(PRECEDING + 2 * size, 0);
        }
        let (read, free) = self.buffer.split_at_mut(self.end);
        (&read[read.len().saturating_sub(PRECEDING)..], free)
    }

    /// Adds the first `len` bytes of the free space to the input.
    pub(super) fn commit(&mut self, len: usize) {
        self.end += len;
    }

    /// Returns whether only NULs were read since the last line, so that a hole may follow.
    #[inline]
    pub(super) fn is_in_nuls(&self) -> bool {
        self.nuls > 0 && self.start == self.end && self.cut_line.is_none() && !self.has_ended
    }

    /// Continues after `len` NULs that were not read. `len` is at least [`PRECEDING`].
    pub(super) fn skip_hole(&mut self, len: u64) {
        self.buffer[..PRECEDING].fill(0);
        (self.start, self.searched, self.end) = (PRECEDING, PRECEDING, PRECEDING);
        self.position += len;
        self.nuls += len;
    }

    /// Returns how many NULs were skipped before the current line, or before the end of the input. Returns each count
    /// once.
    #[inline]
    pub(super) fn take_nuls(&mut self) -> u64 {
        std::mem::take(&mut self.nuls)
    }

    /// Returns the bytes that were read and not consumed.
    pub(super) fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Ends the input.
    pub(super) fn finish(&mut self) {
        self.has_ended = true;
    }

    /// Returns whether the input has ended and all of it was consumed.
    #[inline]
    pub(super) fn is_done(&self) -> bool {
        self.has_ended && self.start == self.end
    }

    /// Begins another input at a checkpoint.
    pub(super) fn begin(&mut self, checkpoint: &Checkpoint) {
        let preceding = checkpoint.preceding();
        self.buffer[..preceding.len()].copy_from_slice(preceding);
        (self.start, self.searched, self.end) = (preceding.len(), preceding.len(), preceding.len());
        (self.position, self.cut_line, self.has_ended) = (checkpoint.position, None, false);
        self.is_beginning = checkpoint.position == 0;
    }

    /// Skips a byte order mark. Returns false if more must be read to decide whether there is one.
    fn skip_byte_order_mark(&mut self) -> bool {
        let pending = self.pending();
        if pending.starts_with(BYTE_ORDER_MARK) {
            self.skip(BYTE_ORDER_MARK.len());
        } else if BYTE_ORDER_MARK.starts_with(pending) && !self.has_ended {
            return false;
        }
        self.is_beginning = false;
        true
    }

    #[cold]
    fn skip_nuls(&mut self) {
        let pending = self.pending();
        // Step by blocks first: holes are large.
        let blocks = pending
            .chunks_exact(64)
            .take_while(|block| block.iter().fold(0, |all, byte| all | byte) == 0);
        let blocks = 64 * blocks.count();
        let len = blocks + pending[blocks..].iter().take_while(|byte| **byte == 0).count();
        self.skip(len);
        self.nuls += len as u64;
    }

    #[inline]
    fn find_separator(&mut self) -> Option<usize> {
        if let Some(at) = self.separator.find(&self.buffer[self.searched..self.end]) {
            // Remember it: if the line is not consumed now, the next search finds it immediately.
            self.searched += at;
            return Some(self.searched);
        }
        // The last bytes may be the beginning of a separator.
        self.searched = self.searched.max((self.end + 1).saturating_sub(self.separator.len()));
        None
    }

    /// Skips the rest of a cut line. Returns whether its end was found.
    fn skip_cut_line(&mut self) -> bool {
        let rest = match self.find_separator() {
            Some(at) => at - self.start + self.separator.len(),
            None if self.has_ended => self.end - self.start,
            None => {
                self.skip(self.searched - self.start);
                return false;
            }
        };
        self.cut_line = None;
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

    /// Splits content that is read in pieces of the sizes in `reads`. Returns each line, whether it is cut, and its
    /// position.
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
            while let Some(line) = splitter.next_line(limit) {
                assert_eq!(
                    splitter.next_line(limit),
                    Some(line),
                    "a line stays until it is consumed"
                );
                lines.push((
                    splitter.bytes(line).to_vec(),
                    line.is_cut,
                    splitter.checkpoint().position,
                ));
                splitter.consume(line);
            }
            if splitter.is_done() {
                assert_eq!(splitter.checkpoint().position, content.len() as u64);
                assert_eq!(
                    splitter.checkpoint().preceding(),
                    &content[content.len().saturating_sub(PRECEDING)..]
                );
                return lines;
            }
            let (preceding, free) = splitter.free_space();
            assert!(content[..content.len() - rest.len()].ends_with(preceding));
            assert!(!free.is_empty());
            assert!(free.len() <= 2 * (PRECEDING + limit + separator.len() + block));
            let len = free.len().min(rest.len()).min(*reads.next().unwrap());
            free[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            splitter.commit(len);
            if rest.is_empty() {
                splitter.finish();
            }
        }
    }

    /// Splits content as [`split`] does, with a search in the whole content.
    fn model(content: &[u8], separator: &[u8], limit: usize) -> Vec<(Vec<u8>, bool, u64)> {
        let mut lines = Vec::new();
        let mut start = if content.starts_with(BYTE_ORDER_MARK) {
            BYTE_ORDER_MARK.len()
        } else {
            0
        };
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
        fn splitter_agrees_with_the_model_for_any_reads(
            content in prop::collection::vec(
                prop::sample::select(vec![&b"a"[..], b"b", b"\n", b"\r\n", b"\r", b"\0", b"\n\0\0", BYTE_ORDER_MARK, &BYTE_ORDER_MARK[..2]]), 0..300,
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
    fn buffer_is_bounded_and_shrinks_after_a_long_line() {
        let mut splitter = Splitter::new(Separator::new(b"\n").unwrap(), 64);
        for _ in 0..1000 {
            let (_, free) = splitter.free_space();
            free.fill(b'x');
            let len = free.len();
            splitter.commit(len);
            while let Some(line) = splitter.next_line(500) {
                splitter.consume(line);
            }
            assert!(splitter.buffer.len() <= 2048 + PRECEDING);
        }
        splitter.free_space().1[0] = b'\n';
        splitter.commit(1);
        assert_eq!(splitter.next_line(500), None);
        splitter.free_space();
        assert_eq!(splitter.buffer.capacity(), PRECEDING + 64);
    }
}
