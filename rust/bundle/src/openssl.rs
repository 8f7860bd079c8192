//! Keeps OpenSSL from reading a configuration file.
//!
//! OpenSSL reads the one in the folder that it was compiled for. On this machine that folder may belong to any user, and
//! the file can make OpenSSL load native code. Besides, it is for the machine's own version of OpenSSL.

use core::ffi::{c_int, c_void};
use core::{mem, ptr};

use crate::library::Library;

/// The beginning of the SONAMEs of OpenSSL's library that reads the file. The copies in wheels have a longer name.
const NAME: &str = "libcrypto";
/// The option `OPENSSL_INIT_NO_LOAD_CONFIG`. The first call of the function decides.
const NO_LOAD_CONFIG: u64 = 0x80;

/// Makes a library ignore its configuration file if it is OpenSSL's. Called after the library was loaded, before its use.
pub(crate) fn ignore_configuration(library: Library, name: &str) {
    if !name.starts_with(NAME) {
        return;
    }
    let function = library.symbol(c"OPENSSL_init_crypto");
    if function.is_null() {
        return;
    }
    // SAFETY: since OpenSSL 1.1 the function has this type, it may be called at any time by any thread, and it accepts
    // NULL for the settings. A failure repeats when the library is used.
    unsafe {
        let initialise: unsafe extern "C" fn(u64, *const c_void) -> c_int = mem::transmute(function);
        initialise(NO_LOAD_CONFIG, ptr::null());
    }
}
