//! The C boundary: loads a plugin library, and calls it as Falco does.
//!
//! | type | purpose |
//! |---|---|
//! | [`Library`] | a loaded library, and what it reports without being initialised |
//! | [`Owner`] | the host's side of a plugin, which receives its log lines |
//! | [`Registry`], [`Rows`] | the tables of a run, and the entries of one |
//! | [`Plugin`] | an initialised plugin |
//! | [`Metric`] | a metric of an initialised plugin |
//! | [`Source`], [`Batch`] | an open event source, and the events of one call of `next_batch` |
//! | [`AsyncQueue`], [`AsyncEvent`] | the async events of plugins, until they are shown |
//! | [`Event`], [`OwnedEvent`] | a checked event, and a copy of it |
//! | [`Extractor`] | an initialised plugin that parses events and extracts fields |
//! | [`FieldQuery`], [`Values`], [`Value`] | a field, and its values |
//!
//! Library, plugin and source borrow each other in this order, so `close` comes before `destroy`, and `destroy` before
//! `dlclose`. All answers of a plugin are checked: where Falco would read out of bounds or end silently, an [`Error`]
//! reports the cause.
//!
//! # Example
//! ```no_run
//! use std::ffi::OsStr;
//! use std::path::Path;
//!
//! use falco_plugin_host::abi::{Code, Error, Library, Owner, Plugin, Source};
//!
//! fn print_events(path: &Path) -> Result<(), Error> {
//!     let library = Library::load(path)?;
//!     let owner = Owner::leak(|severity, message| eprintln!("[{severity}] {message}"));
//!     let mut plugin = Plugin::init(&library, OsStr::new(""), owner)?;
//!     let mut source = Source::open(&mut plugin, OsStr::new("params"), library.id(), "source")?;
//!     let mut number = 0;
//!     loop {
//!         let mut batch = source.next_batch()?;
//!         for index in 0..batch.len() {
//!             number += 1;
//!             let event = batch.event(index, || 0).map_err(|fault| Error::Event { number, fault })?;
//!             println!("{}", String::from_utf8_lossy(event.payload()));
//!         }
//!         if batch.into_result()? == Code::Eof {
//!             return Ok(());
//!         }
//!     }
//! }
//! ```

mod async_events;
mod capturing;
pub mod elf;
mod error;
mod event;
mod event_types;
mod extraction;
mod extractor;
mod handle;
mod library;
mod metrics;
mod owner;
mod parsing;
mod plugin;
mod query;
mod source;
mod strings;
mod tables;
mod types;
mod value;
mod values;
mod version;

pub use async_events::{AsyncEvent, AsyncQueue, AsyncSender};
pub use capturing::Counting;
pub use error::Error;
pub use event::{Event, EventFault, OwnedEvent, PLUGIN_EVENT, UNSET};
pub use extractor::Extractor;
pub use library::Library;
pub use metrics::{Kind, Metric, Number};
pub use owner::{Owner, Severity};
pub use plugin::Plugin;
pub use query::FieldQuery;
pub use source::{Batch, Code, Source};
pub use tables::{Cell, FillError, Registry, Row, Rows, ThreadTable};
pub use types::Type;
pub use value::Value;
pub use values::{ValueFault, Values};
pub use version::{ApiVersion, HOST_API};
