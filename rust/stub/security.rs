//! Where Falco is root, code that others than root can write is not loaded.

use core::ffi::{CStr, c_char};

use crate::libc;
use crate::text::Text;

const ALLOW: &CStr = c"FALCO_PLUGIN_ALLOW_WRITABLE";

/// Links that are followed on the way to one file.
const MAX_LINKS: u32 = 16;

/// Whether nothing has to be checked: Falco is not root, or the check is switched off by name.
fn waived() -> bool {
    // SAFETY: plain libc calls; the variable is NULL or a NUL-terminated string.
    unsafe {
        let allow = libc::getenv(ALLOW.as_ptr());
        libc::geteuid() != 0 || (!allow.is_null() && CStr::from_ptr(allow) == c"1")
    }
}

/// Checks paths, each with all folders above it and all that it links to. One that does not exist is reported where it
/// is opened. All are NUL-terminated strings.
pub fn check_all(paths: &[*const c_char], problem: &mut Text) -> bool {
    waived()
        || paths.iter().all(|&path| {
            // SAFETY: the caller's promise.
            let path = unsafe { CStr::from_ptr(path) }.to_bytes();
            check(path, MAX_LINKS, problem)
        })
}

/// Checks folders that code is imported from: each itself, and what lies in it.
pub fn check_folders(folders: &[*const c_char], problem: &mut Text) -> bool {
    if waived() {
        return true;
    }
    folders.iter().all(|&folder| {
        // SAFETY: the caller's promise, as in `check_all`.
        let path = unsafe { CStr::from_ptr(folder) }.to_bytes();
        // SAFETY: plain libc calls: the folder is closed once, and an entry is read before the next call.
        unsafe {
            let mut safe = check(path, MAX_LINKS, problem);
            let open = libc::opendir(folder);
            if open.is_null() {
                return safe;
            }
            while safe {
                let entry = libc::readdir(open);
                if entry.is_null() {
                    break;
                }
                let name = CStr::from_ptr((&raw const (*entry).name).cast()).to_bytes();
                if name == b"." || name == b".." {
                    continue;
                }
                let mut place = Path::new();
                place.push(path);
                place.push(b"/");
                place.push(name);
                safe = check_one(&place, MAX_LINKS, problem);
            }
            libc::closedir(open);
            safe
        }
    })
}

/// Checks each part of a path, from the root on.
fn check(path: &[u8], links: u32, problem: &mut Text) -> bool {
    (1..=path.len())
        .filter(|&end| end == 1 || end == path.len() || path[end] == b'/')
        .all(|end| {
            let mut part = Path::new();
            part.push(&path[..end]);
            check_one(&part, links, problem)
        })
}

/// Checks one file, folder or link, and what a link leads to.
fn check_one(path: &Path, links: u32, problem: &mut Text) -> bool {
    let mut stat = libc::Stat::default();
    // SAFETY: `path` is NUL-terminated, and `stat` is filled where the result is 0.
    if unsafe { libc::lstat(path.as_ptr(), &mut stat) } != 0 {
        return true;
    }
    let link = stat.mode & libc::S_IFMT == libc::S_IFLNK;
    if links == 0 || writable_by_others(&stat, link) {
        problem.push("Falco runs as root, but others than root can write to ");
        problem.push_c(path.as_ptr());
        problem.push(": give it to root with mode go-w, or set FALCO_PLUGIN_ALLOW_WRITABLE=1");
        return false;
    }
    if !link {
        return true;
    }
    let mut target = Path::new();
    let mut read = [0u8; Path::SIZE];
    // SAFETY: at most `read.len()` bytes are written.
    let len = unsafe { libc::readlink(path.as_ptr(), read.as_mut_ptr().cast(), read.len()) };
    let read = read.get(..len.max(0) as usize).unwrap_or(&[]);
    if read.first() != Some(&b'/') {
        target.push(path.folder());
        target.push(b"/");
    }
    target.push(read);
    check(target.bytes(), links - 1, problem)
}

/// A path of bounded length, NUL-terminated.
struct Path {
    bytes: [u8; Self::SIZE],
    len: usize,
}

impl Path {
    const SIZE: usize = 4096;

    fn new() -> Self {
        Self {
            bytes: [0; Self::SIZE],
            len: 0,
        }
    }

    fn push(&mut self, part: &[u8]) {
        for &byte in part {
            if self.len + 1 < Self::SIZE {
                self.bytes[self.len] = byte;
                self.len += 1;
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// What stands before the last part.
    fn folder(&self) -> &[u8] {
        let end = self.bytes().iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        &self.bytes[..end]
    }

    fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

/// Whether anyone but root can change what is there. The mode of a link means nothing; its owner can replace it.
fn writable_by_others(stat: &libc::Stat, link: bool) -> bool {
    // In a sticky folder, such as /tmp, nobody can replace what is root's.
    let sticky_folder = stat.mode & libc::S_IFMT == libc::S_IFDIR && stat.mode & libc::S_ISVTX != 0;
    let group = stat.mode & libc::S_IWGRP != 0 && stat.gid != 0;
    stat.uid != 0 || (!link && !sticky_folder && (group || stat.mode & libc::S_IWOTH != 0))
}
