//! The values of a document, read as far as look-ups need.
//!
//! A look-up reads the entries of the containers on its way one by one, up to the one that it needs. The entries that
//! were read are kept. A container on no way is skipped as a whole. So reading one field costs no more than the text
//! before it, and reading many fields costs one pass over each container on their way.
//!
//! The result depends only on the text, never on earlier look-ups. The caller owns the text and passes the same text
//! with each call.

use std::ops::Range;

use super::fault::{Fault, FaultKind};
use super::node::{Container, NONE, Node, UNFINISHED, ValueRef, Walk, end_of, reference};
use super::pointer::{Head, Token};
use super::scan::{self, Continuation, Entry, NextEntry};
use super::spans::Spans;
use super::{string, text};

/// How many values of a document are kept. Values after them are read again in each look-up: an event with millions of
/// elements must not use a multiple of its size in memory.
pub(super) const MAX_KEPT: usize = 65_536;
/// Memory for this many values is kept from event to event.
const MAX_IDLE: usize = 4096;

/// Why a look-up found nothing: a fault in the text that may contain the value; `None` if there is no such value.
pub(crate) type Miss = Option<Fault>;

/// The values that were read of a document.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The document, then the members and elements of the entered containers. Empty until the first look-up.
    nodes: Vec<Node>,
    containers: Vec<Container>,
    spans: Spans,
    /// The fault because of which the text has no document.
    fault: Option<Fault>,
    /// Whether the key of any node has an escape.
    has_escapes: bool,
    /// The first fault that user code found.
    recorded: Option<Fault>,
}

impl Tree {
    #[inline]
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.nodes.shrink_to(MAX_IDLE);
        self.containers.clear();
        self.containers.shrink_to(MAX_IDLE);
        self.spans.clear();
        self.fault = None;
        self.has_escapes = false;
        self.recorded = None;
    }

    pub(super) fn record_fault(&mut self, fault: Fault) {
        if self.recorded.is_none_or(|first| fault.offset < first.offset) {
            self.recorded = Some(fault);
        }
    }

    pub(super) fn take_fault(&mut self) -> Option<Fault> {
        self.recorded.take()
    }

    /// Returns the number of kept values.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the document.
    ///
    /// # Errors
    /// If the text does not begin with a value.
    #[inline]
    pub(crate) fn root(&mut self, json: &[u8]) -> Result<ValueRef, Fault> {
        if self.nodes.is_empty() {
            self.begin(json);
        }
        match self.fault {
            None => Ok(ValueRef::ROOT),
            Some(fault) => Err(fault),
        }
    }

    fn begin(&mut self, json: &[u8]) {
        let start = scan::find_start(json);
        let is_container = matches!(json.get(start), Some(b'{' | b'['));
        let end = match u32::try_from(json.len()) {
            // The plugin API has 32 bits for the offset of a field.
            Err(_) | Ok(u32::MAX) => Err(Fault {
                offset: 0,
                kind: FaultKind::NotJson,
            }),
            // Finding the end of a container takes a pass over all of it, so do that only if a look-up needs the end.
            Ok(_) if is_container => Ok(UNFINISHED),
            Ok(_) => scan::read_root(json, start, &mut self.spans).map(end_of),
        };
        self.fault = end.err();
        self.nodes.push(Node {
            head: Head::default(),
            key: 0,
            text: ValueRef::from_text(start, end.unwrap_or(UNFINISHED)),
            next: NONE,
            container: NONE,
        });
    }

    /// Returns the range of a value's text; `None` for a container without a closing bracket.
    #[inline]
    pub(crate) fn range(&mut self, json: &[u8], value: ValueRef) -> Option<Range<usize>> {
        let (start, end) = self.text(value);
        if end != UNFINISHED {
            return Some(start..end as usize);
        }
        // Only for the document, the end was not searched yet.
        let end = (value == ValueRef::ROOT)
            .then(|| self.spans.end(json, start))
            .flatten()?;
        Some(start..end)
    }

    /// Returns the start and end of a value.
    #[inline]
    fn text(&self, value: ValueRef) -> (usize, u32) {
        let text = match value.unpack() {
            Ok(index) => self.nodes[index].text,
            Err(_) => value,
        };
        text.bounds()
    }

    /// Finds the member or element that a reference token names (RFC 6901). If members have equal keys, the first
    /// counts.
    #[inline]
    pub(crate) fn child(&mut self, json: &[u8], value: ValueRef, token: &Token) -> Result<ValueRef, Miss> {
        let (is_object, walk) = self.enter(json, value)?;
        if is_object {
            self.member(json, walk, token)
        } else {
            self.element(json, walk, token.index.ok_or(None)?)
        }
    }

    #[inline]
    fn member(&mut self, json: &[u8], walk: Walk, token: &Token) -> Result<ValueRef, Miss> {
        let rest = match walk {
            Walk::Kept { container, .. } => {
                if let Some(index) = self.kept_member(json, container, token) {
                    self.containers[container].found = index as u32;
                    return Ok(ValueRef::from_node(index));
                }
                while let Some((index, head)) = self.read_next::<true>(json, container) {
                    let key = self.nodes[index].key as usize;
                    let is_key = match token.is_plain() && !self.has_escapes {
                        true => token.matches_head(head) && token.matches_rest(json, key),
                        false => has_key(json, key, token),
                    };
                    if is_key {
                        self.containers[container].found = index as u32;
                        return Ok(ValueRef::from_node(index));
                    }
                }
                self.containers[container].rest()
            }
            Walk::Text { rest } => rest,
        };
        find_unkept(json, rest, token, &mut self.spans)
    }

    /// Finds the first member with the token's key among those that are kept.
    #[inline]
    fn kept_member(&self, json: &[u8], container: usize, token: &Token) -> Option<usize> {
        let container = &self.containers[container];
        let mut index = container.first as usize;
        if token.is_plain() && !self.has_escapes {
            // Most tokens are plain: compare their first bytes with those of the keys.
            let is_key = |node: &Node| token.matches_head(node.head) && token.matches_rest(json, node.key as usize);
            if container.keys & token.bit() == 0 {
                return None;
            }
            // The member that was found last is the first one with its key.
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
            if has_key(json, node.key as usize, token) {
                return Some(index);
            }
            index = node.next as usize;
        }
        None
    }

    /// Finds an element of an array.
    pub(crate) fn at(&mut self, json: &[u8], value: ValueRef, index: u64) -> Result<ValueRef, Miss> {
        let walk = self.elements(json, value)?;
        self.element(json, walk, index)
    }

    fn element(&mut self, json: &[u8], mut walk: Walk, index: u64) -> Result<ValueRef, Miss> {
        // Each element takes at least one byte, so a larger index cannot exist.
        if index > json.len() as u64 {
            return Err(None);
        }
        for _ in 0..index {
            self.next_element(json, &mut walk)?;
        }
        self.next_element(json, &mut walk)
    }

    /// Begins an iteration over the elements of an array.
    pub(crate) fn elements(&mut self, json: &[u8], value: ValueRef) -> Result<Walk, Miss> {
        match self.enter(json, value)? {
            (false, walk) => Ok(walk),
            (true, _) => Err(None),
        }
    }

    /// Returns the next element of an iteration. Returns an error at its end, with the fault if there is one.
    #[inline]
    pub(crate) fn next_element(&mut self, json: &[u8], walk: &mut Walk) -> Result<ValueRef, Miss> {
        if let Walk::Kept { container, current } = walk {
            let next = match self.nodes.get(*current as usize) {
                Some(node) => node.next,
                None => self.containers[*container].first,
            };
            let next = match next {
                NONE => self.read_next::<false>(json, *container).map(|(index, _)| index),
                next => Some(next as usize),
            };
            if let Some(index) = next {
                *current = index as u32;
                return Ok(ValueRef::from_node(index));
            }
            *walk = Walk::Text {
                rest: self.containers[*container].rest(),
            };
        }
        let Walk::Text { rest } = walk else { return Err(None) };
        let entry = read_unkept(json, false, *rest, &mut self.spans)?;
        *rest = entry.continuation;
        Ok(reference(&entry))
    }

    /// Begins an iteration over a container, and returns whether the container is an object. Fails if the value is not
    /// a container.
    #[inline]
    fn enter(&mut self, json: &[u8], value: ValueRef) -> Result<(bool, Walk), Miss> {
        let (start, _) = self.text(value);
        let is_object = match json.get(start) {
            Some(b'{') => true,
            Some(b'[') => false,
            _ => return Err(None),
        };
        let Ok(index) = value.unpack() else {
            let rest = Continuation::Entry(start + 1);
            return Ok((is_object, Walk::Text { rest }));
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
            current: NONE,
        };
        Ok((is_object, walk))
    }

    /// Reads and keeps the next value of a container. Returns its node and the head of its key; `None` at the end, or
    /// if too many values are kept.
    #[inline]
    fn read_next<const OBJECT: bool>(&mut self, json: &[u8], container: usize) -> Option<(usize, Head)> {
        // The document is entered before any container in it.
        let is_root = container == 0;
        let container = &mut self.containers[container];
        let index = self.nodes.len();
        if container.rest == NONE || index >= MAX_KEPT {
            return None;
        }
        let next = scan::read_entry(json, OBJECT, container.rest as usize, &mut self.spans);
        container.rest = NONE;
        let entry = match next {
            NextEntry::Entry(entry) => entry,
            NextEntry::End(end) => {
                container.fault = text_after(json, is_root, end);
                return None;
            }
            NextEntry::Fault(fault) => {
                container.fault = Some(fault);
                return None;
            }
        };
        match entry.continuation {
            Continuation::Entry(pos) => container.rest = pos as u32,
            Continuation::End(end) => container.fault = text_after(json, is_root, end),
            Continuation::Fault(fault) => container.fault = Some(fault),
        }
        let head = match OBJECT {
            true => Head::at(json, entry.key),
            false => Head::default(),
        };
        self.has_escapes |= entry.has_escape;
        if OBJECT {
            container.keys |= head.bit();
        }
        self.nodes.push(Node {
            head,
            key: entry.key as u32,
            text: reference(&entry),
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

/// Returns the fault of text after the document: no field is read from there.
#[inline]
fn text_after(json: &[u8], is_root: bool, end: usize) -> Option<Fault> {
    if !is_root || end == json.len() {
        return None;
    }
    let offset = scan::skip_space(json, end);
    (offset < json.len()).then_some(Fault {
        offset,
        kind: FaultKind::TextAfter,
    })
}

#[cold]
fn read_unkept(json: &[u8], is_object: bool, rest: Continuation, spans: &mut Spans) -> Result<Entry, Miss> {
    match rest {
        Continuation::End(_) => Err(None),
        Continuation::Fault(fault) => Err(Some(fault)),
        Continuation::Entry(pos) => match scan::read_entry(json, is_object, pos, spans) {
            NextEntry::Entry(entry) => Ok(entry),
            NextEntry::End(_) => Err(None),
            NextEntry::Fault(fault) => Err(Some(fault)),
        },
    }
}

#[cold]
fn find_unkept(json: &[u8], mut rest: Continuation, token: &Token, spans: &mut Spans) -> Result<ValueRef, Miss> {
    loop {
        let entry = read_unkept(json, true, rest, spans)?;
        if has_key(json, entry.key, token) {
            return Ok(reference(&entry));
        }
        rest = entry.continuation;
    }
}

/// Returns whether the key whose content begins at `pos` is the token's, even if it is written with escapes.
#[cold]
fn has_key(json: &[u8], pos: usize, token: &Token) -> bool {
    string::string_end(json, pos).is_some_and(|end| text::is_key(&json[pos..end - 1], &token.text))
}
