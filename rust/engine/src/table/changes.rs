//! The changes of an own table that others make: other plugins, and the host.

use std::collections::VecDeque;
use std::sync::Arc;

use super::data::{Data, OwnedData};
use super::entry::{Entry, lock};
use super::own::OwnTable;
use super::shard::Shard;
use crate::error::Error;
use crate::sync::Mutex;

/// How many changes wait at most until the plugin takes them.
pub const CAPACITY: usize = if cfg!(loom) { 2 } else { 4096 };

/// A change of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    pub key: OwnedData,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    /// A field was written, or another entry has replaced this one.
    Changed,
    Removed,
}

/// The changes since the last call of [`OwnTable::take_changes`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// In their order. Several writes of one entry, one after the other, are one change.
    pub recorded: VecDeque<Change>,
    /// How many further changes were dropped, because there were [`CAPACITY`] already.
    pub dropped: u64,
}

impl Changes {
    fn push(&mut self, kind: ChangeKind, key: impl FnOnce() -> OwnedData) {
        if self.recorded.len() >= CAPACITY {
            self.dropped += 1;
            return;
        }
        let key = key();
        let is_known = kind == ChangeKind::Changed
            && self
                .recorded
                .back()
                .is_some_and(|last| last.kind != ChangeKind::Removed && last.key == key);
        if !is_known {
            self.recorded.push_back(Change { kind, key });
        }
    }
}

/// A table as others change it. Each change is recorded if the table records changes.
///
/// A change is recorded before the lock of its part of the table is released. So changes of one key are recorded in the
/// order in which they happen, and the table has them when [`OwnTable::take_changes`] returns them.
#[derive(Clone, Copy)]
pub struct Outside<'t> {
    table: &'t OwnTable,
    changes: Option<&'t Mutex<Changes>>,
}

impl<'t> Outside<'t> {
    pub(super) fn new(table: &'t OwnTable, changes: Option<&'t Mutex<Changes>>) -> Self {
        Self { table, changes }
    }

    /// Returns whether changes are recorded.
    #[inline]
    pub fn is_recorded(self) -> bool {
        self.changes.is_some()
    }

    /// As [`OwnTable::insert`].
    ///
    /// # Errors
    /// The key does not have the type of the table's keys.
    pub fn insert(self, key: Data<'_>, entry: Arc<Entry>) -> Result<(), Error> {
        let Some(changes) = self.changes else {
            return self.table.insert(key, entry);
        };
        let checked = self.table.key(key)?;
        let mut shard = lock(self.table.shard(checked));
        let replaced = shard.insert(checked, entry);
        let kind = match replaced {
            Some(_) => ChangeKind::Changed,
            None => ChangeKind::Added,
        };
        lock(changes).push(kind, || key.to_owned());
        drop(shard);
        Ok(())
    }

    /// As [`OwnTable::remove`].
    ///
    /// # Errors
    /// The key does not have the type of the table's keys.
    pub fn remove(self, key: Data<'_>) -> Result<bool, Error> {
        let Some(changes) = self.changes else {
            return self.table.remove(key);
        };
        let checked = self.table.key(key)?;
        let mut shard = lock(self.table.shard(checked));
        let removed = shard.remove(checked);
        if removed.is_some() {
            lock(changes).push(ChangeKind::Removed, || key.to_owned());
        }
        drop(shard);
        Ok(removed.is_some())
    }

    /// As [`OwnTable::clear`]. Each entry counts as removed.
    pub fn clear(self) {
        let Some(changes) = self.changes else {
            return self.table.clear();
        };
        for shard in self.table.shards() {
            let mut shard = lock(shard);
            let removed: Shard = std::mem::replace(&mut *shard, self.table.new_shard());
            let mut changes = lock(changes);
            for (key, _) in self.table.entries_of(&removed) {
                changes.push(ChangeKind::Removed, || key);
            }
            drop(changes);
            drop(shard);
            drop(removed);
        }
    }

    /// Records that a field of an entry was written, if the table still has the entry under this key.
    pub fn record_write(self, key: Data<'_>, entry: &Arc<Entry>) {
        let (Some(changes), Ok(checked)) = (self.changes, self.table.key(key)) else {
            return;
        };
        let shard = lock(self.table.shard(checked));
        if shard.get(checked).is_some_and(|current| Arc::ptr_eq(current, entry)) {
            lock(changes).push(ChangeKind::Changed, || key.to_owned());
        }
        drop(shard);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::table::{DataType, FieldId};

    const FIELD: FieldId = FieldId {
        index: 0,
        kind: DataType::Int64,
    };

    fn recording() -> OwnTable {
        OwnTable::new("changed", DataType::Int64, &[("number", DataType::Int64)])
            .unwrap()
            .recording()
    }

    #[derive(Debug, Clone)]
    enum Operation {
        Insert(i64),
        Remove(i64),
        Write(i64),
        /// Changes of the plugin itself, which are not recorded.
        OwnInsert(i64),
        OwnRemove(i64),
        Take,
    }

    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        use Operation::{Insert, OwnInsert, OwnRemove, Remove, Take, Write};
        let key = 0..4i64;
        let operation = prop_oneof![
            4 => key.clone().prop_map(Insert),
            2 => key.clone().prop_map(Remove),
            4 => key.clone().prop_map(Write),
            1 => key.clone().prop_map(OwnInsert),
            1 => key.prop_map(OwnRemove),
            1 => Just(Take),
        ];
        prop::collection::vec(operation, 0..60)
    }

    proptest! {
        #[test]
        fn changes_of_others_are_those_of_a_model(operations in operations()) {
            let table = recording();
            let (mut keys, mut expected) = (std::collections::BTreeSet::new(), Vec::new());
            for operation in operations.into_iter().chain([Operation::Take]) {
                match operation {
                    Operation::Insert(key) => {
                        table.outside().insert(Data::Int(key), table.new_entry()).unwrap();
                        let kind = if keys.insert(key) { ChangeKind::Added } else { ChangeKind::Changed };
                        expected.push((kind, key));
                    }
                    Operation::Remove(key) => {
                        let removed = table.outside().remove(Data::Int(key)).unwrap();
                        prop_assert_eq!(removed, keys.remove(&key));
                        if removed {
                            expected.push((ChangeKind::Removed, key));
                        }
                    }
                    Operation::Write(key) => {
                        let found = table.get(Data::Int(key)).unwrap();
                        let entry = found.unwrap_or_else(|| table.new_entry());
                        entry.set(FIELD, Data::Int(1)).unwrap();
                        table.outside().record_write(Data::Int(key), &entry);
                        if keys.contains(&key) {
                            expected.push((ChangeKind::Changed, key));
                        }
                    }
                    Operation::OwnInsert(key) => {
                        table.insert(Data::Int(key), table.new_entry()).unwrap();
                        keys.insert(key);
                    }
                    Operation::OwnRemove(key) => {
                        table.remove(Data::Int(key)).unwrap();
                        keys.remove(&key);
                    }
                    Operation::Take => {
                        expected.dedup_by(|next, last| {
                            next.0 == ChangeKind::Changed && last.0 != ChangeKind::Removed && next.1 == last.1
                        });
                        let taken = table.take_changes().unwrap();
                        let taken: Vec<_> = taken.recorded.into_iter().map(|change| (change.kind, change.key)).collect();
                        let wanted = expected.drain(..).map(|(kind, key)| (kind, OwnedData::Int(key)));
                        prop_assert_eq!(taken, wanted.collect::<Vec<_>>());
                    }
                }
            }
        }
    }

    #[test]
    fn further_changes_are_counted() {
        let table = recording();
        for key in 0..CAPACITY as i64 + 5 {
            table.outside().insert(Data::Int(key), table.new_entry()).unwrap();
        }
        table.outside().clear();
        let taken = table.take_changes().unwrap();
        assert_eq!((taken.recorded.len(), taken.dropped), (CAPACITY, CAPACITY as u64 + 10));
        assert_eq!(table.take_changes(), Some(Changes::default()));
        table.insert(Data::Int(1), table.new_entry()).unwrap();
        table.outside().clear();
        let taken = table.take_changes().unwrap().recorded;
        let removed = Change {
            kind: ChangeKind::Removed,
            key: OwnedData::Int(1),
        };
        assert_eq!((taken.as_slices().0, table.len()), (&[removed][..], 0));
    }

    #[test]
    fn table_without_a_record_has_no_changes() {
        let table = OwnTable::new("plain", DataType::String, &[]).unwrap();
        let outside = table.outside();
        outside.insert(Data::Text(c"a"), table.new_entry()).unwrap();
        assert!(outside.insert(Data::Int(1), table.new_entry()).is_err());
        assert!(outside.remove(Data::Text(c"a")).unwrap() && !outside.is_recorded());
        outside.clear();
        assert_eq!(table.take_changes(), None);
    }
}
