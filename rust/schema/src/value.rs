//! The values of parameters.

use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::{SocketAddress, SocketTuple};
use crate::event_type::ParamType;
use crate::table::DYNAMIC;

/// The value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// The parameter is empty, and its type has no empty value: the driver could not read it, or it is NULL.
    Absent,
    /// A signed number. Results of system calls are negative error numbers if the call failed.
    Signed(i64),
    /// An unsigned number. Times and durations are nanoseconds; flags and enumerations have Falco's own numbers.
    Unsigned(u64),
    Bool(bool),
    /// A string or a path without its NUL. It can have any bytes.
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Strings(Strings<'a>),
    /// Names and values in turns.
    Pairs(Strings<'a>),
    Address(IpAddr),
    SocketAddress(SocketAddress<'a>),
    SocketTuple(SocketTuple<'a>),
    Descriptors(Descriptors<'a>),
    /// The bytes are not of the parameter's type.
    Malformed(&'a [u8]),
}

/// How the bytes of a type are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Signed,
    Unsigned,
    Bool,
    Text,
    Bytes,
    Strings,
    Pairs,
    Address,
    SocketAddress,
    SocketTuple,
    Descriptors,
    Dynamic(usize),
}

impl ParamType {
    pub(crate) const BYTES: Self = Self(10);

    /// Returns the number of the type (`ppm_param_type`).
    pub fn number(self) -> u8 {
        match self.form() {
            Form::Strings if self.0 == 64 => Self::BYTES.0,
            Form::Dynamic(_) => 27,
            _ => self.0,
        }
    }

    fn form(self) -> Form {
        match self.0 {
            // Numbers, results, descriptors and processes.
            1..=4 | 11 | 14 | 15 | 47 | 48 => Form::Signed,
            // Numbers, system calls, signals, times, ports, protocols, families, flags, users, modes.
            5..=8 | 18..=24 | 28..=32 | 34 | 42 | 44..=46 => Form::Unsigned,
            25 => Form::Bool,
            9 | 17 | 43 => Form::Text,
            12 => Form::SocketAddress,
            13 => Form::SocketTuple,
            16 => Form::Descriptors,
            26 | 38 | 40 => Form::Address,
            35 | 64 => Form::Strings,
            36 => Form::Pairs,
            65.. => Form::Dynamic(usize::from(self.0) - 65),
            // Byte buffers, and types that no event has.
            _ => Form::Bytes,
        }
    }
}

impl<'a> Value<'a> {
    /// Reads the bytes of a parameter.
    pub fn decode(kind: ParamType, bytes: &'a [u8]) -> Self {
        let form = kind.form();
        match form {
            Form::Bytes => return Self::Bytes(bytes),
            Form::Strings => return Self::Strings(Strings(bytes)),
            Form::Pairs => return Self::Pairs(Strings(bytes)),
            _ if bytes.is_empty() => return Self::Absent,
            _ => {}
        }
        let decoded = match form {
            Form::Signed => signed(bytes).map(Self::Signed),
            Form::Unsigned => unsigned(bytes).map(Self::Unsigned),
            Form::Bool => unsigned(bytes).map(|number| Self::Bool(number != 0)),
            Form::Text => Some(Self::Text(until_nul(bytes))),
            Form::Address => address(bytes).map(Self::Address),
            Form::SocketAddress => SocketAddress::decode(bytes).map(Self::SocketAddress),
            Form::SocketTuple => SocketTuple::decode(bytes).map(Self::SocketTuple),
            Form::Descriptors => Descriptors::decode(bytes).map(Self::Descriptors),
            Form::Dynamic(table) => dynamic(table, bytes),
            Form::Bytes | Form::Strings | Form::Pairs => None,
        };
        decoded.unwrap_or(Self::Malformed(bytes))
    }
}

/// Reads a number of 1, 2, 4 or 8 bytes. The length decides, because drivers have made some numbers longer.
fn unsigned(bytes: &[u8]) -> Option<u64> {
    Some(match *bytes {
        [a] => a.into(),
        [a, b] => u16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).into(),
        _ => u64::from_le_bytes(bytes.try_into().ok()?),
    })
}

fn signed(bytes: &[u8]) -> Option<i64> {
    Some(match *bytes {
        [a] => i8::from_le_bytes([a]).into(),
        [a, b] => i16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]).into(),
        _ => i64::from_le_bytes(bytes.try_into().ok()?),
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
}

/// Reads a value whose first byte chooses its type.
fn dynamic(table: usize, bytes: &[u8]) -> Option<Value<'_>> {
    let (&index, rest) = bytes.split_first()?;
    let kind = *DYNAMIC.get(table)?.get(usize::from(index))?;
    Some(Value::decode(ParamType(kind), rest))
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes)
}

/// Strings one after the other, each with a NUL at its end. The last one may lack it, because drivers cut long values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strings<'a>(&'a [u8]);

impl<'a> Strings<'a> {
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let whole = self.0.strip_suffix(b"\0").unwrap_or(self.0);
        let is_empty = self.0.is_empty();
        whole.split(|&byte| byte == 0).filter(move |_| !is_empty)
    }
}

/// File descriptors, each with flags (`PT_FDLIST`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors<'a>(&'a [[u8; 10]]);

impl<'a> Descriptors<'a> {
    fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk()?;
        let (entries, _) = rest.as_chunks();
        entries.get(..u16::from_le_bytes(*count).into()).map(Self)
    }

    /// Returns each descriptor with its flags.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i64, u16)> + use<'a> {
        self.0.iter().map(|entry| {
            let (descriptor, flags) = entry.split_at(8);
            let descriptor = i64::from_le_bytes(descriptor.try_into().expect("8 bytes"));
            (descriptor, u16::from_le_bytes([flags[0], flags[1]]))
        })
    }
}
