//! The values of a field, in memory that is reused for the next extraction.

use std::ffi::CStr;
use std::net::IpAddr;

/// The type of a field's values (`ss_plugin_field_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    Uint64,
    String,
    /// A duration in nanoseconds.
    RelTime,
    /// Nanoseconds since the epoch.
    AbsTime,
    Bool,
    IpAddr,
    /// The plugin API passes the address of a network, but not the length of its prefix.
    IpNet,
}

/// A value. Text and addresses are stored in the bytes of its [`Values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    Number(u64),
    Bool(bool),
    /// A string that ends with a NUL, and has no other NUL.
    Text {
        start: usize,
    },
    /// An address of 4 or 16 bytes, or a network with the length of its prefix.
    Address {
        start: usize,
        len: u32,
        prefix: u8,
    },
}

/// The location of a value in the payload, in bytes. Both are 0 if the value is not in the payload.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    pub start: u32,
    pub length: u32,
}

/// The values of one field, or of several fields one after the other. A field without values is absent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Values {
    values: Vec<Value>,
    locations: Vec<Location>,
    bytes: Vec<u8>,
}

/// Memory up to this size is kept for the next event; more is freed.
const KEPT_BYTES: usize = 64 * 1024;

impl Values {
    pub fn clear(&mut self) {
        self.values.clear();
        self.locations.clear();
        self.bytes.clear();
        self.values.shrink_to(KEPT_BYTES / size_of::<Value>());
        self.locations.shrink_to(KEPT_BYTES / size_of::<Location>());
        self.bytes.shrink_to(KEPT_BYTES);
    }

    /// Returns whether the values use more memory than is kept.
    pub(super) fn is_large(&self) -> bool {
        self.bytes.capacity() > KEPT_BYTES || self.values.capacity() * size_of::<Value>() > KEPT_BYTES
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn as_slice(&self) -> &[Value] {
        &self.values
    }

    pub fn locations(&self) -> &[Location] {
        &self.locations
    }

    /// Returns the bytes of all strings and addresses.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the string that begins at `start`, without its NUL.
    pub fn text(&self, start: usize) -> &[u8] {
        let text = &self.bytes[start..];
        &text[..memchr::memchr(0, text).unwrap_or(text.len())]
    }

    /// Returns the string that begins at `start`, with its NUL.
    pub(crate) fn c_text(&self, start: usize) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes[start..]).unwrap_or_default()
    }

    pub fn push_number(&mut self, number: u64, place: Location) {
        self.push(Value::Number(number), place);
    }

    pub fn push_bool(&mut self, value: bool, place: Location) {
        self.push(Value::Bool(value), place);
    }

    /// Adds a string, with each NUL replaced by U+FFFD. The host would end the string at a NUL, and hide the rest from
    /// rules.
    pub fn push_text(&mut self, text: &str, place: Location) {
        match memchr::memchr(0, text.as_bytes()) {
            None => self.push_plain(text.as_bytes(), place),
            Some(_) => self.push_plain(text.replace('\0', "\u{fffd}").as_bytes(), place),
        }
    }

    /// Adds a string without NULs.
    pub(crate) fn push_plain(&mut self, text: &[u8], place: Location) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        self.push(Value::Text { start }, place);
    }

    pub fn push_address(&mut self, address: IpAddr, place: Location) {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        self.push_network(address, bits, place);
    }

    pub fn push_network(&mut self, address: IpAddr, prefix: u8, place: Location) {
        let start = self.bytes.len();
        match address {
            IpAddr::V4(address) => self.bytes.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => self.bytes.extend_from_slice(&address.octets()),
        }
        let len = (self.bytes.len() - start) as u32;
        self.push(Value::Address { start, len, prefix }, place);
    }

    /// Adds the values of another field.
    pub fn append(&mut self, other: &Self) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.locations.extend_from_slice(&other.locations);
        self.values.extend(other.values.iter().map(|&value| match value {
            Value::Text { start } => Value::Text { start: base + start },
            Value::Address { start, len, prefix } => Value::Address {
                start: base + start,
                len,
                prefix,
            },
            value => value,
        }));
    }

    fn push(&mut self, value: Value, place: Location) {
        self.values.push(value);
        self.locations.push(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: u32, length: u32) -> Location {
        Location { start, length }
    }

    #[test]
    fn values_keep_their_order_locations_and_bytes() {
        let mut first = Values::default();
        first.push_text("one", at(1, 3));
        first.push_address("10.0.0.1".parse().unwrap(), at(5, 8));
        let mut all = first.clone();
        all.push_number(7, Location::default());
        all.append(&first);

        assert_eq!(all.len(), 5);
        assert_eq!(all.locations(), [at(1, 3), at(5, 8), at(0, 0), at(1, 3), at(5, 8)]);
        let texts: Vec<_> = all
            .as_slice()
            .iter()
            .map(|value| match *value {
                Value::Text { start } => String::from_utf8_lossy(all.text(start)).into_owned(),
                Value::Address { start, len, .. } => format!("{:?}", &all.bytes()[start..start + len as usize]),
                Value::Number(number) => number.to_string(),
                Value::Bool(value) => value.to_string(),
            })
            .collect();
        assert_eq!(texts, ["one", "[10, 0, 0, 1]", "7", "one", "[10, 0, 0, 1]"]);
    }

    #[test]
    fn push_text_replaces_each_nul() {
        let mut values = Values::default();
        values.push_text("a\0b", Location::default());
        values.push_text("", Location::default());
        assert_eq!(values.bytes(), "a\u{fffd}b\0\0".as_bytes());
    }

    #[test]
    fn clear_frees_the_memory_of_a_large_value() {
        let mut values = Values::default();
        values.push_text(&"a".repeat(1 << 20), Location::default());
        values.clear();
        assert!(values.is_empty() && values.bytes.capacity() <= KEPT_BYTES);
    }
}
