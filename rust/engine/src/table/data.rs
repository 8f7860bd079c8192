//! The types and the values of keys and fields.

use std::ffi::{CStr, CString};
use std::fmt;

/// The type of a key or of a field (`ss_plugin_state_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    String,
    Bool,
    /// A sub-table. Only fields of the host and of other plugins have this type.
    Table,
}

impl DataType {
    pub const ALL: [Self; 11] = [
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::String,
        Self::Bool,
        Self::Table,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::String => "string",
            Self::Bool => "bool",
            Self::Table => "table",
        }
    }

    /// Returns the least and the greatest value of an integer type; `None` for other types.
    pub fn range(self) -> Option<(i128, i128)> {
        Some(match self {
            Self::Int8 => (i8::MIN.into(), i8::MAX.into()),
            Self::Int16 => (i16::MIN.into(), i16::MAX.into()),
            Self::Int32 => (i32::MIN.into(), i32::MAX.into()),
            Self::Int64 => (i64::MIN.into(), i64::MAX.into()),
            Self::Uint8 => (0, u8::MAX.into()),
            Self::Uint16 => (0, u16::MAX.into()),
            Self::Uint32 => (0, u32::MAX.into()),
            Self::Uint64 => (0, u64::MAX.into()),
            Self::String | Self::Bool | Self::Table => return None,
        })
    }

    /// Returns whether the type is an integer type with a sign.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64)
    }

    /// Returns whether `data` is a value of this type. The range of integers is checked too.
    #[inline]
    pub fn accepts(self, data: Data<'_>) -> bool {
        match (self, data) {
            // These types have each value that `Data` has.
            (Self::Int64, Data::Int(_)) | (Self::Uint64, Data::Uint(_)) => true,
            (Self::Bool, Data::Bool(_)) | (Self::String, Data::Text(_)) => true,
            (_, Data::Int(number)) => self.is_signed() && self.is_in_range(number.into()),
            (_, Data::Uint(number)) => !self.is_signed() && self.is_in_range(number.into()),
            (_, Data::Bool(_) | Data::Text(_)) => false,
        }
    }

    fn is_in_range(self, number: i128) -> bool {
        self.range()
            .is_some_and(|(least, most)| (least..=most).contains(&number))
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A key, or the value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data<'a> {
    /// A value of an integer type with a sign.
    Int(i64),
    /// A value of an integer type without a sign.
    Uint(u64),
    Bool(bool),
    /// A string. Those of the host may not be UTF-8.
    Text(&'a CStr),
}

impl Data<'_> {
    pub fn to_owned(self) -> OwnedData {
        match self {
            Self::Int(number) => OwnedData::Int(number),
            Self::Uint(number) => OwnedData::Uint(number),
            Self::Bool(value) => OwnedData::Bool(value),
            Self::Text(text) => OwnedData::Text(text.to_owned()),
        }
    }
}

/// A [`Data`] with its own memory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnedData {
    Int(i64),
    Uint(u64),
    Bool(bool),
    Text(CString),
}

impl OwnedData {
    pub fn borrowed(&self) -> Data<'_> {
        match self {
            Self::Int(number) => Data::Int(*number),
            Self::Uint(number) => Data::Uint(*number),
            Self::Bool(value) => Data::Bool(*value),
            Self::Text(text) => Data::Text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_checks_type_and_range() {
        for (kind, data, accepted) in [
            (DataType::Int8, Data::Int(-128), true),
            (DataType::Int8, Data::Int(128), false),
            (DataType::Int8, Data::Uint(1), false),
            (DataType::Uint16, Data::Uint(65_535), true),
            (DataType::Uint16, Data::Uint(65_536), false),
            (DataType::Uint16, Data::Int(1), false),
            (DataType::Int64, Data::Int(i64::MIN), true),
            (DataType::Uint64, Data::Uint(u64::MAX), true),
            (DataType::Bool, Data::Bool(true), true),
            (DataType::Bool, Data::Uint(1), false),
            (DataType::String, Data::Text(c"a"), true),
            (DataType::String, Data::Bool(true), false),
            (DataType::Table, Data::Text(c"a"), false),
            (DataType::Table, Data::Int(0), false),
        ] {
            assert_eq!(kind.accepts(data), accepted, "{kind} {data:?}");
        }
    }
}
