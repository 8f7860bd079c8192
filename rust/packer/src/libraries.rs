//! Native code to pack: what the plan names, and the shared libraries that it needs.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use falco_plugin_bundle::format::Kind;

use crate::elf::Elf;
use crate::error::Error;
use crate::linker::{self, Found};
use crate::parallel;

/// A native file to pack.
#[derive(Debug)]
pub struct Native {
    pub name: String,
    pub kind: Kind,
    pub path: PathBuf,
    pub data: Vec<u8>,
    /// Keeps its own name. Opened from the bundle only if the system has none.
    pub is_system_first: bool,
    pub uses_python: bool,
    /// The highest version of glibc that it needs.
    pub glibc: Option<(u32, u32)>,
    /// The names of all libraries that it needs directly.
    needed: Vec<String>,
    /// The libraries of the bundle that it needs directly: name in the file, and index in the list of native files.
    pub links: BTreeMap<String, usize>,
    /// The index of libpython, if it uses symbols of Python without naming libpython.
    pub added_python: Option<usize>,
}

impl Native {
    pub fn read(name: &str, kind: Kind, path: &Path, is_system_first: bool) -> Result<Self, Error> {
        let data = fs::read(path).map_err(|error| Error::Read {
            path: path.to_owned(),
            error,
        })?;
        let inspected = Elf::parse(&data).and_then(|elf| {
            let needed = elf.needed()?.into_iter().map(str::to_owned).collect();
            Ok((needed, elf.uses_python()?, elf.glibc()?))
        });
        let (needed, uses_python, glibc) = inspected.map_err(|error| Error::Elf {
            entry: name.to_owned(),
            path: path.to_owned(),
            error,
        })?;
        Ok(Self {
            name: name.to_owned(),
            kind,
            path: path.to_owned(),
            data,
            is_system_first,
            uses_python,
            glibc,
            needed,
            links: BTreeMap::new(),
            added_python: None,
        })
    }

    /// Reads a library under its SONAME, or under its file name if it has none.
    fn read_library(path: &Path) -> Result<Self, Error> {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut library = Self::read(&file_name, Kind::Library, path, false)?;
        let soname = Elf::parse(&library.data)
            .ok()
            .and_then(|elf| elf.soname().ok().flatten().map(str::to_owned));
        library.name = soname.unwrap_or(library.name);
        library.is_system_first = linker::is_system_first(&library.name);
        Ok(library)
    }

    /// Returns the names of the libraries that it needs directly and that the bundle must have.
    fn needed_from_bundle(&self) -> impl Iterator<Item = &String> {
        self.needed.iter().filter(|name| !linker::is_of_glibc(name))
    }

    /// Returns the indexes of the libraries that it needs directly.
    pub fn direct_needs(&self) -> impl Iterator<Item = usize> {
        self.links.values().copied().chain(self.added_python)
    }
}

/// Adds the shared libraries that `natives` need and that neither they nor glibc have, and links all of them.
pub fn complete(natives: Vec<Native>, linker: &Path) -> Result<Vec<Native>, Error> {
    let planned = library_indexes(&natives);
    let found = parallel::map(&natives, |native| {
        match native.needed_from_bundle().all(|name| planned.contains_key(name)) {
            true => Ok(Found::new()),
            false => linker::find_libraries(linker, &native.path),
        }
    })?;

    let mut natives = natives;
    let mut by_path: HashMap<PathBuf, usize> = HashMap::new();
    // The index of a native file, and of the planned one that led to it. Its search paths apply to indirect needs too.
    let mut pending: Vec<_> = (0..natives.len()).map(|index| (index, index)).collect();
    while let Some((index, origin)) = pending.pop() {
        let names: Vec<_> = natives[index].needed_from_bundle().cloned().collect();
        for name in names {
            let library = match planned.get(&name) {
                Some(library) => *library,
                None => {
                    let path = found[origin].get(&name).ok_or_else(|| Error::NotFound {
                        entry: natives[origin].name.clone(),
                        library: name.clone(),
                    })?;
                    let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                    let count = natives.len();
                    let library = match by_path.get(&path) {
                        Some(library) => *library,
                        None => add_library(&mut natives, &path)?,
                    };
                    if library == count {
                        pending.push((library, origin));
                    }
                    by_path.insert(path, library);
                    library
                }
            };
            natives[index].links.insert(name, library);
        }
    }
    link_python(&mut natives)?;
    Ok(natives)
}

fn library_indexes(natives: &[Native]) -> HashMap<String, usize> {
    let libraries = natives
        .iter()
        .enumerate()
        .filter(|(_, native)| native.kind == Kind::Library);
    libraries.map(|(index, native)| (native.name.clone(), index)).collect()
}

/// Returns the index of the library at `path`, which is added unless an equal file is there.
fn add_library(natives: &mut Vec<Native>, path: &Path) -> Result<usize, Error> {
    let library = Native::read_library(path)?;
    match library_indexes(natives).get(&library.name) {
        Some(index) if natives[*index].data == library.data => Ok(*index),
        Some(index) => Err(Error::Conflict {
            entry: library.name.clone(),
            library: library.name,
            paths: Box::new((natives[*index].path.clone(), path.to_owned())),
        }),
        None => {
            natives.push(library);
            Ok(natives.len() - 1)
        }
    }
}

/// Makes each file that uses symbols of Python need libpython. Extension modules usually do not name it.
fn link_python(natives: &mut [Native]) -> Result<(), Error> {
    let is_python = |native: &Native| native.kind == Kind::Library && native.name.starts_with("libpython3.");
    // The library of the stable ABI has no code. It needs the other one.
    let python = natives
        .iter()
        .position(|native| is_python(native) && native.name != "libpython3.so");
    for (index, native) in natives.iter_mut().enumerate() {
        let is_linked = Some(index) == python || native.links.values().any(|library| Some(*library) == python);
        if native.uses_python && !is_linked {
            native.added_python = python;
            if python.is_none() {
                return Err(Error::NoPython {
                    entry: native.name.clone(),
                });
            }
        }
    }
    Ok(())
}

/// Returns the indexes of the libraries to open before the native file `index`, in this order.
pub fn needs(natives: &[Native], index: usize) -> Result<Vec<usize>, Error> {
    let mut order = Vec::new();
    let mut path = Vec::new();
    visit(natives, index, &mut path, &mut order)?;
    order.pop();
    Ok(order)
}

fn visit(natives: &[Native], index: usize, path: &mut Vec<usize>, order: &mut Vec<usize>) -> Result<(), Error> {
    if order.contains(&index) {
        return Ok(());
    }
    if path.contains(&index) {
        let preceding = path.last().map_or(index, |index| *index);
        return Err(Error::Cycle {
            entry: natives[preceding].name.clone(),
            library: natives[index].name.clone(),
        });
    }
    path.push(index);
    for library in natives[index].direct_needs() {
        visit(natives, library, path, order)?;
    }
    path.pop();
    order.push(index);
    Ok(())
}
