//! One value of a field, and how it is written: as Falco prints it, as a person reads it, or as JSON.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use crate::text::escape;
use crate::text::timestamp;

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

impl Value<'_> {
    /// Appends the value as Falco prints it, but on one line and in one column: times and durations as nanoseconds, and
    /// a network as a placeholder.
    pub fn write_falco(self, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        let _ = match self {
            Self::Time(number) | Self::Duration(number) => write!(out, "{number}"),
            Self::Network(_) => write!(out, "<IPNET>"),
            other => return other.write_pretty(out),
        };
    }

    /// Appends the value in a readable form, on one line and in one column.
    pub fn write_pretty(self, out: &mut Vec<u8>) {
        let _ = match self {
            Self::String(text) => write!(out, "{}", escape::column(text)),
            Self::Number(number) => write!(out, "{number}"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Time(time) => write!(out, "{}", timestamp::text(time)),
            Self::Duration(time) => write!(out, "{:?}", Duration::from_nanos(time)),
            Self::Address(address) | Self::Network(address) => write!(out, "{address}"),
        };
    }

    /// Appends it as JSON. Times are numbers of nanoseconds.
    pub fn write_json(self, out: &mut Vec<u8>) {
        let _ = match self {
            Self::String(text) => {
                out.push(b'"');
                escape::json(out, text);
                out.push(b'"');
                Ok(())
            }
            Self::Number(number) | Self::Time(number) | Self::Duration(number) => write!(out, "{number}"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Address(address) | Self::Network(address) => write!(out, "\"{address}\""),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_written_in_each_style() {
        for (value, falco, pretty, json) in [
            (
                Value::String("a \"b\"\t\nü"),
                "a \"b\"\\t\\nü",
                "a \"b\"\\t\\nü",
                "\"a \\\"b\\\"\\t\\nü\"",
            ),
            (
                Value::Number(u64::MAX),
                "18446744073709551615",
                "18446744073709551615",
                "18446744073709551615",
            ),
            (Value::Bool(true), "true", "true", "true"),
            (
                Value::Time(1_000_000_001),
                "1000000001",
                "1970-01-01T00:00:01.000000001Z",
                "1000000001",
            ),
            (Value::Duration(1_500_000_000), "1500000000", "1.5s", "1500000000"),
            (Value::Duration(0), "0", "0ns", "0"),
            (
                Value::Address([10, 0, 0, 1].into()),
                "10.0.0.1",
                "10.0.0.1",
                "\"10.0.0.1\"",
            ),
            (
                Value::Address([0u16, 0, 0, 0, 0, 0, 0, 1].into()),
                "::1",
                "::1",
                "\"::1\"",
            ),
            (
                Value::Network([10, 0, 0, 0].into()),
                "<IPNET>",
                "10.0.0.0",
                "\"10.0.0.0\"",
            ),
        ] {
            let written = |write: fn(Value<'static>, &mut Vec<u8>)| {
                let mut text = Vec::new();
                write(value, &mut text);
                String::from_utf8(text).unwrap()
            };
            assert_eq!(written(Value::write_falco), falco);
            assert_eq!(written(Value::write_pretty), pretty);
            assert_eq!(written(Value::write_json), json);
        }
    }
}
