//! The parts of a tree: references to values, values, and containers.

use super::fault::Fault;
use super::pointer::Head;
use super::scan::{Continuation, Entry, Extent};

/// In place of an index: the document is not a member, and the first container belongs to the document.
pub(super) const NONE: u32 = u32::MAX;
/// The end of a container without a closing bracket. No text is that long.
pub(super) const UNFINISHED: u32 = u32::MAX;

/// A reference to a value: the index of its node, or the start and end of its text if it has no node.
///
/// Both are packed into one number, because the reference is passed from step to step: reading a number that was
/// written in parts stalls the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ValueRef(u64);

impl ValueRef {
    pub(super) const ROOT: Self = Self::from_node(0);

    pub(super) const fn from_node(node: usize) -> Self {
        Self(node as u64)
    }

    pub(super) fn from_text(start: usize, end: u32) -> Self {
        Self(u64::from(end) << 32 | start as u64)
    }

    /// Returns the start and the end of a reference that was made by [`Self::from_text`].
    #[inline]
    pub(super) fn bounds(self) -> (usize, u32) {
        (self.0 as u32 as usize, (self.0 >> 32) as u32)
    }

    /// Returns the index of the node, or the start and end of the text. An end is never 0.
    #[inline]
    pub(super) fn unpack(self) -> Result<usize, (usize, u32)> {
        let (end, low) = ((self.0 >> 32) as u32, self.0 as u32 as usize);
        if end == 0 { Ok(low) } else { Err((low, end)) }
    }
}

/// A value: the document, a member or an element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// The first bytes of a member's key, including its closing quote.
    pub(super) head: Head,
    /// The start and end of the text, packed as in a [`ValueRef`].
    pub(super) text: ValueRef,
    /// The offset after the opening quote of the key.
    pub(super) key: u32,
    /// The next value of the same container, or [`NONE`].
    pub(super) next: u32,
    /// The index of its container, if the value is a container that was entered, or [`NONE`].
    pub(super) container: u32,
}

/// A container that a look-up has entered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Container {
    /// The nodes of the first and the last kept value, or [`NONE`].
    pub(super) first: u32,
    pub(super) last: u32,
    /// The offset of the first value that is not kept, or [`NONE`].
    pub(super) rest: u32,
    /// The node of the member that was found last, or [`NONE`]. The next look-up often goes through it too.
    pub(super) found: u32,
    /// The union of the bits of all kept keys ([`Head::bit`]).
    pub(super) keys: u64,
    /// The fault after which the container cannot be read.
    pub(super) fault: Option<Fault>,
}

impl Container {
    /// Returns what follows the kept values.
    pub(super) fn rest(&self) -> Continuation {
        match (self.rest, self.fault) {
            (NONE, Some(fault)) => Continuation::Fault(fault),
            (NONE, None) => Continuation::End(0),
            (pos, _) => Continuation::Entry(pos as usize),
        }
    }
}

/// An iteration over the values of a container: first over the kept ones, then over the text of the others.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Walk {
    Kept {
        container: usize,
        /// The node of the current value, or [`NONE`] at the beginning.
        current: u32,
    },
    Text {
        rest: Continuation,
    },
}

pub(super) fn end_of(extent: Extent) -> u32 {
    match extent {
        Extent::Finished(end) => end as u32,
        Extent::Unfinished => UNFINISHED,
    }
}

pub(super) fn reference(entry: &Entry) -> ValueRef {
    ValueRef::from_text(entry.start, end_of(entry.extent))
}
