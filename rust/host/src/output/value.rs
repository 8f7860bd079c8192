//! One value of a field, written as Falco prints it, readable, or as JSON.

use std::io::Write as _;
use std::time::Duration;

use crate::abi::Value;
use crate::text::{escape, timestamp};

/// Appends a value as Falco prints it, but on one line and in one column: times and durations as nanoseconds, and a
/// network as a placeholder.
pub fn write_falco(value: Value<'_>, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = match value {
        Value::Time(number) | Value::Duration(number) => write!(out, "{number}"),
        Value::Network(_) => write!(out, "<IPNET>"),
        other => return write_pretty(other, out),
    };
}

/// Appends a value in a readable form, on one line and in one column.
pub fn write_pretty(value: Value<'_>, out: &mut Vec<u8>) {
    let _ = match value {
        Value::String(text) => write!(out, "{}", escape::column(text)),
        Value::Number(number) => write!(out, "{number}"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Time(time) => write!(out, "{}", timestamp::readable(time)),
        Value::Duration(time) => write!(out, "{:?}", Duration::from_nanos(time)),
        Value::Address(address) | Value::Network(address) => write!(out, "{address}"),
    };
}

/// Appends a value as JSON. Times and durations are numbers of nanoseconds.
pub fn write_json(value: Value<'_>, out: &mut Vec<u8>) {
    let _ = match value {
        Value::String(text) => {
            out.push(b'"');
            escape::json(out, text);
            out.push(b'"');
            Ok(())
        }
        Value::Number(number) | Value::Time(number) | Value::Duration(number) => write!(out, "{number}"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Address(address) | Value::Network(address) => write!(out, "\"{address}\""),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_each_style() {
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
                "1970-01-01 00:00:01.000000001Z",
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
            assert_eq!(written(write_falco), falco);
            assert_eq!(written(write_pretty), pretty);
            assert_eq!(written(write_json), json);
        }
    }
}
