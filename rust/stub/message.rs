//! Error messages without an allocator.

use core::ffi::{CStr, c_char};
use core::fmt;

/// A NUL-terminated string of bounded length. All zeroes is an empty message. The end of a message that is too long is
/// left out, so the cause has to come first.
pub struct Message {
    bytes: [u8; 1024],
    len: usize,
}

impl Message {
    pub const fn new() -> Self {
        Self {
            bytes: [0; 1024],
            len: 0,
        }
    }

    pub fn push(&mut self, string: &str) {
        self.push_bytes(string.as_bytes());
    }

    /// Appends a string that is NULL or NUL-terminated.
    pub fn push_c(&mut self, string: *const c_char) {
        if !string.is_null() {
            // SAFETY: each caller passes one of its strings, or one of libc.
            self.push_bytes(unsafe { CStr::from_ptr(string) }.to_bytes());
        }
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.len + 1 < self.bytes.len() {
                self.bytes[self.len] = byte;
                self.len += 1;
            }
        }
    }

    pub fn push_number(&mut self, number: u8) {
        let mut divisor = 100;
        while divisor > 0 {
            if number >= divisor || divisor == 1 {
                self.push_bytes(&[b'0' + number / divisor % 10]);
            }
            divisor /= 10;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Copies as much as there is space for, and a NUL.
    ///
    /// # Safety
    /// `destination` is valid for `size` writes, at least one.
    pub unsafe fn copy_to(&self, destination: *mut c_char, size: usize) {
        let len = self.len.min(size - 1);
        // SAFETY: the caller's promise, and the message has `len` bytes.
        unsafe {
            destination.copy_from_nonoverlapping(self.as_ptr(), len);
            destination.add(len).write(0);
        }
    }

    pub fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

impl fmt::Write for Message {
    fn write_str(&mut self, string: &str) -> fmt::Result {
        self.push(string);
        Ok(())
    }
}
