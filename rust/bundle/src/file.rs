//! The bundle in the library's file.

use core::ffi::{CStr, c_int};
use core::mem;

use crate::descriptor::Descriptor;
use crate::error::{Errno, Error};
use crate::format::{Block, Damaged, HASH_LEN, HEADER_LEN, Index, index_len};
use crate::memory::Memory;

/// Bytes that are read at a time to verify a block.
const CHUNK: usize = 32 * 1024;
const CUT: Damaged = Damaged("it is cut off");

/// The part of an open file that holds a bundle. It is read with `pread` and not mapped, because access to a mapped file
/// that somebody has shortened would kill the process.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// The descriptor, which the caller keeps open.
    pub descriptor: c_int,
    /// The offset of the bundle in the file.
    pub offset: u64,
    /// Bytes of the bundle.
    pub len: u64,
    /// The hash of the index, which has the hashes of all other bytes.
    pub index_hash: [u8; HASH_LEN],
}

/// The numbers that distinguish an open file from all others of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Returns the identity of an open file; `None` if the descriptor is closed.
    pub fn of(descriptor: c_int) -> Option<Self> {
        // SAFETY: the struct is valid when zeroed.
        unsafe {
            let mut status = mem::zeroed::<libc::stat>();
            (libc::fstat(descriptor, &mut status) == 0).then_some(Self {
                device: status.st_dev,
                inode: status.st_ino,
            })
        }
    }
}

impl File {
    /// Returns the bundle with a descriptor of the library's file.
    ///
    /// User code may have closed the descriptor, whose number may belong to another file since. Then this opens `path`
    /// again, which the library had, if the same file is still there. The caller has to close a new descriptor.
    pub fn restore(self, identity: Identity, path: &CStr) -> Result<Self, Error> {
        if Identity::of(self.descriptor) == Some(identity) {
            return Ok(self);
        }
        let opened = Descriptor::open(path, libc::O_RDONLY).map_err(|_| Error::Closed)?;
        if Identity::of(opened.number()) != Some(identity) {
            return Err(Error::Closed);
        }
        let descriptor = opened.into_number();
        Ok(Self { descriptor, ..self })
    }

    /// Fills the bytes with those of the bundle from `offset` on.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(CUT.into());
        }
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..)
            && !rest.is_empty()
        {
            let position = self
                .offset
                .checked_add(offset)
                .and_then(|start| start.checked_add(done as u64));
            let position = position.and_then(|position| i64::try_from(position).ok()).ok_or(CUT)?;
            // SAFETY: `rest` is valid for writes of its length.
            let count = unsafe { libc::pread(self.descriptor, rest.as_mut_ptr().cast(), rest.len(), position) };
            match usize::try_from(count) {
                Ok(0) => return Err(CUT.into()),
                Ok(count) => done += count,
                Err(_) => match Errno::last() {
                    Errno(libc::EINTR) => (),
                    Errno(libc::EBADF) => return Err(Error::Closed),
                    errno => return Err(Error::Unreadable(errno)),
                },
            }
        }
        Ok(())
    }

    /// Reads the index, and checks its hash. `Index::new` checks its numbers.
    pub fn read_index(&self) -> Result<Memory, Error> {
        let mut header = [0; HEADER_LEN];
        self.read(0, &mut header)?;
        let index = self.read_part(0, index_len(&header)?)?;
        if blake3::hash(index.bytes()) == self.index_hash {
            Ok(index)
        } else {
            Err(Damaged("its index has another hash").into())
        }
    }

    /// Checks the hashes of all blocks, and that the bundle ends with the last of them.
    pub fn verify(&self, index: &Index<'_>) -> Result<(), Error> {
        let mut chunk = [0; CHUNK];
        let mut end = 0;
        for block in (0..index.block_count()).filter_map(|number| index.block(number)) {
            end = end.max(block.offset + u64::from(block.stored_len));
            let mut hasher = blake3::Hasher::new();
            let mut done = 0;
            while done < block.stored_len {
                let len = CHUNK.min((block.stored_len - done) as usize);
                let bytes = chunk.get_mut(..len).unwrap_or_default();
                self.read(block.offset + u64::from(done), bytes)?;
                hasher.update(bytes);
                done += len as u32;
            }
            if hasher.finalize() != block.hash {
                return Err(Damaged("a block has another hash").into());
            }
        }
        if end == self.len {
            Ok(())
        } else {
            Err(Damaged("its length is wrong").into())
        }
    }

    /// Decompresses a block, whose length `bytes` has. Fails if the block has changed since it was verified.
    pub fn decompress(&self, block: Block, bytes: &mut [u8]) -> Result<(), Error> {
        let stored = self.read_part(block.offset, block.stored_len.into());
        let stored = stored.map_err(|error| match error {
            Error::Damaged(_) => Error::Changed,
            error => error,
        })?;
        if blake3::hash(stored.bytes()) != block.hash {
            return Err(Error::Changed);
        }
        match zstd_safe::decompress(bytes, stored.bytes()) {
            Ok(len) if len == bytes.len() => Ok(()),
            _ => Err(Damaged("a block cannot be decompressed").into()),
        }
    }

    /// Returns the bytes of a block.
    pub fn read_block(&self, block: Block) -> Result<Memory, Error> {
        let mut memory = Memory::new(block.len as usize)?;
        self.decompress(block, memory.bytes_mut())?;
        Ok(memory)
    }

    fn read_part(&self, offset: u64, len: u64) -> Result<Memory, Error> {
        if len > self.len {
            return Err(CUT.into());
        }
        let mut memory = Memory::new(usize::try_from(len).map_err(|_| CUT)?)?;
        self.read(offset, memory.bytes_mut())?;
        Ok(memory)
    }
}
