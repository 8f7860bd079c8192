//! The event types in the manifest, as an array of the plugin API.

use core::ffi::CStr;
use core::ptr;
use core::sync::atomic::{AtomicU16, Ordering};

use falco_plugin_api_table::write;

/// More than there are event types. The rest of a longer list would be left out.
const MOST: usize = 1024;

/// The numbers of a list of event types. The memory is part of the library, because the host reads it after the call.
pub struct EventTypes([AtomicU16; MOST]);

impl EventTypes {
    pub const fn new() -> Self {
        Self([const { AtomicU16::new(0) }; MOST])
    }

    /// Returns the numbers of a list such as `3,5,322`, and writes how many they are. An empty list means to the host that it
    /// chooses the types.
    ///
    /// Threads may call this at the same time: all write the same numbers, because the manifest does not change.
    ///
    /// # Safety
    /// The count is NULL or the host's to be written.
    pub unsafe fn read(&'static self, list: &CStr, count: *mut u32) -> *mut u16 {
        let numbers = list
            .to_bytes()
            .split(|&byte| byte == b',')
            .filter(|digits| !digits.is_empty());
        let mut read = 0;
        for (digits, slot) in numbers.zip(&self.0) {
            let number = digits.iter().fold(0, |number: u16, digit| {
                number
                    .wrapping_mul(10)
                    .wrapping_add(u16::from(digit.wrapping_sub(b'0')))
            });
            slot.store(number, Ordering::Relaxed);
            read += 1;
        }
        // SAFETY: the caller's promise.
        unsafe { write(count, read) };
        if read == 0 {
            ptr::null_mut()
        } else {
            self.0.as_ptr().cast_mut().cast()
        }
    }
}
