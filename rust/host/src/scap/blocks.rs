//! The blocks of a capture file.

use std::io::{self, Read};

use super::error::Damage;
use super::lists::ListKind;

const SECTION: u32 = 0x0a0d_0d0a;
const MAGIC: u32 = 0x1a2b_3c4d;
const MAJOR_VERSION: u16 = 1;
/// Type and length.
const HEADER_LEN: u32 = 8;
/// The length again.
const TRAILER_LEN: u32 = 4;
/// The capacity that is kept for the next block, in bytes.
const KEPT_CAPACITY: usize = 1 << 20;

/// The contents of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Event {
        /// Whether flags precede the event.
        has_flags: bool,
        /// Whether the header of the event has the number of parameters. It lacks them in files of versions before 1.2.
        has_count: bool,
    },
    /// A list of threads or of file descriptors.
    List(ListKind),
    /// Something else.
    Other,
}

impl Kind {
    fn from_type(number: u32) -> Self {
        let (has_flags, has_count) = match number {
            0x204 | 0x8010_abcd => (false, false),
            0x208 => (true, false),
            0x216 | 0x221 => (false, true),
            0x217 | 0x222 => (true, true),
            _ => return ListKind::from_type(number).map_or(Self::Other, Self::List),
        };
        Self::Event { has_flags, has_count }
    }
}

/// A block.
pub(super) struct Block<'b> {
    pub(super) kind: Kind,
    /// The offset of the block in the uncompressed file.
    pub(super) offset: u64,
    pub(super) content: &'b [u8],
}

/// Reads blocks one after the other.
pub(super) struct Blocks<R> {
    reader: R,
    offset: u64,
    content: Vec<u8>,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            offset: 0,
            content: Vec::new(),
        }
    }

    /// Reads the first block, which must be a section header.
    pub(super) fn begin(&mut self) -> Result<(), Damage> {
        match self.next_typed() {
            Ok(Some((SECTION, _))) => self.check_section(),
            Err(damage @ Damage::Read { .. }) => Err(damage),
            _ => Err(Damage::NotACapture),
        }
    }

    /// Returns the next block; `None` at the end of the file.
    pub(super) fn next_block(&mut self) -> Result<Option<Block<'_>>, Damage> {
        let Some((number, offset)) = self.next_typed()? else {
            return Ok(None);
        };
        if number == SECTION {
            // Files can be concatenated.
            self.check_section()?;
        }
        Ok(Some(Block {
            kind: Kind::from_type(number),
            offset,
            content: &self.content,
        }))
    }

    /// Reads the next block. Returns its type and its offset.
    fn next_typed(&mut self) -> Result<Option<(u32, u64)>, Damage> {
        let offset = self.offset;
        let mut header = [0; HEADER_LEN as usize];
        match self.read(&mut header)? {
            0 => return Ok(None),
            read if read < header.len() => return Err(Damage::CutOff { offset }),
            _ => {}
        }
        let (number, length) = (number_at(&header, 0), number_at(&header, 4));
        let Some(content_len) = length.checked_sub(HEADER_LEN + TRAILER_LEN) else {
            return Err(Damage::Length { offset, length });
        };
        self.content.clear();
        self.content.shrink_to(KEPT_CAPACITY);
        // The length may be damaged, so the memory grows with what the file really has.
        let read = (&mut self.reader)
            .take(content_len.into())
            .read_to_end(&mut self.content);
        self.offset += read.map_err(|source| Damage::Read { offset, source })? as u64;
        let mut trailer = [0; TRAILER_LEN as usize];
        if self.content.len() < content_len as usize || self.read(&mut trailer)? < trailer.len() {
            return Err(Damage::CutOff { offset });
        }
        let trailer = u32::from_le_bytes(trailer);
        if trailer != length {
            return Err(Damage::Trailer {
                offset,
                length,
                trailer,
            });
        }
        Ok(Some((number, offset)))
    }

    fn check_section(&self) -> Result<(), Damage> {
        let Some(header) = self.content.first_chunk::<8>() else {
            return Err(Damage::NotACapture);
        };
        match number_at(header, 0) {
            MAGIC => {}
            swapped if swapped == MAGIC.swap_bytes() => return Err(Damage::ByteOrder),
            _ => return Err(Damage::NotACapture),
        }
        match u16::from_le_bytes([header[4], header[5]]) {
            MAJOR_VERSION => Ok(()),
            version => Err(Damage::Version(version)),
        }
    }

    /// Reads until the memory is full or the file ends. Returns the number of bytes.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Damage> {
        let mut done = 0;
        while done < into.len() {
            match self.reader.read(&mut into[done..]) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let offset = self.offset + done as u64;
                    return Err(Damage::Read { offset, source });
                }
            }
        }
        self.offset += done as u64;
        Ok(done)
    }
}

fn number_at(bytes: &[u8; 8], start: usize) -> u32 {
    u32::from_le_bytes(bytes[start..start + 4].try_into().expect("4 bytes"))
}
