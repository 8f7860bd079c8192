//! If Falco runs as root, the stub loads only code that nobody but root can change.

use core::ffi::CStr;

use crate::libc;
use crate::message::Message;
use crate::path::Path;

const ALLOW: &CStr = c"FALCO_PLUGIN_ALLOW_WRITABLE";

/// How many links are followed on the way to a file, or from one folder of code to another.
const MAX_LINKS: u32 = 8;

/// Folders of packages inside the folder of the standard library. They are checked where they are imported from.
const PACKAGES: [&[u8]; 2] = [b"site-packages", b"dist-packages"];

/// Returns whether nothing is checked, because Falco does not run as root or the variable allows writable code.
pub fn are_waived() -> bool {
    // SAFETY: plain libc calls; the variable is NULL or a NUL-terminated string.
    unsafe {
        let allow = libc::getenv(ALLOW.as_ptr());
        libc::geteuid() != 0 || (!allow.is_null() && CStr::from_ptr(allow) == c"1")
    }
}

/// Checks a file or a folder, all folders above it, and the targets of all links on the way. A path that does not exist
/// passes if only root can create it.
pub fn check_file(path: &[u8], problem: &mut Message) -> bool {
    are_waived() || check(path, MAX_LINKS, problem)
}

/// Checks a folder that code is imported from, and everything in it.
pub fn check_code(folder: &[u8], problem: &mut Message) -> bool {
    are_waived()
        || (check(folder, MAX_LINKS, problem) && check_contents(&mut Path::of(folder), &PACKAGES, MAX_LINKS, problem))
}

/// Checks the two paths at which a Python looks for `pyvenv.cfg`.
pub fn check_configuration(python: &[u8], problem: &mut Message) -> bool {
    [&b"/pyvenv.cfg"[..], b"/../pyvenv.cfg"].iter().all(|name| {
        let mut file = Path::of(Path::of(python).folder());
        file.push(name);
        check_file(file.bytes(), problem)
    })
}

/// Checks each component of a path, beginning at the root.
fn check(path: &[u8], links: u32, problem: &mut Message) -> bool {
    if path.first() != Some(&b'/') {
        problem.push("not an absolute path: ");
        problem.push_c(Path::of(path).as_ptr());
        return false;
    }
    // The length of the path up to its last component, if that is a sticky folder; else 0.
    let mut sticky = 0;
    for end in (1..=path.len()).filter(|&end| end == 1 || end == path.len() || path[end] == b'/') {
        match check_one(&Path::of(&path[..end]), links, problem) {
            Found::Safe(_) => sticky = 0,
            Found::Sticky => sticky = end,
            Found::Missing => break,
            Found::Unsafe => return false,
        }
    }
    sticky == 0
        || refuse(
            &Path::of(&path[..sticky]),
            "move the code into a folder that only root can write to",
            problem,
        )
}

/// The result for one component of a path.
enum Found {
    /// A file, a folder or a link that only root can change, as `S_IF…`.
    Safe(u32),
    /// A folder such as /tmp, in which everybody can create files, but nobody can replace root's.
    Sticky,
    Missing,
    /// The message contains the problem.
    Unsafe,
}

/// Checks one file, folder or link, and the target of a link.
fn check_one(path: &Path, links: u32, problem: &mut Message) -> Found {
    let mut stat = libc::Stat::default();
    // SAFETY: `path` is NUL-terminated, and `stat` is filled if the result is 0.
    if !path.is_truncated() && unsafe { libc::lstat(path.as_ptr(), &mut stat) } != 0 {
        return if is_missing() {
            Found::Missing
        } else {
            report_unreadable(path, problem);
            Found::Unsafe
        };
    }
    let kind = stat.mode & libc::S_IFMT;
    // The mode of a link has no meaning: its owner can replace it. Access control lists show in the bits of the group.
    let is_shared = kind != libc::S_IFLNK && stat.mode & (libc::S_IWGRP | libc::S_IWOTH) != 0;
    let is_sticky = kind == libc::S_IFDIR && stat.mode & libc::S_ISVTX != 0;
    if path.is_truncated() || (links == 0 && kind == libc::S_IFLNK) {
        problem.push("too many links, or too long a path, at ");
        problem.push_c(path.as_ptr());
        return Found::Unsafe;
    }
    if stat.uid != 0 || (is_shared && !is_sticky) {
        refuse(path, CHANGE_OWNER, problem);
        return Found::Unsafe;
    }
    match kind {
        libc::S_IFLNK if !check(path.target().bytes(), links - 1, problem) => Found::Unsafe,
        libc::S_IFDIR if is_shared => Found::Sticky,
        kind => Found::Safe(kind),
    }
}

/// Checks everything in a folder, except its entries with one of the names. A path that is not a folder has no contents.
fn check_contents(folder: &mut Path, except: &[&[u8]], links: u32, problem: &mut Message) -> bool {
    each_entry(folder, problem, |entry, problem| {
        if except.contains(&entry.name()) {
            return true;
        }
        match check_one(entry, links, problem) {
            Found::Safe(libc::S_IFDIR) => check_contents(entry, &[], links, problem),
            Found::Safe(libc::S_IFLNK) => check_contents(&mut entry.target(), &[], links - 1, problem),
            Found::Safe(_) | Found::Missing => true,
            Found::Sticky => refuse(entry, CHANGE_OWNER, problem),
            Found::Unsafe => false,
        }
    })
}

/// Runs a check on each entry of a folder, until one fails.
fn each_entry(
    folder: &mut Path,
    problem: &mut Message,
    mut check: impl FnMut(&mut Path, &mut Message) -> bool,
) -> bool {
    // SAFETY: plain libc calls. The folder is closed once, and the name of an entry is copied before the next call.
    unsafe {
        let open = libc::opendir(folder.as_ptr());
        if open.is_null() {
            return is_missing() || report_unreadable(folder, problem);
        }
        let len = folder.len();
        let mut is_safe = true;
        while is_safe {
            // readdir returns NULL for an error and at the end. Only errno distinguishes them.
            *libc::errno() = 0;
            let entry = libc::readdir(open);
            if entry.is_null() {
                is_safe = *libc::errno() == 0 || report_unreadable(folder, problem);
                break;
            }
            let name = CStr::from_ptr((&raw const (*entry).name).cast()).to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            folder.push(b"/");
            folder.push(name);
            is_safe = check(folder, problem);
            folder.truncate(len);
        }
        libc::closedir(open);
        is_safe
    }
}

/// Returns whether the last call failed because the file does not exist.
fn is_missing() -> bool {
    // SAFETY: errno of this thread.
    matches!(unsafe { *libc::errno() }, libc::ENOENT | libc::ENOTDIR)
}

/// Writes why the last call failed, and returns false: a path that cannot be checked is refused.
fn report_unreadable(path: &Path, problem: &mut Message) -> bool {
    // SAFETY: errno of this thread; the description of a number is a NUL-terminated string.
    let reason = unsafe { libc::strerror(*libc::errno()) };
    problem.push("cannot check the permissions of ");
    problem.push_c(path.as_ptr());
    problem.push(", which is required because Falco runs as root: ");
    problem.push_c(reason);
    false
}

const CHANGE_OWNER: &str = "change its owner to root and its mode to go-w";

/// Writes which path is unsafe and what to do, and returns false.
fn refuse(path: &Path, help: &str, problem: &mut Message) -> bool {
    problem.push("Falco runs as root, but other users can write to ");
    problem.push_c(path.as_ptr());
    problem.push(": ");
    problem.push(help);
    problem.push(", or set FALCO_PLUGIN_ALLOW_WRITABLE=1");
    false
}
