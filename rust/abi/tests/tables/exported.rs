//! The functions of a table that a plugin has added.

use std::ffi::CStr;
use std::ptr;

use falco_plugin_abi::api::{FAILURE, SUCCESS};
use falco_plugin_api::{
    ss_plugin_bool, ss_plugin_state_data, ss_plugin_table_entry_t, ss_plugin_table_iterator_state_t,
};
use falco_plugin_engine::table::{ChangeKind, Data};

use crate::host::Host;
use crate::{destroy, last_error, owner};

/// Calls the functions of an exported table with arguments that are NULL or wrong.
#[test]
fn exported_table_refuses_null_and_wrong_arguments() {
    let host = Host::default();
    let (owner, table) = owner(&host);
    table.insert(Data::Text(c"eve"), table.new_entry()).unwrap();
    let input = host.tables.lock().unwrap()[0].1;
    let number = ss_plugin_state_data { u64_: 1 };
    let key = ss_plugin_state_data { str_: c"eve".as_ptr() };
    let null_key = ss_plugin_state_data { str_: ptr::null() };
    let mut out = ss_plugin_state_data { u64_: 0 };
    let failed = |expected: &str| assert_eq!(last_error(owner), expected);
    // SAFETY: the functions of the table, which accept NULL; all other arguments are valid.
    unsafe {
        let (reader, writer, fields) = (*input.reader_ext, *input.writer_ext, *input.fields_ext);
        let (get, read) = (reader.get_table_entry.unwrap(), reader.read_entry_field.unwrap());
        let (create, add) = (writer.create_table_entry.unwrap(), writer.add_table_entry.unwrap());
        let (destroy_entry, write) = (writer.destroy_table_entry.unwrap(), writer.write_entry_field.unwrap());
        let user = fields.get_table_field.unwrap()(input.table, c"user".as_ptr(), 9);
        assert!(!user.is_null());

        assert!(get(ptr::null_mut(), &raw const key).is_null());
        assert_eq!(reader.get_table_size.unwrap()(ptr::null_mut()), u64::MAX);
        assert!(get(input.table, ptr::null()).is_null());
        failed("the key is NULL");
        assert!(get(input.table, &raw const null_key).is_null());
        failed("the table has no entry with this key");
        let entry = get(input.table, &raw const key);
        assert_eq!(read(input.table, ptr::null_mut(), user, &raw mut out), FAILURE);
        failed("the entry is NULL");
        assert_eq!(read(input.table, entry, ptr::null_mut(), &raw mut out), FAILURE);
        failed("the field is NULL, or not one of this table");
        assert_eq!(read(input.table, entry, user, ptr::null_mut()), FAILURE);
        failed("the pointer for the value is NULL");
        assert_eq!(read(input.table, entry, user, &raw mut out), SUCCESS);
        assert_eq!(CStr::from_ptr(out.str_), c"");
        assert_eq!(write(input.table, entry, user, ptr::null()), FAILURE);
        failed("the value is NULL");
        assert_eq!(write(input.table, entry, user, &raw const key), SUCCESS);
        assert_eq!(read(input.table, entry, user, &raw mut out), SUCCESS);
        let kept = out.str_;
        table
            .get(Data::Text(c"eve"))
            .unwrap()
            .unwrap()
            .set(table.field(c"user").unwrap(), Data::Text(c"x"))
            .unwrap();
        assert_eq!(
            CStr::from_ptr(kept),
            c"eve",
            "a string stays valid while the handle is not used"
        );
        assert!(add(input.table, &raw const key, entry).is_null());
        failed("the entry is in a table already: create a new one");
        reader.release_table_entry.unwrap()(input.table, ptr::null_mut());
        reader.release_table_entry.unwrap()(input.table, entry);

        assert!(add(input.table, &raw const key, ptr::null_mut()).is_null());
        let created = create(input.table);
        assert!(add(input.table, ptr::null(), created).is_null());
        destroy_entry(input.table, created);
        assert_eq!(
            writer.erase_table_entry.unwrap()(input.table, &raw const null_key),
            FAILURE
        );
        failed("the table has no entry with this key");

        assert!(fields.get_table_field.unwrap()(input.table, ptr::null(), 9).is_null());
        assert!(fields.get_table_field.unwrap()(input.table, c"user".as_ptr(), 8).is_null());
        failed("the field user has the type string, not uint64");
        assert!(fields.get_table_field.unwrap()(input.table, c"none".as_ptr(), 77).is_null());
        failed("the table sessions has no field none");
        assert!(fields.add_table_field.unwrap()(input.table, c"new".as_ptr(), 10).is_null());
        assert!(fields.add_table_field.unwrap()(input.table, c"new".as_ptr(), 77).is_null());
        failed("the type of the field is unknown");
        assert_eq!(reader.iterate_entries.unwrap()(input.table, None, ptr::null_mut()), 0);
        let mut number_of = 0;
        let infos = fields.list_table_fields.unwrap()(input.table, &raw mut number_of);
        assert_eq!((number_of, CStr::from_ptr((*infos).name)), (2, c"user"));
        assert!(!fields.list_table_fields.unwrap()(input.table, ptr::null_mut()).is_null());
        assert_eq!(number.u64_, 1);
    }
    destroy(owner);
}

#[test]
fn changes_through_the_functions_are_recorded() {
    let host = Host::default();
    let (owner, table) = owner(&host);
    let input = host.tables.lock().unwrap()[0].1;
    let key = ss_plugin_state_data { str_: c"eve".as_ptr() };
    let number = ss_plugin_state_data { s64: 7 };
    let taken = || {
        let changes = table.take_changes().unwrap();
        assert_eq!(changes.dropped, 0);
        let kinds = changes.recorded.into_iter().map(|change| {
            assert_eq!(change.key.borrowed(), Data::Text(c"eve"));
            change.kind
        });
        kinds.collect::<Vec<_>>()
    };
    unsafe extern "C-unwind" fn write_all(
        state: *mut ss_plugin_table_iterator_state_t,
        entry: *mut ss_plugin_table_entry_t,
    ) -> ss_plugin_bool {
        // SAFETY: the test passes a function that is valid during the iteration.
        unsafe { (*state.cast::<&dyn Fn(*mut ss_plugin_table_entry_t)>())(entry) };
        1
    }
    // SAFETY: the functions of the table, with valid arguments.
    unsafe {
        let (reader, writer, fields) = (*input.reader_ext, *input.writer_ext, *input.fields_ext);
        let (get, release) = (reader.get_table_entry.unwrap(), reader.release_table_entry.unwrap());
        let (create, add) = (writer.create_table_entry.unwrap(), writer.add_table_entry.unwrap());
        let (write, erase) = (writer.write_entry_field.unwrap(), writer.erase_table_entry.unwrap());
        let requests = fields.get_table_field.unwrap()(input.table, c"requests".as_ptr(), 4);
        let set = |entry| assert_eq!(write(input.table, entry, requests, &raw const number), SUCCESS);

        let created = create(input.table);
        set(created);
        assert!(taken().is_empty(), "the entry is not in the table yet");
        let added = add(input.table, &raw const key, created);
        set(added);
        assert_eq!(taken(), [ChangeKind::Added], "with the values that follow");
        set(added);
        set(added);
        release(input.table, added);
        assert_eq!(taken(), [ChangeKind::Changed]);
        let entry = get(input.table, &raw const key);
        set(entry);
        assert_eq!(erase(input.table, &raw const key), SUCCESS);
        set(entry);
        release(input.table, entry);
        assert_eq!(taken(), [ChangeKind::Changed, ChangeKind::Removed]);
        table.insert(Data::Text(c"eve"), table.new_entry()).unwrap();
        let mut visit: &dyn Fn(*mut ss_plugin_table_entry_t) = &set;
        assert_eq!(
            reader.iterate_entries.unwrap()(input.table, Some(write_all), (&raw mut visit).cast()),
            1
        );
        assert_eq!(writer.clear_table.unwrap()(input.table), SUCCESS);
        assert_eq!(erase(input.table, &raw const key), FAILURE);
        assert_eq!(taken(), [ChangeKind::Changed, ChangeKind::Removed]);
    }
    destroy(owner);
}
