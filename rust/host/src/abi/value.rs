//! One value of a field.

use std::net::IpAddr;

/// One value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    String(&'a str),
    Number(u64),
    Bool(bool),
    /// Nanoseconds since the epoch.
    Time(u64),
    /// Nanoseconds.
    Duration(u64),
    Address(IpAddr),
    /// The address of a network: the plugin API does not carry the length of its prefix.
    Network(IpAddr),
}
