//! Problems: why a field has no value, or only a part of it.

use std::fmt;

use crate::decimal::WholeFault;
use crate::json::Fault;
use crate::json::number::NumberFault;

/// A problem because of which the value of a field cannot be read. A missing value is not a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The payload, or a part of it, cannot be read as JSON.
    Fault(Fault),
    /// The value at this offset is not of the declared type.
    Mismatch { offset: usize, found: ActualType },
}

/// The type of a value that does not have the declared type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActualType {
    String,
    Number,
    Bool,
    Object,
    Array,
    /// A value without quotes that is not JSON.
    Word,
    Negative,
    Fraction,
    TooLarge,
    NotATime,
    /// A time before 1970 or after 2554.
    OutOfRange,
    NotAnAddress,
    NotANetwork,
    /// An address or a network of the wrong family.
    Ipv4,
    Ipv6,
}

impl ActualType {
    /// Returns the type of a value that is not a whole number; `other` if it is not a number at all.
    pub(super) fn from_number_fault(fault: NumberFault, other: Self) -> Self {
        match fault {
            NumberFault::NotANumber => other,
            NumberFault::NotWhole(WholeFault::Negative) => Self::Negative,
            NumberFault::NotWhole(WholeFault::Fraction) => Self::Fraction,
            NumberFault::NotWhole(WholeFault::TooLarge) => Self::TooLarge,
        }
    }
}

impl fmt::Display for ActualType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "a boolean",
            Self::Object => "an object",
            Self::Array => "an array",
            Self::Word => "a word without quotes",
            Self::Negative => "a negative number",
            Self::Fraction => "a number with a fraction",
            Self::TooLarge => "a number larger than 2**64 - 1",
            Self::NotATime => "a string that is not a time",
            Self::OutOfRange => "a time before 1970 or after 2554",
            Self::NotAnAddress => "a string that is not an IP address",
            Self::NotANetwork => "a string that is not an IP network",
            Self::Ipv4 => "an IPv4 address",
            Self::Ipv6 => "an IPv6 address",
        })
    }
}
