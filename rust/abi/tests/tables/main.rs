//! State tables through the C API: the tables of one plugin, used by another.

mod exported;
mod host;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};

use falco_plugin_abi::api::{FAILURE, SUCCESS};
use falco_plugin_abi::init::TABLE;
use falco_plugin_api::*;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::Event;
use falco_plugin_engine::extract::{Argument, ArgumentMode, Cache, Field, FieldType, Reader, Values};
use falco_plugin_engine::plugin::{Extract, Plugin};
use falco_plugin_engine::table::request::SubtableRequest;
use falco_plugin_engine::table::{Data, DataType, FieldRequest, HostTable, Kind, OwnTable, OwnedData, TableRequest};
use host::{COUNTING, Host, State, TURN, reader, start};

type InTable = Box<dyn Fn(&dyn HostTable) + Send + Sync>;

/// A plugin with one field, whose extraction runs code on an opened table.
struct Tester {
    fields: Vec<Field>,
    table: Option<Arc<dyn HostTable>>,
    code: InTable,
}

impl Plugin for Tester {
    fn as_extract(&self) -> Option<&dyn Extract> {
        Some(self)
    }

    fn destroy(&self) {}
}

impl Extract for Tester {
    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn extract<'c>(&self, _: &'c mut Cache, _: &Event<'_>, _: usize, _: &Argument<'_>) -> &'c Values {
        static NONE: OnceLock<Values> = OnceLock::new();
        if let Some(table) = &self.table {
            (self.code)(table.as_ref());
        }
        NONE.get_or_init(Values::default)
    }
}

fn tester(table: Option<Arc<dyn HostTable>>, code: InTable) -> Box<dyn Plugin> {
    Box::new(Tester {
        fields: vec![Field {
            name: "a.field".into(),
            kind: FieldType::Uint64,
            index: ArgumentMode::None,
            key: ArgumentMode::None,
            reader: Reader::Code,
        }],
        table,
        code,
    })
}

fn last_error(state: State) -> String {
    // SAFETY: the state is not destroyed, and the string valid until this thread's next call.
    unsafe { CStr::from_ptr((TABLE.get_last_error)(state)) }
        .to_string_lossy()
        .into_owned()
}

fn destroy(state: State) {
    // SAFETY: the state is not used afterwards.
    unsafe { (TABLE.destroy)(state) };
}

/// Calls `extract_fields` with an event. `reader` is what the host passes for reading tables.
fn extract(state: State, reader: *mut ss_plugin_table_reader_vtable_ext) -> i32 {
    let event = falco_plugin_engine::event::encode_header(0, 0);
    let event = ss_plugin_event_input {
        evt: event.as_ptr().cast(),
        evtnum: 1,
        evtsrc: ptr::null(),
    };
    // SAFETY: structs of pointers and numbers, which may all be 0. All is valid during the call.
    unsafe {
        let mut field = std::mem::zeroed::<ss_plugin_extract_field>();
        let mut input = std::mem::zeroed::<ss_plugin_field_extract_input>();
        (input.num_fields, input.fields, input.table_reader_ext) = (1, &raw mut field, reader);
        (TABLE.extract_fields)(state, &raw const event, &raw const input)
    }
}

fn field(name: &str, kind: Kind, is_added: bool) -> FieldRequest {
    FieldRequest {
        name: name.to_owned(),
        kind,
        is_added,
        is_optional: false,
        subtable: None,
    }
}

fn request(name: &str, key: Kind, fields: Vec<FieldRequest>) -> TableRequest {
    TableRequest {
        name: name.to_owned(),
        key,
        fields,
        is_optional: false,
    }
}

fn sessions() -> TableRequest {
    let fields = vec![
        field("user", Kind::String, false),
        field("requests", Kind::Int, false),
        field("score", Kind::Int, true),
    ];
    request("sessions", Kind::String, fields)
}

/// Makes a plugin that owns the table `sessions`, and returns it with the table.
fn owner(host: &Host) -> (State, Arc<OwnTable>) {
    let fields = [("user", DataType::String), ("requests", DataType::Int64)];
    let table = Arc::new(
        OwnTable::new("sessions", DataType::String, &fields)
            .unwrap()
            .recording(),
    );
    let added = table.clone();
    let (state, rc) = start(
        host,
        |_| true,
        move |tables| {
            tables.add(added)?;
            Ok(tester(None, Box::new(|_| ())))
        },
    );
    assert_eq!(rc, SUCCESS, "{}", last_error(state));
    host.owner.store(state, Ordering::Relaxed);
    (state, table)
}

fn read(table: &dyn HostTable, key: &CStr, field: usize) -> Result<Option<OwnedData>, Error> {
    let Some(entry) = table.get(Data::Text(key))? else {
        return Ok(None);
    };
    let mut value = None;
    table.read(entry, field, &mut |data| value = Some(data.to_owned()))?;
    table.release(entry);
    Ok(value)
}

/// Runs code on the opened table `sessions` in init, and `in_fields` on it during each extraction.
fn with_sessions(in_init: impl FnOnce(&dyn HostTable), in_fields: impl Fn(&dyn HostTable) + Send + Sync + 'static) {
    let _turn = TURN.lock().unwrap_or_else(|error| error.into_inner());
    let host = Host::default();
    let (owner, _) = owner(&host);
    COUNTING.store(ptr::from_ref(&host).cast_mut(), Ordering::Relaxed);
    let (state, rc) = start(
        &host,
        |_| true,
        |tables| {
            let table = tables.open(&sessions())?.unwrap();
            in_init(table.as_ref());
            Ok(tester(Some(table), Box::new(in_fields)))
        },
    );
    assert_eq!(rc, SUCCESS, "{}", last_error(state));
    let balance = || {
        (
            host.taken.load(Ordering::Relaxed),
            host.released.load(Ordering::Relaxed),
        )
    };
    assert_eq!(balance().0, balance().1, "init releases what it has taken");
    let mut reader = reader();
    for _ in 0..2 {
        assert_eq!(extract(state, &raw mut reader), SUCCESS, "{}", last_error(state));
        assert_eq!(balance().0, balance().1, "a call releases what it has taken");
    }
    COUNTING.store(ptr::null_mut(), Ordering::Relaxed);
    destroy(state);
    destroy(owner);
}

#[test]
fn table_of_another_plugin_is_read_and_changed() {
    with_sessions(
        |table| {
            assert_eq!((table.name(), table.key_type()), ("sessions", DataType::String));
            let kinds: Vec<_> = table.fields().iter().map(|field| field.kind.unwrap()).collect();
            assert_eq!(kinds, [DataType::String, DataType::Int64, DataType::Int64]);
            assert!(table.is_empty().unwrap());
            assert_eq!(table.get(Data::Text(c"eve")).unwrap(), None);
            assert!(!table.remove(Data::Text(c"eve")).unwrap());
            let entry = table
                .insert(Data::Text(c"eve"), &[(0, Data::Text(c"root")), (1, Data::Int(-7))])
                .unwrap();
            table.write(entry, 2, Data::Int(99)).unwrap();
            let entry = table.insert(Data::Text(c"bob"), &[]).unwrap();
            table.write(entry, 0, Data::Text(c"a long name of a user")).unwrap();
            assert_eq!(table.len().unwrap(), 2);
        },
        |table| {
            assert_eq!(read(table, c"eve", 0).unwrap(), Some(OwnedData::Text(c"root".into())));
            assert_eq!(read(table, c"eve", 1).unwrap(), Some(OwnedData::Int(-7)));
            assert_eq!(read(table, c"eve", 2).unwrap(), Some(OwnedData::Int(99)));
            assert_eq!(read(table, c"bob", 1).unwrap(), Some(OwnedData::Int(0)), "the default");
            assert_eq!(read(table, c"", 1).unwrap(), None);
            let mut found = BTreeMap::new();
            table
                .for_each(&mut |entry| {
                    let (mut user, mut requests) = (None, None);
                    table.read(entry, 0, &mut |data| user = Some(data.to_owned())).unwrap();
                    table
                        .read(entry, 1, &mut |data| requests = Some(data.to_owned()))
                        .unwrap();
                    found.insert(user, requests);
                    true
                })
                .unwrap();
            assert_eq!(found.len(), 2);
            let mut visits = 0;
            table
                .for_each(&mut |_| {
                    visits += 1;
                    false
                })
                .unwrap();
            assert_eq!(visits, 1, "the visitor has stopped");
        },
    );
}

#[test]
fn entry_is_replaced_and_removed() {
    with_sessions(
        |table| {
            for number in 0..40 {
                let entry = table.insert(Data::Text(c"eve"), &[(1, Data::Int(number))]).unwrap();
                table.release(entry);
            }
            let first = table.get(Data::Text(c"eve")).unwrap().unwrap();
            assert_eq!(table.get(Data::Text(c"eve")).unwrap(), Some(first), "taken once");
            table.release(first);
            assert_eq!(read(table, c"eve", 1).unwrap(), Some(OwnedData::Int(39)));
            let replaced = table.insert(Data::Text(c"eve"), &[(1, Data::Int(-1))]).unwrap();
            assert_ne!(replaced, first);
            assert!(table.remove(Data::Text(c"eve")).unwrap());
            assert_eq!(
                table.get(Data::Text(c"eve")).unwrap(),
                None,
                "not the entry that is still held"
            );
            table.insert(Data::Text(c"eve"), &[]).unwrap();
            table.clear().unwrap();
            assert_eq!(table.get(Data::Text(c"eve")).unwrap(), None);
            table.insert(Data::Text(c"bob"), &[(1, Data::Int(5))]).unwrap();
        },
        |table| {
            // Left to the end of the call.
            let entry = table.get(Data::Text(c"bob")).unwrap().unwrap();
            table.get(Data::Text(c"bob")).unwrap().unwrap();
            table.release(entry);
        },
    );
}

#[test]
fn fields_cannot_change_tables() {
    with_sessions(
        |table| {
            table.insert(Data::Text(c"eve"), &[]).unwrap();
        },
        |table| {
            let entry = table.get(Data::Text(c"eve")).unwrap().unwrap();
            let results = [
                table.write(entry, 1, Data::Int(1)),
                table.insert(Data::Text(c"bob"), &[]).map(|_| ()),
                table.remove(Data::Text(c"eve")).map(|_| ()),
                table.clear(),
            ];
            for result in results {
                assert!(
                    result
                        .unwrap_err()
                        .to_string()
                        .contains("hosts let fields only read tables")
                );
            }
        },
    );
}

#[test]
fn entries_and_tables_do_not_outlive_their_call() {
    static KEPT: Mutex<Option<falco_plugin_engine::table::EntryId>> = Mutex::new(None);
    with_sessions(
        |table| {
            let entry = table.insert(Data::Text(c"eve"), &[]).unwrap();
            *KEPT.lock().unwrap() = Some(entry);
        },
        |table| {
            let mut kept = KEPT.lock().unwrap();
            let old = kept.unwrap();
            let own = table.get(Data::Text(c"eve")).unwrap().unwrap();
            assert_ne!(old, own);
            let error = table
                .read(old, 0, &mut |_| panic!("the entry was released"))
                .unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("this entry was read during an earlier call"),
                "{error}"
            );
            table.release(old);
            table.read(own, 0, &mut |_| ()).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let outside = table.get(Data::Text(c"eve")).unwrap_err().to_string();
                    assert!(
                        outside.contains("work only while the host calls the plugin"),
                        "{outside}"
                    );
                });
            });
            *kept = Some(own);
        },
    );
}

#[test]
fn misuse_of_fields_and_keys_is_refused() {
    with_sessions(
        |table| {
            let entry = table.insert(Data::Text(c"eve"), &[]).unwrap();
            assert!(
                table
                    .get(Data::Int(1))
                    .unwrap_err()
                    .to_string()
                    .contains("must be of the type string")
            );
            assert!(
                table
                    .write(entry, 0, Data::Int(1))
                    .unwrap_err()
                    .to_string()
                    .contains("has the type string")
            );
            assert!(
                table
                    .read(entry, 3, &mut |_| ())
                    .unwrap_err()
                    .to_string()
                    .contains("no such field")
            );
            assert!(
                table
                    .subtable(entry, 0)
                    .unwrap_err()
                    .to_string()
                    .contains("not a sub-table")
            );
            let error = table.insert(Data::Text(c"bob"), &[(1, Data::Bool(true))]).unwrap_err();
            assert!(error.to_string().contains("has the type int64"));
            assert_eq!(table.len().unwrap(), 1, "the entry was not added");
        },
        |_| (),
    );
}

#[test]
fn init_fails_with_the_tables_and_fields_that_exist() {
    let host = Host::default();
    let (owner, _) = owner(&host);
    let cases = [
        (
            request("other", Kind::Int, Vec::new()),
            "there is no table other (existing tables: sessions (string)): load the plugin that has it before this one, or \
             declare it with optional=True",
        ),
        (
            request("sessions", Kind::Int, Vec::new()),
            "the keys of the table sessions have the type string, but they are declared as int",
        ),
        (
            request("sessions", Kind::String, vec![field("missing", Kind::Bool, false)]),
            "the table sessions has no field missing (existing fields: requests (int64), user (string)): declare it as bool | \
             None if the plugin works without it, or set it to added() to add it",
        ),
        (
            request("sessions", Kind::String, vec![field("user", Kind::Int, true)]),
            "the field user of the table sessions has the type string, but it is declared as int",
        ),
    ];
    for (request, message) in cases {
        let (state, rc) = start(
            &host,
            |_| true,
            |tables| {
                tables.open(&request)?;
                unreachable!("the table cannot be opened")
            },
        );
        assert_eq!((rc, last_error(state).as_str()), (FAILURE, message));
        destroy(state);
    }
    let twice = Arc::new(OwnTable::new("sessions", DataType::Bool, &[]).unwrap());
    let (state, rc) = start(
        &host,
        |_| true,
        |tables| {
            tables.add(twice)?;
            unreachable!("there is a table with this name")
        },
    );
    assert_eq!(rc, FAILURE);
    assert!(last_error(state).starts_with("adding the table sessions failed"));
    destroy(state);
    destroy(owner);
}

#[test]
fn hosts_that_pass_less_get_errors() {
    let host = Host::default();
    let (owner, _) = owner(&host);
    type Passes = fn(&mut ss_plugin_init_tables_input) -> bool;
    let cases: [(Passes, &str); 5] = [
        (|_| false, "the host passes no tables here"),
        (
            |tables| {
                tables.fields_ext = ptr::null_mut();
                true
            },
            "the host passes no tables here",
        ),
        (
            |tables| {
                tables.list_tables = None;
                true
            },
            "listing the tables failed",
        ),
        (
            |tables| {
                tables.get_table = None;
                true
            },
            "opening the table sessions failed",
        ),
        (
            |tables| {
                // SAFETY: the struct of `start`, which nothing else uses.
                unsafe { (*tables.fields_ext).get_table_field = None };
                true
            },
            "opening the field user of the table sessions failed",
        ),
    ];
    for (passes, message) in cases {
        let (state, rc) = start(&host, passes, |tables| {
            tables.open(&sessions())?;
            unreachable!("the host passes too little")
        });
        assert_eq!(rc, FAILURE);
        assert!(last_error(state).starts_with(message), "{}", last_error(state));
        destroy(state);
    }
    // Tables of functions that are NULL, or lack some, during a call.
    let (state, rc) = start(
        &host,
        |_| true,
        |tables| {
            let table = tables.open(&sessions())?.unwrap();
            let code = |table: &dyn HostTable| {
                assert!(table.get(Data::Text(c"eve")).is_err());
                assert!(table.for_each(&mut |_| true).is_err());
            };
            Ok(tester(Some(table), Box::new(code)))
        },
    );
    assert_eq!(rc, SUCCESS);
    let mut empty = ss_plugin_table_reader_vtable_ext {
        get_table_entry: None,
        iterate_entries: None,
        ..reader()
    };
    for reader in [ptr::null_mut(), &raw mut empty] {
        assert_eq!(extract(state, reader), SUCCESS, "{}", last_error(state));
    }
    destroy(state);
    destroy(owner);
}

#[test]
fn optional_table_is_absent() {
    let host = Host::default();
    let (state, rc) = start(
        &host,
        |_| true,
        |tables| {
            let optional = TableRequest {
                is_optional: true,
                ..request("other", Kind::Int, Vec::new())
            };
            assert!(tables.open(&optional)?.is_none());
            Ok(tester(None, Box::new(|_| ())))
        },
    );
    assert_eq!(rc, SUCCESS);
    destroy(state);
}

#[test]
fn subtable_of_a_plugin_without_one_is_refused() {
    let host = Host::default();
    let (owner, _) = owner(&host);
    let nested = FieldRequest {
        subtable: Some(SubtableRequest {
            key: Kind::Int,
            fields: Vec::new(),
        }),
        ..field("user", Kind::Table, false)
    };
    let (state, rc) = start(
        &host,
        |_| true,
        |tables| {
            tables.open(&request("sessions", Kind::String, vec![nested]))?;
            unreachable!("the field is not a table")
        },
    );
    assert_eq!(rc, FAILURE);
    assert!(last_error(state).contains("but it is declared as a sub-table"));
    destroy(state);
    destroy(owner);
}
