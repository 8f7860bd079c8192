//! A part of an own table, and the hash of its keys.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::ffi::CStr;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use super::data::DataType;
use super::entry::Entry;

#[derive(Debug)]
pub(super) enum Shard {
    Numbers(HashMap<u64, Arc<Entry>, NumberState>),
    Texts(HashMap<Box<CStr>, Arc<Entry>>),
}

/// A key in the form in which the shards store it.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    Number(u64),
    Text(&'a CStr),
}

impl Shard {
    /// Makes an empty part for keys of a type.
    pub(super) fn new(key: DataType, numbers: NumberState) -> Self {
        match key {
            DataType::String => Self::Texts(HashMap::new()),
            _ => Self::Numbers(HashMap::with_hasher(numbers)),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(map) => map.len(),
            Self::Texts(map) => map.len(),
        }
    }

    #[inline]
    pub(super) fn get(&self, key: Key<'_>) -> Option<&Arc<Entry>> {
        match (self, key) {
            (Self::Numbers(map), Key::Number(number)) => map.get(&number),
            (Self::Texts(map), Key::Text(text)) => map.get(text),
            _ => None,
        }
    }

    pub(super) fn insert(&mut self, key: Key<'_>, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        match (self, key) {
            (Self::Numbers(map), Key::Number(number)) => map.insert(number, entry),
            (Self::Texts(map), Key::Text(text)) => map.insert(text.into(), entry),
            _ => unreachable!("keys were checked to have the type of the table"),
        }
    }

    pub(super) fn remove(&mut self, key: Key<'_>) -> Option<Arc<Entry>> {
        match (self, key) {
            (Self::Numbers(map), Key::Number(number)) => map.remove(&number),
            (Self::Texts(map), Key::Text(text)) => map.remove(text),
            _ => None,
        }
    }
}

/// A fast hash of numbers. It depends on a random seed, because events may contain chosen numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct NumberState {
    seed: u64,
}

impl NumberState {
    pub(super) fn random() -> Self {
        // A model is run repeatedly, and each run must use the same parts of the table.
        let seed = if cfg!(loom) { 0 } else { RandomState::new().hash_one(0) };
        Self { seed }
    }

    #[inline]
    pub(super) fn mix(self, number: u64) -> u64 {
        const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(number ^ self.seed) * FACTOR;
        (product as u64) ^ ((product >> 64) as u64)
    }
}

impl BuildHasher for NumberState {
    type Hasher = NumberHasher;

    fn build_hasher(&self) -> NumberHasher {
        NumberHasher { state: *self, hash: 0 }
    }
}

pub(super) struct NumberHasher {
    state: NumberState,
    hash: u64,
}

impl Hasher for NumberHasher {
    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.hash = self.state.mix(number);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = self.state.mix(self.hash ^ u64::from(byte));
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
}
