//! Bytes in memory.

use core::{fmt, mem, ptr, slice};

use crate::error::Error;
use crate::text::write_lossy;

/// Bytes in memory. They are mapped, so the system gets them back when the value is dropped. The C library's allocator would
/// keep the space of large values for later ones, and a start needs many, but only once.
pub struct Memory {
    start: ptr::NonNull<u8>,
    len: usize,
}

// SAFETY: the value owns its bytes.
unsafe impl Send for Memory {}
// SAFETY: the bytes do not change while they are shared.
unsafe impl Sync for Memory {}

impl Memory {
    /// Allocates bytes that are 0.
    pub(crate) fn new(len: usize) -> Result<Self, Error> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address that the system chooses. A mapping of 0 bytes is not possible.
        let start = unsafe { libc::mmap(ptr::null_mut(), len.max(1), protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(Error::OutOfMemory);
        }
        let start = ptr::NonNull::new(start.cast::<u8>()).ok_or(Error::OutOfMemory)?;
        Ok(Self { start, len })
    }

    /// Joins the parts.
    pub(crate) fn join(parts: &[&[u8]]) -> Result<Self, Error> {
        let mut memory = Self::new(parts.iter().map(|part| part.len()).sum())?;
        let bytes = parts.iter().copied().flatten();
        memory
            .bytes_mut()
            .iter_mut()
            .zip(bytes)
            .for_each(|(slot, byte)| *slot = *byte);
        Ok(memory)
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the memory has `len` initialised bytes, and lives as long as `self`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// Keeps the memory until the process ends.
    pub fn leak(self) -> &'static [u8] {
        let this = mem::ManuallyDrop::new(self);
        // SAFETY: as in `bytes`; the memory is never freed.
        unsafe { slice::from_raw_parts(this.start.as_ptr(), this.len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `self` is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and unmapped once.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len.max(1)) };
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lossy(self.bytes(), formatter)
    }
}
