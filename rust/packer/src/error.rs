//! The reasons why a bundle cannot be made.

use std::io;
use std::path::PathBuf;

use falco_plugin_bundle::write::WriteError;

use crate::elf::ElfError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the plan is not valid: {0}")]
    Plan(#[from] serde_json::Error),
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{} ends before the data of {entry}: build the library again", path.display())]
    Source { entry: String, path: PathBuf },
    #[error("cannot pack {}: {error}", path.display())]
    Elf {
        entry: String,
        path: PathBuf,
        error: ElfError,
    },
    #[error(
        "{entry} needs {library}, which the dynamic linker does not find: install the package that has it, or add its \
         folder to LD_LIBRARY_PATH, or leave the module out with --exclude"
    )]
    NotFound { entry: String, library: String },
    #[error(
        "{library} exists twice with different content: {} and {}. A library can have only one: remove one from the \
         environment, or leave out a module that needs it with --exclude",
        paths.0.display(), paths.1.display()
    )]
    Conflict {
        entry: String,
        library: String,
        paths: Box<(PathBuf, PathBuf)>,
    },
    #[error("{entry} uses symbols of Python, but no libpython is to be packed")]
    NoPython { entry: String },
    #[error("{entry} and {library} need each other, so neither can be opened first")]
    Cycle { entry: String, library: String },
    #[error("cannot run the dynamic linker {}: {error}", path.display())]
    Linker { path: PathBuf, error: io::Error },
    #[error("cannot compress: {0}")]
    Compress(io::Error),
    #[error(transparent)]
    Bundle(#[from] WriteError),
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
}

impl Error {
    /// Returns the name of the entry that cannot be packed, if it is one.
    pub fn entry(&self) -> Option<&str> {
        match self {
            Self::Source { entry, .. }
            | Self::Elf { entry, .. }
            | Self::NotFound { entry, .. }
            | Self::Conflict { entry, .. }
            | Self::NoPython { entry }
            | Self::Cycle { entry, .. } => Some(entry),
            Self::Bundle(WriteError::Duplicate(entry) | WriteError::MissingNeed { entry, .. }) => Some(entry),
            _ => None,
        }
    }
}
