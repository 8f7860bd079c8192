//! One value of a field, and how it is written.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use crate::escape;
use crate::timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    String(&'a str),
    Number(u64),
    Bool(bool),
    /// Nanoseconds since the epoch.
    Time(u64),
    /// Nanoseconds.
    Duration(u64),
    /// Of an `ipnet` too: the plugin API has no length of its prefix.
    Address(IpAddr),
}

impl Value<'_> {
    /// Appends it as people read it, on one line and in one column.
    pub fn write_text(self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::String(text) => {
                escape::column(out, text);
                Ok(())
            }
            Self::Number(number) => write!(out, "{number}"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Time(time) => write_time(out, time),
            Self::Duration(time) => write!(out, "{:?}", Duration::from_nanos(time)),
            Self::Address(address) => write!(out, "{address}"),
        };
    }

    /// Appends it as JSON. Times are numbers of nanoseconds.
    pub fn write_json(self, out: &mut String) {
        let _ = match self {
            Self::String(text) => {
                out.push('"');
                escape::json(out, text);
                out.push('"');
                Ok(())
            }
            Self::Number(number) | Self::Time(number) | Self::Duration(number) => write!(out, "{number}"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Address(address) => write!(out, "\"{address}\""),
        };
    }
}
