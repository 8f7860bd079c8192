//! Open files, and their bytes in memory.

use core::ffi::{CStr, c_int, c_uint};
use core::{mem, ptr, slice};

use crate::error::{Errno, Reason};
use crate::text::Text;

/// The longest name of a file in memory, with its NUL, as the system limits it.
const NAME_SIZE: usize = 250;
const SEALS: c_int = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
const PAGE: usize = 4096;

/// An open file. Dropping it closes the file.
pub(crate) struct Descriptor(c_int);

impl Descriptor {
    /// Opens a file that a forked program does not inherit. A new one has the mode 0600.
    pub(crate) fn open(path: &CStr, flags: c_int) -> Result<Self, Errno> {
        // SAFETY: the path is NUL-terminated.
        Self::new(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) })
    }

    /// Makes a file in memory that can be sealed. `name` appears in the memory map of the process, shortened if it is too
    /// long. `flag` states whether the file can be executed. Older kernels do not know it, and behave as if it was set.
    pub(crate) fn in_memory(name: &str, flag: c_uint) -> Result<Self, Errno> {
        let mut shortened = Text::<NAME_SIZE>::new();
        shortened.push(name.as_bytes());
        let create = |flags: c_uint| {
            // glibc has a function for this call since 2.27.
            // SAFETY: the name is NUL-terminated.
            let made = unsafe { libc::syscall(libc::SYS_memfd_create, shortened.as_c_str().as_ptr(), flags) };
            // Both descriptors and -1 fit.
            Self::new(made as c_int)
        };
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        create(flags | flag).or_else(|errno| match errno {
            Errno(libc::EINVAL) => create(flags),
            errno => Err(errno),
        })
    }

    fn new(result: c_int) -> Result<Self, Errno> {
        if result < 0 {
            Err(Errno::last())
        } else {
            Ok(Self(result))
        }
    }

    pub(crate) fn number(&self) -> c_int {
        self.0
    }

    /// Returns the number. The caller has to close the file.
    pub(crate) fn into_number(self) -> c_int {
        mem::ManuallyDrop::new(self).0
    }

    /// Returns a number that no other existing file of the file system has. It is greater than 0.
    pub(crate) fn inode(&self) -> Result<u64, Errno> {
        // SAFETY: the struct is valid when zeroed.
        unsafe {
            let mut status = mem::zeroed::<libc::stat>();
            if libc::fstat(self.0, &mut status) == 0 {
                Ok(status.st_ino)
            } else {
                Err(Errno::last())
            }
        }
    }

    /// Checks that the system executes code of the file.
    pub(crate) fn check_executable(&self) -> Result<(), Reason> {
        // SAFETY: a new private mapping at an address that the system chooses. It is never accessed.
        unsafe {
            let protection = libc::PROT_READ | libc::PROT_EXEC;
            let address = libc::mmap(ptr::null_mut(), PAGE, protection, libc::MAP_PRIVATE, self.0, 0);
            if address == libc::MAP_FAILED {
                return Err(Reason::NotExecutable(Errno::last()));
            }
            libc::munmap(address, PAGE);
        }
        Ok(())
    }

    /// Makes the file in memory constant. There may be no mapping of it.
    pub(crate) fn seal(&self) -> Result<(), Errno> {
        // SAFETY: the call takes numbers.
        if unsafe { libc::fcntl(self.0, libc::F_ADD_SEALS, SEALS) } == 0 {
            Ok(())
        } else {
            Err(Errno::last())
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's, and closed once.
        unsafe { libc::close(self.0) };
    }
}

/// The bytes of a new file. Dropping it keeps the file.
pub(crate) struct Mapping {
    start: *mut u8,
    len: usize,
}

impl Mapping {
    /// Allocates the file's bytes, which are 0, and maps them. Nothing else may have the file open.
    pub(crate) fn new(file: &Descriptor, len: u32) -> Result<Self, Errno> {
        // A mapping of 0 bytes is not possible.
        let len = len.max(1);
        check_limit(len)?;
        loop {
            // Without space for all bytes, access to the mapping would kill the process.
            // SAFETY: the call takes numbers.
            match unsafe { libc::posix_fallocate(file.number(), 0, len.into()) } {
                0 => break,
                libc::EINTR => (),
                errno => return Err(Errno(errno)),
            }
        }
        let len = len as usize;
        // SAFETY: a new mapping at an address that the system chooses.
        let start = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(ptr::null_mut(), len, protection, libc::MAP_SHARED, file.number(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        // A copy in a forked child would prevent sealing. If the call fails, sealing may fail.
        // SAFETY: the mapping was just made.
        unsafe { libc::madvise(start, len, libc::MADV_DONTFORK) };
        Ok(Self {
            start: start.cast(),
            len,
        })
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping has `len` bytes that can be read and written. Nothing else has the file open, because it
        // is new and private.
        unsafe { slice::from_raw_parts_mut(self.start, self.len) }
    }
}

/// Checks that a file may have this length. Without the check, a file that is too long would kill the process (SIGXFSZ).
fn check_limit(len: u32) -> Result<(), Errno> {
    // SAFETY: the struct is valid when zeroed, and valid for writes.
    unsafe {
        let mut limit = mem::zeroed::<libc::rlimit>();
        if libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) != 0 {
            return Err(Errno::last());
        }
        if limit.rlim_cur < len.into() {
            return Err(Errno(libc::EFBIG));
        }
    }
    Ok(())
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and unmapped once.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}
