//! State tables at the C boundary: those of this plugin, and those of the host and of other plugins.
//!
//! | module | purpose |
//! |---|---|
//! | [`data`] | types and values in their C form |
//! | [`exported`], [`handle`] | a table of this plugin, as the functions that other plugins and the host call |
//! | [`host`] | the tables that the host passes to init, and the calls during which they are open |
//! | [`call`] | the entries that were obtained during a call |
//! | [`foreign`], [`schema`], [`visit`] | an opened table of the host or of another plugin |
//! | [`open`] | finds a table and its fields during init |

mod call;
mod data;
mod exported;
mod foreign;
mod handle;
mod host;
mod open;
mod schema;
mod visit;

pub(crate) use host::{Host, Tables};
