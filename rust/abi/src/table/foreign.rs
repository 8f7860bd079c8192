//! A table of the host or of another plugin, with the accessors of its fields.

use std::fmt;
use std::ptr;
use std::sync::Arc;

use falco_plugin_api::{
    ss_plugin_state_data, ss_plugin_table_entry_t, ss_plugin_table_input, ss_plugin_table_reader_vtable_ext,
    ss_plugin_table_t, ss_plugin_table_writer_vtable_ext,
};
use falco_plugin_api_table::SUCCESS;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::table::{BoundField, Data, DataType, EntryId, HostTable};

use super::call::Handle;
use super::data::{from_c_data, to_c_data};
use super::host::{Host, ThreadCall};
use super::schema::{Accessor, Schema};
use super::visit::Visit;

/// An opened table.
pub(super) struct Foreign {
    host: Arc<Host>,
    schema: Arc<Schema>,
    table: *mut ss_plugin_table_t,
    /// The entry that contains the table, if it is a sub-table. It is held as long as the sub-table exists.
    parent: Option<EntryId>,
}

// SAFETY: the address of the host's table and those of accessors are passed to the host only during a call of it, on the
// thread of the call, which `Host::with_call` ensures.
unsafe impl Send for Foreign {}
// SAFETY: as above, and nothing of it changes.
unsafe impl Sync for Foreign {}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Foreign")
            .field("name", &self.schema.name)
            .finish_non_exhaustive()
    }
}

impl Foreign {
    /// # Safety
    /// `table` is a table of the host that exists until the plugin is destroyed, and the accessors of `schema` are those
    /// of its fields.
    pub(super) unsafe fn new(host: &Arc<Host>, schema: Arc<Schema>, table: *mut ss_plugin_table_t) -> Self {
        Self {
            host: Arc::clone(host),
            schema,
            table,
            parent: None,
        }
    }

    /// Returns the functions that read tables in this call.
    #[inline]
    fn reader(&self) -> Result<&ss_plugin_table_reader_vtable_ext, Error> {
        let (reader, serial) = self.host.with_call(|call| (call.reader, call.serial()))?;
        self.check_parent(serial)?;
        // SAFETY: NULL, or valid during the call that this thread is in. The reference is not kept.
        unsafe { reader.as_ref() }.ok_or_else(|| unsupported("reading tables"))
    }

    /// Returns the functions that change tables in this call.
    fn writer(&self) -> Result<&ss_plugin_table_writer_vtable_ext, Error> {
        let (writer, serial) = self.host.with_call(|call| (call.writer, call.serial()))?;
        self.check_parent(serial)?;
        // SAFETY: as for the reader.
        unsafe { writer.as_ref() }.ok_or_else(|| self.unchangeable())
    }

    #[cold]
    fn unchangeable(&self) -> Error {
        Error::text(format!(
            "the table {} can be changed in init, in parse methods, and in capture_open and capture_close, but not in \
             fields: hosts let fields only read tables",
            self.schema.name
        ))
    }

    /// Fails if this is a sub-table of an entry of an earlier call.
    #[inline]
    fn check_parent(&self, serial: u64) -> Result<(), Error> {
        match self.parent {
            Some(parent) if parent.call != serial => Err(Error::text(format!(
                "the sub-table {} was read during an earlier call of the host, and only that call could use it: read it \
                 again from its entry",
                self.schema.name
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the address of an entry of this table.
    #[inline]
    fn entry(&self, id: EntryId) -> Result<*mut ss_plugin_table_entry_t, Error> {
        self.checked(self.host.with_call(|call| call.handle(id))??)
    }

    /// Returns the address of an entry if it is one of this table.
    #[inline]
    fn checked(&self, handle: Handle) -> Result<*mut ss_plugin_table_entry_t, Error> {
        if handle.table != self.table {
            return Err(Error::text(format!(
                "the entry is not one of the table {}",
                self.schema.name
            )));
        }
        Ok(handle.entry)
    }

    /// Returns the accessor and the type of a field.
    #[inline]
    fn field(&self, index: usize) -> Result<(&Accessor, DataType), Error> {
        match (self.schema.accessors.get(index), self.schema.fields.get(index)) {
            (Some(accessor), Some(BoundField { kind: Some(kind), .. })) => Ok((accessor, *kind)),
            (_, Some(field)) => Err(Error::text(format!(
                "the table {} has no field {}",
                self.schema.name, field.name
            ))),
            (_, None) => Err(Error::text(format!("the table {} has no such field", self.schema.name))),
        }
    }

    /// Returns a key in its C form, which is valid as long as `key`.
    #[inline]
    fn key(&self, key: Data<'_>) -> Result<ss_plugin_state_data, Error> {
        let kind = self.schema.key_type;
        if !kind.accepts(key) {
            return Err(Error::text(format!(
                "a key of the table {} must be of the type {kind}, got {key:?}",
                self.schema.name
            )));
        }
        Ok(to_c_data(kind, key))
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} the table {}", self.schema.name)
    }

    /// Keeps an entry until it is released.
    #[inline]
    pub(super) fn take(
        &self,
        entry: *mut ss_plugin_table_entry_t,
        key: Option<Data<'_>>,
        is_owned: bool,
    ) -> Result<EntryId, Error> {
        self.take_in(self.host.call(), entry, key, is_owned)
    }

    #[inline]
    fn take_in(
        &self,
        this_call: ThreadCall<'_>,
        entry: *mut ss_plugin_table_entry_t,
        key: Option<Data<'_>>,
        is_owned: bool,
    ) -> Result<EntryId, Error> {
        let handle = Handle {
            table: self.table,
            entry,
        };
        this_call.with(|call| call.take(handle, key.map(Data::to_owned), is_owned, || self.host.next_serial()))
    }

    /// Ends the use of an entry that the host need not be asked to release.
    pub(super) fn forget(&self, entry: EntryId) -> Result<(), Error> {
        self.host.with_call(|call| call.release(entry)).map(drop)
    }

    /// # Safety
    /// `entry` is an entry of this table.
    unsafe fn write_entry(
        &self,
        writer: &ss_plugin_table_writer_vtable_ext,
        entry: *mut ss_plugin_table_entry_t,
        field: usize,
        value: Data<'_>,
    ) -> Result<(), Error> {
        let (accessor, kind) = self.field(field)?;
        let bound = &self.schema.fields[field];
        let describe = || format!("the field {} of the table {}", bound.name, self.schema.name);
        if bound.is_read_only || kind == DataType::Table {
            return Err(Error::text(format!(
                "{} is read-only: plugins cannot change it",
                describe()
            )));
        }
        if !kind.accepts(value) {
            return Err(Error::text(format!(
                "{} has the type {kind}, got {value:?}",
                describe()
            )));
        }
        let data = to_c_data(kind, value);
        let write = writer
            .write_entry_field
            .ok_or_else(|| unsupported("changing entries"))?;
        // SAFETY: the caller's promise; the accessor is one of this table, and the value of its type.
        let rc = unsafe { write(self.table, entry, accessor.field, &raw const data) };
        if rc != SUCCESS {
            return Err(self.host.failure(&format!("changing {}", describe())));
        }
        Ok(())
    }
}

#[cold]
fn unsupported(doing: &str) -> Error {
    Error::text(format!("the host passes no function for {doing} here"))
}

impl HostTable for Foreign {
    fn name(&self) -> &str {
        &self.schema.name
    }

    fn key_type(&self) -> DataType {
        self.schema.key_type
    }

    fn fields(&self) -> &[BoundField] {
        &self.schema.fields
    }

    fn len(&self) -> Result<u64, Error> {
        let size = self.reader()?.get_table_size;
        let size = size.ok_or_else(|| unsupported("the size of tables"))?;
        // SAFETY: during a call of the host, with its table.
        match unsafe { size(self.table) } {
            u64::MAX => Err(self.host.failure(&self.doing("reading the size of"))),
            size => Ok(size),
        }
    }

    fn get(&self, key: Data<'_>) -> Result<Option<EntryId>, Error> {
        let data = self.key(key)?;
        let this_call = self.host.call();
        let (reader, found) = this_call.with(|call| {
            self.check_parent(call.serial())?;
            Ok::<_, Error>((call.reader, call.find(self.table, key)))
        })??;
        if found.is_some() {
            return Ok(found);
        }
        // SAFETY: NULL, or valid during the call that this thread is in.
        let get = unsafe { reader.as_ref() }.and_then(|reader| reader.get_table_entry);
        let get = get.ok_or_else(|| unsupported("getting entries"))?;
        // SAFETY: during a call of the host, with its table and a key of the right type.
        let entry = unsafe { get(self.table, &raw const data) };
        if entry.is_null() {
            // Hosts do not distinguish a missing entry from an error.
            return Ok(None);
        }
        self.take_in(this_call, entry, Some(key), true).map(Some)
    }

    fn insert(&self, key: Data<'_>, values: &[(usize, Data<'_>)]) -> Result<EntryId, Error> {
        self.reader()?;
        let writer = self.writer()?;
        let data = self.key(key)?;
        let (Some(create), Some(destroy), Some(add)) = (
            writer.create_table_entry,
            writer.destroy_table_entry,
            writer.add_table_entry,
        ) else {
            return Err(unsupported("adding entries"));
        };
        // SAFETY: during a call of the host, with its table, an entry of it, and a key of the right type. The entry is
        // either added or destroyed.
        let added = unsafe {
            let entry = create(self.table);
            if entry.is_null() {
                return Err(self.host.failure(&self.doing("making an entry of")));
            }
            let mut written = Ok(());
            for (field, value) in values {
                written = written.and_then(|()| self.write_entry(writer, entry, *field, *value));
            }
            if let Err(error) = written {
                destroy(self.table, entry);
                return Err(error);
            }
            add(self.table, &raw const data, entry)
        };
        self.host.with_call(|call| call.forget(self.table, Some(key)))?;
        if added.is_null() {
            return Err(self.host.failure(&self.doing("adding an entry to")));
        }
        self.take(added, Some(key), true)
    }

    fn remove(&self, key: Data<'_>) -> Result<bool, Error> {
        let erase = self.writer()?.erase_table_entry;
        let erase = erase.ok_or_else(|| unsupported("removing entries"))?;
        let data = self.key(key)?;
        // SAFETY: during a call of the host, with its table and a key of the right type.
        if unsafe { erase(self.table, &raw const data) } == SUCCESS {
            self.host.with_call(|call| call.forget(self.table, Some(key)))?;
            return Ok(true);
        }
        let failure = self.host.failure(&self.doing("removing an entry of"));
        match self.get(key)? {
            None => Ok(false),
            Some(entry) => {
                self.release(entry);
                Err(failure)
            }
        }
    }

    fn clear(&self) -> Result<(), Error> {
        let clear = self.writer()?.clear_table;
        let clear = clear.ok_or_else(|| unsupported("clearing tables"))?;
        self.host.with_call(|call| call.forget(self.table, None))?;
        // SAFETY: during a call of the host, with its table.
        if unsafe { clear(self.table) } != SUCCESS {
            return Err(self.host.failure(&self.doing("clearing")));
        }
        Ok(())
    }

    fn for_each(&self, visit: &mut dyn FnMut(EntryId) -> bool) -> Result<(), Error> {
        let iterate = self.reader()?.iterate_entries;
        let iterate = iterate.ok_or_else(|| unsupported("iterating over tables"))?;
        let mut state = Visit::new(self, visit);
        // SAFETY: during a call of the host, with its table. The state exists during the call, and is used by its function
        // alone.
        let finished = unsafe { iterate(self.table, Some(Visit::next), (&raw mut state).cast()) } != 0;
        if !state.finish()? && !finished {
            return Err(self.host.failure(&self.doing("iterating over")));
        }
        Ok(())
    }

    #[inline]
    fn read(&self, entry: EntryId, field: usize, take: &mut dyn FnMut(Data<'_>)) -> Result<(), Error> {
        // One look at the call, because this runs for each attribute.
        let (reader, handle) = self.host.with_call(|call| {
            self.check_parent(call.serial())?;
            Ok::<_, Error>((call.reader, call.handle(entry)?))
        })??;
        let entry = self.checked(handle)?;
        // SAFETY: NULL, or valid during the call that this thread is in.
        let read = unsafe { reader.as_ref() }.and_then(|reader| reader.read_entry_field);
        let read = read.ok_or_else(|| unsupported("reading entries"))?;
        let (accessor, kind) = self.field(field)?;
        let mut data = ss_plugin_state_data { u64_: 0 };
        // SAFETY: during a call of the host, with its table, an entry that is valid in this call, and an accessor of the
        // table.
        let rc = unsafe { read(self.table, entry, accessor.field, &raw mut data) };
        let describe = || {
            format!(
                "the field {} of the table {}",
                self.schema.fields[field].name, self.schema.name
            )
        };
        if rc != SUCCESS {
            return Err(self.host.failure(&format!("reading {}", describe())));
        }
        // SAFETY: the value has the type of the field. A string is valid until the entry changes, which nothing does
        // before `take` returns.
        let data = unsafe { from_c_data(kind, &data) };
        take(data.ok_or_else(|| Error::text(format!("{} is a sub-table", describe())))?);
        Ok(())
    }

    fn write(&self, entry: EntryId, field: usize, value: Data<'_>) -> Result<(), Error> {
        // One look at the call, as in `read`.
        let (writer, handle) = self.host.with_call(|call| {
            self.check_parent(call.serial())?;
            Ok::<_, Error>((call.writer, call.handle(entry)?))
        })??;
        let entry = self.checked(handle)?;
        // SAFETY: NULL, or valid during the call that this thread is in.
        let writer = unsafe { writer.as_ref() }.ok_or_else(|| self.unchangeable())?;
        // SAFETY: `checked` checks that the entry is one of this table.
        unsafe { self.write_entry(writer, entry, field, value) }
    }

    fn subtable(&self, id: EntryId, field: usize) -> Result<Arc<dyn HostTable>, Error> {
        let read = self.reader()?.read_entry_field;
        let read = read.ok_or_else(|| unsupported("reading entries"))?;
        let entry = self.entry(id)?;
        let (accessor, _) = self.field(field)?;
        let describe = || {
            format!(
                "the field {} of the table {}",
                self.schema.fields[field].name, self.schema.name
            )
        };
        let Some(schema) = &accessor.subtable else {
            return Err(Error::text(format!("{} is not a sub-table", describe())));
        };
        let mut data = ss_plugin_state_data { u64_: 0 };
        // SAFETY: as in `read`. The union has the address of a table, and that of the struct that all hosts pass for one.
        let subtable = unsafe {
            let rc = read(self.table, entry, accessor.field, &raw mut data);
            if rc == SUCCESS { data.table } else { ptr::null_mut() }
        };
        if subtable.cast::<ss_plugin_table_input>().is_null() {
            return Err(self.host.failure(&format!("reading {}", describe())));
        }
        self.host.with_call(|call| call.retain(id))?;
        Ok(Arc::new(Self {
            host: Arc::clone(&self.host),
            schema: Arc::clone(schema),
            table: subtable,
            parent: Some(id),
        }))
    }

    fn release(&self, entry: EntryId) {
        let released = self.host.with_call(|call| (call.release(entry), call.reader));
        let Ok((Some(handle), reader)) = released else { return };
        // SAFETY: NULL, or valid during the call that this thread is in.
        let release = unsafe { reader.as_ref() }.and_then(|reader| reader.release_table_entry);
        if let Some(release) = release {
            // SAFETY: the entry was obtained from the table during this call, and this was its last use.
            unsafe { release(handle.table, handle.entry) };
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(parent) = self.parent {
            self.release(parent);
        }
    }
}
