//! Own tables against a model, and fields that are read from tables, with a double of the host.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::event::Event;
use crate::extract::{Argument, ArgumentMode, Cache, Extractor, Field as DeclaredField, FieldType, Reader, Value};

const FIELDS: [(&str, DataType); 3] = [
    ("user", DataType::String),
    ("requests", DataType::Int64),
    ("is_known", DataType::Bool),
];

fn sessions(key: DataType) -> OwnTable {
    OwnTable::new("sessions", key, &FIELDS).unwrap()
}

fn id(table: &OwnTable, name: &CStr) -> FieldId {
    table.field(name).unwrap()
}

#[derive(Debug, Clone)]
enum Operation {
    Insert(OwnedData, String, i64),
    Default(OwnedData, String, i64),
    Remove(OwnedData),
    Write(OwnedData, String, i64),
    AddField(u8),
    Clear,
}

fn keys(kind: DataType) -> BoxedStrategy<OwnedData> {
    match kind {
        DataType::String => "[a-c]{0,2}"
            .prop_map(|text| OwnedData::Text(CString::new(text).unwrap()))
            .boxed(),
        DataType::Bool => any::<bool>().prop_map(OwnedData::Bool).boxed(),
        kind if kind.is_signed() => prop_oneof![-3..3i64, Just(i64::from(i8::MIN))]
            .prop_map(OwnedData::Int)
            .boxed(),
        _ => prop_oneof![0..4u64, Just(u64::from(u8::MAX))]
            .prop_map(OwnedData::Uint)
            .boxed(),
    }
}

fn operations(kind: DataType) -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        4 => (keys(kind), "[x-z]{0,3}", any::<i64>()).prop_map(|(key, user, number)| Operation::Insert(key, user, number)),
        2 => (keys(kind), "[x-z]{0,3}", any::<i64>()).prop_map(|(key, user, number)| Operation::Default(key, user, number)),
        3 => keys(kind).prop_map(Operation::Remove),
        3 => (keys(kind), "[x-z]{0,3}", any::<i64>()).prop_map(|(key, user, number)| Operation::Write(key, user, number)),
        1 => (0..3u8).prop_map(Operation::AddField),
        1 => Just(Operation::Clear),
    ];
    prop::collection::vec(operation, 0..60)
}

fn entry(table: &OwnTable, user: &str, requests: i64) -> Arc<Entry> {
    let entry = table.new_entry();
    write(table, &entry, user, requests);
    entry
}

fn write(table: &OwnTable, entry: &Entry, user: &str, requests: i64) {
    let user = CString::new(user).unwrap();
    entry.set(id(table, c"user"), Data::Text(&user)).unwrap();
    entry.set(id(table, c"requests"), Data::Int(requests)).unwrap();
}

fn values(table: &OwnTable, entry: &Entry) -> (String, i64) {
    let user = entry.get(id(table, c"user")).unwrap();
    let requests = entry.get(id(table, c"requests")).unwrap();
    match (user.data(), requests.data()) {
        (Data::Text(user), Data::Int(requests)) => (user.to_str().unwrap().to_owned(), requests),
        other => panic!("fields have other types: {other:?}"),
    }
}

fn run(kind: DataType, operations: Vec<Operation>) -> Result<(), TestCaseError> {
    let table = sessions(kind);
    let mut model: BTreeMap<OwnedData, (String, i64)> = BTreeMap::new();
    for operation in operations {
        match operation {
            Operation::Insert(key, user, number) => {
                table.insert(key.borrowed(), entry(&table, &user, number)).unwrap();
                model.insert(key, (user, number));
            }
            Operation::Default(key, user, number) => {
                let found = table
                    .get_or_insert(key.borrowed(), entry(&table, &user, number))
                    .unwrap();
                let expected = model.entry(key).or_insert((user, number));
                prop_assert_eq!(&values(&table, &found), &*expected);
            }
            Operation::Remove(key) => {
                let removed = table.remove(key.borrowed()).unwrap();
                prop_assert_eq!(removed, model.remove(&key).is_some(), "a missing key is not removed");
            }
            Operation::Write(key, user, number) => {
                let found = table.get(key.borrowed()).unwrap();
                prop_assert_eq!(found.is_some(), model.contains_key(&key));
                if let Some(entry) = found {
                    write(&table, &entry, &user, number);
                    model.insert(key, (user, number));
                }
            }
            Operation::AddField(number) => {
                let name = CString::new(format!("added{number}")).unwrap();
                let added = table.add_field(&name, DataType::Uint8).unwrap();
                prop_assert_eq!(table.add_field(&name, DataType::Uint8).unwrap(), added);
                for (_, entry) in table.entries() {
                    prop_assert_eq!(entry.get(added).unwrap(), Stored::Uint(0));
                }
            }
            Operation::Clear => {
                table.clear();
                model.clear();
            }
        }
        let mut entries: Vec<_> = table.entries();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        let found: Vec<_> = entries
            .iter()
            .map(|(key, entry)| (key.clone(), values(&table, entry)))
            .collect();
        prop_assert_eq!(found, model.clone().into_iter().collect::<Vec<_>>());
        prop_assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
    }
    Ok(())
}

proptest! {
    #[test]
    fn own_table_behaves_as_a_map(
        (kind, operations) in prop::sample::select(&DataType::ALL[..10])
            .prop_flat_map(|kind| operations(kind).prop_map(move |operations| (kind, operations)))
    ) {
        run(kind, operations)?;
    }
}

#[test]
fn new_refuses_names_and_types() {
    for (name, key, fields, message) in [
        ("", DataType::Int8, &[][..], "a table must have a name"),
        ("a\0b", DataType::Int8, &[], "the name of a table must not contain NUL"),
        ("a", DataType::Table, &[], "the keys of the table a cannot be tables"),
        (
            "a",
            DataType::Bool,
            &[("x\0", DataType::Bool)],
            "the name of a field must not contain NUL",
        ),
        (
            "a",
            DataType::Bool,
            &[("x", DataType::Bool), ("x", DataType::Bool)],
            "the table a has two fields with the name x",
        ),
        (
            "a",
            DataType::Bool,
            &[("x", DataType::Table)],
            "the field x of the table a cannot be a table",
        ),
    ] {
        let error = OwnTable::new(name, key, fields).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn wrong_types_are_refused_without_a_change() {
    let table = sessions(DataType::Int8);
    assert!(table.get(Data::Int(128)).is_err() && table.get(Data::Text(c"1")).is_err());
    assert!(table.insert(Data::Uint(1), table.new_entry()).is_err() && table.is_empty());
    let entry = entry(&table, "eve", 1);
    assert!(entry.set(id(&table, c"requests"), Data::Text(c"1")).is_err());
    assert!(entry.set(id(&table, c"requests"), Data::Uint(1)).is_err());
    let other = FieldId {
        index: 0,
        kind: DataType::Int64,
    };
    assert!(
        entry.get(other).is_err() && entry.set(other, Data::Int(1)).is_err(),
        "field of another table"
    );
    assert_eq!(values(&table, &entry), ("eve".to_owned(), 1));
    let error = table.add_field(c"user", DataType::Bool).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the field user of the table sessions has the type string, not bool"
    );
}

#[test]
fn removed_entry_stays_usable() {
    let table = sessions(DataType::Uint64);
    table.insert(Data::Uint(7), entry(&table, "eve", 1)).unwrap();
    let held = table.get(Data::Uint(7)).unwrap().unwrap();
    table.insert(Data::Uint(7), entry(&table, "bob", 2)).unwrap();
    write(&table, &held, "mallory", 3);
    assert_eq!(values(&table, &held), ("mallory".to_owned(), 3));
    let current = table.get(Data::Uint(7)).unwrap().unwrap();
    assert_eq!(
        values(&table, &current),
        ("bob".to_owned(), 2),
        "add replaces the entry"
    );
}

#[test]
fn threads_change_a_table_at_the_same_time() {
    const THREADS: i64 = 4;
    const KEYS: i64 = 500;
    let table = sessions(DataType::Int64);
    let (made, start) = (AtomicUsize::new(0), Barrier::new(THREADS as usize));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (table, made, start) = (&table, &made, &start);
            scope.spawn(move || {
                start.wait();
                for key in 0..KEYS {
                    let own = entry(table, "", thread);
                    let found = table.get_or_insert(Data::Int(key), own.clone()).unwrap();
                    made.fetch_add(usize::from(Arc::ptr_eq(&own, &found)), Ordering::Relaxed);
                    write(table, &found, &"x".repeat(key as usize % 7), key);
                    assert_eq!(values(table, &found).1, key);
                }
            });
        }
    });
    assert_eq!(
        made.into_inner(),
        KEYS as usize,
        "one thread makes the entry of each key"
    );
    assert_eq!(table.len(), KEYS as usize);
}

/// A table of a host with one field, whose entries are the numbers below 3.
#[derive(Debug)]
struct Double {
    key: DataType,
    fields: Vec<BoundField>,
    taken: AtomicUsize,
    released: AtomicUsize,
}

impl Double {
    fn new(key: DataType, kind: Option<DataType>) -> Arc<Self> {
        Arc::new(Self {
            key,
            fields: vec![BoundField {
                name: "value".to_owned(),
                kind,
                is_read_only: false,
            }],
            taken: AtomicUsize::new(0),
            released: AtomicUsize::new(0),
        })
    }
}

impl HostTable for Double {
    fn name(&self) -> &str {
        "double"
    }

    fn key_type(&self) -> DataType {
        self.key
    }

    fn fields(&self) -> &[BoundField] {
        &self.fields
    }

    fn len(&self) -> Result<u64, Error> {
        Ok(3)
    }

    fn get(&self, key: Data<'_>) -> Result<Option<EntryId>, Error> {
        let index = match key {
            Data::Int(number) => usize::try_from(number).unwrap_or(usize::MAX),
            Data::Uint(number) => number as usize,
            Data::Text(text) => text.count_bytes(),
            Data::Bool(value) => value.into(),
        };
        self.taken.fetch_add(usize::from(index < 3), Ordering::Relaxed);
        Ok((index < 3).then_some(EntryId { call: 1, index }))
    }

    fn insert(&self, _: Data<'_>, _: &[(usize, Data<'_>)]) -> Result<EntryId, Error> {
        Err(Error::text("not in this test"))
    }

    fn remove(&self, _: Data<'_>) -> Result<bool, Error> {
        Ok(false)
    }

    fn clear(&self) -> Result<(), Error> {
        Ok(())
    }

    fn for_each(&self, _: &mut dyn FnMut(EntryId) -> bool) -> Result<(), Error> {
        Ok(())
    }

    fn read(&self, entry: EntryId, _: usize, take: &mut dyn FnMut(Data<'_>)) -> Result<(), Error> {
        match self.fields[0].kind {
            Some(DataType::Int64) => take(Data::Int(entry.index as i64 - 1)),
            Some(DataType::Uint32) => take(Data::Uint(entry.index as u64)),
            Some(DataType::Bool) => take(Data::Bool(entry.index == 1)),
            _ if entry.index == 2 => return Err(Error::text("the host fails")),
            _ => take(Data::Text(c"text")),
        }
        Ok(())
    }

    fn write(&self, _: EntryId, _: usize, _: Data<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn subtable(&self, _: EntryId, _: usize) -> Result<Arc<dyn HostTable>, Error> {
        Err(Error::text("not in this test"))
    }

    fn release(&self, _: EntryId) {
        self.released.fetch_add(1, Ordering::Relaxed);
    }
}

fn event(thread_id: i64, number: u64) -> Event<'static> {
    Event {
        generation: 0,
        number,
        thread_id,
        timestamp: 0,
        source: b"syscall",
        code: 1,
        raw: b"",
        data: b"",
    }
}

fn field(kind: FieldType, reader: Reader) -> DeclaredField {
    DeclaredField {
        name: "a.field".into(),
        kind,
        index: ArgumentMode::None,
        key: ArgumentMode::None,
        reader,
    }
}

/// Returns the values of a field for the thread of an event, as text.
fn read(reader: TableReader, kind: FieldType, thread_id: i64) -> Vec<String> {
    let extractor = Extractor::new(vec![field(kind, Reader::Table(Arc::new(reader)))], Box::new(|_| ()));
    let mut cache = Cache::default();
    let values = extractor.extract(&mut cache, &event(thread_id, 1), 0, &Argument::default(), |_, _| {
        panic!("no user code is called")
    });
    let values = values.as_slice().iter().map(|value| match *value {
        Value::Text { start } => String::from_utf8_lossy(values.text(start)).into_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Address { .. } => unreachable!("tables have no addresses"),
    });
    values.collect()
}

#[test]
fn reader_reads_the_entry_of_the_thread_of_a_host() {
    let nothing: [&str; 0] = [];
    for (key, kind, field, thread, expected) in [
        (
            DataType::Int64,
            Some(DataType::Uint32),
            FieldType::Uint64,
            2,
            &["2"][..],
        ),
        (DataType::Int64, Some(DataType::Int64), FieldType::Uint64, 2, &["1"]),
        (DataType::Int64, Some(DataType::Int64), FieldType::Uint64, 0, &nothing),
        (DataType::Int64, Some(DataType::String), FieldType::String, 1, &["text"]),
        (DataType::Int64, Some(DataType::String), FieldType::String, 2, &nothing),
        (DataType::Int64, Some(DataType::Bool), FieldType::Bool, 1, &["true"]),
        (DataType::Int64, Some(DataType::Bool), FieldType::Bool, 3, &nothing),
        (DataType::Int64, Some(DataType::Bool), FieldType::Bool, -1, &nothing),
        (DataType::Uint8, Some(DataType::Bool), FieldType::Bool, 256, &nothing),
        (DataType::Uint8, Some(DataType::Bool), FieldType::Bool, -1, &nothing),
        (DataType::String, Some(DataType::Bool), FieldType::Bool, 1, &nothing),
        (DataType::Int64, None, FieldType::Bool, 1, &nothing),
    ] {
        let table = Double::new(key, kind);
        let reader = TableReader::host(table.clone(), 0, TableKey::Thread, field);
        assert_eq!(read(reader, field, thread), expected, "{key} {kind:?} {thread}");
        assert_eq!(
            table.taken.load(Ordering::Relaxed),
            table.released.load(Ordering::Relaxed)
        );
    }
    assert!(
        read(
            TableReader::absent(TableKey::Thread, FieldType::Bool),
            FieldType::Bool,
            1
        )
        .is_empty()
    );
}

#[test]
fn reader_reads_the_entry_of_the_value_of_a_field() {
    let table = Arc::new(sessions(DataType::String));
    table.insert(Data::Text(c"eve"), entry(&table, "root", 7)).unwrap();
    let reader = |name: &CStr, kind| {
        let reader = TableReader::own(table.clone(), id(&table, name), TableKey::Field(0), kind);
        field(kind, Reader::Table(Arc::new(reader)))
    };
    let fields = vec![
        field(FieldType::String, Reader::Code),
        reader(c"user", FieldType::String),
        reader(c"requests", FieldType::Uint64),
    ];
    let extractor = Extractor::new(fields, Box::new(|_| ()));
    assert_eq!(
        (extractor.key_field(0), extractor.key_field(1), extractor.key_field(9)),
        (None, Some(0), None)
    );
    let mut cache = Cache::default();
    for (number, key, expected) in [(1, "eve", Some(7)), (2, "bob", None), (3, "eve", Some(7))] {
        let event = event(-1, number);
        let argument = Argument::default();
        let key = extractor.extract(&mut cache, &event, 0, &argument, |_, values| {
            values.push_text(key, crate::extract::Location::default());
        });
        let key = KeyValue::first_of(key);
        let values = extractor.extract_by_key(&mut cache, &event, 2, key.as_ref());
        assert_eq!(values.as_slice().first(), expected.map(Value::Number).as_ref());
        assert!(
            extractor.extract_by_key(&mut cache, &event, 1, None).is_empty(),
            "the key is absent"
        );
    }
}

#[test]
fn reader_replaces_each_byte_that_is_not_utf_8() {
    for (text, expected) in [
        (c"caf\xc3\xa9", "caf\u{e9}"),
        (c"caf\xe2\x82 \xff", "caf\u{fffd}\u{fffd} \u{fffd}"),
        (c"\xf0\x9f\x92", "\u{fffd}\u{fffd}\u{fffd}"),
        (c"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
        (c"", ""),
    ] {
        let table = Arc::new(OwnTable::new("t", DataType::Int64, &[("name", DataType::String)]).unwrap());
        let field = table.field(c"name").unwrap();
        let entry = table.new_entry();
        entry.set(field, Data::Text(text)).unwrap();
        table.insert(Data::Int(7), entry).unwrap();
        let reader = TableReader::own(table, field, TableKey::Thread, FieldType::String);
        // The bytes themselves, because `read` replaces what is not UTF-8.
        let extractor = Extractor::new(
            vec![self::field(FieldType::String, Reader::Table(Arc::new(reader)))],
            Box::new(|_| ()),
        );
        let mut cache = Cache::default();
        let values = extractor.extract(&mut cache, &event(7, 1), 0, &Argument::default(), |_, _| {
            panic!("no user code")
        });
        let &[Value::Text { start }] = values.as_slice() else {
            panic!("one value")
        };
        assert_eq!(std::str::from_utf8(values.text(start)), Ok(expected));
    }
}
