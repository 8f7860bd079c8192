//! Strings and memory that the plugin and its host exchange.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

/// Converts bytes up to their first NUL.
pub(super) fn c_string(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).expect("the bytes end at the first NUL")
}

/// Returns a string of the plugin; `None` for NULL.
///
/// # Panics
/// If it is not UTF-8.
///
/// # Safety
/// `string` is NULL, or a NUL-terminated string that stays valid for `'s`.
pub(super) unsafe fn read_string<'s>(string: *const c_char) -> Option<&'s str> {
    if string.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let string = unsafe { CStr::from_ptr(string) };
    Some(string.to_str().expect("a plugin's strings are UTF-8"))
}

/// Returns the address of an output, or NULL if the call is made without it.
pub(super) fn output<T>(value: &mut T, is_missing: bool) -> *mut T {
    if is_missing { ptr::null_mut() } else { value }
}

/// Reads all values, so that the sanitizer checks their memory.
pub(super) fn read_all<T: Clone>(values: &[T]) {
    std::hint::black_box(values.to_vec());
}
