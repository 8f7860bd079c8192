//! A text of bounded length, built without an allocator.

use core::ffi::{CStr, c_char};

/// Always NUL-terminated; all zeros is the empty text. What does not fit is left out: the cause stands first.
pub struct Text {
    bytes: [u8; 1024],
    len: usize,
}

impl Text {
    pub const fn new() -> Self {
        Self {
            bytes: [0; 1024],
            len: 0,
        }
    }

    pub fn push(&mut self, text: &str) {
        for &byte in text.as_bytes() {
            if self.len + 1 < self.bytes.len() {
                self.bytes[self.len] = byte;
                self.len += 1;
            }
        }
    }

    /// `text` is NULL or a NUL-terminated string.
    pub fn push_c(&mut self, text: *const c_char) {
        if text.is_null() {
            return;
        }
        // SAFETY: every caller passes a string of its own or of libc.
        for &byte in unsafe { CStr::from_ptr(text) }.to_bytes() {
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
                let digit = [b'0' + number / divisor % 10, 0];
                self.push_c(digit.as_ptr().cast());
            }
            divisor /= 10;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies as much as fits, and a NUL.
    ///
    /// # Safety
    /// `place` is valid for `size` writes, at least one.
    pub unsafe fn copy_to(&self, place: *mut c_char, size: usize) {
        let len = self.len.min(size - 1);
        // SAFETY: the caller's promise, and `len` bytes of a text are followed by a NUL.
        unsafe {
            place.copy_from_nonoverlapping(self.as_ptr(), len);
            place.add(len).write(0);
        }
    }

    pub fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}
