//! Models of own tables.

use std::sync::Arc;

use falco_plugin_engine::table::{CAPACITY, ChangeKind, Data, DataType, OwnTable, OwnedData, Stored};
use loom::thread;

use crate::model;

#[test]
fn own_table_has_one_entry_for_a_key() {
    model(3, || {
        let table = Arc::new(OwnTable::new("sessions", DataType::Int64, &[("requests", DataType::Int64)]).unwrap());
        let add = |table: &OwnTable| {
            let requests = table.field(c"requests").unwrap();
            let entry = table.get_or_insert(Data::Int(1), table.new_entry()).unwrap();
            entry.set(requests, Data::Int(7)).unwrap();
            entry
        };
        let other = thread::spawn({
            let table = table.clone();
            move || add(&table)
        });
        let own = add(&table);
        let other = other.join().unwrap();
        assert!(
            Arc::ptr_eq(&own, &other),
            "both threads have the entry that one of them made"
        );
        let requests = table.field(c"requests").unwrap();
        assert_eq!((own.get(requests).unwrap(), table.len()), (Stored::Int(7), 1));
    });
}

#[test]
fn own_table_is_removed_from_once() {
    model(3, || {
        let table = Arc::new(OwnTable::new("sessions", DataType::Int64, &[]).unwrap());
        table.insert(Data::Int(1), table.new_entry()).unwrap();
        let other = thread::spawn({
            let table = table.clone();
            move || {
                table.clear();
                table.add_field(c"added", DataType::Bool).unwrap()
            }
        });
        let removed = table.remove(Data::Int(1)).unwrap();
        let own = table.add_field(c"added", DataType::Bool).unwrap();
        assert_eq!(other.join().unwrap(), own, "both threads have the same field");
        assert!(table.is_empty() && (removed || table.entries().is_empty()));
    });
}

/// Each change of others is returned once or counted, and the table has it by then.
#[test]
fn changes_of_others_are_taken_once() {
    model(3, || {
        let table = Arc::new(OwnTable::new("sessions", DataType::Int64, &[]).unwrap().recording());
        let other = thread::spawn({
            let table = table.clone();
            move || {
                for key in 1..=3 {
                    table.outside().insert(Data::Int(key), table.new_entry()).unwrap();
                }
            }
        });
        let mut taken = table.take_changes().unwrap();
        for change in &taken.recorded {
            assert!(table.get(change.key.borrowed()).unwrap().is_some());
        }
        other.join().unwrap();
        let rest = table.take_changes().unwrap();
        taken.recorded.extend(rest.recorded);
        taken.dropped += rest.dropped;
        assert!(taken.recorded.len() >= CAPACITY);
        assert_eq!(taken.recorded.len() as u64 + taken.dropped, 3);
        let keys: Vec<_> = taken.recorded.iter().map(|change| change.key.clone()).collect();
        assert!(keys.is_sorted() && taken.recorded.iter().all(|change| change.kind == ChangeKind::Added));
        assert!(keys.contains(&OwnedData::Int(1)), "the first change found free space");
    });
}

/// The changes of one key are returned in the order in which the table had them.
#[test]
fn last_change_of_a_key_is_that_of_the_table() {
    model(3, || {
        let table = Arc::new(OwnTable::new("sessions", DataType::Int64, &[]).unwrap().recording());
        let other = thread::spawn({
            let table = table.clone();
            move || table.outside().remove(Data::Int(1)).unwrap()
        });
        table.outside().insert(Data::Int(1), table.new_entry()).unwrap();
        let removed = other.join().unwrap();
        let last = table.take_changes().unwrap().recorded.pop_back().unwrap();
        assert_eq!(last.kind == ChangeKind::Removed, removed);
        assert_eq!(table.is_empty(), removed);
    });
}
