//! If Falco runs as root, the stub loads files of an environment only if nobody but root can change them. It loads a
//! self-contained library in any case, and reports who can change it.

use core::ffi::{CStr, c_int};
use core::fmt::{self, Write};

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
    refuse(problem, |finding| check(path, MAX_LINKS, finding))
}

/// Checks a folder that code is imported from, and everything in it.
pub fn check_code(folder: &[u8], problem: &mut Message) -> bool {
    refuse(problem, |finding| {
        check(folder, MAX_LINKS, finding) && check_contents(&mut Path::of(folder), &PACKAGES, MAX_LINKS, finding)
    })
}

/// Writes who can replace a library that the process has loaded already. Returns false if only root can.
pub fn find_writers(library: &[u8], warning: &mut Message) -> bool {
    let mut finding = Finding::new();
    // The owner of the file is more informative than an open folder above it.
    let is_unsafe = |finding: &mut Finding| {
        matches!(check_one(&Path::of(library), MAX_LINKS, finding), Found::Unsafe)
            || !check(library, MAX_LINKS, finding)
    };
    let is_found = !are_waived() && is_unsafe(&mut finding);
    if is_found {
        finding.warn(warning);
    }
    is_found
}

/// Runs a check, unless it is waived. If it fails, writes why Falco must not load the code.
fn refuse(problem: &mut Message, check: impl FnOnce(&mut Finding) -> bool) -> bool {
    let mut finding = Finding::new();
    let is_safe = are_waived() || check(&mut finding);
    if !is_safe {
        finding.refuse(problem);
    }
    is_safe
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
fn check(path: &[u8], links: u32, finding: &mut Finding) -> bool {
    if path.first() != Some(&b'/') {
        return finding.set(&Path::of(path), Cause::Relative);
    }
    // The length of the path up to its last component, if that is a sticky folder; else 0.
    let mut sticky = 0;
    for end in (1..=path.len()).filter(|&end| end == 1 || end == path.len() || path[end] == b'/') {
        match check_one(&Path::of(&path[..end]), links, finding) {
            Found::Safe(_) => sticky = 0,
            Found::Sticky => sticky = end,
            Found::Missing => break,
            Found::Unsafe => return false,
        }
    }
    sticky == 0 || finding.set(&Path::of(&path[..sticky]), Cause::Sticky)
}

/// The result for one component of a path.
enum Found {
    /// A file, a folder or a link that only root can change, as `S_IF…`.
    Safe(u32),
    /// A folder such as /tmp, in which everybody can create files, but nobody can replace root's.
    Sticky,
    Missing,
    /// The finding has path and cause.
    Unsafe,
}

/// Checks one file, folder or link, and the target of a link.
fn check_one(path: &Path, links: u32, finding: &mut Finding) -> Found {
    let mut stat = libc::Stat::default();
    // SAFETY: `path` is NUL-terminated, and `stat` is filled if the result is 0.
    if !path.is_truncated() && unsafe { libc::lstat(path.as_ptr(), &mut stat) } != 0 {
        return if is_missing() {
            Found::Missing
        } else {
            finding.set_unreadable(path);
            Found::Unsafe
        };
    }
    let kind = stat.mode & libc::S_IFMT;
    // The mode of a link has no meaning: its owner can replace it. Access control lists show in the bits of the group.
    let is_shared = kind != libc::S_IFLNK && stat.mode & (libc::S_IWGRP | libc::S_IWOTH) != 0;
    let is_sticky = kind == libc::S_IFDIR && stat.mode & libc::S_ISVTX != 0;
    if path.is_truncated() || (links == 0 && kind == libc::S_IFLNK) {
        finding.set(path, Cause::TooManyLinks);
        return Found::Unsafe;
    }
    if stat.uid != 0 || (is_shared && !is_sticky) {
        finding.set(path, Cause::Writable(Writers::of(&stat)));
        return Found::Unsafe;
    }
    match kind {
        libc::S_IFLNK if !check(path.target().bytes(), links - 1, finding) => Found::Unsafe,
        libc::S_IFDIR if is_shared => Found::Sticky,
        kind => Found::Safe(kind),
    }
}

/// Checks everything in a folder, except its entries with one of the names. A path that is not a folder has no contents.
fn check_contents(folder: &mut Path, except: &[&[u8]], links: u32, finding: &mut Finding) -> bool {
    each_entry(folder, finding, |entry, finding| {
        if except.contains(&entry.name()) {
            return true;
        }
        match check_one(entry, links, finding) {
            Found::Safe(libc::S_IFDIR) => check_contents(entry, &[], links, finding),
            Found::Safe(libc::S_IFLNK) => check_contents(&mut entry.target(), &[], links - 1, finding),
            Found::Safe(_) | Found::Missing => true,
            Found::Sticky => finding.set(entry, Cause::Writable(Writers::All)),
            Found::Unsafe => false,
        }
    })
}

/// Runs a check on each entry of a folder, until one fails.
fn each_entry(
    folder: &mut Path,
    finding: &mut Finding,
    mut check: impl FnMut(&mut Path, &mut Finding) -> bool,
) -> bool {
    // SAFETY: plain libc calls. The folder is closed once, and the name of an entry is copied before the next call.
    unsafe {
        let open = libc::opendir(folder.as_ptr());
        if open.is_null() {
            return is_missing() || finding.set_unreadable(folder);
        }
        let len = folder.len();
        let mut is_safe = true;
        while is_safe {
            // readdir returns NULL for an error and at the end. Only errno distinguishes them.
            *libc::errno() = 0;
            let entry = libc::readdir(open);
            if entry.is_null() {
                is_safe = *libc::errno() == 0 || finding.set_unreadable(folder);
                break;
            }
            let name = CStr::from_ptr((&raw const (*entry).name).cast()).to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            folder.push(b"/");
            folder.push(name);
            is_safe = check(folder, finding);
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

/// The first path that is unsafe or cannot be checked.
struct Finding {
    path: Path,
    cause: Cause,
}

enum Cause {
    /// No path is unsafe.
    None,
    Relative,
    TooManyLinks,
    /// A call failed with this number of the system.
    Unreadable(c_int),
    Writable(Writers),
    /// The code would be in a sticky folder, in which everybody can create files.
    Sticky,
}

enum Writers {
    User(u32),
    Group(u32),
    All,
}

impl Finding {
    fn new() -> Self {
        Self {
            path: Path::new(),
            cause: Cause::None,
        }
    }

    /// Sets path and cause. Returns false, the result of a check that fails.
    fn set(&mut self, path: &Path, cause: Cause) -> bool {
        self.path = Path::of(path.bytes());
        self.cause = cause;
        false
    }

    /// Sets the reason why the last call failed.
    fn set_unreadable(&mut self, path: &Path) -> bool {
        // SAFETY: errno of this thread.
        self.set(path, Cause::Unreadable(unsafe { *libc::errno() }))
    }

    /// Writes that the code must not be loaded, and what to do.
    fn refuse(&self, problem: &mut Message) {
        let help = match self.cause {
            Cause::Writable(_) => CHANGE_OWNER,
            Cause::Sticky => "move the code into a folder that only root can write to",
            _ => return self.write_cause(", which is required because Falco runs as root", problem),
        };
        problem.push("Falco runs as root, but other users can write to ");
        problem.push_c(self.path.as_ptr());
        problem.push(": ");
        problem.push(help);
        problem.push(", or set FALCO_PLUGIN_ALLOW_WRITABLE=1");
    }

    /// Writes who can replace the code, and what to do.
    fn warn(&self, warning: &mut Message) {
        let writers = match &self.cause {
            Cause::Writable(writers) => writers,
            Cause::Sticky => &Writers::All,
            _ => {
                warning.push("cannot check who can replace the code of this plugin: ");
                return self.write_cause("", warning);
            }
        };
        // Appending to a message cannot fail.
        let _ = write!(warning, "Falco runs as root, but {writers} can write to ");
        warning.push_c(self.path.as_ptr());
        warning.push(" and so replace the code of this plugin: ");
        warning.push(CHANGE_OWNER);
        warning.push(", unless you trust them as you trust root");
    }

    /// Writes why the path cannot be checked.
    fn write_cause(&self, consequence: &str, message: &mut Message) {
        message.push(match self.cause {
            Cause::Relative => "not an absolute path: ",
            Cause::TooManyLinks => "too many links, or too long a path, at ",
            _ => "cannot check the permissions of ",
        });
        message.push_c(self.path.as_ptr());
        if let Cause::Unreadable(number) = self.cause {
            message.push(consequence);
            message.push(": ");
            // SAFETY: the description of a number is a NUL-terminated string.
            message.push_c(unsafe { libc::strerror(number) });
        }
    }
}

impl Writers {
    /// Returns who can write to a file or a folder, beside root.
    fn of(stat: &libc::Stat) -> Self {
        if stat.uid != 0 {
            Self::User(stat.uid)
        } else if stat.mode & libc::S_IWOTH != 0 {
            Self::All
        } else {
            Self::Group(stat.gid)
        }
    }
}

impl fmt::Display for Writers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(number) => write!(formatter, "user {number}"),
            // The bits of the group also show the rights of an access control list.
            Self::Group(number) => write!(formatter, "group {number}, or a user of its access control list,"),
            Self::All => formatter.write_str("all users"),
        }
    }
}

const CHANGE_OWNER: &str = "change its owner to root and its mode to go-w";
