//! The values of a field, which the host trusts and which are checked here.

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::net::IpAddr;

use falco_plugin_api::{
    ss_plugin_byte_buffer, ss_plugin_extract_field, ss_plugin_extract_field__bindgen_ty_1 as Pointer,
};

use crate::abi::types::Type;
use crate::abi::value::Value;
use crate::select::column::Column;

/// More values than any field has: a number that was never set, or a wild one.
const MOST_VALUES: u64 = 1 << 24;

/// What is wrong with the values of a field.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("extract_fields returned the unknown code {0}")]
    UnknownCode(i32),
    #[error("extract_fields left {0} unset")]
    Unset(&'static str),
    #[error("{0} values, but it is no list")]
    NoList(u64),
    #[error("{count} values, more than the {MOST_VALUES} this host takes")]
    TooMany { count: u64 },
    #[error("{count} values, but the pointer to them is NULL")]
    NoValues { count: u64 },
    #[error("the pointer to its values is not aligned for {0}")]
    Unaligned(&'static str),
    #[error("value {0} is a NULL string")]
    NullString(usize),
    #[error("value {0} is not UTF-8")]
    NotUtf8(usize),
    #[error("value {at} is {value}, but a bool is 0 or 1")]
    NoBool { at: usize, value: u32 },
    #[error("value {at} has {length} bytes, but an address has 4 or 16")]
    AddressLength { at: usize, length: u32 },
    #[error("value {0} is an address whose pointer is NULL")]
    NullAddress(usize),
}

/// A pointer that no plugin returns, to see whether it set one.
pub(super) fn unset() -> *mut u64 {
    static NOWHERE: u64 = 0;
    (&raw const NOWHERE).cast_mut()
}

/// The values of a field, one at least, in the plugin's memory, which is good for `'v`.
pub struct Values<'v> {
    type_: Type,
    array: Pointer,
    count: usize,
    memory: PhantomData<&'v [u8]>,
}

impl<'v> Values<'v> {
    pub(super) fn check(field: &ss_plugin_extract_field, column: &Column) -> Result<Self, Fault> {
        let count = field.res_len;
        if count > MOST_VALUES {
            return Err(Fault::TooMany { count });
        }
        if count > 1 && !column.is_list {
            return Err(Fault::NoList(count));
        }
        // SAFETY: all members of the union are pointers.
        let address = unsafe { field.res.u64_ };
        if address == unset() {
            return Err(Fault::Unset("res"));
        }
        if address.is_null() {
            return Err(Fault::NoValues { count });
        }
        let (alignment, of) = match column.type_ {
            Type::Bool => (align_of::<u32>(), "bools of 4 bytes"),
            Type::Uint64 | Type::Abstime | Type::Reltime => (align_of::<u64>(), "numbers of 8 bytes"),
            Type::String | Type::Ipaddr | Type::Ipnet => (align_of::<*const u8>(), "pointers"),
        };
        if address.addr() % alignment != 0 {
            return Err(Fault::Unaligned(of));
        }
        Ok(Self {
            type_: column.type_,
            array: field.res,
            count: count as usize,
            memory: PhantomData,
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = Result<Value<'v>, Fault>> {
        (0..self.count).map(|index| self.value(index))
    }

    fn value(&self, index: usize) -> Result<Value<'v>, Fault> {
        let at = index + 1;
        // SAFETY: the plugin says that it has `count` values of the field's type there, which stay for `'v`; the index is
        // below it, and `check` saw that the array is aligned.
        unsafe {
            match self.type_ {
                Type::String => string(self.array.str_.add(index).read(), at).map(Value::String),
                Type::Uint64 => Ok(Value::Number(self.array.u64_.add(index).read())),
                Type::Abstime => Ok(Value::Time(self.array.u64_.add(index).read())),
                Type::Reltime => Ok(Value::Duration(self.array.u64_.add(index).read())),
                Type::Bool => match self.array.boolean.add(index).read() {
                    value @ 0..=1 => Ok(Value::Bool(value == 1)),
                    value => Err(Fault::NoBool { at, value }),
                },
                Type::Ipaddr => address(self.array.buf.add(index).read(), at).map(Value::Address),
                Type::Ipnet => address(self.array.buf.add(index).read(), at).map(Value::Network),
            }
        }
    }
}

/// # Safety
/// `text` is NULL or points to a NUL-terminated string that stays for `'v`.
unsafe fn string<'v>(text: *const c_char, at: usize) -> Result<&'v str, Fault> {
    if text.is_null() {
        return Err(Fault::NullString(at));
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| Fault::NotUtf8(at))
}

/// # Safety
/// The buffer has as many bytes as it says, unless it is NULL.
unsafe fn address(buffer: ss_plugin_byte_buffer, at: usize) -> Result<IpAddr, Fault> {
    let length = buffer.len;
    if !matches!(length, 4 | 16) {
        return Err(Fault::AddressLength { at, length });
    }
    if buffer.ptr.is_null() {
        return Err(Fault::NullAddress(at));
    }
    // SAFETY: not NULL, so the caller's promise; bytes need no alignment.
    Ok(unsafe {
        match length {
            4 => buffer.ptr.cast::<[u8; 4]>().read().into(),
            _ => buffer.ptr.cast::<[u8; 16]>().read().into(),
        }
    })
}
