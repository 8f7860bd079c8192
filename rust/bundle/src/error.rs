//! The reasons why native code cannot be opened from a bundle, as data: the stub has no allocator for a message.

use core::ffi::{CStr, c_int};
use core::fmt;

use crate::format::Damaged;
use crate::memory::Memory;
use crate::places::Place;
use crate::text::write_lossy;

/// Why an entry cannot be read or opened.
#[derive(Debug)]
pub enum Error {
    /// The bundle is not what was built.
    Damaged(Damaged),
    /// The library's file cannot be read. The number is that of the system.
    Unreadable(Errno),
    /// The file of the library was changed after its blocks were verified.
    Changed,
    /// Somebody has closed the descriptor of the library's file, and the file is no longer at its path.
    Closed,
    OutOfMemory,
    /// No place can hold native code.
    NoPlace(Attempts),
    /// The dynamic linker refuses native code. The string has the name of the code and the reason.
    Refused(Memory),
}

impl Error {
    pub(crate) fn refused(name: &str, reason: &CStr) -> Self {
        match Memory::join(&[name.as_bytes(), b" of the library: ", reason.to_bytes()]) {
            Ok(message) => Self::Refused(message),
            Err(error) => error,
        }
    }
}

impl From<Damaged> for Error {
    fn from(damaged: Damaged) -> Self {
        Self::Damaged(damaged)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(damaged) => write!(
                formatter,
                "{damaged}: build the library again with 'falco-plugin build'"
            ),
            Self::Unreadable(errno) => write!(
                formatter,
                "cannot read the file of the library ({errno}): check its permissions and its disk"
            ),
            Self::Changed => formatter.write_str(
                "somebody has written into the file of the library while it was loaded: restart Falco, and replace a \
                 library by a rename",
            ),
            Self::Closed => formatter.write_str(
                "a plugin has closed the file of the library, which is no longer at its path: close only files that the \
                 plugin has opened, and restart Falco",
            ),
            Self::OutOfMemory => formatter.write_str(
                "there is not enough memory to load the library: give Falco more memory, or load fewer plugins",
            ),
            Self::NoPlace(attempts) => write!(formatter, "{attempts}"),
            Self::Refused(message) => {
                formatter.write_str("cannot load ")?;
                write_lossy(message.bytes(), formatter)?;
                formatter.write_str(": build the library on the oldest system that it has to run on")
            }
        }
    }
}

impl core::error::Error for Error {}

/// An error number of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub c_int);

impl Errno {
    /// Returns the number of the last call of this thread that failed.
    pub(crate) fn last() -> Self {
        // SAFETY: the number is this thread's.
        Self(unsafe { *libc::__errno_location() })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: strerror accepts each number and returns a NUL-terminated string. It stays unchanged until this thread
        // calls strerror again.
        let description = unsafe { CStr::from_ptr(libc::strerror(self.0)) };
        write_lossy(description.to_bytes(), formatter)
    }
}

/// Why a place cannot hold native code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The place is not one of this process.
    Unset,
    /// A call failed.
    Failed(Errno),
    /// The dynamic linker cannot open files in memory, because there is no /proc.
    NoProc(Errno),
    /// Code in it cannot be executed, for example because of the mount option noexec.
    NotExecutable(Errno),
    /// Other users can change the folder or one above it.
    Shared,
    /// The path is too long or not absolute.
    Path,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => formatter.write_str("not set"),
            Self::Failed(errno) => write!(formatter, "{errno}"),
            Self::NoProc(errno) => write!(formatter, "cannot use /proc/self/fd ({errno})"),
            Self::NotExecutable(errno) => write!(formatter, "cannot execute code ({errno})"),
            Self::Shared => formatter.write_str("other users can write to it"),
            Self::Path => formatter.write_str("not an absolute path, or too long"),
        }
    }
}

/// The places that were tried, each with the reason why it cannot hold native code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    reasons: [Option<Reason>; Place::ALL.len()],
}

impl Attempts {
    pub(crate) fn add(&mut self, place: Place, reason: Reason) {
        if let Some(slot) = self.reasons.get_mut(place as usize) {
            *slot = Some(reason);
        }
    }

    /// Returns what the user can do, by the reason why memory cannot hold native code.
    fn remedy(&self) -> &'static str {
        let errno = match self.reason(Place::Memory) {
            Some(Reason::Failed(Errno(errno)) | Reason::NoProc(Errno(errno))) => errno,
            _ => 0,
        };
        match errno {
            libc::EMFILE | libc::ENFILE => "raise Falco's limit of open files (LimitNOFILE of its systemd unit)",
            libc::EFBIG => "raise Falco's limit of file sizes (LimitFSIZE of its systemd unit)",
            libc::ENOMEM | libc::ENOSPC => "give Falco more memory, or load fewer plugins",
            _ => {
                "mount /proc and allow memfd_create (see vm.memfd_noexec), or set TMPDIR to a folder of Falco's user on a \
                 file system without noexec"
            }
        }
    }

    /// Returns the reason for a place, if it was tried.
    pub fn reason(&self, place: Place) -> Option<Reason> {
        self.reasons.get(place as usize).copied().flatten()
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("no place was found that Python can be loaded from (")?;
        let mut separator = "";
        for place in Place::ALL {
            if let Some(reason) = self.reason(place) {
                write!(formatter, "{separator}{}: {reason}", place.name())?;
                separator = "; ";
            }
        }
        write!(formatter, "): {}", self.remedy())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::{Attempts, Errno, Reason};
    use crate::places::Place;

    #[test]
    fn remedy_follows_from_the_reason_for_memory() {
        for (reason, remedy) in [
            (Reason::Failed(Errno(libc::EMFILE)), "LimitNOFILE"),
            (Reason::NoProc(Errno(libc::EMFILE)), "LimitNOFILE"),
            (Reason::Failed(Errno(libc::EFBIG)), "LimitFSIZE"),
            (Reason::Failed(Errno(libc::ENOMEM)), "more memory"),
            (Reason::Failed(Errno(libc::EACCES)), "vm.memfd_noexec"),
            (Reason::NoProc(Errno(libc::ENOENT)), "mount /proc"),
        ] {
            let mut attempts = Attempts::default();
            attempts.add(Place::Memory, reason);
            let message = attempts.to_string();
            let (_, advice) = message.split_once("): ").unwrap_or_default();
            assert!(advice.contains(remedy), "{message}");
        }
    }
}
