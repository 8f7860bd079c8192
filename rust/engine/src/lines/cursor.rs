//! A place in a file that is found again after a restart, or known not to be there any more.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::str::FromStr;

/// How many bytes in front of a place tell whether it is in the same file.
pub(super) const BEFORE: usize = 256;

/// A place in an input, and what was read in front of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) position: u64,
    before: [u8; BEFORE],
    len: usize,
}

impl Place {
    /// `before`: [`BEFORE`] bytes, or all where there are less.
    pub(super) fn new(position: u64, before: &[u8]) -> Self {
        let len = before.len();
        let mut place = Self {
            position,
            before: [0; BEFORE],
            len,
        };
        place.before[..len].copy_from_slice(before);
        place
    }

    /// A place in a file, with what stands in front of it now.
    pub(super) fn of(file: &File, position: u64) -> io::Result<Self> {
        let mut before = [0; BEFORE];
        let len = position.min(BEFORE as u64);
        let len = read_at(file, &mut before[..len as usize], position - len)?;
        Ok(Self { position, before, len })
    }

    pub(super) fn before(&self) -> &[u8] {
        &self.before[..self.len]
    }

    /// What finds the place again.
    pub(super) fn cursor(&self) -> Cursor {
        Cursor {
            position: self.position,
            fingerprint: fingerprint(self.before()),
        }
    }
}

/// A position, and a fingerprint of what was read in front of it: a file of the same name may be another one by then,
/// and one with the same inode too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    position: u64,
    fingerprint: u64,
}

impl Cursor {
    /// The position, where the file has it.
    pub(super) fn find(self, file: &File) -> io::Result<Option<u64>> {
        let place = Place::of(file, self.position)?;
        Ok((place.cursor() == self).then_some(self.position))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:016x}", self.position, self.fingerprint)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (position, fingerprint) = text.split_once(':').ok_or(())?;
        let cursor = Self {
            position: position.parse().map_err(drop)?,
            fingerprint: u64::from_str_radix(fingerprint, 16).map_err(drop)?,
        };
        // Not what only resembles one.
        if cursor.to_string() == text {
            Ok(cursor)
        } else {
            Err(())
        }
    }
}

/// Reads until the memory is full or the file ends.
pub(super) fn read_at(file: &File, into: &mut [u8], position: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < into.len() {
        match file.read_at(&mut into[len..], position + len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// FNV-1a, whose result is the same with every version of this library.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
