//! Where Falco is root, code that others than root can write is not loaded.

use core::ffi::{CStr, c_char};
use core::ptr;

use crate::libc;
use crate::text::Text;

const ALLOW: &CStr = c"FALCO_PLUGIN_ALLOW_WRITABLE";

/// Checks paths (NUL-terminated, may be empty), each with all folders above it, and what it links to.
pub fn check_all(paths: &[*const c_char], problem: &mut Text) -> bool {
    // SAFETY: plain libc calls; the variable is NULL or a NUL-terminated string.
    unsafe {
        let allow = libc::getenv(ALLOW.as_ptr());
        if libc::geteuid() != 0 || (!allow.is_null() && CStr::from_ptr(allow) == c"1") {
            return true;
        }
    }
    for &path in paths {
        // SAFETY: realpath's answer is NULL or from malloc.
        unsafe {
            let real = libc::realpath(path, ptr::null_mut());
            // A path that does not exist is reported where it is opened.
            let safe = real.is_null() || (check(path, problem) && check(real, problem));
            libc::free(real.cast());
            if !safe {
                return false;
            }
        }
    }
    true
}

/// # Safety
/// `path` is a NUL-terminated string.
unsafe fn check(path: *const c_char, problem: &mut Text) -> bool {
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    let mut prefix = [0u8; 4096];
    for end in 1..=bytes.len() {
        let at_part = end == bytes.len() || bytes[end] == b'/' || end == 1;
        if !at_part || end >= prefix.len() {
            continue;
        }
        prefix[..end].copy_from_slice(&bytes[..end]);
        prefix[end] = 0;
        // SAFETY: `prefix` is NUL-terminated, and `stat` is filled where the result is 0.
        unsafe {
            let mut stat = libc::Stat::default();
            if libc::stat(prefix.as_ptr().cast(), &mut stat) == 0 && writable_by_others(&stat) {
                problem.push("Falco runs as root, but others than root can write to ");
                problem.push_c(prefix.as_ptr().cast());
                problem.push(": give it to root with mode go-w, or set FALCO_PLUGIN_ALLOW_WRITABLE=1 (it is part of ");
                problem.push_c(path);
                problem.push(")");
                return false;
            }
        }
    }
    true
}

fn writable_by_others(stat: &libc::Stat) -> bool {
    // In a sticky folder, such as /tmp, nobody can replace what is root's.
    let sticky_folder = stat.mode & libc::S_IFMT == libc::S_IFDIR && stat.mode & libc::S_ISVTX != 0;
    let group = stat.mode & libc::S_IWGRP != 0 && stat.gid != 0;
    stat.uid != 0 || (!sticky_folder && (group || stat.mode & libc::S_IWOTH != 0))
}
