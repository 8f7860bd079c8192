//! A plugin's own table, which any thread reads and writes.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use super::changes::{Changes, Outside};
use super::data::{Data, DataType, OwnedData};
use super::entry::{Entry, FieldId, lock};
use super::shard::{Key, NumberState, Shard};
use crate::error::Error;
use crate::sync::Mutex;

/// The number of parts of a table, each with its own lock, so that threads with different keys rarely meet.
const SHARDS: usize = if cfg!(loom) { 2 } else { 16 };

/// A table that a plugin owns.
///
/// Each operation on one key is atomic. [`Self::clear`], [`Self::len`] and [`Self::entries`] go through the parts of the
/// table one after the other, so they may miss a concurrent change. An entry that was removed stays usable for those who
/// hold it.
#[derive(Debug)]
pub struct OwnTable {
    name: CString,
    key_type: DataType,
    fields: Mutex<Vec<Arc<Field>>>,
    shards: Box<[Mutex<Shard>]>,
    numbers: NumberState,
    /// The changes that others have made. `None` if they are not recorded.
    changes: Option<Mutex<Changes>>,
}

/// A field of a table. It exists as long as its table.
#[derive(Debug)]
pub struct Field {
    pub name: CString,
    pub id: FieldId,
}

impl OwnTable {
    /// Makes an empty table.
    ///
    /// # Errors
    /// The name is empty or contains a NUL, keys cannot have the type, or two fields have one name.
    pub fn new(name: &str, key_type: DataType, fields: &[(&str, DataType)]) -> Result<Self, Error> {
        if name.is_empty() {
            return Err(Error::text("a table must have a name"));
        }
        if key_type == DataType::Table {
            return Err(Error::text(format!("the keys of the table {name} cannot be tables")));
        }
        let numbers = NumberState::random();
        let table = Self {
            name: c_string("the name of a table", name)?,
            key_type,
            fields: Mutex::new(Vec::new()),
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new(key_type, numbers))).collect(),
            numbers,
            changes: None,
        };
        for (field, kind) in fields {
            let field = c_string("the name of a field", field)?;
            if table.field(&field).is_some() {
                return Err(Error::text(format!(
                    "the table {name} has two fields with the name {}",
                    field.to_string_lossy()
                )));
            }
            table.add_field(&field, *kind)?;
        }
        Ok(table)
    }

    /// Makes the table record the changes that others make.
    #[must_use]
    pub fn recording(mut self) -> Self {
        self.changes = Some(Mutex::new(Changes::default()));
        self
    }

    /// Returns the table as others change it.
    #[inline]
    pub fn outside(&self) -> Outside<'_> {
        Outside::new(self, self.changes.as_ref())
    }

    /// Removes and returns the recorded changes; `None` if the table does not record them.
    pub fn take_changes(&self) -> Option<Changes> {
        self.changes.as_ref().map(|changes| std::mem::take(&mut *lock(changes)))
    }

    pub fn name(&self) -> &CStr {
        &self.name
    }

    pub fn key_type(&self) -> DataType {
        self.key_type
    }

    /// Returns all fields in the order in which they were added.
    pub fn fields(&self) -> Vec<Arc<Field>> {
        lock(&self.fields).clone()
    }

    /// Returns a field by its name.
    pub fn field(&self, name: &CStr) -> Option<FieldId> {
        let fields = lock(&self.fields);
        fields
            .iter()
            .find(|field| field.name.as_c_str() == name)
            .map(|field| field.id)
    }

    /// Adds a field, or returns the one that has this name and type already.
    ///
    /// # Errors
    /// A field with this name has another type, or the type is a table.
    pub fn add_field(&self, name: &CStr, kind: DataType) -> Result<FieldId, Error> {
        let describe = || {
            format!(
                "the field {} of the table {}",
                name.to_string_lossy(),
                self.display_name()
            )
        };
        if kind == DataType::Table {
            return Err(Error::text(format!("{} cannot be a table", describe())));
        }
        let mut fields = lock(&self.fields);
        if let Some(field) = fields.iter().find(|field| field.name.as_c_str() == name) {
            if field.id.kind == kind {
                return Ok(field.id);
            }
            return Err(Error::text(format!(
                "{} has the type {}, not {kind}",
                describe(),
                field.id.kind
            )));
        }
        let index = u32::try_from(fields.len()).map_err(|_| Error::text("a table has too many fields"))?;
        let id = FieldId { index, kind };
        fields.push(Arc::new(Field {
            name: name.to_owned(),
            id,
        }));
        Ok(id)
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the entry with a key.
    ///
    /// # Errors
    /// The key does not have the type of the table's keys.
    #[inline]
    pub fn get(&self, key: Data<'_>) -> Result<Option<Arc<Entry>>, Error> {
        let key = self.key(key)?;
        Ok(lock(self.shard(key)).get(key).cloned())
    }

    /// Makes an entry that is not in the table yet, with the default of each field.
    pub fn new_entry(&self) -> Arc<Entry> {
        Arc::new(Entry::new())
    }

    /// Adds an entry. It replaces the entry that has the key, if there is one.
    ///
    /// # Errors
    /// The key does not have the type of the table's keys.
    pub fn insert(&self, key: Data<'_>, entry: Arc<Entry>) -> Result<(), Error> {
        let key = self.key(key)?;
        // The replaced entry is dropped after the lock was released.
        let _replaced = lock(self.shard(key)).insert(key, entry);
        Ok(())
    }

    /// Returns the entry with a key. If there is none, adds and returns `entry`. No other thread can add one in between.
    ///
    /// # Errors
    /// The key does not have the type of the table's keys.
    pub fn get_or_insert(&self, key: Data<'_>, entry: Arc<Entry>) -> Result<Arc<Entry>, Error> {
        let key = self.key(key)?;
        let mut shard = lock(self.shard(key));
        if let Some(existing) = shard.get(key) {
            let existing = existing.clone();
            drop(shard);
            return Ok(existing);
        }
        shard.insert(key, entry.clone());
        Ok(entry)
    }

    /// Removes an entry. Returns whether there was one.
    ///
    /// # Errors
    /// The key does not have the type of the table's keys.
    pub fn remove(&self, key: Data<'_>) -> Result<bool, Error> {
        let key = self.key(key)?;
        let removed = lock(self.shard(key)).remove(key);
        Ok(removed.is_some())
    }

    /// Removes all entries.
    pub fn clear(&self) {
        for shard in &self.shards {
            let empty = self.new_shard();
            let removed = std::mem::replace(&mut *lock(shard), empty);
            drop(removed);
        }
    }

    /// Returns all keys and entries, in no particular order. Nothing is locked when the caller uses them.
    pub fn entries(&self) -> Vec<(OwnedData, Arc<Entry>)> {
        let mut entries = Vec::new();
        for shard in &self.shards {
            entries.extend(self.entries_of(&lock(shard)));
        }
        entries
    }

    /// Returns the keys and entries of a part.
    pub(super) fn entries_of(&self, shard: &Shard) -> Vec<(OwnedData, Arc<Entry>)> {
        match shard {
            Shard::Numbers(map) => {
                let numbers = map.iter();
                numbers.map(|(key, entry)| (self.number(*key), entry.clone())).collect()
            }
            Shard::Texts(map) => {
                let texts = map.iter();
                texts
                    .map(|(key, entry)| (OwnedData::Text(key.clone().into()), entry.clone()))
                    .collect()
            }
        }
    }

    pub(super) fn shards(&self) -> &[Mutex<Shard>] {
        &self.shards
    }

    pub(super) fn new_shard(&self) -> Shard {
        Shard::new(self.key_type, self.numbers)
    }

    #[inline]
    pub(super) fn key<'a>(&self, key: Data<'a>) -> Result<Key<'a>, Error> {
        if !self.key_type.accepts(key) {
            return Err(Error::text(format!(
                "a key of the table {} must be of the type {}, got {key:?}",
                self.display_name(),
                self.key_type
            )));
        }
        Ok(match key {
            Data::Int(number) => Key::Number(number as u64),
            Data::Uint(number) => Key::Number(number),
            Data::Bool(value) => Key::Number(value.into()),
            Data::Text(text) => Key::Text(text),
        })
    }

    fn number(&self, bits: u64) -> OwnedData {
        match self.key_type {
            DataType::Bool => OwnedData::Bool(bits != 0),
            kind if kind.is_signed() => OwnedData::Int(bits as i64),
            _ => OwnedData::Uint(bits),
        }
    }

    #[inline]
    pub(super) fn shard(&self, key: Key<'_>) -> &Mutex<Shard> {
        let hash = match key {
            Key::Number(number) => self.numbers.mix(number),
            // It only spreads the keys over the locks: the map of a shard has its own hash of the whole key.
            Key::Text(text) => {
                let bytes = text.to_bytes();
                let mut last = [0; 8];
                let tail = &bytes[bytes.len().saturating_sub(8)..];
                last[..tail.len()].copy_from_slice(tail);
                self.numbers.mix(u64::from_ne_bytes(last) ^ bytes.len() as u64)
            }
        };
        // Neither the lowest bits nor the highest seven, by which the map of a shard arranges its keys.
        &self.shards[(hash >> 40) as usize % SHARDS]
    }

    fn display_name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }
}

fn c_string(subject: &str, text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::text(format!("{subject} must not contain NUL")))
}
