//! The JSON of one event, read as far as look-ups need.
//!
//! Of each container that a look-up enters, members or elements are read one by one, as look-ups ask for them, and kept. A
//! container that no look-up enters is stepped over as a whole. So one field costs no more than the text before it, and
//! many fields cost one pass over each container on their way. What is found depends on the text alone, never on what
//! was looked up before. The text itself is the caller's, the same at every call.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::{Fault, FaultKind};
use super::pointer::{Head, Token};
use super::scan::{self, Continuation, Entry, Extent, Next};
use super::spans::Spans;
use super::text;

/// Values that are kept of one document. What lies behind them is read again each time: an event with millions of
/// elements must not take a multiple of its size.
const MOST_KEPT: usize = 65_536;
/// Capacity for this many values is kept from event to event.
const MOST_IDLE: usize = 4096;
/// No index: the document itself is no member, and the first container is that of the document.
const NONE: u32 = u32::MAX;
/// The end of a container that has no closing bracket. No text is that long.
const UNFINISHED: u32 = u32::MAX;

/// What is known so far of the JSON of one event. Shared by all that read this event.
#[derive(Debug, Default)]
pub struct Document(Mutex<Tree>);

impl Document {
    /// Locks the tree for a look-up; nobody waits for anything else while it is locked.
    pub(crate) fn tree(&self) -> MutexGuard<'_, Tree> {
        // Each step leaves the tree whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything but the memory, for the next event.
    pub fn clear(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Does the same if others hold the document and do not read it.
    pub(crate) fn clear_shared(&self) {
        self.tree().clear();
    }

    /// Keeps the first fault that user code found in the text.
    pub fn note(&self, fault: Fault) {
        let mut tree = self.tree();
        if tree.noted.is_none_or(|first| fault.offset < first.offset) {
            tree.noted = Some(fault);
        }
    }

    /// Takes the fault that was noted.
    pub(crate) fn take_noted(&self) -> Option<Fault> {
        self.tree().noted.take()
    }
}

/// A value: its index among the nodes, or the start and end of its text if it is not kept. It is one number because it
/// is passed from step to step: a read of a value that was written in parts stalls the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot(u64);

impl Spot {
    const ROOT: Self = Self::kept(0);

    const fn kept(node: usize) -> Self {
        Self(node as u64)
    }

    fn text(start: usize, end: u32) -> Self {
        Self(u64::from(end) << 32 | start as u64)
    }

    /// Returns the index among the nodes, or start and end of the text. An end is never 0.
    #[inline]
    fn get(self) -> Result<usize, (usize, u32)> {
        let (end, low) = ((self.0 >> 32) as u32, self.0 as u32 as usize);
        if end == 0 { Ok(low) } else { Err((low, end)) }
    }
}

/// Why a look-up found nothing: there is no such value, or a fault keeps the text that may have it from being read.
pub(crate) type Miss = Option<Fault>;

#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The document, then the members and elements of the containers that were entered. Empty as long as nothing was
    /// read.
    nodes: Vec<Node>,
    containers: Vec<Container>,
    spans: Spans,
    /// Why the text has no document.
    fault: Option<Fault>,
    /// Whether a key of a node has an escape.
    escaped: bool,
    /// A fault that user code found.
    noted: Option<Fault>,
}

/// A value: the document, a member or an element.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// The first bytes of a member's key, its closing quote included.
    head: Head,
    /// Start and end, as a [`Spot`] has them: written in parts and read as a whole they would stall the processor.
    text: Spot,
    /// The offset behind the opening quote of the key.
    key: u32,
    /// The next value of the same container, or [`NONE`].
    next: u32,
    /// What was read of it, if it is a container that was entered, or [`NONE`].
    container: u32,
}

/// A container that was entered.
#[derive(Debug, Clone, Copy)]
struct Container {
    /// The first and the last of the values that are kept, or [`NONE`].
    first: u32,
    last: u32,
    /// The offset of the next value that is not kept, or [`NONE`].
    rest: u32,
    /// The member that was found last, or [`NONE`]: often the next look-up goes through it too.
    found: u32,
    /// The bits of the keys that are kept.
    keys: u64,
    /// The fault that keeps what follows from being read.
    fault: Option<Fault>,
}

impl Container {
    /// What follows the values that are kept.
    fn rest(&self) -> Behind {
        match (self.rest, self.fault) {
            (NONE, Some(fault)) => Continuation::Fault(fault),
            (NONE, None) => Continuation::End(0),
            (pos, _) => Continuation::Entry(pos as usize),
        }
    }
}

/// A walk over the values of a container: over the kept ones, then over the others.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Walk {
    Kept {
        container: usize,
        /// The value before the next one, or [`NONE`].
        before: u32,
    },
    Text {
        rest: Continuation,
    },
}

impl Tree {
    fn clear(&mut self) {
        self.nodes.clear();
        self.nodes.shrink_to(MOST_IDLE);
        self.containers.clear();
        self.containers.shrink_to(MOST_IDLE);
        self.spans.clear();
        self.fault = None;
        self.escaped = false;
        self.noted = None;
    }

    /// Returns the whole document; the fault if the text does not begin with a value.
    #[inline]
    pub(crate) fn root(&mut self, json: &[u8]) -> Result<Spot, Fault> {
        if self.nodes.is_empty() {
            self.begin(json);
        }
        match self.fault {
            None => Ok(Spot::ROOT),
            Some(fault) => Err(fault),
        }
    }

    fn begin(&mut self, json: &[u8]) {
        let start = scan::find_start(json);
        let is_container = matches!(json.get(start), Some(b'{' | b'['));
        let end = match u32::try_from(json.len()) {
            // Offsets of fields are of 32 bits in the plugin API.
            Err(_) | Ok(u32::MAX) => Err(Fault {
                offset: 0,
                kind: FaultKind::NotJson,
            }),
            // The end of a container takes a pass over all of it, and is looked up when it is asked for.
            Ok(_) if is_container => Ok(UNFINISHED),
            Ok(_) => scan::read_root(json, start, &mut self.spans).map(end_of),
        };
        self.fault = end.err();
        self.nodes.push(Node {
            head: Head::default(),
            key: 0,
            text: Spot::text(start, end.unwrap_or(UNFINISHED)),
            next: NONE,
            container: NONE,
        });
    }

    /// Returns where the text of a value is; `None` for a container that has no closing bracket.
    #[inline]
    pub(crate) fn range(&mut self, json: &[u8], spot: Spot) -> Option<Range<usize>> {
        let (start, end) = self.text(spot);
        if end != UNFINISHED {
            return Some(start..end as usize);
        }
        // Only the end of the document may be unknown yet.
        let end = (spot == Spot::ROOT).then(|| self.spans.end(json, start)).flatten()?;
        Some(start..end)
    }

    /// Returns start and end of a value.
    #[inline]
    fn text(&self, spot: Spot) -> (usize, u32) {
        let text = match spot.get() {
            Ok(index) => self.nodes[index].text,
            Err(_) => spot,
        };
        (text.0 as u32 as usize, (text.0 >> 32) as u32)
    }

    /// Finds the member or element that a reference token names (RFC 6901). Of members with one key it is the first.
    #[inline]
    pub(crate) fn child(&mut self, json: &[u8], spot: Spot, token: &Token) -> Result<Spot, Miss> {
        let (object, walk) = self.enter(json, spot)?;
        if object {
            self.member(json, walk, token)
        } else {
            self.element(json, walk, token.index.ok_or(None)?)
        }
    }

    #[inline]
    fn member(&mut self, json: &[u8], walk: Walk, token: &Token) -> Result<Spot, Miss> {
        let rest = match walk {
            Walk::Kept { container, .. } => {
                if let Some(index) = self.kept_member(json, container, token) {
                    self.containers[container].found = index as u32;
                    return Ok(Spot::kept(index));
                }
                while let Some((index, head)) = self.read_on::<true>(json, container) {
                    let key = self.nodes[index].key as usize;
                    let is_key = match token.is_plain() && !self.escaped {
                        true => token.begins(head) && token.ends(json, key),
                        false => is_written(json, key, token),
                    };
                    if is_key {
                        self.containers[container].found = index as u32;
                        return Ok(Spot::kept(index));
                    }
                }
                self.containers[container].rest()
            }
            Walk::Text { rest } => rest,
        };
        unkept_member(json, rest, token, &mut self.spans)
    }

    /// Finds the first member with the token's key among those that are kept.
    #[inline]
    fn kept_member(&self, json: &[u8], container: usize, token: &Token) -> Option<usize> {
        let container = &self.containers[container];
        let mut index = container.first as usize;
        if token.is_plain() && !self.escaped {
            // Most are: keys are compared by their first bytes alone.
            let is_key = |node: &Node| token.begins(node.head) && token.ends(json, node.key as usize);
            if container.keys & token.bit() == 0 {
                return None;
            }
            // What was found is the first one with its key.
            if self.nodes.get(container.found as usize).is_some_and(is_key) {
                return Some(container.found as usize);
            }
            while let Some(node) = self.nodes.get(index) {
                if is_key(node) {
                    return Some(index);
                }
                index = node.next as usize;
            }
            return None;
        }
        while let Some(node) = self.nodes.get(index) {
            if is_written(json, node.key as usize, token) {
                return Some(index);
            }
            index = node.next as usize;
        }
        None
    }

    /// Finds an array's element.
    pub(crate) fn at(&mut self, json: &[u8], spot: Spot, index: u64) -> Result<Spot, Miss> {
        let walk = self.elements(json, spot)?;
        self.element(json, walk, index)
    }

    fn element(&mut self, json: &[u8], mut walk: Walk, index: u64) -> Result<Spot, Miss> {
        // Each element takes a byte at least: a larger index need not be counted up to.
        if index > json.len() as u64 {
            return Err(None);
        }
        for _ in 0..index {
            self.next_element(json, &mut walk)?;
        }
        self.next_element(json, &mut walk)
    }

    /// Begins a walk over an array's elements.
    pub(crate) fn elements(&mut self, json: &[u8], spot: Spot) -> Result<Walk, Miss> {
        match self.enter(json, spot)? {
            (false, walk) => Ok(walk),
            (true, _) => Err(None),
        }
    }

    /// Returns the next element of a walk; an error at the end, with the fault if the text cannot be read further.
    #[inline]
    pub(crate) fn next_element(&mut self, json: &[u8], walk: &mut Walk) -> Result<Spot, Miss> {
        if let Walk::Kept { container, before } = walk {
            let next = match self.nodes.get(*before as usize) {
                Some(node) => node.next,
                None => self.containers[*container].first,
            };
            let next = match next {
                NONE => self.read_on::<false>(json, *container).map(|(index, _)| index),
                next => Some(next as usize),
            };
            if let Some(index) = next {
                *before = index as u32;
                return Ok(Spot::kept(index));
            }
            *walk = Walk::Text {
                rest: self.containers[*container].rest(),
            };
        }
        let Walk::Text { rest } = walk else { return Err(None) };
        let entry = unkept_entry(json, false, *rest, &mut self.spans)?;
        *rest = entry.behind;
        Ok(spot_of(&entry))
    }

    /// Begins a walk over a container, and returns whether it is an object; an error if the value is not a container.
    #[inline]
    fn enter(&mut self, json: &[u8], spot: Spot) -> Result<(bool, Walk), Miss> {
        let (start, _) = self.text(spot);
        let object = match json.get(start) {
            Some(b'{') => true,
            Some(b'[') => false,
            _ => return Err(None),
        };
        let Ok(index) = spot.get() else {
            let rest = Continuation::Entry(start + 1);
            return Ok((object, Walk::Text { rest }));
        };
        let mut container = self.nodes[index].container;
        if container == NONE {
            container = self.containers.len() as u32;
            self.nodes[index].container = container;
            self.containers.push(Container {
                first: NONE,
                last: NONE,
                rest: start as u32 + 1,
                found: NONE,
                keys: 0,
                fault: None,
            });
        }
        let walk = Walk::Kept {
            container: container as usize,
            before: NONE,
        };
        Ok((object, walk))
    }

    /// Reads and keeps the next value of a container, if there is one and there is capacity for it. Returns its index and
    /// the head of its key.
    #[inline]
    fn read_on<const OBJECT: bool>(&mut self, json: &[u8], container: usize) -> Option<(usize, Head)> {
        // The document is entered before all containers in it.
        let is_root = container == 0;
        let container = &mut self.containers[container];
        let index = self.nodes.len();
        if container.rest == NONE || index >= MOST_KEPT {
            return None;
        }
        let next = scan::read_entry(json, OBJECT, container.rest as usize, &mut self.spans);
        container.rest = NONE;
        let entry = match next {
            Next::Entry(entry) => entry,
            Next::End(end) => {
                container.fault = text_behind(json, is_root, end);
                return None;
            }
            Next::Fault(fault) => {
                container.fault = Some(fault);
                return None;
            }
        };
        match entry.behind {
            Continuation::Entry(pos) => container.rest = pos as u32,
            Continuation::End(end) => container.fault = text_behind(json, is_root, end),
            Continuation::Fault(fault) => container.fault = Some(fault),
        }
        let head = match OBJECT {
            true => Head::at(json, entry.key),
            false => Head::default(),
        };
        self.escaped |= entry.escaped;
        if OBJECT {
            container.keys |= head.bit();
        }
        self.nodes.push(Node {
            head,
            key: entry.key as u32,
            text: spot_of(&entry),
            next: NONE,
            container: NONE,
        });
        let last = std::mem::replace(&mut container.last, index as u32);
        match self.nodes.get_mut(last as usize) {
            Some(last) => last.next = index as u32,
            None => container.first = index as u32,
        }
        Some((index, head))
    }
}

/// Returns the fault of text behind the document, which no field can be read from.
#[inline]
fn text_behind(json: &[u8], is_root: bool, end: usize) -> Option<Fault> {
    if !is_root || end == json.len() {
        return None;
    }
    let offset = scan::skip_space(json, end);
    (offset < json.len()).then_some(Fault {
        offset,
        kind: FaultKind::TextBehind,
    })
}

fn end_of(extent: Extent) -> u32 {
    match extent {
        Extent::Finished(end) => end as u32,
        Extent::Unfinished => UNFINISHED,
    }
}

fn spot_of(entry: &Entry) -> Spot {
    Spot::text(entry.start, end_of(entry.extent))
}

#[cold]
fn unkept_entry(json: &[u8], object: bool, rest: Continuation, spans: &mut Spans) -> Result<Entry, Miss> {
    match rest {
        Continuation::End(_) => Err(None),
        Continuation::Fault(fault) => Err(Some(fault)),
        Continuation::Entry(pos) => match scan::read_entry(json, object, pos, spans) {
            Next::Entry(entry) => Ok(entry),
            Next::End(_) => Err(None),
            Next::Fault(fault) => Err(Some(fault)),
        },
    }
}

#[cold]
fn unkept_member(json: &[u8], mut rest: Continuation, token: &Token, spans: &mut Spans) -> Result<Spot, Miss> {
    loop {
        let entry = unkept_entry(json, true, rest, spans)?;
        if is_written(json, entry.key, token) {
            return Ok(spot_of(&entry));
        }
        rest = entry.behind;
    }
}

/// Returns whether the key whose content begins at `pos` is the token's, however it is written.
#[cold]
fn is_written(json: &[u8], pos: usize, token: &Token) -> bool {
    scan::string_end(json, pos).is_some_and(|end| text::is_key(&json[pos..end - 1], &token.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::{Argument, FieldType, JsonReader, Value, Values};

    #[test]
    fn values_that_are_not_kept_are_found_as_well() {
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
        assert!(document.tree().nodes.len() <= MOST_KEPT);
    }
}
