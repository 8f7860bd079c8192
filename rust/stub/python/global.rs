//! Pythons that the process has loaded already.
//!
//! A linked library opens libpython in global scope. Extension modules of a self-contained library would then find their
//! symbols there instead of in their own libpython. So the two kinds cannot be in one process.

use core::ffi::{CStr, c_ulong};

use falco_plugin_bundle::process;

use crate::libc;
use crate::message::Message;

/// The version of a loaded Python.
pub struct Version {
    /// `Py_Version`; `None` if the Python is older than 3.11, which has no such symbol.
    number: Option<c_ulong>,
    is_free_threaded: bool,
}

impl Version {
    /// Returns whether this is a version like "3.11", or "3.14t" of a free-threaded Python.
    pub fn is(&self, version: &CStr) -> bool {
        let mut own = Message::new();
        self.write(&mut own);
        // SAFETY: a message is NUL-terminated.
        unsafe { CStr::from_ptr(own.as_ptr()) == version }
    }

    pub fn write(&self, message: &mut Message) {
        match self.number {
            Some(number) => {
                message.push_number((number >> 24) as u8);
                message.push(".");
                message.push_number((number >> 16) as u8);
                message.push(if self.is_free_threaded { "t" } else { "" });
            }
            None => message.push("older than 3.11"),
        }
    }
}

/// Returns the Python in the global scope of the process, which is that of linked libraries or of the host.
pub fn find() -> Option<Version> {
    // SAFETY: the names are NUL-terminated. `Py_Version` is a constant unsigned long.
    unsafe {
        // `Py_GetVersion` is not called, because another thread may be filling its buffer.
        if libc::dlsym(libc::RTLD_DEFAULT, c"Py_GetVersion".as_ptr()).is_null() {
            return None;
        }
        // It is looked up after the other symbol, because another thread may be opening the library just now.
        let version = libc::dlsym(libc::RTLD_DEFAULT, c"Py_Version".as_ptr());
        // A function that only free-threaded Pythons have.
        let shared = libc::dlsym(libc::RTLD_DEFAULT, c"_Py_DecRefShared".as_ptr());
        Some(Version {
            number: version.cast::<c_ulong>().as_ref().copied(),
            is_free_threaded: !shared.is_null(),
        })
    }
}

/// Returns a Python of a self-contained library.
pub fn find_self_contained() -> Option<Version> {
    process::find_python().map(|(number, is_free_threaded)| Version {
        number: Some(number),
        is_free_threaded,
    })
}
