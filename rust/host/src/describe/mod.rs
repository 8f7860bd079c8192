//! The metadata of a plugin, which it reports before it is initialised, checked by Falco's rules.

mod capabilities;
mod contents;
mod description;
mod error;
mod field;

pub use contents::{Contents, Python};
pub use description::Description;
pub use error::Error;
pub use falco_plugin_api_table::Capability;
pub use field::{Argument, Field};
