//! The event types of Falco, and the values of parameters in encoded events.
//!
//! [`EventType`] describes an event type: its name, and the names and types of its parameters. [`RawEvent`] reads an encoded
//! event, [`Params`] finds its parameters, and [`Value`] is the value of one. Nothing is decoded before it is asked for,
//! and no content of an event makes this code panic.
//!
//! Drivers and event types change in two ways: there are new event types, and existing ones get more parameters. So an event
//! can have fewer or more parameters than its type, or a type that the table does not contain.

#![forbid(unsafe_code)]

mod address;
mod event_type;
mod raw;
mod select;
#[rustfmt::skip]
mod table;
mod value;

pub use address::{Family, SocketAddress, SocketTuple};
pub use event_type::{Category, EventType, Param, ParamType, event_types, syscall_id, syscall_name, syscall_names};
pub use raw::{ASYNC_EVENT, HEADER_LEN, PLUGIN_EVENT, Params, RawEvent};
pub use select::{GENERIC_EVENT, Selection, is_meta, select, selectable_names};
pub use table::SCHEMA_VERSION;
pub use value::{Descriptors, Strings, Value};
