//! The places that can hold native code while it is loaded.

use core::ffi::{CStr, c_char};

use crate::error::Reason;

/// A place for native code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Memory,
    Variable,
    Run,
    SharedMemory,
    Temporary,
    VarTemporary,
    LibraryFolder,
}

impl Place {
    /// All places, in the order in which they are tried.
    pub const ALL: [Self; 7] = [
        Self::Memory,
        Self::Variable,
        Self::Run,
        Self::SharedMemory,
        Self::Temporary,
        Self::VarTemporary,
        Self::LibraryFolder,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Variable => "TMPDIR",
            Self::Run => "/run",
            Self::SharedMemory => "/dev/shm",
            Self::Temporary => "/tmp",
            Self::VarTemporary => "/var/tmp",
            Self::LibraryFolder => "the folder of the library",
        }
    }
}

/// The places that are tried, in the order of [`Place::ALL`].
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Whether files in memory are tried.
    pub has_memory: bool,
    /// The value of TMPDIR.
    pub variable: Option<&'a CStr>,
    /// The folders of the system, in the order of [`Place`].
    pub system: [&'a CStr; 4],
    /// The folder of the plugin library.
    pub library_folder: &'a CStr,
}

impl<'a> Places<'a> {
    /// Returns the places of this process.
    pub fn new(library_folder: &'a CStr) -> Self {
        unsafe extern "C" {
            fn secure_getenv(name: *const c_char) -> *const c_char;
        }
        // SAFETY: plain call of the C library, which returns NULL or a NUL-terminated string. Nothing may change the
        // environment while a plugin is loaded.
        let variable = unsafe {
            let value = secure_getenv(c"TMPDIR".as_ptr());
            (!value.is_null()).then(|| CStr::from_ptr(value))
        };
        Self {
            has_memory: true,
            variable,
            system: [c"/run", c"/dev/shm", c"/tmp", c"/var/tmp"],
            library_folder,
        }
    }

    /// Returns the folder of a place; `None` for memory.
    pub(crate) fn folder(&self, place: Place) -> Option<Result<&'a CStr, Reason>> {
        let [run, shared_memory, temporary, var_temporary] = self.system;
        Some(Ok(match place {
            Place::Memory if self.has_memory => return None,
            Place::Memory => return Some(Err(Reason::Unset)),
            Place::Variable => match self.variable {
                Some(folder) if !folder.is_empty() => folder,
                _ => return Some(Err(Reason::Unset)),
            },
            Place::Run => run,
            Place::SharedMemory => shared_memory,
            Place::Temporary => temporary,
            Place::VarTemporary => var_temporary,
            Place::LibraryFolder => self.library_folder,
        }))
    }
}
