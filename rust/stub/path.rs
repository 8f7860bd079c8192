//! Paths without an allocator.

use core::ffi::c_char;

use crate::libc;

/// A NUL-terminated path of bounded length.
pub struct Path {
    bytes: [u8; Self::SIZE],
    len: usize,
    is_truncated: bool,
}

impl Path {
    const SIZE: usize = 4096;

    pub const fn new() -> Self {
        Self {
            bytes: [0; Self::SIZE],
            len: 0,
            is_truncated: false,
        }
    }

    pub fn of(path: &[u8]) -> Self {
        let mut new = Self::new();
        new.push(path);
        new
    }

    /// Appends as much of a part as there is space for.
    pub fn push(&mut self, part: &[u8]) {
        let fitting = &part[..part.len().min(Self::SIZE - 1 - self.len)];
        self.is_truncated |= fitting.len() < part.len();
        self.bytes[self.len..self.len + fitting.len()].copy_from_slice(fitting);
        self.len += fitting.len();
    }

    /// Shortens the path to a length that it had before.
    pub fn truncate(&mut self, len: usize) {
        self.bytes[len..self.len].fill(0);
        self.len = len;
        self.is_truncated = false;
    }

    /// Returns whether a part did not fit, so that this is not the path that was meant.
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }

    /// Returns the path without its last component.
    pub fn folder(&self) -> &[u8] {
        &self.bytes[..self.last_slash()]
    }

    /// Returns the last component.
    pub fn name(&self) -> &[u8] {
        &self.bytes()[self.last_slash() + 1..]
    }

    fn last_slash(&self) -> usize {
        self.bytes().iter().rposition(|&byte| byte == b'/').unwrap_or(0)
    }

    /// Returns the target of this link.
    pub fn target(&self) -> Self {
        let mut read = [0u8; Self::SIZE];
        // SAFETY: at most `read.len()` bytes are written.
        let len = unsafe { libc::readlink(self.as_ptr(), read.as_mut_ptr().cast(), read.len()) };
        let read = read.get(..len.max(0) as usize).unwrap_or(&[]);
        let mut target = Self::new();
        if read.first() != Some(&b'/') {
            target.push(self.folder());
            target.push(b"/");
        }
        target.push(read);
        target
    }
}
