//! A library that the dynamic linker has loaded.

use std::ffi::{CStr, CString, c_void};
use std::path::Path;
use std::ptr::NonNull;

use crate::abi::error::Error;
use crate::abi::strings::{c_string, text};

/// The handle of a library from `dlopen`. Dropping it calls `dlclose`.
pub struct Handle(NonNull<c_void>);

impl Handle {
    /// Loads a library. Its constructors run.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = c_string(path.as_os_str())?;
        // SAFETY: `name` is NUL-terminated. The library's constructors run with all rights of this process, as in Falco.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        NonNull::new(handle).map(Self).ok_or_else(|| {
            // SAFETY: after a failure dlerror returns NULL or a string that stays valid until this thread's next dl*
            // call. It is copied before that.
            let message = unsafe { text(libc::dlerror()) };
            Error::Load(message.unwrap_or_else(|| path.display().to_string()))
        })
    }

    /// Returns a handle of a library that is loaded already, or `None`.
    pub fn existing(path: &Path) -> Option<Self> {
        let name = c_string(path.as_os_str()).ok()?;
        // SAFETY: `name` is NUL-terminated, and RTLD_NOLOAD runs no constructors.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
        NonNull::new(handle).map(Self)
    }

    /// Returns the address of a symbol. Returns NULL if neither the library nor one of its dependencies has it.
    pub fn address(&self, symbol: &CStr) -> *mut c_void {
        // SAFETY: the handle is open until `self` is dropped, and `symbol` is NUL-terminated.
        unsafe { libc::dlsym(self.0.as_ptr(), symbol.as_ptr()) }
    }

    /// Returns whether the library or one of its dependencies has a symbol.
    pub fn has(&self, symbol: &str) -> bool {
        CString::new(symbol).is_ok_and(|symbol| !self.address(&symbol).is_null())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and nothing borrows the library any more.
        unsafe { libc::dlclose(self.0.as_ptr()) };
    }
}
