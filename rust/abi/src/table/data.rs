//! Types and values of keys and fields, in the form that the plugin API has for them.

use std::ffi::CStr;

use falco_plugin_api::{self as c, ss_plugin_state_data, ss_plugin_state_type};
use falco_plugin_engine::table::{Data, DataType};

/// Returns the number of a type in the plugin API.
pub(super) const fn to_c_type(kind: DataType) -> ss_plugin_state_type {
    match kind {
        DataType::Int8 => c::ss_plugin_state_type_SS_PLUGIN_ST_INT8,
        DataType::Int16 => c::ss_plugin_state_type_SS_PLUGIN_ST_INT16,
        DataType::Int32 => c::ss_plugin_state_type_SS_PLUGIN_ST_INT32,
        DataType::Int64 => c::ss_plugin_state_type_SS_PLUGIN_ST_INT64,
        DataType::Uint8 => c::ss_plugin_state_type_SS_PLUGIN_ST_UINT8,
        DataType::Uint16 => c::ss_plugin_state_type_SS_PLUGIN_ST_UINT16,
        DataType::Uint32 => c::ss_plugin_state_type_SS_PLUGIN_ST_UINT32,
        DataType::Uint64 => c::ss_plugin_state_type_SS_PLUGIN_ST_UINT64,
        DataType::String => c::ss_plugin_state_type_SS_PLUGIN_ST_STRING,
        DataType::Bool => c::ss_plugin_state_type_SS_PLUGIN_ST_BOOL,
        DataType::Table => c::ss_plugin_state_type_SS_PLUGIN_ST_TABLE,
    }
}

/// Returns the type with a number of the plugin API; `None` for a number that this SDK does not know.
#[inline]
pub(super) fn from_c_type(number: ss_plugin_state_type) -> Option<DataType> {
    /// The types by their numbers: accesses look them up, so they do not search.
    const TYPES: [Option<DataType>; 32] = {
        let mut types = [None; 32];
        let mut index = 0;
        while index < DataType::ALL.len() {
            let kind = DataType::ALL[index];
            types[to_c_type(kind) as usize] = Some(kind);
            index += 1;
        }
        types
    };
    TYPES.get(number as usize).copied().flatten()
}

/// Returns a value in its C form. A string is borrowed, so it is valid as long as `data`. All other bytes are 0, because
/// some hosts compare or copy the whole union.
#[inline]
pub(super) fn to_c_data(kind: DataType, data: Data<'_>) -> ss_plugin_state_data {
    let mut out = ss_plugin_state_data { u64_: 0 };
    match (kind, data) {
        (DataType::Int8, Data::Int(number)) => out.s8 = number as i8,
        (DataType::Int16, Data::Int(number)) => out.s16 = number as i16,
        (DataType::Int32, Data::Int(number)) => out.s32 = number as i32,
        (_, Data::Int(number)) => out.s64 = number,
        (DataType::Uint8, Data::Uint(number)) => out.u8_ = number as u8,
        (DataType::Uint16, Data::Uint(number)) => out.u16_ = number as u16,
        (DataType::Uint32, Data::Uint(number)) => out.u32_ = number as u32,
        (_, Data::Uint(number)) => out.u64_ = number,
        (_, Data::Bool(value)) => out.b = value.into(),
        (_, Data::Text(text)) => out.str_ = text.as_ptr(),
    }
    out
}

/// Returns a value out of its C form. A string that is NULL becomes the empty one. Returns `None` for a table.
///
/// # Safety
/// `data` is a value of the type `kind`; a string is NULL or NUL-terminated and valid during `'a`.
#[inline]
pub(super) unsafe fn from_c_data<'a>(kind: DataType, data: &ss_plugin_state_data) -> Option<Data<'a>> {
    // SAFETY: all members are plain old data. The caller ensures the string.
    Some(unsafe {
        match kind {
            DataType::Int8 => Data::Int(data.s8.into()),
            DataType::Int16 => Data::Int(data.s16.into()),
            DataType::Int32 => Data::Int(data.s32.into()),
            DataType::Int64 => Data::Int(data.s64),
            DataType::Uint8 => Data::Uint(data.u8_.into()),
            DataType::Uint16 => Data::Uint(data.u16_.into()),
            DataType::Uint32 => Data::Uint(data.u32_.into()),
            DataType::Uint64 => Data::Uint(data.u64_),
            DataType::Bool => Data::Bool(data.b != 0),
            DataType::String => Data::Text(if data.str_.is_null() {
                c""
            } else {
                CStr::from_ptr(data.str_)
            }),
            DataType::Table => return None,
        }
    })
}
