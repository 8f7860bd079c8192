//! The values of a field. Falco trusts them; this host checks them.

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::net::IpAddr;

use falco_plugin_api::{
    ss_plugin_byte_buffer, ss_plugin_extract_field, ss_plugin_extract_field__bindgen_ty_1 as Pointer,
};

use crate::abi::query::FieldQuery;
use crate::abi::types::Type;
use crate::abi::value::Value;

/// The most values that a field may have. A larger number is one that the plugin did not set.
const MOST_VALUES: u64 = 1 << 24;

/// Why the values of a field are malformed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueFault {
    #[error("extract_fields returned the unknown code {0}")]
    UnknownCode(i32),
    #[error("extract_fields did not set {0}")]
    Unset(&'static str),
    #[error("got {0} values, but the field is not a list")]
    NotAList(u64),
    #[error("got {count} values, but this host accepts at most {MOST_VALUES}")]
    TooMany { count: u64 },
    #[error("got {count} values, but the pointer to the values is NULL")]
    NoValues { count: u64 },
    #[error("the pointer to the values is not aligned for {0}")]
    Unaligned(&'static str),
    #[error("value {0} is a NULL string")]
    NullString(usize),
    #[error("value {0} is not UTF-8")]
    NotUtf8(usize),
    #[error("value {at} is {value}, but a bool is 0 or 1")]
    NotABool { at: usize, value: u32 },
    #[error("value {at} has {length} bytes, but an address has 4 or 16")]
    AddressLength { at: usize, length: u32 },
    #[error("value {0} is an address whose pointer is NULL")]
    NullAddress(usize),
}

/// Returns a pointer that no plugin returns. It is passed in, so that a plugin that sets none is noticed.
pub(super) fn unset() -> *mut u64 {
    static NOWHERE: u64 = 0;
    (&raw const NOWHERE).cast_mut()
}

/// The values of a field, at least one. They are in the plugin's memory, which stays valid for `'v`.
pub struct Values<'v> {
    type_: Type,
    array: Pointer,
    count: usize,
    memory: PhantomData<&'v [u8]>,
}

impl<'v> Values<'v> {
    /// Checks what can be checked without reading the values.
    pub(super) fn check(field: &ss_plugin_extract_field, query: &FieldQuery) -> Result<Self, ValueFault> {
        let count = field.res_len;
        if count > MOST_VALUES {
            return Err(ValueFault::TooMany { count });
        }
        if count > 1 && !query.is_list {
            return Err(ValueFault::NotAList(count));
        }
        // SAFETY: all members of the union are pointers.
        let address = unsafe { field.res.u64_ };
        if address == unset() {
            return Err(ValueFault::Unset("res"));
        }
        if address.is_null() {
            return Err(ValueFault::NoValues { count });
        }
        let (alignment, of) = match query.type_ {
            Type::Bool => (align_of::<u32>(), "bools of 4 bytes"),
            Type::Uint64 | Type::Abstime | Type::Reltime => (align_of::<u64>(), "numbers of 8 bytes"),
            Type::String | Type::Ipaddr | Type::Ipnet => (align_of::<*const u8>(), "pointers"),
        };
        if address.addr() % alignment != 0 {
            return Err(ValueFault::Unaligned(of));
        }
        Ok(Self {
            type_: query.type_,
            array: field.res,
            count: count as usize,
            memory: PhantomData,
        })
    }

    /// Reads the values. Each is checked when it is read.
    pub fn iter(&self) -> impl Iterator<Item = Result<Value<'v>, ValueFault>> {
        (0..self.count).map(|index| self.value(index))
    }

    fn value(&self, index: usize) -> Result<Value<'v>, ValueFault> {
        let at = index + 1;
        // SAFETY: the plugin ensures that the array has `count` values of the field's type, which stay valid for `'v`. The
        // index is below `count`, and `check` saw that the array is aligned.
        unsafe {
            match self.type_ {
                Type::String => string(self.array.str_.add(index).read(), at).map(Value::String),
                Type::Uint64 => Ok(Value::Number(self.array.u64_.add(index).read())),
                Type::Abstime => Ok(Value::Time(self.array.u64_.add(index).read())),
                Type::Reltime => Ok(Value::Duration(self.array.u64_.add(index).read())),
                Type::Bool => match self.array.boolean.add(index).read() {
                    value @ 0..=1 => Ok(Value::Bool(value == 1)),
                    value => Err(ValueFault::NotABool { at, value }),
                },
                Type::Ipaddr => address(self.array.buf.add(index).read(), at).map(Value::Address),
                Type::Ipnet => address(self.array.buf.add(index).read(), at).map(Value::Network),
            }
        }
    }
}

/// # Safety
/// `text` is NULL or points to a NUL-terminated string that stays valid for `'v`.
unsafe fn string<'v>(text: *const c_char, at: usize) -> Result<&'v str, ValueFault> {
    if text.is_null() {
        return Err(ValueFault::NullString(at));
    }
    // SAFETY: the caller ensures what CStr::from_ptr requires.
    unsafe { CStr::from_ptr(text) }
        .to_str()
        .map_err(|_| ValueFault::NotUtf8(at))
}

/// # Safety
/// The buffer's pointer is NULL, or points to at least its length of bytes.
unsafe fn address(buffer: ss_plugin_byte_buffer, at: usize) -> Result<IpAddr, ValueFault> {
    let length = buffer.len;
    if !matches!(length, 4 | 16) {
        return Err(ValueFault::AddressLength { at, length });
    }
    if buffer.ptr.is_null() {
        return Err(ValueFault::NullAddress(at));
    }
    // SAFETY: not NULL, so the caller ensures that the bytes exist. Bytes need no alignment.
    Ok(unsafe {
        match length {
            4 => buffer.ptr.cast::<[u8; 4]>().read().into(),
            _ => buffer.ptr.cast::<[u8; 16]>().read().into(),
        }
    })
}
