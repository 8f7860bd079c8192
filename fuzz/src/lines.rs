//! Compares the engine's splitter of lines, reading in pieces and across holes, with a search in the whole text.

use arbitrary::{Arbitrary, Unstructured};

use cursor::PRECEDING;
use separator::Separator;
use splitter::Splitter;

// Compile the modules a second time, because the engine's API reads only from files and streams. This target does not
// call all of their functions.
#[allow(dead_code, unreachable_pub)]
#[path = "../../rust/engine/src/source/lines/cursor.rs"]
mod cursor;
#[allow(dead_code)]
#[path = "../../rust/engine/src/source/lines/separator.rs"]
mod separator;
#[allow(dead_code)]
#[path = "../../rust/engine/src/source/lines/splitter.rs"]
mod splitter;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    separator: &'a [u8],
    limit: u8,
    block: u8,
    /// The sizes of the reads, repeated cyclically.
    reads: &'a [u8],
    /// The offset and the length of a hole in the content, as the file system reports it.
    hole: (u16, u16),
    content: &'a [u8],
}

/// An event, whether its line was cut, and the position of the line.
type Line = (Vec<u8>, bool, u64);

/// Checks one input.
///
/// # Panics
/// If the lines differ from those of the whole text.
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
    /// Returns the event size, at least 1.
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
        let max_free = 2 * (PRECEDING + self.limit() + self.separator.len() + block);
        let mut splitter = Splitter::new(separator, block);
        let mut reads = self.reads.iter().map(|&len| usize::from(len).max(1)).cycle();
        let mut rest = content;
        let mut lines = Vec::new();
        loop {
            while let Some(line) = splitter.next_line(self.limit()) {
                assert_eq!(
                    splitter.next_line(self.limit()),
                    Some(line),
                    "a line stays until it is consumed"
                );
                lines.push((
                    splitter.bytes(line).to_vec(),
                    line.is_cut,
                    splitter.checkpoint().position,
                ));
                splitter.take_nuls();
                splitter.consume(line);
            }
            if splitter.is_done() {
                let checkpoint = splitter.checkpoint();
                assert_eq!(checkpoint.position, content.len() as u64);
                assert!(content.ends_with(checkpoint.preceding()));
                return lines;
            }
            if splitter.is_in_nuls() {
                let nuls = rest.iter().take_while(|byte| **byte == 0).count();
                if nuls >= PRECEDING {
                    splitter.skip_hole(nuls as u64);
                    rest = &rest[nuls..];
                }
            }
            let (preceding, free) = splitter.free_space();
            assert!(content[..content.len() - rest.len()].ends_with(preceding));
            assert!((1..=max_free).contains(&free.len()));
            let len = reads.next().unwrap_or(usize::MAX).min(free.len()).min(rest.len());
            let (read, after) = rest.split_at(len);
            free[..len].copy_from_slice(read);
            rest = after;
            splitter.commit(len);
            if rest.is_empty() {
                splitter.finish();
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
    fn splitter_agrees_with_the_model() {
        corpus::check("lines", 2048, corpus::bytes(), super::check);
    }
}
