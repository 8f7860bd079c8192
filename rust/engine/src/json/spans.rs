//! Records where containers end. Skipping a container records the ends of all containers in it, so that entering these
//! later needs no second pass.

use super::blocks::{BLOCK, Block, find_escaped, prefix_xor};

/// How many containers of a document are recorded, from its beginning. For those after them there is a window.
const MAX_RECORDED: usize = 16_384;
/// Memory for this many containers is kept from event to event.
const MAX_IDLE: usize = 4096;
/// In place of an index: no container is around the outermost one.
const NONE: u32 = u32::MAX;

/// The extents of the containers of one document, in the order in which they begin.
#[derive(Debug, Default)]
pub struct Spans {
    list: Vec<Span>,
    /// The index of the last look-up. The next look-up often has the next index.
    last: usize,
    /// The offsets of containers without a closing bracket, from the outermost one inwards. Without this list, each
    /// level of unfinished nesting would be scanned to the end of the text.
    unfinished: Vec<u32>,
    /// The containers in the container that was searched last of those that are not in `list`.
    window: Option<Box<Spans>>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    /// The end; while the container is open, the index of the container around it.
    end: u32,
}

impl Spans {
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.list.shrink_to(MAX_IDLE);
        self.unfinished.clear();
        self.unfinished.shrink_to(MAX_IDLE);
        self.window = None;
    }

    /// Returns the offset after the bracket that closes the container at `pos`; `None` if there is none.
    #[inline(never)]
    pub(super) fn end(&mut self, json: &[u8], pos: usize) -> Option<usize> {
        if self.list.last().is_none_or(|last| (last.start as usize) < pos) {
            if self.list.len() == MAX_RECORDED {
                return self.end_in_window(json, pos);
            }
            self.last = self.list.len();
            return self.record(json, pos);
        }
        let next = self.last + 1;
        let is_next = self.list.get(next).is_some_and(|span| span.start as usize == pos);
        self.last = match is_next {
            true => next,
            false => match self.find(pos) {
                Some(index) => index,
                // Too many containers were recorded before this one.
                None => return self.end_in_window(json, pos),
            },
        };
        Some(self.list[self.last].end as usize)
    }

    fn find(&self, pos: usize) -> Option<usize> {
        self.list.binary_search_by_key(&(pos as u32), |span| span.start).ok()
    }

    /// Returns the end of a container that is not in the list.
    #[inline(never)]
    fn end_in_window(&mut self, json: &[u8], pos: usize) -> Option<usize> {
        if self.is_unfinished(pos) {
            return None;
        }
        let window = self.window.get_or_insert_default();
        if let Some(index) = window.find(pos) {
            return Some(window.list[index].end as usize);
        }
        if window.is_unfinished(pos) {
            return None;
        }
        window.clear();
        window.record(json, pos)
    }

    fn is_unfinished(&self, pos: usize) -> bool {
        self.unfinished.binary_search(&(pos as u32)).is_ok()
    }

    /// Finds the end of a container, and records its span and those of the containers in it.
    fn record(&mut self, json: &[u8], pos: usize) -> Option<usize> {
        if self.is_unfinished(pos) {
            return None;
        }
        let recorded = self.list.len();
        let mut brackets = Brackets {
            spans: &mut self.list,
            open: NONE,
            unrecorded: Vec::new(),
            depth: 0,
            in_string: false,
            is_escaped: false,
        };
        let end = brackets.find_end(json, pos);
        if end.is_none() {
            if self.unfinished.first().is_none_or(|&first| pos < first as usize) {
                self.unfinished = brackets.take_open();
            }
            self.list.truncate(recorded);
        }
        end
    }
}

/// The brackets that are open during a scan.
struct Brackets<'a> {
    spans: &'a mut Vec<Span>,
    /// The index of the innermost container that is open and recorded.
    open: u32,
    /// The offsets of the outermost of the containers that are open and not recorded, at most `MAX_RECORDED`.
    unrecorded: Vec<u32>,
    /// The number of containers that are open and not recorded.
    depth: usize,
    in_string: bool,
    /// Whether a backslash escapes the next byte.
    is_escaped: bool,
}

impl Brackets<'_> {
    fn find_end(&mut self, json: &[u8], pos: usize) -> Option<usize> {
        let (blocks, rest) = json[pos..].as_chunks::<BLOCK>();
        for (index, bytes) in blocks.iter().enumerate() {
            let end = self.step(bytes, pos + index * BLOCK);
            if end.is_some() {
                return end;
            }
        }
        self.step_bytes(rest, json.len() - rest.len())
    }

    /// Scans a block. Returns the offset after the outermost closing bracket if the block contains it.
    #[inline]
    fn step(&mut self, bytes: &[u8; BLOCK], start: usize) -> Option<usize> {
        let block = Block::new(bytes);
        if block.backslashes != 0 || self.is_escaped {
            return self.step_escaped(block, bytes, start);
        }
        self.step_brackets(block, block.quotes, start)
    }

    /// Does the same for a block that has backslashes, or whose first byte is escaped.
    #[inline(never)]
    fn step_escaped(&mut self, block: Block, bytes: &[u8; BLOCK], start: usize) -> Option<usize> {
        let (escaped, carry) = find_escaped(block.backslashes, self.is_escaped);
        let quotes = block.quotes & !escaped;
        if block.backslashes & !self.inside(quotes) != 0 {
            // A backslash outside of a string does not escape anything.
            return self.step_bytes(bytes, start);
        }
        self.is_escaped = carry;
        self.step_brackets(block, quotes, start)
    }

    #[inline(always)]
    fn step_brackets(&mut self, block: Block, quotes: u64, start: usize) -> Option<usize> {
        let mut brackets = (block.opening | block.closing) & !self.inside(quotes);
        self.in_string ^= quotes.count_ones() % 2 == 1;
        while brackets != 0 {
            let index = brackets.trailing_zeros();
            let pos = start + index as usize;
            if block.opening >> index & 1 == 1 {
                self.open(pos);
            } else if self.closes_outermost(pos) {
                return Some(pos + 1);
            }
            brackets &= brackets - 1;
        }
        None
    }

    /// Returns the mask of the bytes inside of strings, including their opening quotes.
    #[inline(always)]
    fn inside(&self, quotes: u64) -> u64 {
        prefix_xor(quotes) ^ u64::from(self.in_string).wrapping_neg()
    }

    /// Does the same byte by byte, for the last bytes and for text that is not JSON.
    fn step_bytes(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            if self.is_escaped {
                self.is_escaped = false;
                continue;
            }
            match byte {
                b'"' => self.in_string = !self.in_string,
                b'\\' => self.is_escaped = self.in_string,
                b'{' | b'[' if !self.in_string => self.open(start + index),
                b'}' | b']' if !self.in_string && self.closes_outermost(start + index) => {
                    return Some(start + index + 1);
                }
                _ => {}
            }
        }
        None
    }

    #[inline]
    fn open(&mut self, pos: usize) {
        if self.spans.len() == MAX_RECORDED {
            self.open_unrecorded(pos);
            return;
        }
        let around = std::mem::replace(&mut self.open, self.spans.len() as u32);
        self.spans.push(Span {
            start: pos as u32,
            end: around,
        });
    }

    #[inline(never)]
    fn open_unrecorded(&mut self, pos: usize) {
        if self.unrecorded.len() == self.depth && self.depth < MAX_RECORDED {
            self.unrecorded.push(pos as u32);
        }
        self.depth += 1;
    }

    /// Returns the offsets of the open containers, from the outermost one inwards.
    fn take_open(&mut self) -> Vec<u32> {
        let mut open = Vec::new();
        let mut index = self.open;
        while index != NONE {
            let span = self.spans[index as usize];
            open.push(span.start);
            index = span.end;
        }
        open.reverse();
        open.append(&mut self.unrecorded);
        open
    }

    /// Closes the innermost container; returns whether it was the outermost one.
    #[inline]
    fn closes_outermost(&mut self, pos: usize) -> bool {
        if self.depth > 0 {
            self.depth -= 1;
            self.unrecorded.truncate(self.depth);
            return false;
        }
        let span = &mut self.spans[self.open as usize];
        self.open = std::mem::replace(&mut span.end, pos as u32 + 1);
        self.open == NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Finds the end of a container byte by byte, as a reference.
    fn end_of(json: &[u8], mut pos: usize) -> Option<usize> {
        let mut depth = 0;
        loop {
            match *json.get(pos)? {
                b'"' => {
                    pos += 1;
                    while *json.get(pos)? != b'"' {
                        pos += if json[pos] == b'\\' { 2 } else { 1 };
                    }
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            pos += 1;
            if depth == 0 {
                return Some(pos);
            }
        }
    }

    /// Returns the offsets of all opening brackets outside of strings.
    fn containers_of(json: &[u8]) -> Vec<usize> {
        let (mut found, mut pos) = (Vec::new(), 0);
        while pos < json.len() {
            match json[pos] {
                b'"' => {
                    pos += 1;
                    while pos < json.len() && json[pos] != b'"' {
                        pos += if json[pos] == b'\\' { 2 } else { 1 };
                    }
                }
                b'{' | b'[' => found.push(pos),
                _ => {}
            }
            pos += 1;
        }
        found
    }

    /// Pieces of JSON, with strings and fillers that move the next piece across the end of a block.
    fn piece() -> impl Strategy<Value = String> {
        let token = prop::sample::select(vec![
            "[", "]", "{", "}", ",", ":", "\"", "\\", "\"\\\\\"", "\"\\\"\"", "\"\\\"", "\"\\n\"", "\"é\"", "é", "-12",
            "true", " ",
        ]);
        prop_oneof![
            8 => token.prop_map(str::to_owned),
            1 => (0_usize..70).prop_map(|len| "x".repeat(len)),
            1 => (0_usize..70).prop_map(|len| format!("\"{}\"", "[".repeat(len))),
            1 => (1_usize..70).prop_map(|len| format!("\"{}\"", "\\".repeat(len))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn end_is_the_matching_bracket(
            // Pieces of JSON in any order: valid by chance, or broken in any way.
            pieces in prop::collection::vec(piece(), 0..30),
        ) {
            let json = format!("[{}", pieces.concat());
            let json = json.as_bytes();
            let mut spans = Spans::default();
            prop_assert_eq!(spans.end(json, 0), end_of(json, 0));
            for start in containers_of(json) {
                prop_assert_eq!(spans.end(json, start), end_of(json, start));
            }
        }
    }

    #[test]
    fn end_has_no_limit_of_depth_or_number() {
        let nested = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        let mut spans = Spans::default();
        assert_eq!(spans.end(nested.as_bytes(), 0), Some(2_000_000));
        assert_eq!(spans.end(nested.as_bytes(), 999_999), Some(1_000_001));
        let many = format!("[{}]", vec!["[]"; 100_000].join(","));
        let mut spans = Spans::default();
        assert_eq!(spans.end(many.as_bytes(), 0), Some(many.len()));
        for start in [4, 60_001, 4] {
            assert_eq!(spans.end(many.as_bytes(), start), Some(start + 2));
        }
        assert_eq!(spans.list.len(), MAX_RECORDED);
    }

    /// Looks up nested containers after the outer one was scanned, with a text that must not be scanned again.
    fn assert_recorded(json: &str, outer: usize, levels: usize) {
        let mut spans = Spans::default();
        spans.end(json.as_bytes(), 0);
        let end = spans.end(json.as_bytes(), outer);
        for level in 1..levels {
            let expected = end.map(|end| end - level);
            assert_eq!(spans.end(b"", outer + level), expected, "level {level}");
        }
    }

    #[test]
    fn nested_containers_are_scanned_once() {
        let (opening, closing) = ("[".repeat(20_000), "]".repeat(20_000));
        assert_recorded(&format!("{opening}{closing}"), 0, 16_000);
        assert_recorded(&opening, 0, 20_000);
        // More containers than are recorded come first.
        let first = "[],".repeat(20_000);
        assert_recorded(&format!("[{first}{opening}{closing}]"), first.len() + 1, 16_000);
        assert_recorded(&format!("[{first}{opening}"), first.len() + 1, 16_000);
    }
}
