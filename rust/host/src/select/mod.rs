//! The fields that the user asks for, and the plugins that extract them.

mod column;
mod error;
mod plugins;
mod request;

pub use column::{Column, Selection, select};
pub use error::{Error, MalformedField};
pub use plugins::{EventPlugins, OfCapture, OfSource, OwnPlugin};
pub use request::{Request, parse_fields};
