//! The JSON of one event, read as far as somebody asked.
//!
//! Members and elements are kept in the order in which they stand. A look-up goes through what is kept and then reads
//! on from there: one field costs no more than the text before it, and many fields cost one pass, as far as values are
//! kept. What is found depends on the text alone, never on what was looked up before: a value counts where everything up
//! to its end is JSON. The text itself is the caller's, the same at every call.

use std::mem;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::scan;
use super::text;

/// Members and elements that are kept of one document. What lies behind them is read anew each time: an event with
/// millions of elements must not take a multiple of its size.
const MOST_KEPT: usize = 65_536;
/// The memory for so many stays from event to event.
const MOST_IDLE: usize = 4096;
const NOT_KEPT: u32 = u32::MAX;
const ROOT: u32 = 0;

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

/// A value and the place of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    start: u32,
    /// Of the whole document it is not known.
    end: u32,
    /// Its place among the kept values, or [`NOT_KEPT`].
    kept: u32,
}

impl Spot {
    /// The text of the value; `None` for a document that is not JSON to its end.
    pub(super) fn range(self, json: &[u8]) -> Option<Range<usize>> {
        let start = self.start as usize;
        if self.kept != ROOT {
            return Some(start..self.end as usize);
        }
        let end = scan::value(json, start)?;
        (scan::space(json, end) == json.len()).then_some(start..end)
    }
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Empty as long as nothing was read.
    kept: Vec<Kept>,
    containers: Vec<Container>,
    spans: Spans,
}

/// The document, a member or an element.
#[derive(Debug, Clone, Copy)]
struct Kept {
    /// The text of a member's key, without its quotes.
    key: (u32, u32),
    spot: Spot,
    /// The one that follows in the same container, or [`NOT_KEPT`].
    next: u32,
    /// Among the containers, once somebody looked into it, or [`NOT_KEPT`].
    container: u32,
}

/// An object or array that somebody looked into.
#[derive(Debug, Clone, Copy)]
struct Container {
    object: bool,
    /// Its first kept value, or [`NOT_KEPT`].
    first: u32,
    /// Where its next value begins that is not kept yet.
    rest: Option<u32>,
}

/// A walk over the values of a container.
#[derive(Debug, Clone, Copy)]
pub(super) enum Walk {
    Kept { container: u32, last: u32 },
    Unkept { object: bool, rest: Option<u32> },
}

/// A value of a container, as it stands in the text.
struct Entry {
    key: (u32, u32),
    value: (u32, u32),
    /// Where the next one begins.
    rest: Option<u32>,
}

impl Tree {
    fn clear(&mut self) {
        self.kept.clear();
        self.containers.clear();
        self.spans.clear();
        self.kept.shrink_to(MOST_IDLE);
        self.containers.shrink_to(MOST_IDLE);
    }

    /// The whole document, in which nothing is found where it is no UTF-8; `None` where it is longer than places can say.
    pub(super) fn root(&mut self, json: &[u8]) -> Option<Spot> {
        if self.kept.is_empty() {
            u32::try_from(json.len()).ok()?;
            // A document that is no UTF-8 has no values at all.
            let start = match std::str::from_utf8(json) {
                Ok(_) => scan::space(json, 0),
                Err(_) => json.len(),
            };
            let spot = Spot {
                start: start as u32,
                end: 0,
                kept: ROOT,
            };
            self.kept.push(Kept {
                key: (0, 0),
                spot,
                next: NOT_KEPT,
                container: NOT_KEPT,
            });
        }
        Some(self.kept[0].spot)
    }

    /// The member or element that a reference token names (RFC 6901). Of members with one key it is the first.
    pub(super) fn child(&mut self, json: &[u8], spot: Spot, key: &str, index: Option<u64>) -> Option<Spot> {
        let mut walk = self.walk(json, spot)?;
        if !self.is_object(&walk) {
            return self.element(json, walk, index?);
        }
        if let Some(spot) = self.kept_member(json, &mut walk, key) {
            return Some(spot);
        }
        while let Some((found, spot)) = self.next(json, &mut walk) {
            if text::is_key(&json[found.0 as usize..found.1 as usize], key) {
                return Some(spot);
            }
        }
        None
    }

    /// The member, where it is among the kept ones; the walk is then behind them. What most look-ups come to.
    fn kept_member(&self, json: &[u8], walk: &mut Walk, key: &str) -> Option<Spot> {
        let Walk::Kept { container, last } = walk else {
            return None;
        };
        let mut next = self.containers[*container as usize].first;
        while let Some(kept) = self.kept.get(next as usize) {
            if text::is_key(&json[kept.key.0 as usize..kept.key.1 as usize], key) {
                return Some(kept.spot);
            }
            (*last, next) = (next, kept.next);
        }
        None
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
            self.next(json, &mut walk)?;
        }
        self.next(json, &mut walk).map(|(_, spot)| spot)
    }

    /// A walk over an array's elements.
    pub(super) fn elements(&mut self, json: &[u8], spot: Spot) -> Option<Walk> {
        let walk = self.walk(json, spot)?;
        (!self.is_object(&walk)).then_some(walk)
    }

    /// The next element of a walk.
    pub(super) fn next_element(&mut self, json: &[u8], walk: &mut Walk) -> Option<Spot> {
        self.next(json, walk).map(|(_, spot)| spot)
    }

    fn is_object(&self, walk: &Walk) -> bool {
        match *walk {
            Walk::Kept { container, .. } => self.containers[container as usize].object,
            Walk::Unkept { object, .. } => object,
        }
    }

    /// A walk over a container from its first value on; `None` where the value is none.
    #[inline]
    fn walk(&mut self, json: &[u8], spot: Spot) -> Option<Walk> {
        let kept = (spot.kept != NOT_KEPT).then_some(spot.kept as usize);
        if let Some(kept) = kept
            && self.kept[kept].container != NOT_KEPT
        {
            return Some(Walk::Kept {
                container: self.kept[kept].container,
                last: NOT_KEPT,
            });
        }
        let (object, close) = match *json.get(spot.start as usize)? {
            b'{' => (true, b'}'),
            b'[' => (false, b']'),
            _ => return None,
        };
        let first = scan::space(json, spot.start as usize + 1);
        let rest = (*json.get(first)? != close).then_some(first as u32);
        let Some(kept) = kept else {
            return Some(Walk::Unkept { object, rest });
        };
        let container = self.containers.len() as u32;
        self.containers.push(Container {
            object,
            first: NOT_KEPT,
            rest,
        });
        self.kept[kept].container = container;
        Some(Walk::Kept {
            container,
            last: NOT_KEPT,
        })
    }

    /// The key and place of the next value of a walk; `None` at the end, and where the text is no JSON any more.
    #[inline]
    fn next(&mut self, json: &[u8], walk: &mut Walk) -> Option<((u32, u32), Spot)> {
        if let Walk::Kept { container, last } = walk {
            let next = match *last {
                NOT_KEPT => self.containers[*container as usize].first,
                last => self.kept[last as usize].next,
            };
            if let Some(kept) = self.kept.get(next as usize) {
                *last = next;
                return Some((kept.key, kept.spot));
            }
        }
        self.read_on(json, walk)
    }

    /// The same for a value that nobody has asked for yet.
    fn read_on(&mut self, json: &[u8], walk: &mut Walk) -> Option<((u32, u32), Spot)> {
        if let Walk::Kept { container, .. } = *walk
            && self.kept.len() == MOST_KEPT
        {
            let Container { object, rest, .. } = self.containers[container as usize];
            *walk = Walk::Unkept { object, rest };
        }
        let (object, rest) = match *walk {
            Walk::Kept { container, .. } => {
                let Container { object, rest, .. } = self.containers[container as usize];
                (object, rest)
            }
            Walk::Unkept { object, rest } => (object, rest),
        };
        let entry = rest.and_then(|rest| self.entry(json, object, rest as usize));
        let behind = entry.as_ref().and_then(|entry| entry.rest);
        match walk {
            Walk::Kept { container, last } => {
                self.containers[*container as usize].rest = behind;
                let entry = entry?;
                let spot = self.keep(&entry);
                match *last {
                    NOT_KEPT => self.containers[*container as usize].first = spot.kept,
                    last => self.kept[last as usize].next = spot.kept,
                }
                *last = spot.kept;
                Some((entry.key, spot))
            }
            Walk::Unkept { rest, .. } => {
                *rest = behind;
                let Entry { key, value, .. } = entry?;
                let spot = Spot {
                    start: value.0,
                    end: value.1,
                    kept: NOT_KEPT,
                };
                Some((key, spot))
            }
        }
    }

    #[inline]
    fn keep(&mut self, entry: &Entry) -> Spot {
        let spot = Spot {
            start: entry.value.0,
            end: entry.value.1,
            kept: self.kept.len() as u32,
        };
        self.kept.push(Kept {
            key: entry.key,
            spot,
            next: NOT_KEPT,
            container: NOT_KEPT,
        });
        spot
    }

    /// The member or element that begins at `pos`. It counts where the text goes on as it must: of a number at the end of
    /// a text that was cut, digits may be missing.
    // Within its one caller: what it returns would go through memory in one size and come back in another.
    #[inline(always)]
    fn entry(&mut self, json: &[u8], object: bool, pos: usize) -> Option<Entry> {
        let (key, start) = if object {
            let (key_end, start) = scan::key(json, pos)?;
            ((pos as u32 + 1, key_end as u32 - 1), start)
        } else {
            ((0, 0), pos)
        };
        let end = match *json.get(start)? {
            b'{' | b'[' => self.spans.end(json, start)?,
            _ => scan::scalar(json, start)?,
        };
        let behind = scan::space(json, end);
        let rest = match (*json.get(behind)?, object) {
            (b',', _) => Some(scan::space(json, behind + 1) as u32),
            (b'}', true) | (b']', false) => None,
            _ => return None,
        };
        Some(Entry {
            key,
            value: (start as u32, end as u32),
            rest,
        })
    }
}

/// Where objects and arrays begin and end, in the order in which they begin. What is stepped over in one is known when
/// somebody looks into it: else text would be scanned as often as it is deep.
#[derive(Debug, Default)]
struct Spans {
    spans: Vec<Span>,
    /// The innermost that is open while text is scanned, or [`NOT_KEPT`].
    open: u32,
    /// Open ones within that, which are not noted, because there are enough.
    unnoted: u32,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    /// While it is open, the one around it.
    end: u32,
}

impl Spans {
    fn clear(&mut self) {
        self.spans.clear();
        self.spans.shrink_to(MOST_IDLE);
    }

    /// The end of the container that begins at `start`.
    fn end(&mut self, json: &[u8], start: usize) -> Option<usize> {
        if let Ok(known) = self.spans.binary_search_by_key(&(start as u32), |span| span.start) {
            return Some(self.spans[known].end as usize);
        }
        let known = self.spans.len();
        (self.open, self.unnoted) = (NOT_KEPT, 0);
        // One container is around it at least. What is deeper was checked as a part of an entry of the outermost.
        let end = scan::container(json, start, 1, self);
        if end.is_none() {
            self.spans.truncate(known);
        }
        // In order they stay because a container is scanned as a part of the outermost, and these from left to right.
        debug_assert!(self.spans.is_sorted_by(|one, next| one.start < next.start));
        end
    }
}

impl scan::Notes for Spans {
    #[inline]
    fn opened(&mut self, start: usize) {
        if self.unnoted > 0 || self.spans.len() == MOST_KEPT {
            self.unnoted += 1;
            return;
        }
        let innermost = self.spans.len() as u32;
        self.spans.push(Span {
            start: start as u32,
            end: self.open,
        });
        self.open = innermost;
    }

    #[inline]
    fn closed(&mut self, end: usize) {
        if self.unnoted > 0 {
            self.unnoted -= 1;
            return;
        }
        if let Some(span) = self.spans.get_mut(self.open as usize) {
            self.open = mem::replace(&mut span.end, end as u32);
        }
    }
}
