//! An entry of a plugin's own table, and the values of its fields.

use std::ffi::CStr;
use std::sync::{Arc, PoisonError};

use super::data::{Data, DataType};
use crate::error::Error;
use crate::sync::{Mutex, MutexGuard};

/// The position of a field in the entries of its table, with its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldId {
    pub index: u32,
    pub kind: DataType,
}

/// An entry of a table.
#[derive(Debug)]
pub struct Entry {
    /// By the index of the field. Fields that were added later may not have a slot yet.
    slots: Mutex<Vec<Slot>>,
}

#[derive(Debug, Clone, Default)]
enum Slot {
    /// The field has its default: 0, false or the empty string.
    #[default]
    Default,
    /// The bits of a number, or 0 or 1 of a boolean.
    Bits(u64),
    Text(Arc<CStr>),
}

/// The value of a field, as an entry stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    Int(i64),
    Uint(u64),
    Bool(bool),
    /// A string, which the entry shares. `None` is the empty string.
    Text(Option<Arc<CStr>>),
}

impl Stored {
    pub fn data(&self) -> Data<'_> {
        match self {
            Self::Int(number) => Data::Int(*number),
            Self::Uint(number) => Data::Uint(*number),
            Self::Bool(value) => Data::Bool(*value),
            Self::Text(text) => Data::Text(text.as_deref().unwrap_or_default()),
        }
    }
}

impl Entry {
    /// Makes an entry with the default of each field.
    pub(super) fn new() -> Self {
        Self {
            slots: Mutex::new(Vec::new()),
        }
    }

    /// Returns the value of a field.
    ///
    /// # Errors
    /// The field is one of another table.
    #[inline]
    pub fn get(&self, field: FieldId) -> Result<Stored, Error> {
        let slots = lock(&self.slots);
        let bits = match (slots.get(field.index as usize), field.kind) {
            (Some(Slot::Text(text)), DataType::String) => return Ok(Stored::Text(Some(text.clone()))),
            (None | Some(Slot::Default), DataType::String) => return Ok(Stored::Text(None)),
            (Some(Slot::Bits(bits)), DataType::Bool) => return Ok(Stored::Bool(*bits != 0)),
            (None | Some(Slot::Default), DataType::Bool) => return Ok(Stored::Bool(false)),
            (Some(Slot::Bits(bits)), kind) if kind.range().is_some() => *bits,
            (None | Some(Slot::Default), kind) if kind.range().is_some() => 0,
            _ => return Err(foreign_field()),
        };
        Ok(if field.kind.is_signed() {
            Stored::Int(bits as i64)
        } else {
            Stored::Uint(bits)
        })
    }

    /// Changes the value of a field.
    ///
    /// # Errors
    /// The value does not have the type of the field, or the field is one of another table.
    pub fn set(&self, field: FieldId, value: Data<'_>) -> Result<(), Error> {
        if !field.kind.accepts(value) {
            return Err(Error::text(format!(
                "the value of the field must be of the type {}, got {value:?}",
                field.kind
            )));
        }
        // Allocate before locking, and drop the old value after it.
        let slot = match value {
            Data::Int(number) => Slot::Bits(number as u64),
            Data::Uint(number) => Slot::Bits(number),
            Data::Bool(value) => Slot::Bits(value.into()),
            Data::Text(text) => Slot::Text(text.into()),
        };
        let index = field.index as usize;
        let mut slots = lock(&self.slots);
        if slots.len() <= index {
            slots.resize_with(index + 1, Slot::default);
        }
        let is_other = match (&slots[index], &slot) {
            (Slot::Bits(_), Slot::Text(_)) | (Slot::Text(_), Slot::Bits(_)) => true,
            (_, _) => false,
        };
        if is_other {
            return Err(foreign_field());
        }
        let _old = std::mem::replace(&mut slots[index], slot);
        drop(slots);
        Ok(())
    }
}

#[cold]
fn foreign_field() -> Error {
    Error::text("the field is not one of this table")
}

/// Locks an entry or another part of a table. A panic cannot leave half a change behind, because no code of callers runs
/// under a lock.
#[inline]
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
