//! The cache of a thread for the last event: its document, its string, and the values of its fields.

use std::any::Any;
use std::sync::Arc;

use super::argument::Argument;
use super::metrics::CachePart;
use super::values::Values;
use crate::event::Event;
use crate::json::Document;

/// The cache of a thread for the last event. The host keeps no values, and requests them again for every rule.
#[derive(Debug, Default)]
pub struct Cache {
    identity: Identity,
    /// Incremented with each event. Values with another serial belong to an earlier event.
    pub(super) serial: u64,
    pub(super) document: Arc<Document>,
    pub(super) fields: Vec<FieldCache>,
    /// The serial of the event some of whose values use more memory than is kept for the next event.
    pub(super) large: Option<u64>,
    /// The serial of the event whose payload was found to be damaged.
    pub(super) damaged: Option<u64>,
    /// The string of the event, if it was made.
    string: Option<String>,
    pub(super) user_state: UserState,
    pub(super) is_exclusive: bool,
    /// The counts of this cache; `None` before the first extraction.
    pub(super) counts: Option<Arc<CachePart>>,
}

/// The data that user code keeps of an event.
pub type UserState = Option<Box<dyn Any + Send>>;

/// The cached parts of an event, for user code.
#[derive(Debug)]
pub struct EventState<'c> {
    /// A number that is different for each event of the thread.
    pub serial: u64,
    pub document: &'c mut Arc<Document>,
    /// The data that user code kept of this event, or of an earlier one.
    pub user_state: &'c mut UserState,
    /// Whether nothing but the user state shares the document, so that both can be reused for the next event.
    pub is_exclusive: &'c mut bool,
}

/// Distinguishes an event from the preceding one. Number and address alone may repeat after a source was opened again.
///
/// The default belongs to no event, because no event is at address 0.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Identity {
    generation: u64,
    number: u64,
    timestamp: u64,
    address: usize,
    len: usize,
}

/// The values of a field for each requested argument, in memory that is reused for the next event.
#[derive(Debug, Default)]
pub(super) struct FieldCache {
    serial: u64,
    /// How many of the slots have values of the event.
    count: usize,
    slots: Vec<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    index: Option<u64>,
    key: Option<String>,
    values: Values,
}

impl Slot {
    fn is_for(&self, argument: &Argument<'_>) -> bool {
        self.index == argument.index && self.key.as_deref() == argument.key
    }
}

impl FieldCache {
    /// Returns the slot with the values for an argument, if there is one.
    #[inline]
    pub(super) fn find(&self, serial: u64, argument: &Argument<'_>) -> Option<usize> {
        if self.serial != serial {
            return None;
        }
        self.slots[..self.count].iter().position(|slot| slot.is_for(argument))
    }

    /// Returns empty memory for the values of an argument. They are valid after [`Self::finish`], which a panic skips.
    pub(super) fn begin(&mut self, serial: u64, argument: &Argument<'_>) -> &mut Values {
        if self.serial != serial {
            (self.serial, self.count) = (serial, 0);
        }
        if self.count == self.slots.len() {
            self.slots.push(Slot::default());
        }
        let slot = &mut self.slots[self.count];
        // The slot usually has the same argument as for the preceding event.
        if !slot.is_for(argument) {
            slot.index = argument.index;
            slot.key = argument.key.map(str::to_owned);
        }
        slot.values.clear();
        &mut slot.values
    }

    /// Makes the values of the last [`Self::begin`] valid. Returns their slot.
    pub(super) fn finish(&mut self) -> usize {
        self.count += 1;
        self.count - 1
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn values(&self, slot: usize) -> &Values {
        &self.slots[slot].values
    }
}

impl Cache {
    /// Returns the string of an event. Calls `make` only for the first request of each event.
    pub fn string(&mut self, event: &Event<'_>, make: impl FnOnce(EventState<'_>) -> String) -> &str {
        self.select(event);
        if self.string.is_none() {
            let made = make(self.event_state());
            self.string = Some(made);
        }
        self.string.as_deref().unwrap_or_default()
    }

    /// Returns the cached parts of an event for user code, those of an earlier event removed.
    pub fn state_of(&mut self, event: &Event<'_>) -> EventState<'_> {
        self.select(event);
        self.event_state()
    }

    pub(super) fn event_state(&mut self) -> EventState<'_> {
        EventState {
            serial: self.serial,
            document: &mut self.document,
            user_state: &mut self.user_state,
            is_exclusive: &mut self.is_exclusive,
        }
    }

    /// Prepares the cache for an event: empties it if it belongs to another one.
    #[inline]
    pub(super) fn select(&mut self, event: &Event<'_>) {
        let identity = Identity {
            generation: event.generation,
            number: event.number,
            timestamp: event.timestamp,
            address: event.raw.as_ptr().addr(),
            len: event.raw.len(),
        };
        if self.identity == identity {
            return;
        }
        self.identity = identity;
        self.serial += 1;
        self.string = None;
        if self.is_exclusive {
            self.document.clear_shared();
        } else if let Some(document) = Arc::get_mut(&mut self.document) {
            document.clear();
        } else {
            // User code still reads the preceding event: leave the document to it.
            self.document = Arc::default();
        }
    }
}
