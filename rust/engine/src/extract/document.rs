//! The JSON of one event, read as far as somebody asked.
//!
//! Of the outermost object or array, members and elements are read one by one, as look-ups ask for them. Each is
//! stepped over as a whole, since a value counts where everything up to its end is JSON, and all that is in it is noted
//! on the way, in the order of the text. So nothing is scanned twice: one field costs no more than the text before it,
//! and many fields cost one pass, as far as values are kept. What is found depends on the text alone, never on what was
//! looked up before. The text itself is the caller's, the same at every call.

use std::mem;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::pointer::Token;
use super::scan::{self, Entry};
use super::text;

/// Values that are kept of one document. What lies behind them is read anew each time: an event with millions of
/// elements must not take a multiple of its size.
const MOST_KEPT: usize = 65_536;
/// The memory for so many stays from event to event.
const MOST_IDLE: usize = 4096;
const ROOT: usize = 0;

/// What is known so far of the JSON of one event. Shared by all that read this event.
#[derive(Debug, Default)]
pub struct Document(Mutex<Tree>);

impl Document {
    /// The tree, for a look-up; nobody waits for anything else meanwhile.
    pub(super) fn tree(&self) -> MutexGuard<'_, Tree> {
        // Each step leaves the tree whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything but its memory: for the next event.
    pub fn clear(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The same, where others have it and do not read it.
    pub(super) fn clear_shared(&self) {
        self.tree().clear();
    }
}

/// A value: its place among the nodes, or the start and end of its text where it is not kept. One number, since it goes
/// from step to step: what is written in parts and read as a whole stalls the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot(u64);

impl Spot {
    const ROOT: Self = Self::kept(ROOT);

    const fn kept(node: usize) -> Self {
        Self(node as u64)
    }

    fn text(start: usize, end: usize) -> Self {
        Self((end as u64) << 32 | start as u64)
    }

    /// The place among the nodes, or the text.
    #[inline]
    fn get(self) -> Result<usize, Range<usize>> {
        let (end, low) = ((self.0 >> 32) as usize, self.0 as u32 as usize);
        if end == 0 { Ok(low) } else { Err(low..end) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The document, then its values in the order in which they begin. Empty as long as nothing was read.
    nodes: Nodes,
    /// Where the next value of the document begins that is no node yet.
    rest: Option<NonZeroUsize>,
}

#[derive(Debug, Default)]
struct Nodes {
    list: Vec<Node>,
    /// The innermost container that is open while text is scanned.
    open: u32,
    /// Whether any key was written with an escape.
    escaped: bool,
}

/// The document, a member or an element.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// Where the text of a member's key begins.
    key: u32,
    start: u32,
    /// Of the whole document it is not known. Of a container that is open it is the one around it.
    end: u32,
    /// The first node that is not within it. Of a container that has values it is the next one only where these are not
    /// kept.
    behind: u32,
}

/// A walk over the values of a container: over the kept ones, then over the others.
#[derive(Debug, Clone, Copy)]
pub(super) enum Walk {
    Kept { container: usize, next: usize },
    Text { rest: Option<NonZeroUsize> },
}

impl Tree {
    fn clear(&mut self) {
        self.nodes.clear();
        self.rest = None;
    }

    /// The whole document, in which nothing is found where it is no UTF-8; `None` where it is longer than places can
    /// say.
    pub(super) fn root(&mut self, json: &[u8]) -> Option<Spot> {
        if self.nodes.list.is_empty() {
            u32::try_from(json.len()).ok()?;
            // A document that is no UTF-8 has no values at all.
            let start = match json.is_ascii() || std::str::from_utf8(json).is_ok() {
                true => scan::space(json, 0),
                false => json.len(),
            };
            self.nodes.list.push(Node {
                key: 0,
                start: start as u32,
                end: 0,
                behind: 1,
            });
            self.rest = scan::first(json, start);
        }
        Some(Spot::ROOT)
    }

    /// The text of a value; `None` for a document that is not JSON to its end.
    #[inline]
    pub(super) fn range(&self, json: &[u8], spot: Spot) -> Option<Range<usize>> {
        match spot.get() {
            Ok(ROOT) => {
                let start = self.nodes.list[ROOT].start as usize;
                let end = scan::value(json, start)?;
                (scan::space(json, end) == json.len()).then_some(start..end)
            }
            Ok(node) => {
                let node = &self.nodes.list[node];
                Some(node.start as usize..node.end as usize)
            }
            Err(text) => Some(text),
        }
    }

    /// The member or element that a reference token names (RFC 6901). Of members with one key it is the first.
    #[inline]
    pub(super) fn child(&mut self, json: &[u8], spot: Spot, token: &Token) -> Option<Spot> {
        let (object, walk) = self.walk(json, spot)?;
        if !object {
            return self.element(json, walk, token.index?);
        }
        let rest = match walk {
            Walk::Kept { container, mut next } => loop {
                let behind = self.nodes.list[container].behind as usize;
                let kept = &self.nodes.list[..behind];
                while let Some(node) = kept.get(next) {
                    if self.nodes.is_key(json, node.key as usize, token) {
                        return Some(Spot::kept(next));
                    }
                    next = node.behind as usize;
                }
                if !self.has(json, container, next) {
                    break self.unkept(container);
                }
            },
            Walk::Text { rest } => rest,
        };
        unkept_member(json, rest?, token)
    }

    /// An array's element.
    pub(super) fn at(&mut self, json: &[u8], spot: Spot, index: u64) -> Option<Spot> {
        let walk = self.elements(json, spot)?;
        self.element(json, walk, index)
    }

    fn element(&mut self, json: &[u8], mut walk: Walk, index: u64) -> Option<Spot> {
        // Each element takes two bytes at least: a larger index need not be counted up to.
        if index > json.len() as u64 {
            return None;
        }
        for _ in 0..index {
            self.next_element(json, &mut walk)?;
        }
        self.next_element(json, &mut walk)
    }

    /// A walk over an array's elements.
    pub(super) fn elements(&mut self, json: &[u8], spot: Spot) -> Option<Walk> {
        let (object, walk) = self.walk(json, spot)?;
        (!object).then_some(walk)
    }

    /// The next element of a walk; `None` at the end, and where the text is no JSON any more.
    #[inline]
    pub(super) fn next_element(&mut self, json: &[u8], walk: &mut Walk) -> Option<Spot> {
        if let Walk::Kept { container, next } = walk {
            let index = *next;
            if self.has(json, *container, index) {
                *next = self.nodes.list[index].behind as usize;
                return Some(Spot::kept(index));
            }
            *walk = Walk::Text {
                rest: self.unkept(*container),
            };
        }
        let Walk::Text { rest } = walk else { return None };
        let entry = scan::entry(json, false, rest.take()?.get(), &mut ())?;
        *rest = entry.rest;
        Some(Spot::text(entry.start, entry.end))
    }

    /// A walk over a container from its first value on, and whether it is an object; `None` where the value is none.
    #[inline]
    fn walk(&self, json: &[u8], spot: Spot) -> Option<(bool, Walk)> {
        let (start, kept) = match spot.get() {
            Ok(index) => {
                let node = &self.nodes.list[index];
                let kept = index == ROOT || node.behind as usize > index + 1;
                (node.start as usize, kept.then_some(index))
            }
            Err(text) => (text.start, None),
        };
        let object = match *json.get(start)? {
            b'{' => true,
            b'[' => false,
            _ => return None,
        };
        let walk = match kept {
            Some(container) => Walk::Kept {
                container,
                next: container + 1,
            },
            None => Walk::Text {
                rest: scan::first(json, start),
            },
        };
        Some((object, walk))
    }

    /// Whether `next`, which is behind the values before it, is one of the container too. The document's is read for
    /// that.
    #[inline(always)]
    fn has(&mut self, json: &[u8], container: usize, next: usize) -> bool {
        next < self.nodes.list[container].behind as usize || container == ROOT && self.read_on(json)
    }

    /// Adds the document's next value, if there is one and place for it.
    #[inline(never)]
    fn read_on(&mut self, json: &[u8]) -> bool {
        let Some(pos) = self.rest.filter(|_| self.nodes.list.len() < MOST_KEPT) else {
            return false;
        };
        let object = json[self.nodes.list[ROOT].start as usize] == b'{';
        let entry = self.nodes.read(json, object, pos.get());
        self.rest = entry.as_ref().and_then(|entry| entry.rest);
        entry.is_some()
    }

    /// The first value of a container that is not kept, behind those that are.
    fn unkept(&self, container: usize) -> Option<NonZeroUsize> {
        self.rest.filter(|_| container == ROOT)
    }
}

#[cold]
fn unkept_member(json: &[u8], mut rest: NonZeroUsize, token: &Token) -> Option<Spot> {
    loop {
        let entry = scan::entry(json, true, rest.get(), &mut ())?;
        if is_written(json, entry.key, token) {
            return Some(Spot::text(entry.start, entry.end));
        }
        rest = entry.rest?;
    }
}

/// Whether the key whose text begins at `pos` is that of the token, however it is written.
#[cold]
fn is_written(json: &[u8], pos: usize, token: &Token) -> bool {
    scan::string(json, pos).is_some_and(|end| text::is_key(&json[pos..end - 1], &token.text))
}

impl Nodes {
    fn clear(&mut self) {
        self.list.clear();
        self.list.shrink_to(MOST_IDLE);
        self.escaped = false;
    }

    fn push(&mut self, key: usize, start: usize, end: u32) {
        let behind = self.list.len() as u32 + 1;
        self.list.push(Node {
            key: key as u32,
            start: start as u32,
            end,
            behind,
        });
    }

    /// Adds a value of the document and what is in it.
    #[inline]
    fn read(&mut self, json: &[u8], object: bool, pos: usize) -> Option<Entry> {
        let index = self.list.len();
        let entry = scan::entry(json, object, pos, self);
        match &entry {
            None => self.list.truncate(index),
            // There may be more in it than has place.
            Some(entry) if self.list.len() == MOST_KEPT => {
                self.list.truncate(index + 1);
                self.list[index].end = entry.end as u32;
                self.list[index].behind = index as u32 + 1;
            }
            Some(_) => (),
        }
        self.list[ROOT].behind = self.list.len() as u32;
        entry
    }

    /// Whether the key whose text begins at `pos` is that of the token.
    #[inline]
    fn is_key(&self, json: &[u8], pos: usize, token: &Token) -> bool {
        match token.is_at(json, pos) {
            Some(found) if !self.escaped => found,
            _ => is_written(json, pos, token),
        }
    }
}

impl scan::Notes for Nodes {
    #[inline]
    fn escaped_key(&mut self) {
        self.escaped = true;
    }

    #[inline]
    fn scalar(&mut self, key: usize, start: usize, end: usize) {
        if self.list.len() < MOST_KEPT {
            self.push(key, start, end as u32);
        }
    }

    #[inline]
    fn opened(&mut self, key: usize, start: usize) {
        if self.list.len() < MOST_KEPT {
            let around = mem::replace(&mut self.open, self.list.len() as u32);
            self.push(key, start, around);
        }
    }

    #[inline]
    fn closed(&mut self, end: usize) {
        if self.list.len() < MOST_KEPT {
            let behind = self.list.len() as u32;
            let node = &mut self.list[self.open as usize];
            self.open = mem::replace(&mut node.end, end as u32);
            node.behind = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::{Argument, FieldType, JsonReader, Value, Values};

    #[test]
    fn what_is_not_kept_is_found_as_well() {
        let many = |value: &str| vec![value; MOST_KEPT].join(",");
        let json = format!(
            r#"{{"a": [{}], "\u0062": {{{}, "c": {{"d": 1}}}}, "e": {{"f": 2}}, {}, "g": [[3], [4, 5]]}}"#,
            many("0"),
            many(r#""x": 0"#),
            many(r#""y": {"z": 0}"#),
        );
        let document = Document::default();
        for (pointer, expected) in [
            ("/e/f", Some(2)),
            (&format!("/a/{}", MOST_KEPT - 1), Some(0)),
            (&format!("/a/{MOST_KEPT}"), None),
            ("/b/c/d", Some(1)),
            ("/b/c/e", None),
            ("/g/1/1", Some(5)),
            ("/g/2", None),
            ("/y/z", Some(0)),
        ] {
            let mut values = Values::default();
            let reader = JsonReader::new(pointer, FieldType::Uint64).unwrap();
            reader.read(&document, json.as_bytes(), &Argument::default(), &mut values);
            let expected: Vec<_> = expected.map(Value::Number).into_iter().collect();
            assert_eq!(values.as_slice(), expected, "{pointer}");
        }
        assert!(document.tree().nodes.list.len() <= MOST_KEPT);
    }
}
