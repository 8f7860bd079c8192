//! The bundle of this process' interpreter, as Python code reads it.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use falco_plugin_bundle::error::Error;
use falco_plugin_bundle::file::{File, Identity};
use falco_plugin_bundle::format::{Damaged, Entry, Group, Index, SHARED_BLOCK_LEN};
use falco_plugin_bundle::memory::Memory;
use falco_plugin_bundle::memory_file::{self, DataError};
use falco_plugin_bundle::open::{self, Soname};
use falco_plugin_bundle::places::Places;
use pyo3::exceptions::{PyImportError, PyOSError};
use pyo3::marshal;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// The number of decompressed blocks that are kept after an init.
const CACHED_BLOCKS: usize = 2;

/// The number of calls of init that run. They import many modules in any order, so all blocks are kept until they return.
static INITS: AtomicUsize = AtomicUsize::new(0);

/// The bundle of this copy of the extension module. It is set before Python starts, and never changes.
static CONTENTS: OnceLock<Contents> = OnceLock::new();

/// A bundle in an open file.
pub(crate) struct Contents {
    index: Index<'static>,
    /// Nobody else uses the descriptor, but user code may close it.
    file: Mutex<File>,
    identity: Identity,
    /// The path of the plugin library.
    library: String,
    path: CString,
    folder: CString,
    /// The blocks that were used last, the newest at the end.
    blocks: Mutex<Vec<(u32, Arc<Memory>)>>,
}

impl Contents {
    /// Sets the bundle. Returns the one that was set before, if there is one.
    pub(crate) fn set(bundle: open::Bundle<'static>, identity: Identity, library: String) -> &'static Self {
        let folder = library.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = CString::new(if folder.is_empty() { "/" } else { folder }).unwrap_or_default();
        CONTENTS.get_or_init(|| Self {
            index: bundle.index,
            file: Mutex::new(bundle.file),
            identity,
            path: CString::new(library.as_str()).unwrap_or_default(),
            library,
            folder,
            blocks: Mutex::default(),
        })
    }

    /// Returns the bundle's file. Opens it again if user code has closed the descriptor.
    fn file(&self) -> Result<File, Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        *file = file.restore(self.identity, &self.path)?;
        Ok(*file)
    }

    pub(crate) fn library(&self) -> &str {
        &self.library
    }

    /// Returns the number of the entry of a module.
    pub(crate) fn module(&self, name: &str) -> Option<u32> {
        self.index.find(Group::Modules, name)
    }

    /// Returns an entry and the block that it is in.
    pub(crate) fn read(&self, number: u32) -> Result<(Entry<'static>, Arc<Memory>), Error> {
        let entry = self.entry(number)?;
        Ok((entry, self.block(entry.block)?))
    }

    fn entry(&self, number: u32) -> Result<Entry<'static>, Error> {
        let entry = self.index.entry(number);
        Ok(entry.ok_or(Damaged("a number of an entry is out of range"))?)
    }

    fn block(&self, number: u32) -> Result<Arc<Memory>, Error> {
        // No Python code runs while the lock is held.
        let mut blocks = self.lock();
        if let Some(index) = blocks.iter().position(|(cached, _)| *cached == number) {
            let block = blocks.remove(index);
            blocks.push(block.clone());
            return Ok(block.1);
        }
        let block = self.index.block(number).ok_or(Damaged("an entry has no block"))?;
        let bytes = Arc::new(self.file()?.read_block(block)?);
        // A larger block holds a single entry.
        if block.len <= SHARED_BLOCK_LEN {
            blocks.push((number, Arc::clone(&bytes)));
            let surplus = blocks.len().saturating_sub(CACHED_BLOCKS);
            if INITS.load(Ordering::Relaxed) == 0 {
                blocks.drain(..surplus);
            }
        }
        Ok(bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u32, Arc<Memory>)>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens native code, and returns the path by which the dynamic linker knows it.
    fn open(&self, number: u32) -> Result<&'static CStr, Error> {
        let bundle = open::Bundle {
            file: self.file()?,
            index: self.index,
        };
        Ok(bundle.open(number, &Places::new(&self.folder))?.path())
    }

    /// Returns the SONAME of libpython.
    fn libpython(&self) -> Result<Soname, Error> {
        let mut libraries = self.index.with_prefix(Group::Libraries, "libpython");
        let entry = libraries.next().ok_or(Damaged("it has no Python"))?.1;
        Ok(open::soname(self.index.id(), &entry)?)
    }
}

/// A guard that keeps all decompressed blocks while an init runs. When the last one is dropped, all blocks are freed.
pub(crate) struct KeptBlocks(());

impl KeptBlocks {
    pub(crate) fn new() -> Self {
        INITS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for KeptBlocks {
    fn drop(&mut self) {
        if INITS.fetch_sub(1, Ordering::Relaxed) == 1
            && let Some(contents) = CONTENTS.get()
        {
            contents.lock().clear();
        }
    }
}

/// The bundle of a self-contained library: what Python imports from instead of files. Not public.
#[pyclass(frozen, module = "falco_plugin._core")]
pub(crate) struct Bundle(&'static Contents);

impl Bundle {
    pub(crate) fn new(contents: &'static Contents) -> Self {
        Self(contents)
    }

    fn import_error(&self, py: Python<'_>, error: &Error, name: &str) -> PyErr {
        let error = PyImportError::new_err(error.to_string());
        let value = error.value(py);
        // The attributes help to find the cause, but the message has all of it.
        let _ = value.setattr("name", name);
        let _ = value.setattr("path", &self.0.library);
        error
    }
}

#[pymethods]
impl Bundle {
    /// The 16 hexadecimal digits that make the names of native code unique.
    #[getter]
    fn id(&self) -> &'static str {
        self.0.index.id()
    }

    /// The path of the library. The ``__file__`` of each module is below it.
    #[getter]
    fn root(&self) -> &str {
        &self.0.library
    }

    /// The SONAME of libpython, for ``ctypes.PyDLL``.
    #[getter]
    fn libpython(&self) -> PyResult<String> {
        let name = self
            .0
            .libpython()
            .map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(name.to_string())
    }

    /// Returns the kind of a module and the number of its entry.
    ///
    /// The kinds are 0 for a module, 1 for a package and 2 for an extension module.
    fn find(&self, name: &str) -> Option<(u32, u32)> {
        let number = self.0.module(name)?;
        let entry = self.0.index.entry(number)?;
        Some((entry.kind as u32, number))
    }

    /// Returns the code of a module or a package.
    fn code<'py>(&self, py: Python<'py>, entry: u32) -> PyResult<Bound<'py, PyAny>> {
        let found = self.0.read(entry);
        let (entry, block) = found.map_err(|error| self.import_error(py, &error, ""))?;
        marshal::loads(py, entry.data(block.bytes()).unwrap_or_default())
    }

    /// Loads an extension module from memory, and the libraries that it needs.
    ///
    /// Returns the module before its execution. The ``__file__`` that it may have is a path in memory.
    fn create_extension<'py>(&self, py: Python<'py>, entry: u32, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let path = self
            .0
            .open(entry)
            .map_err(|error| self.import_error(py, &error, name))?;
        let spec = py.import("_frozen_importlib")?.getattr("ModuleSpec")?;
        let arguments = PyDict::new(py);
        arguments.set_item("origin", path.to_string_lossy())?;
        let spec = spec.call((name, py.None()), Some(&arguments))?;
        local_scope(py, || py.import("_imp")?.call_method1("create_dynamic", (spec,)))
    }

    /// Returns the number of the entry of a data file.
    fn file(&self, path: &str) -> Option<u32> {
        self.0.index.find(Group::Files, path)
    }

    /// Returns the content of an entry.
    fn read<'py>(&self, py: Python<'py>, entry: u32) -> PyResult<Bound<'py, PyBytes>> {
        let found = self.0.read(entry);
        let (entry, block) = found.map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, entry.data(block.bytes()).unwrap_or_default()))
    }

    /// Returns the paths of the data files that begin with a prefix, sorted.
    fn files(&self, prefix: &str) -> Vec<&'static str> {
        let files = self.0.index.with_prefix(Group::Files, prefix);
        files.map(|(_, entry)| entry.name).collect()
    }

    /// Returns the names of the modules that begin with a prefix, each with its kind, sorted.
    fn modules(&self, prefix: &str) -> Vec<(&'static str, u32)> {
        let modules = self.0.index.with_prefix(Group::Modules, prefix);
        modules.map(|(_, entry)| (entry.name, entry.kind as u32)).collect()
    }

    /// Returns the descriptor of a file in memory with the content of a data file.
    ///
    /// Nothing can change the file. The caller has to close the descriptor.
    ///
    /// Raises:
    ///     OSError: the system refuses files in memory.
    fn memory_file(&self, entry: u32) -> PyResult<i32> {
        let unreadable = |error: Error| PyOSError::new_err(error.to_string());
        let (entry, block) = self.0.read(entry).map_err(unreadable)?;
        let data = entry.data(block.bytes()).unwrap_or_default();
        let name = entry.name.rsplit('/').next().unwrap_or_default();
        let made = memory_file::create_data(name, entry.len, &mut |bytes| {
            bytes.copy_from_slice(data);
            Ok(())
        });
        made.map_err(|error| match error {
            DataError::Refused(errno) => PyOSError::new_err((errno.0, errno.to_string())),
            DataError::Unreadable(error) => unreadable(error),
        })
    }
}

/// Runs code that opens an extension module. A package may have requested global scope for its extension modules, which
/// would bring libpython into it too.
fn local_scope<R>(py: Python<'_>, code: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    let sys = py.import("sys")?;
    let flags: i32 = sys.call_method0("getdlopenflags")?.extract()?;
    if flags & libc::RTLD_GLOBAL == 0 {
        return code();
    }
    sys.call_method1("setdlopenflags", (flags & !libc::RTLD_GLOBAL,))?;
    let result = code();
    sys.call_method1("setdlopenflags", (flags,))?;
    result
}
