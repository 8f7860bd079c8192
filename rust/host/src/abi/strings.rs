//! Strings across the C boundary.

use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;

use crate::abi::error::Error;

/// Copies a string for C. Fails if it contains a NUL.
pub fn c_string(text: &OsStr) -> Result<CString, Error> {
    CString::new(text.as_bytes()).map_err(|_| Error::Nul(text.to_owned()))
}

/// Returns the bytes of a C string, or `None` for NULL.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that stays valid for `'t`.
pub unsafe fn bytes<'t>(text: *const c_char) -> Option<&'t [u8]> {
    // SAFETY: not NULL, so the caller ensures what CStr::from_ptr requires.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// Copies a C string. Returns `None` for NULL.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string.
pub unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller ensures the same. The string is copied within this function.
    unsafe { bytes(text) }.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Returns at most the first `most` bytes, without a partial UTF-8 character at the end.
pub fn cut(bytes: &[u8], most: usize) -> &[u8] {
    let mut end = bytes.len().min(most);
    if end < bytes.len() {
        while end > 0 && bytes[end] & 0xC0 == 0x80 {
            end -= 1;
        }
    }
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn cut_keeps_whole_characters() {
        assert_eq!(cut(b"short", 255), b"short");
        assert_eq!(cut(b"longer", 4), b"long");
        assert_eq!(cut("aé".as_bytes(), 2), b"a");
        assert_eq!(cut("é".as_bytes(), 2), "é".as_bytes());
    }
}
