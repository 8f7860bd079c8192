//! A place in a file that is found again after a restart, or known not to be there any more.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
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
    pub(super) fn cursor(&self, file: Option<Seen>) -> Cursor {
        Cursor {
            position: self.position,
            fingerprint: fingerprint(self.before()),
            file,
        }
    }
}

/// A position, and a fingerprint of what was read in front of it: a file of the same name may be another one by then,
/// and one with the same inode too.
///
/// As a string it is `position:fingerprint`, or `position:fingerprint:inode:size:path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    position: u64,
    fingerprint: u64,
    file: Option<Seen>,
}

/// A file as it was when a cursor was made: where to search it after a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Symbolic links are resolved.
    pub(super) path: PathBuf,
}

impl Cursor {
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn file(&self) -> Option<&Seen> {
        self.file.as_ref()
    }

    /// Returns whether a place is the cursor's.
    pub(super) fn is_at(&self, place: &Place) -> bool {
        place.position == self.position && fingerprint(place.before()) == self.fingerprint
    }

    /// The place, if the file has it.
    pub(super) fn find(&self, file: &File) -> io::Result<Option<Place>> {
        let place = Place::of(file, self.position)?;
        Ok(Some(place).filter(|place| self.is_at(place)))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:016x}", self.position, self.fingerprint)?;
        let Some(Seen { inode, size, path }) = &self.file else {
            return Ok(());
        };
        write!(f, ":{inode}:{size}:")?;
        for byte in path.as_os_str().as_bytes() {
            match byte {
                b'%' => f.write_str("%25")?,
                b'!'..=b'~' => f.write_char(char::from(*byte))?,
                byte => write!(f, "%{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (position, rest) = text.split_once(':').ok_or(())?;
        let (fingerprint, file) = match rest.split_once(':') {
            Some((fingerprint, file)) => (fingerprint, Some(seen(file).ok_or(())?)),
            None => (rest, None),
        };
        let cursor = Self {
            position: position.parse().map_err(drop)?,
            fingerprint: u64::from_str_radix(fingerprint, 16).map_err(drop)?,
            file,
        };
        // Not what only resembles one.
        if cursor.to_string() == text {
            Ok(cursor)
        } else {
            Err(())
        }
    }
}

fn seen(text: &str) -> Option<Seen> {
    let mut parts = text.splitn(3, ':');
    let inode = parts.next()?.parse().ok()?;
    let size = parts.next()?.parse().ok()?;
    let mut path = Vec::new();
    let mut bytes = parts.next()?.bytes();
    while let Some(byte) = bytes.next() {
        path.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(Seen {
        inode,
        size,
        path: OsString::from_vec(path).into(),
    })
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
