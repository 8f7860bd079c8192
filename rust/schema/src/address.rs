//! Addresses of sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const UNIX: u8 = 1;
const INET: u8 = 2;
const INET6: u8 = 10;

/// The family of a socket's address (`PPM_AF_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Unix,
    Inet,
    Inet6,
    Other(u8),
}

impl Family {
    pub fn from_number(number: u8) -> Self {
        match number {
            UNIX => Self::Unix,
            INET => Self::Inet,
            INET6 => Self::Inet6,
            other => Self::Other(other),
        }
    }
}

/// The address of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketAddress<'a> {
    Ip(IpAddr, u16),
    /// A path in the file system, without its NUL; empty for an unnamed socket.
    Unix(&'a [u8]),
    /// An address of another family.
    Other(u8),
}

/// The addresses of both ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketTuple<'a> {
    Ip {
        source: (IpAddr, u16),
        destination: (IpAddr, u16),
    },
    /// The kernel's addresses of both ends, and the path of the destination.
    Unix {
        source: u64,
        destination: u64,
        path: &'a [u8],
    },
    /// Addresses of another family.
    Other(u8),
}

impl<'a> SocketAddress<'a> {
    /// Returns `None` if the bytes are too few.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&family, rest) = bytes.split_first()?;
        Some(match Family::from_number(family) {
            Family::Unix => Self::Unix(until_nul(rest)),
            Family::Inet => {
                let ((address, port), _) = inet(rest)?;
                Self::Ip(address, port)
            }
            Family::Inet6 => {
                let ((address, port), _) = inet6(rest)?;
                Self::Ip(address, port)
            }
            Family::Other(family) => Self::Other(family),
        })
    }
}

impl<'a> SocketTuple<'a> {
    /// Returns `None` if the bytes are too few.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&family, rest) = bytes.split_first()?;
        Some(match Family::from_number(family) {
            Family::Unix => {
                let (source, rest) = rest.split_first_chunk()?;
                let (destination, path) = rest.split_first_chunk()?;
                Self::Unix {
                    source: u64::from_le_bytes(*source),
                    destination: u64::from_le_bytes(*destination),
                    path: until_nul(path),
                }
            }
            Family::Inet => {
                let (source, rest) = inet(rest)?;
                let (destination, _) = inet(rest)?;
                Self::Ip { source, destination }
            }
            Family::Inet6 => {
                let (source, rest) = inet6(rest)?;
                let (destination, _) = inet6(rest)?;
                Self::Ip { source, destination }
            }
            Family::Other(family) => Self::Other(family),
        })
    }
}

type Endpoint = (IpAddr, u16);

fn inet(bytes: &[u8]) -> Option<(Endpoint, &[u8])> {
    let (address, rest) = bytes.split_first_chunk::<4>()?;
    let (port, rest) = rest.split_first_chunk()?;
    let address = IpAddr::V4(Ipv4Addr::from(*address));
    Some(((address, u16::from_le_bytes(*port)), rest))
}

fn inet6(bytes: &[u8]) -> Option<(Endpoint, &[u8])> {
    let (address, rest) = bytes.split_first_chunk::<16>()?;
    let (port, rest) = rest.split_first_chunk()?;
    let address = IpAddr::V6(Ipv6Addr::from(*address));
    Some(((address, u16::from_le_bytes(*port)), rest))
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}
