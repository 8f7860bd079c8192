//! Memory of the C library.

use core::{fmt, mem, ptr, slice};

use crate::error::Error;
use crate::text::write_lossy;

/// Bytes in memory of the C library.
pub struct Memory {
    start: ptr::NonNull<u8>,
    len: usize,
}

impl Memory {
    /// Allocates bytes that are 0.
    pub(crate) fn new(len: usize) -> Result<Self, Error> {
        // SAFETY: plain call of the C library. A length of 0 would allow NULL.
        let memory = unsafe { libc::calloc(len.max(1), 1) };
        let start = ptr::NonNull::new(memory.cast()).ok_or(Error::OutOfMemory)?;
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
        // SAFETY: the memory came from calloc, and is freed once.
        unsafe { libc::free(self.start.as_ptr().cast()) };
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lossy(self.bytes(), formatter)
    }
}
