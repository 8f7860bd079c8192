//! Where Falco is root, code that others than root can write is not loaded.

use core::ffi::{CStr, c_char};

use crate::libc;
use crate::message::Text;

const ALLOW: &CStr = c"FALCO_PLUGIN_ALLOW_WRITABLE";

/// Links that are followed on the way to one file, or from one folder of code into another.
const MAX_LINKS: u32 = 8;

/// Folders of packages in the one of the standard library: code of their own where they are imported from.
const PACKAGES: [&[u8]; 2] = [b"site-packages", b"dist-packages"];

/// Whether nothing has to be checked: Falco is not root, or the check is switched off by name.
fn waived() -> bool {
    // SAFETY: plain libc calls; the variable is NULL or a NUL-terminated string.
    unsafe {
        let allow = libc::getenv(ALLOW.as_ptr());
        libc::geteuid() != 0 || (!allow.is_null() && CStr::from_ptr(allow) == c"1")
    }
}

/// Checks a file or a folder, with all folders above it and all that it links to. One that does not exist passes where
/// nobody but root can make it.
pub fn check_file(path: &[u8], problem: &mut Text) -> bool {
    waived() || check(path, MAX_LINKS, problem)
}

/// Checks a folder that code is imported from, and all that lies in it, however deep.
pub fn check_code(folder: &[u8], problem: &mut Text) -> bool {
    waived()
        || (check(folder, MAX_LINKS, problem) && check_within(&mut Path::of(folder), &PACKAGES, MAX_LINKS, problem))
}

/// Checks `pyvenv.cfg` in the two places where a Python looks for it.
pub fn check_configuration(python: &[u8], problem: &mut Text) -> bool {
    configurations(python)
        .iter()
        .all(|file| check_file(file.bytes(), problem))
}

fn configurations(python: &[u8]) -> [Path; 2] {
    [&b"/pyvenv.cfg"[..], b"/../pyvenv.cfg"].map(|name| {
        let mut file = Path::of(Path::of(python).folder());
        file.push(name);
        file
    })
}

/// Checks what a Python executable runs before it could be asked where its parts are: in `lib` beside its folder, its
/// library, and all of the standard library and of the packages. The same for the Python behind a virtual environment.
pub fn check_unasked(python: &[u8], problem: &mut Text) -> bool {
    if waived() {
        return true;
    }
    let mut real = Path::of(python);
    real.resolve();
    [python, real.bytes()].iter().all(|python| {
        let mut prefix = Path::of(Path::of(python).folder());
        prefix.push(b"/..");
        check_configuration(python, problem)
            && check_installation(&prefix, problem)
            && configurations(python).iter().all(|file| check_homes(file, problem))
    })
}

/// Checks each `lib/python3*` and `lib/libpython3*` of an installation.
fn check_installation(prefix: &Path, problem: &mut Text) -> bool {
    [&b"/lib"[..], b"/lib64"].iter().all(|library| {
        let mut folder = Path::of(prefix.bytes());
        folder.push(library);
        check(folder.bytes(), MAX_LINKS, problem)
            && each_entry(&mut folder, problem, |entry, problem| {
                let name = entry.name();
                if !name.starts_with(b"python3") && !name.starts_with(b"libpython3") {
                    return true;
                }
                check(entry.bytes(), MAX_LINKS, problem) && check_within(entry, &[], MAX_LINKS, problem)
            })
    })
}

/// Checks each installation that `pyvenv.cfg` says is behind it: the lines name the folders of executables.
fn check_homes(config: &Path, problem: &mut Text) -> bool {
    let mut text = [0; 4096];
    // SAFETY: plain libc calls; at most `text.len()` bytes are written.
    let len = unsafe {
        let file = libc::open(config.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let len = libc::pread(file, text.as_mut_ptr().cast(), text.len(), 0);
        libc::close(file);
        len.max(0) as usize
    };
    if len == text.len() {
        problem.push("longer than 4095 bytes: ");
        problem.push_c(config.as_ptr());
        return false;
    }
    text[..len].split(|&byte| byte == b'\n').all(|line| {
        let mut halves = line.splitn(2, |&byte| byte == b'=').map(<[u8]>::trim_ascii);
        match (halves.next(), halves.next()) {
            (Some(key), Some(value)) if key.eq_ignore_ascii_case(b"home") => {
                let mut home = Path::of(value);
                home.push(b"/..");
                check_installation(&home, problem)
            }
            _ => true,
        }
    })
}

/// Checks each part of a path, from the root on.
fn check(path: &[u8], links: u32, problem: &mut Text) -> bool {
    if path.first() != Some(&b'/') {
        problem.push("not an absolute path: ");
        problem.push_c(Path::of(path).as_ptr());
        return false;
    }
    // Where the last part so far is a folder in which others can put something new: up to where it goes.
    let mut open = 0;
    for end in (1..=path.len()).filter(|&end| end == 1 || end == path.len() || path[end] == b'/') {
        match check_one(&Path::of(&path[..end]), links, problem) {
            Found::Safe(_) => open = 0,
            Found::Sticky => open = end,
            Found::Missing => break,
            Found::Unsafe => return false,
        }
    }
    open == 0
        || refuse(
            &Path::of(&path[..open]),
            "put what is loaded into a folder of root's own",
            problem,
        )
}

enum Found {
    /// A file, a folder or a link, as `S_IF…`.
    Safe(u32),
    /// A folder such as /tmp: nobody can replace what is root's, but everybody can add to it.
    Sticky,
    Missing,
    /// The problem is told.
    Unsafe,
}

/// Checks one file, folder or link, and what a link leads to.
fn check_one(path: &Path, links: u32, problem: &mut Text) -> Found {
    let mut stat = libc::Stat::default();
    // SAFETY: `path` is NUL-terminated, and `stat` is filled where the result is 0.
    if !path.cut && unsafe { libc::lstat(path.as_ptr(), &mut stat) } != 0 {
        return if is_missing() {
            Found::Missing
        } else {
            cannot_look(path, problem);
            Found::Unsafe
        };
    }
    let kind = stat.mode & libc::S_IFMT;
    // The mode of a link means nothing; its owner can replace it. A list of access rights shows in the group's bits.
    let shared = kind != libc::S_IFLNK && stat.mode & (libc::S_IWGRP | libc::S_IWOTH) != 0;
    let sticky = kind == libc::S_IFDIR && stat.mode & libc::S_ISVTX != 0;
    if path.cut || (links == 0 && kind == libc::S_IFLNK) {
        problem.push("too many links, or too long a path, at ");
        problem.push_c(path.as_ptr());
        return Found::Unsafe;
    }
    if stat.uid != 0 || (shared && !sticky) {
        refuse(path, GIVE, problem);
        return Found::Unsafe;
    }
    match kind {
        libc::S_IFLNK if !check(path.target().bytes(), links - 1, problem) => Found::Unsafe,
        libc::S_IFDIR if shared => Found::Sticky,
        kind => Found::Safe(kind),
    }
}

/// Checks all that lies in a folder, but for entries of its own that have one of the names. A file has nothing in it.
fn check_within(folder: &mut Path, but: &[&[u8]], links: u32, problem: &mut Text) -> bool {
    each_entry(folder, problem, |entry, problem| {
        if but.contains(&entry.name()) {
            return true;
        }
        match check_one(entry, links, problem) {
            Found::Safe(libc::S_IFDIR) => check_within(entry, &[], links, problem),
            Found::Safe(libc::S_IFLNK) => check_within(&mut entry.target(), &[], links - 1, problem),
            Found::Safe(_) | Found::Missing => true,
            Found::Sticky => refuse(entry, GIVE, problem),
            Found::Unsafe => false,
        }
    })
}

/// Runs a check on each entry of a folder, as long as they succeed.
fn each_entry(folder: &mut Path, problem: &mut Text, mut check: impl FnMut(&mut Path, &mut Text) -> bool) -> bool {
    // SAFETY: plain libc calls: the folder is closed once, and the name of an entry is copied before the next call.
    unsafe {
        let open = libc::opendir(folder.as_ptr());
        if open.is_null() {
            return is_missing() || cannot_look(folder, problem);
        }
        let len = folder.len;
        let mut safe = true;
        while safe {
            // Only this tells an error from the end.
            *libc::errno() = 0;
            let entry = libc::readdir(open);
            if entry.is_null() {
                safe = *libc::errno() == 0 || cannot_look(folder, problem);
                break;
            }
            let name = CStr::from_ptr((&raw const (*entry).name).cast()).to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            folder.push(b"/");
            folder.push(name);
            safe = check(folder, problem);
            folder.truncate(len);
        }
        libc::closedir(open);
        safe
    }
}

/// Whether the last call failed because there is no such file.
fn is_missing() -> bool {
    // SAFETY: errno of this thread.
    matches!(unsafe { *libc::errno() }, libc::ENOENT | libc::ENOTDIR)
}

/// Says why the last call failed. What cannot be checked is refused.
fn cannot_look(path: &Path, problem: &mut Text) -> bool {
    // SAFETY: errno of this thread; the text of a number is a NUL-terminated string.
    let reason = unsafe { libc::strerror(*libc::errno()) };
    problem.push("Falco runs as root, and who can write has to be checked, but cannot look into ");
    problem.push_c(path.as_ptr());
    problem.push(": ");
    problem.push_c(reason);
    false
}

const GIVE: &str = "give it to root with mode go-w";

/// Says what is wrong, and what helps.
fn refuse(path: &Path, help: &str, problem: &mut Text) -> bool {
    problem.push("Falco runs as root, but others than root can write to ");
    problem.push_c(path.as_ptr());
    problem.push(": ");
    problem.push(help);
    problem.push(", or set FALCO_PLUGIN_ALLOW_WRITABLE=1");
    false
}

/// A path of bounded length, NUL-terminated.
pub struct Path {
    bytes: [u8; Self::SIZE],
    len: usize,
    /// Whether something did not fit. Such a path is refused.
    cut: bool,
}

impl Path {
    const SIZE: usize = 4096;

    pub const fn new() -> Self {
        Self {
            bytes: [0; Self::SIZE],
            len: 0,
            cut: false,
        }
    }

    pub fn of(path: &[u8]) -> Self {
        let mut new = Self::new();
        new.push(path);
        new
    }

    pub fn push(&mut self, part: &[u8]) {
        let part = part.get(..Self::SIZE - 1 - self.len).map_or(part, |fitting| {
            self.cut |= fitting.len() < part.len();
            fitting
        });
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    fn truncate(&mut self, len: usize) {
        self.bytes[len..self.len].fill(0);
        self.len = len;
        self.cut = false;
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// What stands before the last part.
    pub fn folder(&self) -> &[u8] {
        &self.bytes[..self.last_slash()]
    }

    /// The last part.
    fn name(&self) -> &[u8] {
        &self.bytes()[self.last_slash() + 1..]
    }

    fn last_slash(&self) -> usize {
        self.bytes().iter().rposition(|&byte| byte == b'/').unwrap_or(0)
    }

    /// What this link leads to.
    fn target(&self) -> Self {
        let mut read = [0u8; Self::SIZE];
        // SAFETY: at most `read.len()` bytes are written.
        let len = unsafe { libc::readlink(self.as_ptr(), read.as_mut_ptr().cast(), read.len()) };
        let read = read.get(..len.max(0) as usize).unwrap_or(&[]);
        let mut target = Self::new();
        if read.first() != Some(&b'/') {
            target.push(self.folder());
            target.push(b"/");
        }
        target.push(read);
        target
    }

    /// Follows all links.
    fn resolve(&mut self) {
        // SAFETY: a NUL-terminated string; the result is NULL or one from malloc.
        unsafe {
            let real = libc::realpath(self.as_ptr(), core::ptr::null_mut());
            if !real.is_null() {
                *self = Self::of(CStr::from_ptr(real).to_bytes());
            }
            libc::free(real.cast());
        }
    }

    pub fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}
