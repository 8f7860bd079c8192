//! The parameters of an event, as text and as JSON.

use std::fmt::Write as _;

use falco_plugin_schema::{RawEvent, SocketAddress, SocketTuple, Strings, Value};
use serde_json::{Map, Value as Json, json};

use crate::text::escape;

/// The most bytes of a value that a line of text shows.
const SHOWN_BYTES: usize = 80;
/// The text for a value that is absent, as in Falco's output.
const ABSENT: &str = "<NA>";

/// Appends name, thread and parameters of an event in one line.
pub fn write_text(event: &RawEvent<'_>, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{}", escape::column(&event.name()));
    if let Some(thread) = event.thread_id() {
        let _ = write!(out, " tid={thread}");
    }
    let params = event.params();
    for position in 0..params.len() {
        let _ = write!(out, " {}=", params.name(position));
        if let Some(value) = params.value(position) {
            write_value(&value, out);
        }
    }
}

fn write_value(value: &Value<'_>, out: &mut String) {
    let _ = match value {
        Value::Absent | Value::Malformed(_) => write!(out, "{ABSENT}"),
        Value::Signed(number) => write!(out, "{number}"),
        Value::Unsigned(number) => write!(out, "{number}"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Text(bytes) => write!(out, "{}", escape::column(&String::from_utf8_lossy(bytes))),
        Value::Bytes(bytes) => {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]);
            let rest = if bytes.len() > SHOWN_BYTES { "…" } else { "" };
            write!(out, "{}{rest}", escape::column(&shown))
        }
        Value::Strings(strings) | Value::Pairs(strings) => {
            write!(out, "[{}]", escape::column(&texts(strings).join(", ")))
        }
        Value::Address(address) => write!(out, "{address}"),
        Value::SocketAddress(address) => write!(out, "{}", escape::column(&socket(address))),
        Value::SocketTuple(tuple) => write!(out, "{}", escape::column(&sockets(tuple))),
        Value::Descriptors(descriptors) => {
            let texts: Vec<_> = descriptors
                .iter()
                .map(|(fd, flags)| format!("{fd}:{flags:x}"))
                .collect();
            write!(out, "[{}]", texts.join(", "))
        }
    };
}

/// Returns the parameters as a JSON object. Bytes are strings with U+FFFD for each byte that is not UTF-8.
pub fn to_json(event: &RawEvent<'_>) -> Json {
    let params = event.params();
    let members = (0..params.len()).map(|position| {
        let value = params.value(position).map_or(Json::Null, |value| value_to_json(&value));
        (params.name(position).into_owned(), value)
    });
    Json::Object(members.collect::<Map<_, _>>())
}

fn value_to_json(value: &Value<'_>) -> Json {
    match value {
        Value::Absent | Value::Malformed(_) => Json::Null,
        Value::Signed(number) => json!(number),
        Value::Unsigned(number) => json!(number),
        Value::Bool(value) => json!(value),
        Value::Text(bytes) | Value::Bytes(bytes) => json!(String::from_utf8_lossy(bytes)),
        Value::Strings(strings) | Value::Pairs(strings) => json!(texts(strings)),
        Value::Address(address) => json!(address.to_string()),
        Value::SocketAddress(address) => json!(socket(address)),
        Value::SocketTuple(tuple) => json!(sockets(tuple)),
        Value::Descriptors(descriptors) => json!(descriptors.iter().collect::<Vec<_>>()),
    }
}

fn texts(strings: &Strings<'_>) -> Vec<String> {
    strings
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .collect()
}

/// Returns the address of a socket as Falco writes it.
fn socket(address: &SocketAddress<'_>) -> String {
    match address {
        SocketAddress::Ip(address, port) => format!("{address}:{port}"),
        SocketAddress::Unix(path) => String::from_utf8_lossy(path).into_owned(),
        SocketAddress::Other(family) => format!("family {family}"),
    }
}

fn sockets(tuple: &SocketTuple<'_>) -> String {
    match tuple {
        SocketTuple::Ip { source, destination } => {
            format!("{}:{}->{}:{}", source.0, source.1, destination.0, destination.1)
        }
        SocketTuple::Unix {
            source,
            destination,
            path,
        } => format!("{source:x}->{destination:x} {}", String::from_utf8_lossy(path)),
        SocketTuple::Other(family) => format!("family {family}"),
    }
}
