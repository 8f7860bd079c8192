//! The tables of the host and of other plugins.

use std::fmt::Debug;
use std::sync::Arc;

use super::data::{Data, DataType};
use super::own::OwnTable;
use super::request::TableRequest;
use crate::error::Error;

/// The tables that the host has when the plugin is initialised (`ss_plugin_init_tables_input`).
pub trait HostTables: Debug + Send + Sync {
    /// Opens a table of the host or of another plugin, with its fields. Adds the fields that the request adds. Works only
    /// during init, on its thread.
    ///
    /// Returns `None` if there is no such table and the request is optional.
    ///
    /// # Errors
    /// There is no such table or field; the message lists those that there are. Or the host passes no tables.
    fn open(&self, request: &TableRequest) -> Result<Option<Arc<dyn HostTable>>, Error>;

    /// Offers a table of this plugin to the host and to other plugins. Works only during init, on its thread.
    ///
    /// # Errors
    /// There is a table with this name already, or the host passes no tables.
    fn add(&self, table: Arc<OwnTable>) -> Result<(), Error>;
}

/// A table of the host or of another plugin, or a sub-table of one of its entries.
///
/// All methods work only while the host calls the plugin and on the thread of that call: otherwise they fail. A sub-table
/// works only during the call in which it was read. A field is given by its index in [`Self::fields`].
pub trait HostTable: Debug + Send + Sync {
    fn name(&self) -> &str;

    fn key_type(&self) -> DataType;

    /// Returns the fields of the request, in its order.
    fn fields(&self) -> &[BoundField];

    /// Returns the number of entries.
    fn len(&self) -> Result<u64, Error>;

    /// Returns whether there is no entry.
    fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// Takes the entry with a key; `None` if there is none. The caller releases it, and the end of the call at the latest
    /// does.
    fn get(&self, key: Data<'_>) -> Result<Option<EntryId>, Error>;

    /// Adds an entry with values for some of its fields, and takes it. It replaces the entry that has the key.
    fn insert(&self, key: Data<'_>, values: &[(usize, Data<'_>)]) -> Result<EntryId, Error>;

    /// Removes an entry. Returns whether there was one.
    fn remove(&self, key: Data<'_>) -> Result<bool, Error>;

    /// Removes all entries.
    fn clear(&self) -> Result<(), Error>;

    /// Calls `visit` with each entry, until it returns false. An entry is valid during its call of `visit`, and need not
    /// be released. `visit` may only read the entry: the table may be locked.
    fn for_each(&self, visit: &mut dyn FnMut(EntryId) -> bool) -> Result<(), Error>;

    /// Passes the value of a field to `take`, whose argument is valid during that call.
    fn read(&self, entry: EntryId, field: usize, take: &mut dyn FnMut(Data<'_>)) -> Result<(), Error>;

    /// Changes the value of a field.
    fn write(&self, entry: EntryId, field: usize, value: Data<'_>) -> Result<(), Error>;

    /// Returns the sub-table that a field of an entry contains.
    fn subtable(&self, entry: EntryId, field: usize) -> Result<Arc<dyn HostTable>, Error>;

    /// Releases an entry. Does nothing after the end of the call, which releases all entries.
    fn release(&self, entry: EntryId);
}

/// A field of a table that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundField {
    pub name: String,
    /// The type of its values; `None` if the field is optional and the table does not have it.
    pub kind: Option<DataType>,
    pub is_read_only: bool,
}

/// An entry that was obtained during a call of the host. After the call, it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryId {
    /// The number of the call.
    pub call: u64,
    /// The position among the entries that were obtained during the call.
    pub index: usize,
}
