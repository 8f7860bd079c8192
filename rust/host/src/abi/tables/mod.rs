//! State tables, as libs passes them to plugins.
//!
//! | module | purpose |
//! |---|---|
//! | [`Registry`] | the tables of one run: those of the host, and those that plugins add |
//! | `builtin`, `threads` | tables of the host; the fields of `threads` and of its sub-tables |
//! | `owner` | the tables and entries that one plugin uses |
//! | `functions`, `accessor` | the functions that plugins call |
//! | [`Row`] | the entries of a table, to show them |
//! | [`ThreadTable`] | keeps `threads` by the events of a capture file |
//! | `fill` | fills tables of the host from JSON |

mod accessor;
mod builtin;
mod fill;
mod functions;
mod owner;
mod registry;
mod rows;
mod thread_fields;
mod thread_table;
mod threads;

pub use fill::FillError;
pub(super) use functions::{READER, WRITER, init_input, plain_reader, plain_writer};
pub(super) use owner::PluginTables;
pub use registry::Registry;
pub use rows::{Cell, Row, Rows};
pub use thread_table::ThreadTable;
