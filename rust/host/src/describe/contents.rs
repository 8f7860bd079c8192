//! Where the Python of a plugin library comes from, and what a self-contained library brings. It is in the manifest at
//! the end of libraries of the Python SDK, and is read without running anything of them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::abi;
use crate::describe::error::Error;

/// The bytes in front of the location of the manifest.
const MARKER: &[u8] = b"\x7ffalco.appended!";
/// The bytes of a library in which the marker is searched. The stub is much smaller.
const MARKER_LIMIT: u64 = 1 << 20;
/// The largest manifest in bytes. The length of a larger one is damaged.
const MAX_MANIFEST: u64 = 64 << 20;
/// The numbers that follow the marker: offset and length of the manifest, lengths of archive and bundle.
const NUMBERS: usize = 4;

/// The parts that a library brings, as JSON for output and as values.
#[derive(Debug)]
pub struct Contents {
    /// For `--json`.
    pub json: Value,
    pub python: Python,
    pub packages: Vec<Package>,
    pub libraries: Vec<NativeLibrary>,
    /// The folders of packages that need their files in the file system.
    pub real_files: Vec<String>,
}

/// Where Python comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Python {
    /// An environment on this machine.
    Linked { version: String, executable: String },
    /// The library itself.
    SelfContained {
        version: String,
        /// The extension module for which a free-threaded Python switches its GIL on; empty if there is none.
        needs_gil: String,
        glibc: String,
        size: u64,
        stored: u64,
    },
}

/// A package of a self-contained library.
#[derive(Debug, Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub licence: String,
    pub size: u64,
    pub stored: u64,
}

/// A shared library of a self-contained library.
#[derive(Debug, Deserialize)]
pub struct NativeLibrary {
    pub name: String,
    pub size: u64,
    pub stored: u64,
}

/// The members of the description in the manifest of a self-contained library that are shown as text.
#[derive(Deserialize)]
struct Described {
    python: DescribedPython,
    packages: Vec<Package>,
    libraries: Vec<NativeLibrary>,
    #[serde(default)]
    real_files: Vec<String>,
    glibc: String,
    size: u64,
    stored: u64,
}

#[derive(Deserialize)]
struct DescribedPython {
    version: String,
    #[serde(default)]
    free_threaded: bool,
    #[serde(default)]
    needs_gil: String,
}

impl Contents {
    /// Reads what a library brings. Returns `None` if it is not a library of the Python SDK.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let read = read_manifest(path).map_err(|source| abi::Error::Open {
            path: path.to_owned(),
            source,
        })?;
        let damaged = || Error::Damaged(path.to_owned());
        let bytes = match read {
            Manifest::Absent => return Ok(None),
            Manifest::Cut => return Err(damaged()),
            Manifest::Whole(bytes) => bytes,
        };
        let manifest = parse(&bytes).ok_or_else(damaged)?;
        let value = |name: &str| manifest.get(name).copied().unwrap_or_default().to_owned();
        let Some(description) = manifest.get("contents") else {
            return Ok(Some(Self::linked(value("python_version"), value("python"))));
        };
        let json: Value = serde_json::from_str(description).map_err(|_| damaged())?;
        let found = Described::deserialize(&json).map_err(|_| damaged())?;
        Ok(Some(Self {
            json,
            python: Python::SelfContained {
                version: found.python.version + if found.python.free_threaded { "t" } else { "" },
                needs_gil: found.python.needs_gil,
                glibc: found.glibc,
                size: found.size,
                stored: found.stored,
            },
            packages: found.packages,
            libraries: found.libraries,
            real_files: found.real_files,
        }))
    }

    fn linked(version: String, executable: String) -> Self {
        Self {
            json: json!({"kind": "linked", "python": {"version": version, "executable": executable}}),
            python: Python::Linked { version, executable },
            packages: Vec::new(),
            libraries: Vec::new(),
            real_files: Vec::new(),
        }
    }
}

enum Manifest {
    /// The file has no marker.
    Absent,
    /// The file ends before what was appended to it.
    Cut,
    Whole(Vec<u8>),
}

fn read_manifest(path: &Path) -> io::Result<Manifest> {
    let file = File::open(path)?;
    let mut head = Vec::new();
    (&file).take(MARKER_LIMIT).read_to_end(&mut head)?;
    let Some(marker) = head.windows(MARKER.len()).position(|bytes| bytes == MARKER) else {
        return Ok(Manifest::Absent);
    };
    let numbers = head[marker + MARKER.len()..].as_chunks().0;
    let Some(numbers) = numbers.first_chunk::<NUMBERS>() else {
        return Ok(Manifest::Absent);
    };
    let [offset, manifest, archive, bundle] = numbers.map(u64::from_le_bytes);
    if offset == 0 {
        // A stub without a plugin.
        return Ok(Manifest::Absent);
    }
    let end = [manifest, archive, bundle]
        .iter()
        .try_fold(offset, |end, &len| end.checked_add(len));
    if manifest > MAX_MANIFEST || end.is_none_or(|end| end > file.metadata().map_or(0, |metadata| metadata.len())) {
        return Ok(Manifest::Cut);
    }
    let mut bytes = vec![0; manifest as usize];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(Manifest::Whole(bytes))
}

/// Splits a manifest into its pairs of NUL-terminated names and values.
fn parse(manifest: &[u8]) -> Option<HashMap<&str, &str>> {
    let text = std::str::from_utf8(manifest).ok()?;
    let words: Vec<&str> = text.strip_suffix('\0')?.split('\0').collect();
    let (pairs, rest) = words.as_chunks();
    rest.is_empty()
        .then(|| pairs.iter().map(|&[name, value]| (name, value)).collect())
}
