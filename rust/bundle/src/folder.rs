//! A private folder for native code, for systems that refuse to execute code from memory.

use core::ffi::{CStr, c_char};
use core::mem;

use crate::descriptor::Descriptor;
use crate::error::{Errno, Reason};
use crate::text::Text;

/// The longest path with its NUL, as the system limits it.
pub(crate) const PATH_SIZE: usize = libc::PATH_MAX as usize;
/// The beginning of a private folder's name. Six random characters follow.
pub(crate) const PREFIX: &str = "falco-plugin-";
pub(crate) const RANDOM: &str = "XXXXXX";

/// A new file in a new folder that only this user can enter. Dropping it removes both.
pub(crate) struct PrivateFile {
    folder: Text<PATH_SIZE>,
    file: Text<PATH_SIZE>,
}

impl PrivateFile {
    /// Makes a folder in `parent`, which no other user may be able to replace, and an empty file in it.
    pub(crate) fn create(parent: &CStr, name: &str) -> Result<(Self, Descriptor), Reason> {
        let parent = resolve(parent)?;
        check(&parent)?;
        let template = [parent.bytes(), b"/", PREFIX.as_bytes(), RANDOM.as_bytes()];
        let mut folder = Text::join(&template).ok_or(Reason::Path)?;
        // SAFETY: the template is NUL-terminated, and mkdtemp replaces its last characters.
        if unsafe { libc::mkdtemp(folder.as_mut_ptr()) }.is_null() {
            return Err(Reason::Failed(Errno::last()));
        }
        let file = Text::join(&[folder.bytes(), b"/", name.as_bytes()]);
        let this = Self {
            folder,
            file: file.unwrap_or_default(),
        };
        let status = status(this.folder.as_c_str())?;
        let is_private = status.st_mode & libc::S_IFMT == libc::S_IFDIR
            && status.st_mode & (libc::S_IRWXG | libc::S_IRWXO) == 0
            && status.st_uid == user();
        if !is_private {
            return Err(Reason::Shared);
        }
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let descriptor = Descriptor::open(this.file.as_c_str(), flags).map_err(Reason::Failed)?;
        Ok((this, descriptor))
    }

    pub(crate) fn folder(&self) -> &[u8] {
        self.folder.bytes()
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        // SAFETY: the paths are NUL-terminated.
        unsafe {
            libc::unlink(self.file.as_c_str().as_ptr());
            libc::rmdir(self.folder.as_c_str().as_ptr());
        }
    }
}

/// Resolves all links of an absolute path.
fn resolve(path: &CStr) -> Result<Text<PATH_SIZE>, Reason> {
    if path.to_bytes().first() != Some(&b'/') {
        return Err(Reason::Path);
    }
    let mut resolved = [0 as c_char; PATH_SIZE];
    // SAFETY: the path is NUL-terminated, and `resolved` has PATH_MAX bytes, which the result fits into.
    unsafe {
        if libc::realpath(path.as_ptr(), resolved.as_mut_ptr()).is_null() {
            return Err(Reason::Failed(Errno::last()));
        }
        Text::join(&[CStr::from_ptr(resolved.as_ptr()).to_bytes()]).ok_or(Reason::Path)
    }
}

/// Checks that no other user than root can replace an entry of this user in the folder, nor the folder itself.
fn check(folder: &Text<PATH_SIZE>) -> Result<(), Reason> {
    let path = folder.bytes();
    let ends = (1..=path.len()).filter(|&end| end == 1 || end == path.len() || path.get(end) == Some(&b'/'));
    for end in ends {
        let part = path.get(..end).unwrap_or_default();
        let part = Text::<PATH_SIZE>::join(&[part]).ok_or(Reason::Path)?;
        let status = status(part.as_c_str())?;
        let is_ours = status.st_uid == 0 || status.st_uid == user();
        let is_writable = status.st_mode & (libc::S_IWGRP | libc::S_IWOTH) != 0;
        let is_sticky = status.st_mode & libc::S_ISVTX != 0;
        if !is_ours || is_writable && !is_sticky {
            return Err(Reason::Shared);
        }
    }
    Ok(())
}

fn status(path: &CStr) -> Result<libc::stat, Reason> {
    // SAFETY: the struct is valid when zeroed, and the path is NUL-terminated.
    unsafe {
        let mut status = mem::zeroed::<libc::stat>();
        if libc::lstat(path.as_ptr(), &mut status) == 0 {
            Ok(status)
        } else {
            Err(Reason::Failed(Errno::last()))
        }
    }
}

fn user() -> libc::uid_t {
    // SAFETY: always succeeds.
    unsafe { libc::geteuid() }
}
