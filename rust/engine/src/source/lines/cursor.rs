//! Positions in a file that can be found again after a restart.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::str::FromStr;

/// How many bytes before a position identify the content of its file.
pub(super) const PRECEDING: usize = 256;

/// A position in an input, and the bytes that precede it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checkpoint {
    pub(super) position: u64,
    preceding: [u8; PRECEDING],
    len: usize,
}

impl Checkpoint {
    /// Creates a checkpoint. `preceding` has [`PRECEDING`] bytes, or fewer at the beginning of the input.
    pub(super) fn new(position: u64, preceding: &[u8]) -> Self {
        let len = preceding.len();
        let mut checkpoint = Self {
            position,
            preceding: [0; PRECEDING],
            len,
        };
        checkpoint.preceding[..len].copy_from_slice(preceding);
        checkpoint
    }

    /// Reads the bytes that precede a position of a file now.
    pub(super) fn read(file: &File, position: u64) -> io::Result<Self> {
        let mut preceding = [0; PRECEDING];
        let len = position.min(PRECEDING as u64);
        let len = read_at(file, &mut preceding[..len as usize], position - len)?;
        Ok(Self {
            position,
            preceding,
            len,
        })
    }

    pub(super) fn preceding(&self) -> &[u8] {
        &self.preceding[..self.len]
    }

    /// Returns a cursor that finds this position again.
    pub(super) fn cursor(&self, file: Option<FileSnapshot>) -> Cursor {
        Cursor {
            position: self.position,
            fingerprint: fingerprint(self.preceding()),
            file,
        }
    }
}

/// A position in a file, with a fingerprint of the preceding bytes. After a restart, another file may have the same
/// name, and even the same inode; the fingerprint shows that.
///
/// Its string is `position:fingerprint`, or `position:fingerprint:inode:size:path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    position: u64,
    fingerprint: u64,
    file: Option<FileSnapshot>,
}

/// A file at the time when a cursor was made, so that it can be found after a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileSnapshot {
    pub(super) inode: u64,
    pub(super) size: u64,
    /// The path with symbolic links resolved.
    pub(super) path: PathBuf,
}

impl Cursor {
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn file(&self) -> Option<&FileSnapshot> {
        self.file.as_ref()
    }

    /// Returns whether a checkpoint has the cursor's position and fingerprint.
    pub(super) fn is_at(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.position == self.position && fingerprint(checkpoint.preceding()) == self.fingerprint
    }

    /// Returns the cursor's checkpoint; `None` if the file has other content there.
    pub(super) fn find(&self, file: &File) -> io::Result<Option<Checkpoint>> {
        let checkpoint = Checkpoint::read(file, self.position)?;
        Ok(Some(checkpoint).filter(|checkpoint| self.is_at(checkpoint)))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:016x}", self.position, self.fingerprint)?;
        let Some(FileSnapshot { inode, size, path }) = &self.file else {
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
            Some((fingerprint, file)) => (fingerprint, Some(parse_snapshot(file).ok_or(())?)),
            None => (rest, None),
        };
        let cursor = Self {
            position: position.parse().map_err(drop)?,
            fingerprint: u64::from_str_radix(fingerprint, 16).map_err(drop)?,
            file,
        };
        // Reject other spellings of the same values.
        if cursor.to_string() == text {
            Ok(cursor)
        } else {
            Err(())
        }
    }
}

fn parse_snapshot(text: &str) -> Option<FileSnapshot> {
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
    Some(FileSnapshot {
        inode,
        size,
        path: OsString::from_vec(path).into(),
    })
}

/// Reads until `into` is full or the file ends. Returns the number of bytes read.
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

/// Returns the FNV-1a hash, which stays the same in every version of this library.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
