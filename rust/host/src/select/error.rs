//! Errors in the selection of fields.

use crate::abi::ValueFault;

/// A field that cannot be extracted from the events of a source.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub(super) String);

/// A field of an event for which a plugin returned malformed values.
#[derive(Debug, thiserror::Error)]
#[error("event {number}: the field {field}: {fault}")]
pub struct MalformedField {
    /// The number of the event.
    pub number: u64,
    /// The field with its argument, as the user asked for it.
    pub field: String,
    pub fault: ValueFault,
}
