//! Fields of events. Their values are read from JSON or made by user code, and kept for the event.

mod argument;
mod cache;
mod diagnosis;
mod extractor;
mod field;
mod json;
mod metrics;
mod problem;
mod requests;
mod timestamp;
mod values;

pub use argument::Argument;
pub use cache::{Cache, EventState, UserState};
pub use diagnosis::Report;
pub use extractor::Extractor;
pub use field::{Field, Reader};
pub use json::{Family, JsonReader};
pub use problem::{ActualType, Problem};
pub use timestamp::TimestampReader;
pub use values::{FieldType, Location, Value, Values};

pub use crate::json::{ArgumentMode, Document, Pattern, PatternError, parse_index};

#[cfg(test)]
mod tests;
