//! Opens bytes as a shared library: from a sealed file in memory, or from a file in a private folder.
//!
//! The dynamic linker knows a library by the path by which it was opened. The number of a closed descriptor is used again,
//! so `/proc/self/fd/7` may already be the path of another library. Therefore each path contains the inode of its file, as
//! components that have no effect: `/.` for 1 and an additional `/` for 0. No two loaded files have one inode.

use core::ffi::{CStr, c_int};
use core::fmt::Write;

use crate::descriptor::{Descriptor, Mapping};
use crate::error::{Attempts, Errno, Error, Reason};
use crate::folder::{PATH_SIZE, PREFIX, PrivateFile, RANDOM};
use crate::library::Library;
use crate::places::{Place, Places};
use crate::text::Text;

const DESCRIPTORS: &[u8] = b"/proc/self/fd";

/// Writes the bytes of a file, whose length the slice has.
pub type Fill<'f> = dyn FnMut(&mut [u8]) -> Result<(), Error> + 'f;

/// Opens `len` bytes as a shared library, which then stays loaded. Calls `fill` for a place that works, which is mostly the
/// first one. `name` appears in the memory map of the process. No file and no descriptor remains.
pub fn open(name: &str, len: u32, places: &Places<'_>, fill: &mut Fill<'_>) -> Result<Library, Error> {
    let mut attempts = Attempts::default();
    for place in Place::ALL {
        let draft = match places.folder(place) {
            Some(folder) => folder.and_then(|folder| Draft::in_folder(folder, name, len)),
            None => Draft::in_memory(name, len),
        };
        let reason = match draft.map(|draft| draft.finish(fill)) {
            Ok(Ok(Ok(file))) => return file.load(name),
            Ok(Ok(Err(reason))) | Err(reason) => reason,
            Ok(Err(error)) => return Err(error),
        };
        attempts.add(place, reason);
    }
    Err(Error::NoPlace(attempts))
}

/// Makes a file in memory for data. It is sealed, so nothing can change it. Returns its descriptor, which the caller has
/// to close.
pub fn create_data(name: &str, len: u32, fill: &mut Fill<'_>) -> Result<c_int, DataError> {
    let descriptor = Descriptor::in_memory(name, libc::MFD_NOEXEC_SEAL)?;
    if len > 0 {
        fill(Mapping::new(&descriptor, len)?.bytes())?;
    }
    descriptor.seal()?;
    Ok(descriptor.into_number())
}

/// The reason why a file in memory cannot be made for data.
#[derive(Debug)]
pub enum DataError {
    /// The system refuses files in memory.
    Refused(Errno),
    /// The data cannot be read.
    Unreadable(Error),
}

impl From<Errno> for DataError {
    fn from(errno: Errno) -> Self {
        Self::Refused(errno)
    }
}

impl From<Error> for DataError {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Returns whether the dynamic linker's name of a library is one that this module has made.
pub fn is_path(name: &[u8]) -> bool {
    let rest = name.strip_prefix(DESCRIPTORS).or_else(|| {
        let start = name
            .windows(PREFIX.len())
            .position(|window| window == PREFIX.as_bytes())?;
        name.get(start + PREFIX.len() + RANDOM.len()..)
    });
    // The first component of an inode is `/.`, because its highest bit is 1. Another component follows.
    rest.is_some_and(|rest| rest.starts_with(b"/./"))
}

/// A file that becomes a shared library. Dropping it removes the file.
struct Draft {
    mapping: Mapping,
    descriptor: Descriptor,
    /// The path with the inode in it.
    path: Text<PATH_SIZE>,
    /// The file, if it is in a folder.
    file: Option<PrivateFile>,
}

impl Draft {
    fn in_memory(name: &str, len: u32) -> Result<Self, Reason> {
        let descriptor = Descriptor::in_memory(name, libc::MFD_EXEC).map_err(Reason::Failed)?;
        let mut number = Text::<16>::new();
        // A number has at most 10 digits.
        let _ = write!(number, "{}", descriptor.number());
        let path = unique_path(DESCRIPTORS, &descriptor, number.bytes())?;
        // The dynamic linker needs /proc for this path.
        Descriptor::open(path.as_c_str(), libc::O_RDONLY).map_err(Reason::NoProc)?;
        Self::new(descriptor, path, None, len)
    }

    fn in_folder(parent: &CStr, name: &str, len: u32) -> Result<Self, Reason> {
        let (file, descriptor) = PrivateFile::create(parent, name)?;
        let path = unique_path(file.folder(), &descriptor, name.as_bytes())?;
        Self::new(descriptor, path, Some(file), len)
    }

    fn new(descriptor: Descriptor, path: Text<PATH_SIZE>, file: Option<PrivateFile>, len: u32) -> Result<Self, Reason> {
        descriptor.check_executable()?;
        let mapping = Mapping::new(&descriptor, len).map_err(Reason::Failed)?;
        Ok(Self {
            mapping,
            descriptor,
            path,
            file,
        })
    }

    /// Writes the bytes, and makes the file constant if it is in memory.
    fn finish(mut self, fill: &mut Fill<'_>) -> Result<Result<Finished, Reason>, Error> {
        fill(self.mapping.bytes())?;
        drop(self.mapping);
        if self.file.is_none()
            && let Err(errno) = self.descriptor.seal()
        {
            return Ok(Err(Reason::Failed(errno)));
        }
        Ok(Ok(Finished {
            _descriptor: self.descriptor,
            path: self.path,
            _file: self.file,
        }))
    }
}

/// A file with all its bytes. Dropping it removes the file. If it was loaded, its pages remain.
struct Finished {
    path: Text<PATH_SIZE>,
    _descriptor: Descriptor,
    _file: Option<PrivateFile>,
}

impl Finished {
    fn load(self, name: &str) -> Result<Library, Error> {
        Library::load(self.path.as_c_str(), name)
    }
}

/// Returns the path of a file in a folder, with the inode of the file in it.
fn unique_path(folder: &[u8], file: &Descriptor, name: &[u8]) -> Result<Text<PATH_SIZE>, Reason> {
    let inode = file.inode().map_err(Reason::Failed)?;
    let mut path = Text::new();
    path.push(folder);
    for bit in (0..=inode.checked_ilog2().unwrap_or(0)).rev() {
        path.push(if inode >> bit & 1 == 1 { b"/." } else { b"/" });
    }
    path.push(b"/");
    path.push(name);
    if path.is_truncated() {
        Err(Reason::Path)
    } else {
        Ok(path)
    }
}
