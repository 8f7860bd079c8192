//! Event types and values beside those of the Rust SDK: the crates `falco_event` and `falco_event_schema`.
//!
//! The crates have an older event schema. Since then event types have only got more parameters.

use std::ffi::CString;
use std::fmt::Debug;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use falco_event::events::{AnyEventPayload, FromRawEvent, RawEvent as PeerEvent};
use falco_event::types::SystemTime;
use falco_event_schema::derive_deftly::derive_deftly_adhoc;
use falco_event_schema::events::*;
use falco_event_schema::fields::types::{PT_FSPATH, PT_FSRELPATH};
use falco_plugin_host::scap::Capture;
use falco_plugin_schema::{EventType, RawEvent, SocketAddress, SocketTuple, Value};

/// The parameters of an event of the Rust SDK, each with its name and the value as Rust's `Debug` writes it.
trait Params {
    fn params(&self) -> Vec<(&'static str, String)>;
}

falco_event_schema::derive_deftly_for_events! {
    impl<$tgens> Params for $ttype {
        fn params(&self) -> Vec<(&'static str, String)> {
            vec![$( (stringify!($fname), format!("{:?}", self.$fname)), )]
        }
    }
}

derive_deftly_adhoc! {
    falco_event_schema::AnyEvent:
    impl<$tgens> Params for $ttype {
        fn params(&self) -> Vec<(&'static str, String)> {
            match self { $( $vpat => { $( Params::params($fpatname) ) } ) }
        }
    }
}

/// Returns whether a name of the Rust SDK, which must be an identifier in snake case, is that of Falco.
fn is_name_of(theirs: &str, ours: &str) -> bool {
    theirs
        .trim_end_matches('_')
        .replace('_', "")
        .eq_ignore_ascii_case(&ours.replace('_', ""))
}

/// Returns whether a value is that of the Rust SDK.
fn agrees(value: Option<&Value<'_>>, bytes: &[u8], theirs: &str) -> bool {
    let Some(theirs) = theirs.strip_prefix("Some(").and_then(|text| text.strip_suffix(')')) else {
        return match value {
            None | Some(Value::Absent) => true,
            Some(Value::Bytes(bytes)) => bytes.is_empty(),
            Some(Value::Strings(strings) | Value::Pairs(strings)) => strings.iter().next().is_none(),
            Some(_) => false,
        };
    };
    let is = |text: String| text == theirs;
    let debug = |value: &dyn Debug| format!("{value:?}") == theirs;
    match value {
        Some(Value::Signed(number)) => leading_number(theirs) == Some((*number).into()),
        Some(&Value::Unsigned(number)) => {
            leading_number(theirs) == Some(number.into())
                || debug(&SystemTime(number))
                || debug(&Duration::from_nanos(number))
        }
        Some(Value::Bool(value)) => debug(value),
        Some(Value::Text(text)) => {
            let path = PT_FSPATH::new(*text);
            debug(&CString::new(*text).unwrap()) || debug(&path) || debug(&PT_FSRELPATH(path))
        }
        Some(Value::Bytes(_) | Value::Strings(_) | Value::Pairs(_)) => debug(&bytes),
        Some(Value::Address(address)) => debug(address),
        Some(Value::SocketAddress(SocketAddress::Ip(address, port))) => debug(&SocketAddr::new(*address, *port)),
        Some(Value::SocketAddress(SocketAddress::Unix(path))) => debug(&PT_FSPATH::new(*path)) || is(lossy(path)),
        Some(Value::SocketTuple(SocketTuple::Ip { source, destination })) => {
            let end = |(address, port): &(_, _)| SocketAddr::new(*address, *port);
            is(format!("{:?} -> {:?}", end(source), end(destination)))
        }
        Some(Value::SocketTuple(SocketTuple::Unix {
            source,
            destination,
            path,
        })) => is(format!("{source:x}->{destination:x} {}", lossy(path))),
        Some(Value::Descriptors(descriptors)) => {
            let texts: Vec<_> = descriptors.iter().map(|(fd, _)| fd.to_string()).collect();
            texts.iter().all(|text| theirs.contains(text.as_str()))
        }
        Some(Value::SocketAddress(SocketAddress::Other(family)) | Value::SocketTuple(SocketTuple::Other(family))) => {
            theirs.contains(&family.to_string())
        }
        None | Some(Value::Absent | Value::Malformed(_)) => false,
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the number with which a text begins, such as 2 for `0x2(O_RDWR)`.
fn leading_number(text: &str) -> Option<i128> {
    if text == "AT_FDCWD" {
        return Some(-100);
    }
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    let digits = &text[..end.unwrap_or(text.len())];
    match digits.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    }
}

#[test]
fn event_types_are_those_of_the_rust_sdk() {
    let mut checked = 0;
    for &code in AnyEvent::EVENT_TYPES {
        let ours = EventType::from_code(code).unwrap();
        let width = if ours.has_large_lengths() { 4 } else { 2 };
        // An event whose parameters are all empty.
        let count = ours.params().len();
        let length = 26 + count * width;
        let mut event = vec![0; length];
        event[16..20].copy_from_slice(&(length as u32).to_le_bytes());
        event[20..22].copy_from_slice(&code.to_le_bytes());
        event[22..26].copy_from_slice(&(count as u32).to_le_bytes());
        let theirs = AnyEvent::parse(&PeerEvent::from(&event).unwrap()).unwrap();
        let theirs = theirs.params();
        assert!(theirs.len() <= count, "{ours:?}");
        for ((name, value), own) in theirs.iter().zip(ours.params()) {
            assert!(is_name_of(name, own.name), "{}: {name} and {}", ours.name(), own.name);
            assert_eq!(value, "None", "{}.{name}", ours.name());
        }
        checked += 1;
    }
    assert!(checked > 400);
}

/// Compares an event. Returns whether the Rust SDK can read it.
fn compare(bytes: &[u8]) -> Result<bool, String> {
    let ours = RawEvent::new(bytes).unwrap();
    let peer = PeerEvent::from(bytes).unwrap();
    assert_eq!((peer.event_type, peer.metadata.ts), (ours.code(), ours.timestamp()));
    assert_eq!(peer.metadata.tid, ours.thread_id().unwrap_or(-1));
    let Ok(theirs) = AnyEvent::parse(&peer) else {
        return Ok(false);
    };
    for (position, (name, theirs)) in theirs.params().iter().enumerate() {
        let params = ours.params();
        let value = params.value(position);
        if !is_name_of(name, &params.name(position)) && value.is_some() {
            return Err(format!("{}: {name} and {}", ours.name(), params.name(position)));
        }
        if !agrees(value.as_ref(), params.bytes(position).unwrap_or_default(), theirs) {
            return Err(format!("{}.{name}: {value:?} and {theirs}", ours.name()));
        }
    }
    Ok(true)
}

/// Returns the captures of a folder; none if there is no such folder.
fn captures() -> Vec<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/scap");
    let folder = std::env::var_os("FALCO_CAPTURES").map_or(shared, PathBuf::from);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn values_of_real_captures_are_those_of_the_rust_sdk() {
    let mut problems = Vec::new();
    for path in captures() {
        let mut capture = Capture::open(&path).unwrap();
        let (mut compared, mut refused) = (0, 0);
        while let Some(event) = capture.next_event().unwrap() {
            match compare(event) {
                Ok(true) => compared += 1,
                Ok(false) => refused += 1,
                Err(problem) => problems.push(problem),
            }
        }
        println!(
            "{}: {compared} events compared, {refused} not readable by the Rust SDK",
            path.display()
        );
        assert!(compared > 10 * refused, "{}: {compared} {refused}", path.display());
    }
    assert_eq!(problems, [""; 0]);
}
