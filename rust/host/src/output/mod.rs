//! Everything that the host writes: lines on standard output, messages on standard error.

mod async_line;
pub mod console;
mod event_json;
mod fields;
mod format;
mod lines;
mod log;
mod params;
pub mod payload;
mod pretty;
mod recorder;
mod row;
mod stdout;
mod tables;
pub mod value;

pub use fields::Fields;
pub use format::Format;
pub use lines::{End, Output, StateEvent};
pub use log::{Log, Record};
pub use row::{Row, Style};
pub use stdout::{Stdout, print};
pub use tables::{table_json, table_text};
