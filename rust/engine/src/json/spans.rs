//! Notes where containers end. Stepping over a container notes the ends of all containers in it, so that entering them
//! later needs no second pass.

use super::blocks::{BLOCK, Block, escaped, prefix_xor};

/// Containers that are noted of one document. Others are stepped over each time.
const MOST_NOTED: usize = 16_384;
/// Capacity for this many containers is kept from event to event.
const MOST_IDLE: usize = 4096;
/// In place of an index: the outermost container has none around it.
const NONE: u32 = u32::MAX;

/// The extents of the containers of one document, in the order in which they begin.
#[derive(Debug, Default)]
pub struct Spans {
    list: Vec<Span>,
    /// The index of the container that was asked for last: often the next one is asked for next.
    last: usize,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    /// While a container is open, this is the index of the container around it.
    end: u32,
}

impl Spans {
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.list.shrink_to(MOST_IDLE);
    }

    /// Returns the offset behind the bracket that closes the container at `pos`; `None` if there is none.
    #[inline(never)]
    pub(super) fn end(&mut self, json: &[u8], pos: usize) -> Option<usize> {
        if self.list.last().is_none_or(|last| (last.start as usize) < pos) {
            self.last = self.list.len();
            return self.note(json, pos);
        }
        let next = self.last + 1;
        let is_next = self.list.get(next).is_some_and(|span| span.start as usize == pos);
        self.last = match is_next {
            true => next,
            false => match self.list.binary_search_by_key(&(pos as u32), |span| span.start) {
                Ok(index) => index,
                // There were too many to note this one.
                Err(_) => return Self::default().note(json, pos),
            },
        };
        Some(self.list[self.last].end as usize)
    }

    /// Steps over a container, and notes it and those within.
    fn note(&mut self, json: &[u8], pos: usize) -> Option<usize> {
        let noted = self.list.len();
        let mut brackets = Brackets {
            spans: &mut self.list,
            open: NONE,
            depth: 0,
            in_string: false,
            escaped: false,
        };
        let end = brackets.close(json, pos);
        if end.is_none() || self.list.len() > MOST_NOTED {
            self.list.truncate(noted);
        }
        end
    }
}

/// The brackets that are open while text is stepped over.
struct Brackets<'a> {
    spans: &'a mut Vec<Span>,
    /// The index of the innermost container that is open and noted.
    open: u32,
    /// How many containers are open that are not noted.
    depth: usize,
    in_string: bool,
    /// Whether the last byte was a backslash that escapes the next one.
    escaped: bool,
}

impl Brackets<'_> {
    fn close(&mut self, json: &[u8], pos: usize) -> Option<usize> {
        let (blocks, rest) = json[pos..].as_chunks::<BLOCK>();
        for (index, bytes) in blocks.iter().enumerate() {
            let end = self.step(bytes, pos + index * BLOCK);
            if end.is_some() {
                return end;
            }
        }
        self.step_bytes(rest, json.len() - rest.len())
    }

    /// Steps over a block; returns the offset behind the outermost closing bracket if it is there.
    #[inline]
    fn step(&mut self, bytes: &[u8; BLOCK], start: usize) -> Option<usize> {
        let block = Block::of(bytes);
        if block.backslashes != 0 || self.escaped {
            return self.step_escaped(block, bytes, start);
        }
        self.step_brackets(block, block.quotes, start)
    }

    /// Does the same with a block that has backslashes, or whose first byte is escaped.
    #[inline(never)]
    fn step_escaped(&mut self, block: Block, bytes: &[u8; BLOCK], start: usize) -> Option<usize> {
        let (escaped, carry) = escaped(block.backslashes, self.escaped);
        let quotes = block.quotes & !escaped;
        if block.backslashes & !self.inside(quotes) != 0 {
            // Outside of a string a backslash does not escape anything.
            return self.step_bytes(bytes, start);
        }
        self.escaped = carry;
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

    /// Sets the bits of a block that are within strings, from the opening quote on.
    #[inline(always)]
    fn inside(&self, quotes: u64) -> u64 {
        prefix_xor(quotes) ^ u64::from(self.in_string).wrapping_neg()
    }

    /// Does the same byte by byte: for what is shorter than a block, and for text that is not JSON.
    fn step_bytes(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            if self.escaped {
                self.escaped = false;
                continue;
            }
            match byte {
                b'"' => self.in_string = !self.in_string,
                b'\\' => self.escaped = self.in_string,
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
        if self.spans.len() > MOST_NOTED {
            self.depth += 1;
            return;
        }
        let around = std::mem::replace(&mut self.open, self.spans.len() as u32);
        self.spans.push(Span {
            start: pos as u32,
            end: around,
        });
    }

    /// Closes the innermost container; returns whether it was the outermost one.
    #[inline]
    fn closes_outermost(&mut self, pos: usize) -> bool {
        if self.depth > 0 {
            self.depth -= 1;
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

    /// The end of a container by the rules as they are written, byte by byte.
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn container_ends_at_its_matching_bracket(
            // Pieces of JSON in any order: valid by chance, and broken in every way.
            text in r#"[\[{]([\[\]{},:]|"(a|\\\\|\\"|\\n|\\|é|.{6,70})?"|"|\\|-?[0-9]{0,3}|true| |.{0,40}){0,30}"#,
        ) {
            let json = text.as_bytes();
            let mut spans = Spans::default();
            prop_assert_eq!(spans.end(json, 0), end_of(json, 0));
            let inner: Vec<_> = spans.list.iter().map(|span| span.start as usize).collect();
            for start in inner {
                prop_assert_eq!(spans.end(json, start), end_of(json, start));
            }
        }
    }

    #[test]
    fn depth_and_number_have_no_limit() {
        let nested = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        let mut spans = Spans::default();
        assert_eq!(spans.end(nested.as_bytes(), 0), Some(2_000_000));
        assert_eq!(spans.end(nested.as_bytes(), 999_999), Some(1_000_001));
        assert_eq!(spans.end("[".repeat(10_000_000).as_bytes(), 0), None);
        let many = format!("[{}]", vec!["[]"; 100_000].join(","));
        let mut spans = Spans::default();
        assert_eq!(spans.end(many.as_bytes(), 0), Some(many.len()));
        assert_eq!(spans.end(many.as_bytes(), 4), Some(6));
        assert!(spans.list.len() <= MOST_NOTED);
    }
}
