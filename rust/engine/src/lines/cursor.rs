//! A place in a file that is found again after a restart, or known not to be there any more.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::str::FromStr;

/// How many bytes in front of a place tell whether it is in the same file.
const FINGERPRINT_BYTES: u64 = 256;

/// A position, and a fingerprint of what stands in front of it: a file of the same name may be another one by then, and
/// one with the same inode too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    position: u64,
    fingerprint: u64,
}

impl Cursor {
    /// The cursor of a position in a file.
    pub(super) fn at(file: &File, position: u64) -> io::Result<Self> {
        let mut before = [0; FINGERPRINT_BYTES as usize];
        let len = position.min(FINGERPRINT_BYTES) as usize;
        let len = read_at(file, &mut before[..len], position - len as u64)?;
        Ok(Self {
            position,
            fingerprint: fingerprint(&before[..len]),
        })
    }

    /// The position, where the file has it.
    pub(super) fn find(self, file: &File) -> io::Result<Option<u64>> {
        Ok((Self::at(file, self.position)? == self).then_some(self.position))
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
        Ok(Self {
            position: position.parse().map_err(drop)?,
            fingerprint: u64::from_str_radix(fingerprint, 16).map_err(drop)?,
        })
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
