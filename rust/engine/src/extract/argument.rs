//! The argument of a field.

/// The argument with which the host requests a field.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Argument<'a> {
    pub index: Option<u64>,
    pub key: Option<&'a str>,
}
