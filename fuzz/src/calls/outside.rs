//! Use of a plugin's own tables by the host and by other plugins, on any thread.

use std::ffi::{CStr, CString};
use std::ptr;

use arbitrary::Arbitrary;
use falco_plugin_api::*;

use super::call::Bytes;
use super::memory::{c_string, read_string};

const SUCCESS: ss_plugin_rc = ss_plugin_rc_SS_PLUGIN_SUCCESS;
const STRING: ss_plugin_state_type = ss_plugin_state_type_SS_PLUGIN_ST_STRING;
const BOOL: ss_plugin_state_type = ss_plugin_state_type_SS_PLUGIN_ST_BOOL;
const NAMES: [&CStr; 6] = [c"user", c"requests", c"is_known", c"added", c"other", c""];

#[derive(Debug, Arbitrary)]
pub(super) enum Use<'a> {
    Size,
    Get(Key<'a>),
    Read(u8, u8),
    Write(u8, u8, Key<'a>),
    /// Releases a handle, or destroys it if it was not added.
    Release(u8),
    Create,
    Add(Key<'a>, u8),
    Erase(Key<'a>),
    Clear,
    /// Visits this many entries, and changes the table in between.
    Visit(u8, bool),
    List,
    Field(u8, u8),
    AddField(u8, u8),
}

/// A key or another value. The table chooses which of them.
#[derive(Debug, Arbitrary)]
pub(super) struct Key<'a>(i8, Bytes<'a>);

/// The tables that a plugin has added. They exist until it is destroyed.
pub(super) struct Added(pub(super) Vec<ss_plugin_table_input>);

// SAFETY: the functions may be called by any thread.
unsafe impl Send for Added {}

struct User<'t> {
    table: &'t ss_plugin_table_input,
    /// Entries, and whether they were created and not added.
    entries: Vec<(*mut ss_plugin_table_entry_t, bool)>,
    fields: Vec<(*mut ss_plugin_table_field_t, ss_plugin_state_type)>,
}

/// Uses one of the tables.
pub(super) fn use_table(Added(tables): &Added, number: u8, uses: &[Use<'_>]) {
    let Some(table) = tables.get(usize::from(number) % tables.len().max(1)) else {
        return;
    };
    let mut user = User {
        table,
        entries: Vec::new(),
        fields: Vec::new(),
    };
    for step in uses {
        // SAFETY: all functions are set, as `check` has seen, and entries and fields are those of this table that were
        // not released.
        unsafe { user.run(step) };
    }
    while !user.entries.is_empty() {
        // SAFETY: as above.
        unsafe { user.release(0) };
    }
}

/// # Panics
/// If a table is one that libs refuses.
pub(super) fn check(table: &ss_plugin_table_input) {
    // SAFETY: a table has all members, which exist until the plugin is destroyed.
    unsafe {
        let (reader, writer, fields) = (&*table.reader_ext, &*table.writer_ext, &*table.fields_ext);
        assert!(read_string(table.name).is_some_and(|name| name.starts_with("fuzz_")));
        assert!(reader.release_table_entry.is_some() && reader.iterate_entries.is_some());
        let same = [
            (
                reader.get_table_name.map(|f| f as usize),
                table.reader.get_table_name.map(|f| f as usize),
            ),
            (
                reader.get_table_size.map(|f| f as usize),
                table.reader.get_table_size.map(|f| f as usize),
            ),
            (
                reader.get_table_entry.map(|f| f as usize),
                table.reader.get_table_entry.map(|f| f as usize),
            ),
            (
                reader.read_entry_field.map(|f| f as usize),
                table.reader.read_entry_field.map(|f| f as usize),
            ),
            (
                writer.clear_table.map(|f| f as usize),
                table.writer.clear_table.map(|f| f as usize),
            ),
            (
                writer.erase_table_entry.map(|f| f as usize),
                table.writer.erase_table_entry.map(|f| f as usize),
            ),
            (
                writer.create_table_entry.map(|f| f as usize),
                table.writer.create_table_entry.map(|f| f as usize),
            ),
            (
                writer.destroy_table_entry.map(|f| f as usize),
                table.writer.destroy_table_entry.map(|f| f as usize),
            ),
            (
                writer.add_table_entry.map(|f| f as usize),
                table.writer.add_table_entry.map(|f| f as usize),
            ),
            (
                writer.write_entry_field.map(|f| f as usize),
                table.writer.write_entry_field.map(|f| f as usize),
            ),
            (
                fields.list_table_fields.map(|f| f as usize),
                table.fields.list_table_fields.map(|f| f as usize),
            ),
            (
                fields.get_table_field.map(|f| f as usize),
                table.fields.get_table_field.map(|f| f as usize),
            ),
            (
                fields.add_table_field.map(|f| f as usize),
                table.fields.add_table_field.map(|f| f as usize),
            ),
        ];
        assert!(
            same.iter()
                .all(|(extended, plain)| extended.is_some() && extended == plain)
        );
    }
}

/// Returns the value of a type. The string must live as long as it.
fn value(kind: ss_plugin_state_type, Key(number, _): &Key<'_>, text: &CString) -> ss_plugin_state_data {
    match kind {
        STRING => ss_plugin_state_data { str_: text.as_ptr() },
        _ => ss_plugin_state_data { s64: (*number).into() },
    }
}

/// Visits entries of a table until the count is 0.
struct Visitor<'u, 't> {
    user: &'u User<'t>,
    left: u8,
    changes: bool,
}

unsafe extern "C-unwind" fn visit(
    state: *mut ss_plugin_table_iterator_state_t,
    entry: *mut ss_plugin_table_entry_t,
) -> ss_plugin_bool {
    // SAFETY: `Use::Visit` passes it, and nothing else uses it.
    let visitor = unsafe { &mut *state.cast::<Visitor<'_, '_>>() };
    for index in 0..visitor.user.fields.len() {
        // SAFETY: the entry is valid during the call, and the field is one of the table.
        unsafe { visitor.user.read(entry, index) };
    }
    if visitor.changes {
        let table = visitor.user.table;
        // SAFETY: a plugin's table, all of whose functions are set.
        unsafe { (*table.writer_ext).clear_table.expect("set")(table.table) };
    }
    visitor.left = visitor.left.saturating_sub(1);
    (visitor.left > 0).into()
}

impl User<'_> {
    /// # Safety
    /// The table has all functions.
    unsafe fn run(&mut self, step: &Use<'_>) {
        let table = self.table.table;
        // SAFETY: the caller's promise, and see the type.
        unsafe {
            let (reader, writer, fields) = (
                &*self.table.reader_ext,
                &*self.table.writer_ext,
                &*self.table.fields_ext,
            );
            match step {
                Use::Size => {
                    let name = read_string(reader.get_table_name.expect("set")(table));
                    assert!(name.is_some());
                    assert_ne!(reader.get_table_size.expect("set")(table), u64::MAX);
                }
                Use::Get(key) => {
                    let text = c_string(key.1.0);
                    let key = value(self.table.key_type, key, &text);
                    let entry = reader.get_table_entry.expect("set")(table, &raw const key);
                    if !entry.is_null() {
                        self.entries.push((entry, false));
                    }
                }
                Use::Read(entry, field) => {
                    if let (Some(entry), Some(field)) = (self.entry(*entry), self.field(*field)) {
                        self.read(self.entries[entry].0, field);
                    }
                }
                Use::Write(entry, field, new) => {
                    if let (Some(entry), Some(field)) = (self.entry(*entry), self.field(*field)) {
                        let text = c_string(new.1.0);
                        let (accessor, kind) = self.fields[field];
                        let new = value(kind, new, &text);
                        let write = writer.write_entry_field.expect("set");
                        write(table, self.entries[entry].0, accessor, &raw const new);
                    }
                }
                Use::Release(entry) => {
                    if let Some(entry) = self.entry(*entry) {
                        self.release(entry);
                    }
                }
                Use::Create => {
                    let entry = writer.create_table_entry.expect("set")(table);
                    assert!(!entry.is_null());
                    self.entries.push((entry, true));
                }
                Use::Add(key, entry) => {
                    if let Some(entry) = self.entry(*entry).filter(|entry| self.entries[*entry].1) {
                        let text = c_string(key.1.0);
                        let key = value(self.table.key_type, key, &text);
                        let add = writer.add_table_entry.expect("set");
                        let added = add(table, &raw const key, self.entries[entry].0);
                        if !added.is_null() {
                            self.entries[entry] = (added, false);
                        }
                    }
                }
                Use::Erase(key) => {
                    let text = c_string(key.1.0);
                    let key = value(self.table.key_type, key, &text);
                    writer.erase_table_entry.expect("set")(table, &raw const key);
                }
                Use::Clear => assert_eq!(writer.clear_table.expect("set")(table), SUCCESS),
                Use::Visit(left, changes) => {
                    let mut visitor = Visitor {
                        user: self,
                        left: *left,
                        changes: *changes,
                    };
                    reader.iterate_entries.expect("set")(table, Some(visit), (&raw mut visitor).cast());
                }
                Use::List => {
                    let mut count = 0;
                    let infos = fields.list_table_fields.expect("set")(table, &raw mut count);
                    assert!(count >= 3 && !infos.is_null());
                    for info in std::slice::from_raw_parts(infos, count as usize) {
                        assert!(!info.name.is_null() && (1..=25).contains(&info.field_type));
                    }
                }
                Use::Field(name, kind) => self.open_field(fields.get_table_field, *name, *kind),
                Use::AddField(name, kind) => self.open_field(fields.add_table_field, *name, *kind),
            }
        }
    }

    fn open_field(
        &mut self,
        open: Option<
            unsafe extern "C-unwind" fn(
                *mut ss_plugin_table_t,
                *const std::ffi::c_char,
                ss_plugin_state_type,
            ) -> *mut ss_plugin_table_field_t,
        >,
        name: u8,
        kind: u8,
    ) {
        let name = NAMES[usize::from(name) % NAMES.len()];
        let kind = match kind % 4 {
            0 => STRING,
            1 => ss_plugin_state_type_SS_PLUGIN_ST_INT64,
            2 => BOOL,
            _ => u32::from(kind),
        };
        // SAFETY: a plugin's table with a NUL-terminated name.
        let field = unsafe { open.expect("set")(self.table.table, name.as_ptr(), kind) };
        if !field.is_null() {
            self.fields.push((field, kind));
        }
    }

    fn entry(&self, number: u8) -> Option<usize> {
        usize::from(number).checked_rem(self.entries.len())
    }

    fn field(&self, number: u8) -> Option<usize> {
        usize::from(number).checked_rem(self.fields.len())
    }

    /// # Safety
    /// The entry is one of the table.
    unsafe fn read(&self, entry: *mut ss_plugin_table_entry_t, field: usize) {
        let (accessor, kind) = self.fields[field];
        let mut data = ss_plugin_state_data { u64_: u64::MAX };
        // SAFETY: the caller's promise. A string is valid until the next use of the entry.
        unsafe {
            let read = (*self.table.reader_ext).read_entry_field.expect("set");
            if read(self.table.table, entry, accessor, ptr::from_mut(&mut data)) != SUCCESS {
                return;
            }
            match kind {
                STRING => drop(CStr::from_ptr(data.str_).to_owned()),
                BOOL => assert!(data.b <= 1),
                _ => {}
            }
        }
    }

    /// # Safety
    /// The entries were not released.
    unsafe fn release(&mut self, entry: usize) {
        let (entry, is_new) = self.entries.swap_remove(entry);
        // SAFETY: the caller's promise.
        unsafe {
            if is_new {
                (*self.table.writer_ext).destroy_table_entry.expect("set")(self.table.table, entry);
            } else {
                (*self.table.reader_ext).release_table_entry.expect("set")(self.table.table, entry);
            }
        }
    }
}
