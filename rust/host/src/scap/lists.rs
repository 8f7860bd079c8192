//! The lists of processes and of their files, which precede the events of a capture file.
//!
//! Formats differ in the fields of an entry. In the newest of each list, the length of an entry precedes it, and the
//! entry may end after any of its last fields.

use std::net::{Ipv6Addr, SocketAddrV4, SocketAddrV6};

/// A list, and the version of its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListKind {
    /// Threads, in one of the versions 1 to 9.
    Threads(u8),
    /// The file descriptors of one thread, in the version 1 or 2.
    Descriptors(u8),
}

impl ListKind {
    pub(super) fn from_type(number: u32) -> Option<Self> {
        Some(match number {
            0x202 | 0x8000_abcd => Self::Threads(1),
            0x207 | 0x8013_abcd => Self::Threads(2),
            0x209 | 0x8014_abcd => Self::Threads(3),
            0x210..=0x215 => Self::Threads((number - 0x20c) as u8),
            0x203 | 0x8001_abcd => Self::Descriptors(1),
            0x218 => Self::Descriptors(2),
            _ => return None,
        })
    }
}

/// Values of fields by their names.
pub type Values<'b> = Vec<(&'static str, Content<'b>)>;

/// An entry of a list: the values of fields of the table `threads`, or of its sub-table `file_descriptors`, by their
/// names.
pub enum Listed<'b> {
    Thread(Values<'b>),
    Descriptor { thread: i64, values: Values<'b> },
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'b> {
    /// The bits of a number or of a boolean.
    Number(u64),
    Text(&'b [u8]),
    /// The addresses of a socket.
    Name(String),
    /// Strings, each followed by a NUL.
    Strings(&'b [u8]),
}

use Content::{Name, Number, Strings, Text};

const TOO_SHORT: &str = "an entry is longer than its list";
const WRONG_LENGTH: &str = "the length of an entry is too small for its fields";
/// The type of descriptors that libs does not know.
const UNSUPPORTED: u64 = 10;
/// The longest padding behind the last entry, in bytes.
const PADDING: usize = 3;
/// The size of the last fields of a thread without those that libs 0.10 inserted before them, in bytes.
const BEFORE_INSERTED: usize = 29;

/// Passes the entries of a list on.
pub(super) fn read(kind: ListKind, content: &[u8], list: &mut dyn FnMut(Listed<'_>)) -> Result<(), &'static str> {
    let mut rest = Bytes(content);
    match kind {
        ListKind::Threads(version) => {
            while rest.0.len() > PADDING {
                rest.entry(version == 9, |entry| {
                    list(Listed::Thread(thread(entry, version)?));
                    Ok(())
                })?;
            }
        }
        ListKind::Descriptors(version) => {
            let thread = rest.u64()? as i64;
            while rest.0.len() > PADDING {
                rest.entry(version == 2, |entry| {
                    let values = descriptor(entry, version == 2)?;
                    list(Listed::Descriptor { thread, values });
                    Ok(())
                })?;
            }
        }
    }
    Ok(())
}

fn thread<'b>(entry: &mut Bytes<'b>, version: u8) -> Result<Values<'b>, &'static str> {
    let mut values = Vec::with_capacity(34);
    let mut add = |name, content| values.push((name, content));
    for name in ["tid", "pid", "ptid"] {
        add(name, Number(entry.u64()?));
    }
    if version >= 6 {
        add("sid", Number(entry.u64()?));
    }
    if version >= 8 {
        add("vpgid", Number(entry.u64()?));
    }
    add("comm", Text(entry.text()?));
    add("exe", Text(entry.text()?));
    if version >= 7 {
        add("exe_path", Text(entry.text()?));
    }
    add("args", Strings(entry.text()?));
    add("cwd", Text(entry.text()?));
    add("fd_limit", Number(entry.u64()?));
    for name in ["flags", "uid", "gid"] {
        add(name, Number(entry.u32()?));
    }
    if version >= 2 {
        // Sizes of memory, and numbers of page faults, which the table does not have.
        entry.take(3 * 4 + 2 * 8)?;
    }
    if version >= 3 {
        add("env", Strings(entry.text()?));
    }
    if version >= 4 {
        add("vtid", Number(entry.u64()?));
        add("vpid", Number(entry.u64()?));
        add("cgroups", Strings(entry.text()?));
    }
    if version >= 5 {
        add("root", Text(entry.text()?));
    }
    if version < 9 {
        return Ok(values);
    }
    // libs 0.10 inserted two fields before the others.
    let inserted: &[(&str, usize)] = match entry.0.len() <= BEFORE_INSERTED {
        true => &[],
        false => &[("pidns_init_start_ts", 8), ("tty", 4)],
    };
    let last = [
        ("loginuid", 4),
        ("exe_writable", 1),
        // Capabilities, which the table does not have.
        ("", 8),
        ("", 8),
        ("", 8),
        ("exe_upper_layer", 1),
        ("exe_ino", 8),
        ("exe_ino_ctime", 8),
        ("exe_ino_mtime", 8),
        ("exe_from_memfd", 1),
        ("exe_lower_layer", 1),
        ("pgid", 8),
    ];
    for &(name, size) in inserted.iter().chain(&last) {
        let Ok(bytes) = entry.take(size) else { break };
        if !name.is_empty() {
            add(name, Number(number(bytes)));
        }
    }
    Ok(values)
}

fn descriptor<'b>(entry: &mut Bytes<'b>, has_length: bool) -> Result<Values<'b>, &'static str> {
    let mut values = vec![("fd", Number(entry.u64()?)), ("ino", Number(entry.u64()?))];
    let kind = entry.take(1)?[0];
    values.push(("type", Number(kind.into())));
    match kind {
        // Connected sockets of IPv4 and of IPv6.
        3 => {
            let (source, destination) = (entry.array()?, entry.array()?);
            let ports = (entry.u16()?, entry.u16()?);
            values.extend(socket_v4(source, destination, ports, entry.take(1)?[0]));
        }
        4 => {
            let (source, destination) = (Ipv6Addr::from(entry.array()?), Ipv6Addr::from(entry.array()?));
            let ports = (entry.u16()?, entry.u16()?);
            let protocol = entry.take(1)?[0];
            match (source.to_ipv4_mapped(), destination.to_ipv4_mapped()) {
                (Some(source), Some(destination)) => {
                    values[2].1 = Number(3);
                    values.extend(socket_v4(source.octets(), destination.octets(), ports, protocol));
                }
                _ => values.extend(socket_v6(source, destination, ports, protocol)),
            }
        }
        // Listening sockets of IPv4 and of IPv6.
        5 => {
            let (address, port) = (entry.array()?, entry.u16()?);
            values.extend([
                ("socket_ipv4_server_ip", Number(number(&address))),
                ("socket_ipv4_server_port", Number(port.into())),
                ("socket_ipv4_server_l4_proto", Number(entry.take(1)?[0].into())),
                ("name", Name(SocketAddrV4::new(address.into(), port).to_string())),
            ]);
        }
        6 => {
            let (address, port): ([u8; 16], _) = (entry.array()?, entry.u16()?);
            values.extend([
                ("socket_ipv6_server_ip_low", Number(number(&address[..8]))),
                ("socket_ipv6_server_ip_high", Number(number(&address[8..]))),
                ("socket_ipv6_server_port", Number(port.into())),
                ("socket_ipv6_server_l4_proto", Number(entry.take(1)?[0].into())),
                ("name", Name(SocketAddrV6::new(address.into(), port, 0, 0).to_string())),
            ]);
        }
        // A Unix socket.
        8 => {
            values.push(("socket_unix_src", Number(entry.u64()?)));
            values.push(("socket_unix_dest", Number(entry.u64()?)));
            values.push(("name", Text(entry.text()?)));
        }
        // A file with the flags with which it was opened.
        16 => {
            values.push(("open_flags", Number(entry.u32()?)));
            values.push(("name", Text(entry.text()?)));
            if has_length && let Ok(device) = entry.take(4) {
                values.push(("dev", Number(number(device))));
            }
        }
        // Everything else that has a name.
        1 | 2 | 7 | 9..=15 | 17..=21 => values.push(("name", Text(entry.text()?))),
        // A type that is newer than this host. Without a length, the next entry cannot be found.
        _ if has_length => {
            values[2].1 = Number(UNSUPPORTED);
            values.push(("name", Name(format!("unknown-type:[{kind}]"))));
        }
        _ => return Err("an entry has an unknown type"),
    }
    Ok(values)
}

fn socket_v4<'b>(source: [u8; 4], destination: [u8; 4], (from, to): (u16, u16), protocol: u8) -> Values<'b> {
    let name = format!(
        "{}->{}",
        SocketAddrV4::new(source.into(), from),
        SocketAddrV4::new(destination.into(), to)
    );
    vec![
        ("socket_ipv4_src_ip", Number(number(&source))),
        ("socket_ipv4_dest_dip", Number(number(&destination))),
        ("socket_ipv4_src_port", Number(from.into())),
        ("socket_ipv4_dst_port", Number(to.into())),
        ("socket_ipv4_l4_proto", Number(protocol.into())),
        ("name", Name(name)),
    ]
}

fn socket_v6<'b>(source: Ipv6Addr, destination: Ipv6Addr, (from, to): (u16, u16), protocol: u8) -> Values<'b> {
    let name = format!(
        "{}->{}",
        SocketAddrV6::new(source, from, 0, 0),
        SocketAddrV6::new(destination, to, 0, 0)
    );
    let (source, destination) = (source.octets(), destination.octets());
    vec![
        ("socket_ipv6_src_ip_low", Number(number(&source[..8]))),
        ("socket_ipv6_src_ip_high", Number(number(&source[8..]))),
        ("socket_ipv6_dest_ip_low", Number(number(&destination[..8]))),
        ("socket_ipv6_dest_ip_high", Number(number(&destination[8..]))),
        ("socket_ipv6_src_port", Number(from.into())),
        ("socket_ipv6_dst_port", Number(to.into())),
        ("socket_ipv6_l4_proto", Number(protocol.into())),
        ("name", Name(name)),
    ]
}

/// Returns the number in at most 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The bytes that were not read yet.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    /// Reads an entry, and skips the rest of it if its length is known.
    fn entry(
        &mut self,
        has_length: bool,
        read: impl FnOnce(&mut Self) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        if !has_length {
            return read(self);
        }
        // The length includes its own bytes.
        let length = self.u32()? as usize;
        let length = length.checked_sub(4).ok_or(WRONG_LENGTH)?;
        read(&mut Self(self.take(length)?)).map_err(|fault| if fault == TOO_SHORT { WRONG_LENGTH } else { fault })
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(TOO_SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(TOO_SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<u16, &'static str> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u64, &'static str> {
        self.array().map(|bytes| u32::from_le_bytes(bytes).into())
    }

    fn u64(&mut self) -> Result<u64, &'static str> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads a string, which follows its length.
    fn text(&mut self) -> Result<&'b [u8], &'static str> {
        let length = self.u16()?;
        self.take(length.into())
    }
}
