//! Encoded events, whole and damaged, read through the public interface.

use falco_plugin_schema::*;
use proptest::prelude::*;

const THREAD: u64 = 77;

/// Encodes an event.
fn encode(code: u16, is_large: bool, params: &[&[u8]]) -> Vec<u8> {
    let width = if is_large { 4 } else { 2 };
    let len = HEADER_LEN + params.iter().map(|param| width + param.len()).sum::<usize>();
    let mut event = Vec::new();
    event.extend(5_u64.to_le_bytes());
    event.extend(THREAD.to_le_bytes());
    event.extend((len as u32).to_le_bytes());
    event.extend(code.to_le_bytes());
    event.extend((params.len() as u32).to_le_bytes());
    for param in params {
        event.extend(&(param.len() as u32).to_le_bytes()[..width]);
    }
    event.extend(params.concat());
    event
}

/// Returns the code of the current event type of the end of a system call.
fn end_of(name: &str) -> u16 {
    let types = event_types().filter(|event| event.name() == name && !event.is_beginning() && !event.is_old());
    types.map(EventType::code).last().unwrap()
}

#[test]
fn header_is_read() {
    let bytes = encode(end_of("close"), false, &[&0_i64.to_le_bytes()]);
    let event = RawEvent::new(&bytes).unwrap();
    assert_eq!((event.timestamp(), event.thread_id()), (5, Some(77)));
    assert_eq!((event.code(), &*event.name()), (5, "close"));
    assert_eq!((event.data(), event.params().len()), (None, 1));
    let mut bytes = bytes;
    bytes[8..16].fill(255);
    assert_eq!(RawEvent::new(&bytes).unwrap().thread_id(), None);
    assert!(
        RawEvent::new(&bytes[..bytes.len() - 1]).is_none(),
        "shorter than its length"
    );
    assert!(RawEvent::new(&bytes[..HEADER_LEN - 1]).is_none());
    bytes.push(0);
    assert!(RawEvent::new(&bytes).is_none(), "longer than its length");
}

#[test]
fn values_have_the_type_of_their_parameter() {
    let text = |text: &'static str| Value::Text(text.as_bytes());
    let ip = |text: &str| text.parse().unwrap();
    let inet = [&[2, 10, 0, 0, 1][..], &80_u16.to_le_bytes()].concat();
    let inet6 = [&[10][..], &[0; 15], &[1], &443_u16.to_le_bytes()].concat();
    let tuple = [&inet[..], &[192, 0, 2, 7], &8080_u16.to_le_bytes()].concat();
    let unix = [&[1][..], &1_u64.to_le_bytes(), &2_u64.to_le_bytes(), b"/run/x\0"].concat();
    let descriptors = [
        &[2, 0][..],
        &3_i64.to_le_bytes(),
        &[1, 0],
        &4_i64.to_le_bytes(),
        &[4, 0],
    ]
    .concat();
    let cases: Vec<(&str, &str, &[u8], Value<'_>)> = vec![
        (
            "execve",
            "res",
            &[254, 255, 255, 255, 255, 255, 255, 255],
            Value::Signed(-2),
        ),
        ("execve", "exe", b"/bin/ls\0", text("/bin/ls")),
        ("execve", "exe", b"", Value::Absent),
        ("execve", "exe", b"\0", text("")),
        ("execve", "exe", b"cut off", text("cut off")),
        ("execve", "exe", b"\xff\0hidden\0", Value::Text(b"\xff")),
        ("execve", "loginuid", &[255; 4], Value::Unsigned(u32::MAX.into())),
        ("execve", "exe_ino_ctime", &[7, 0, 0, 0, 0, 0, 0, 0], Value::Unsigned(7)),
        ("execve", "res", &[1, 2, 3], Value::Malformed(&[1, 2, 3])),
        ("execve", "vm_size", &[0; 9], Value::Malformed(&[0; 9])),
        ("read", "data", b"", Value::Bytes(b"")),
        ("read", "data", b"a\0b", Value::Bytes(b"a\0b")),
        ("setpgid", "res", &[255; 4], Value::Signed(-1)),
        ("kill", "sig", &[9], Value::Unsigned(9)),
        (
            "bind",
            "addr",
            &inet,
            Value::SocketAddress(SocketAddress::Ip(ip("10.0.0.1"), 80)),
        ),
        (
            "bind",
            "addr",
            &inet6,
            Value::SocketAddress(SocketAddress::Ip(ip("::1"), 443)),
        ),
        (
            "bind",
            "addr",
            b"\x01/run/s\0\0",
            Value::SocketAddress(SocketAddress::Unix(b"/run/s")),
        ),
        ("bind", "addr", &[16, 1], Value::SocketAddress(SocketAddress::Other(16))),
        ("bind", "addr", &inet[..4], Value::Malformed(&inet[..4])),
        (
            "connect",
            "tuple",
            &tuple,
            Value::SocketTuple(SocketTuple::Ip {
                source: (ip("10.0.0.1"), 80),
                destination: (ip("192.0.2.7"), 8080),
            }),
        ),
        (
            "connect",
            "tuple",
            &unix,
            Value::SocketTuple(SocketTuple::Unix {
                source: 1,
                destination: 2,
                path: b"/run/x",
            }),
        ),
        ("connect", "tuple", b"", Value::Absent),
        ("connect", "tuple", &tuple[..12], Value::Malformed(&tuple[..12])),
        ("poll", "fds", &descriptors[..5], Value::Malformed(&descriptors[..5])),
        ("getsockopt", "val", &[2, 7, 0, 0, 0], Value::Unsigned(7)),
        ("getsockopt", "val", &[0, 7], Value::Bytes(&[7])),
        ("getsockopt", "val", &[9, 7], Value::Malformed(&[9, 7])),
        ("ptrace", "data", &[1, 9], Value::Unsigned(9)),
        ("ptrace", "data", &[], Value::Absent),
    ];
    for (event, param, bytes, expected) in cases {
        let code = end_of(event);
        let position = EventType::from_code(code)
            .unwrap()
            .params()
            .position(|found| found.name == param);
        let position = position.unwrap_or_else(|| panic!("{event} has no {param}"));
        let mut params: Vec<&[u8]> = vec![b"before"; position];
        params.push(bytes);
        let event = encode(code, false, &params);
        let found = RawEvent::new(&event).unwrap().params();
        assert_eq!(found.value(position), Some(expected), "{param} of {event:?}");
        assert_eq!(
            (found.find(param), found.bytes(position)),
            (Some(position), Some(bytes))
        );
    }
}

#[test]
fn lists_are_split_at_their_nuls() {
    let strings = |bytes: &[u8]| {
        let event = encode(end_of("execve"), false, &[b"", b"", bytes]);
        match RawEvent::new(&event).unwrap().params().value(2) {
            Some(Value::Strings(strings)) => strings.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(strings(b""), [b""; 0]);
    assert_eq!(strings(b"\0"), [b""]);
    assert_eq!(strings(b"-l\0\0/tmp\0"), [&b"-l"[..], b"", b"/tmp"]);
    assert_eq!(strings(b"-l\0cut"), [&b"-l"[..], b"cut"]);
    let polled = [
        &[2, 0][..],
        &3_i64.to_le_bytes(),
        &[1, 0],
        &(-1_i64).to_le_bytes(),
        &[4, 0],
    ]
    .concat();
    let event = encode(end_of("poll"), false, &[b"", &polled]);
    match RawEvent::new(&event).unwrap().params().value(1) {
        Some(Value::Descriptors(found)) => assert_eq!(found.iter().collect::<Vec<_>>(), [(3, 1), (-1, 4)]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn events_of_older_and_newer_drivers_are_read() {
    let code = end_of("close");
    let event = encode(code, false, &[&0_i64.to_le_bytes()]);
    let params = RawEvent::new(&event).unwrap().params();
    assert_eq!((params.len(), params.find("fd"), params.value(1)), (1, None, None));

    let event = encode(code, false, &[&0_i64.to_le_bytes(), &3_i64.to_le_bytes(), b"new"]);
    let params = RawEvent::new(&event).unwrap().params();
    assert_eq!((params.find("fd"), params.value(1)), (Some(1), Some(Value::Signed(3))));
    assert_eq!((&*params.name(2), params.find("2")), ("2", Some(2)));
    assert_eq!(params.value(2), Some(Value::Bytes(b"new")));
    for name in ["1", "02", "+2", "3", "", "fd2"] {
        assert_eq!(params.find(name), None, "{name:?}");
    }

    for is_large in [false, true] {
        let event = encode(60_000, is_large, &[b"one", b"", b"three"]);
        let event = RawEvent::new(&event).unwrap();
        assert_eq!((&*event.name(), event.event_type()), ("60000", None));
        let params = event.params();
        assert_eq!((params.len(), params.find("0"), params.find("3")), (3, Some(0), None));
        assert_eq!(
            (params.value(0), params.value(2)),
            (Some(Value::Bytes(b"one")), Some(Value::Bytes(b"three")))
        );
    }
}

#[test]
fn names_are_those_of_rules() {
    let id = syscall_id("setxattr").unwrap();
    let generic = encode(1, false, &[&id.to_le_bytes(), &[0, 0]]);
    assert_eq!(RawEvent::new(&generic).unwrap().name(), "setxattr");
    assert_eq!(
        RawEvent::new(&encode(1, false, &[&[255, 255]])).unwrap().name(),
        "syscall"
    );
    assert_eq!(RawEvent::new(&encode(1, false, &[])).unwrap().name(), "syscall");
    let asynchronous = encode(ASYNC_EVENT, true, &[&[0; 4], b"owner_changed\0", b"data"]);
    let event = RawEvent::new(&asynchronous).unwrap();
    assert_eq!((&*event.name(), event.data()), ("owner_changed", Some(&b"data"[..])));
    assert_eq!(
        RawEvent::new(&encode(ASYNC_EVENT, true, &[])).unwrap().name(),
        "asyncevent"
    );
    let plugin = encode(PLUGIN_EVENT, true, &[&[0; 4], b"payload"]);
    let event = RawEvent::new(&plugin).unwrap();
    assert_eq!((&*event.name(), event.data()), ("pluginevent", Some(&b"payload"[..])));
    assert_eq!(event.params().value(0), Some(Value::Unsigned(0)));
}

#[test]
fn a_large_parameter_is_whole() {
    let payload = vec![7; 1 << 20];
    let event = encode(PLUGIN_EVENT, true, &[&[0; 4], &payload]);
    assert_eq!(RawEvent::new(&event).unwrap().data().map(<[u8]>::len), Some(1 << 20));
}

#[test]
fn wrong_numbers_hide_only_what_they_lead_to() {
    let mut event = encode(end_of("close"), false, &[&0_i64.to_le_bytes(), &3_i64.to_le_bytes()]);
    event[28] = 9;
    let params = RawEvent::new(&event).unwrap().params();
    assert_eq!(
        (params.value(0), params.value(1)),
        (Some(Value::Signed(0)), Some(Value::Malformed(&[])))
    );
    event[22..26].fill(255);
    let params = RawEvent::new(&event).unwrap().params();
    assert_eq!((params.len(), params.value(0), params.find("fd")), (0, None, None));
}

/// Reads all of an event.
fn read(event: &RawEvent<'_>) -> usize {
    let params = event.params();
    let mut read = event.name().len() + event.data().map_or(0, <[u8]>::len);
    for position in 0..params.len().min(100) {
        let name = params.name(position);
        assert_eq!(params.find(&name), Some(position));
        read += match params.value(position) {
            Some(Value::Strings(strings) | Value::Pairs(strings)) => strings.iter().map(<[u8]>::len).sum(),
            Some(Value::Descriptors(found)) => found.iter().len(),
            Some(_) => 1,
            None => panic!("parameter {position} of {} is missing", params.len()),
        };
    }
    read
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(mut bytes in prop::collection::vec(any::<u8>(), 0..200), code in 0_u16..460, count in 0_u32..40) {
        if bytes.len() >= HEADER_LEN {
            let len = (bytes.len() as u32).to_le_bytes();
            bytes[16..20].copy_from_slice(&len);
            bytes[20..22].copy_from_slice(&code.to_le_bytes());
            bytes[22..26].copy_from_slice(&count.to_le_bytes());
            read(&RawEvent::new(&bytes).unwrap());
        } else {
            prop_assert!(RawEvent::new(&bytes).is_none());
        }
    }

    #[test]
    fn parameters_are_found_in_each_event_type(
        code in 0_u16..460, params in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..36),
    ) {
        let is_large = EventType::from_code(code).is_some_and(EventType::has_large_lengths);
        let params: Vec<&[u8]> = params.iter().map(Vec::as_slice).collect();
        let bytes = encode(code, is_large, &params);
        let event = RawEvent::new(&bytes).unwrap();
        prop_assert_eq!(event.params().len(), params.len());
        for (position, param) in params.iter().enumerate() {
            prop_assert_eq!(event.params().bytes(position), Some(*param));
        }
        read(&event);
    }
}
