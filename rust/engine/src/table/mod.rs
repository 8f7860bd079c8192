//! State tables: a plugin's own tables, and the traits through which it uses those of the host and of other plugins.
//!
//! An [`OwnTable`] lives here, so that other plugins and the host read and write it without Python, from any thread. The
//! C plugin API implements [`HostTables`] and [`HostTable`]; tests can pass a double. [`request`] decides which table
//! and which fields a declaration means.

mod changes;
mod data;
mod entry;
mod host;
mod own;
mod reader;
pub mod request;
mod shard;

pub use changes::{CAPACITY, Change, ChangeKind, Changes, Outside};
pub use data::{Data, DataType, OwnedData};
pub use entry::{Entry, FieldId, Stored};
pub use host::{BoundField, EntryId, HostTable, HostTables};
pub use own::{Field, OwnTable};
pub use reader::{KeyValue, TableKey, TableReader};
pub use request::{FieldRequest, Kind, TableRequest};

#[cfg(all(test, not(loom)))]
mod tests;
