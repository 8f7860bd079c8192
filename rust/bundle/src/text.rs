//! Strings without an allocator.

use core::ffi::CStr;
use core::fmt;

/// A NUL-terminated string of fewer than `SIZE` bytes. The end of a string that is too long is left out.
#[derive(Clone)]
pub struct Text<const SIZE: usize> {
    /// The bytes behind `len` are NUL.
    bytes: [u8; SIZE],
    len: usize,
    is_truncated: bool,
}

impl<const SIZE: usize> Text<SIZE> {
    pub const fn new() -> Self {
        Self {
            bytes: [0; SIZE],
            len: 0,
            is_truncated: false,
        }
    }

    /// Joins the parts. Returns `None` if they are too long, or if one contains a NUL.
    pub fn join(parts: &[&[u8]]) -> Option<Self> {
        let mut text = Self::new();
        parts.iter().for_each(|part| text.push(part));
        (!text.is_truncated && !text.bytes().contains(&0)).then_some(text)
    }

    /// Appends as many bytes as there is space for.
    pub fn push(&mut self, part: &[u8]) {
        for &byte in part {
            match self.bytes.get_mut(self.len) {
                Some(slot) if self.len + 1 < SIZE => *slot = byte,
                _ => {
                    self.is_truncated = true;
                    return;
                }
            }
            self.len += 1;
        }
    }

    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Returns the string up to its first NUL.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    /// Returns the memory, for functions of the C library that change the string in place.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut core::ffi::c_char {
        self.bytes.as_mut_ptr().cast()
    }
}

impl<const SIZE: usize> Default for Text<SIZE> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const SIZE: usize> fmt::Write for Text<SIZE> {
    fn write_str(&mut self, string: &str) -> fmt::Result {
        self.push(string.as_bytes());
        Ok(())
    }
}

impl<const SIZE: usize> fmt::Display for Text<SIZE> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lossy(self.bytes(), formatter)
    }
}

impl<const SIZE: usize> fmt::Debug for Text<SIZE> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lossy(self.bytes(), formatter)
    }
}

/// Writes bytes that should be UTF-8. Replaces those that are not.
pub(crate) fn write_lossy(bytes: &[u8], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        formatter.write_str(chunk.valid())?;
        if !chunk.invalid().is_empty() {
            formatter.write_str("\u{fffd}")?;
        }
    }
    Ok(())
}
