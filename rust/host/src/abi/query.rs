//! The field to extract.

use std::ffi::CString;

use crate::abi::types::Type;

/// A field to extract, with its argument.
#[derive(Debug)]
pub struct FieldQuery {
    /// The field's index in the plugin's list of fields.
    pub id: u32,
    pub name: CString,
    pub type_: Type,
    pub is_list: bool,
    pub has_argument: bool,
    /// The argument as a key, if the field takes one.
    pub key: Option<CString>,
    /// The argument as an index, if the field takes one and the argument is a number.
    pub index: Option<u64>,
}
