//! A library that the dynamic linker has loaded.

use std::ffi::{CString, c_void};
use std::mem::size_of;
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

    /// Returns the address of a symbol, if the library or one of its dependencies has it.
    pub fn address(&self, name: &str) -> Option<NonNull<c_void>> {
        let name = CString::new(name).ok()?;
        // SAFETY: the handle is open until `self` is dropped, and `name` is NUL-terminated.
        NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }

    /// Returns a function of the library, if it exists.
    ///
    /// # Safety
    /// `F` is the type of a function pointer, and if the symbol exists, it is a function of this type.
    pub unsafe fn symbol<F: Copy>(&self, name: &str) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        let address = self.address(name)?.as_ptr();
        // SAFETY: the sizes agree. The address is not NULL, and the caller ensures that it is a function of this type.
        Some(unsafe { std::mem::transmute_copy::<*mut c_void, F>(&address) })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and nothing borrows the library any more.
        unsafe { libc::dlclose(self.0.as_ptr()) };
    }
}
