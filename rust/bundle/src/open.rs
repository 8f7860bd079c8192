//! Opens the native code of a bundle.

use core::ffi::CStr;

use crate::error::Error;
use crate::file::File;
use crate::format::{Damaged, Entry, ID_LEN, ID_PLACEHOLDER, Index, Kind};
use crate::library::Library;
use crate::memory_file;
use crate::openssl;
use crate::places::Places;
use crate::text::Text;

/// A name of native code, by which the dynamic linker knows it.
pub type Soname = Text<256>;

/// A bundle in a file.
#[derive(Clone, Copy)]
pub struct Bundle<'a> {
    pub file: File,
    pub index: Index<'a>,
}

impl Bundle<'_> {
    /// Opens a library or an extension module, and before it the libraries that it needs. Code that the process has
    /// opened already is used again.
    pub fn open(&self, number: u32, places: &Places<'_>) -> Result<Library, Error> {
        for need in self.entry(number)?.needs() {
            self.open_one(need, places)?;
        }
        self.open_one(number, places)
    }

    fn open_one(&self, number: u32, places: &Places<'_>) -> Result<Library, Error> {
        let entry = self.entry(number)?;
        let name = soname(self.index.id(), &entry)?;
        if let Some(library) = Library::find(name.as_c_str()) {
            return Ok(library);
        }
        if entry.is_system_first()
            && let Ok(library) = Library::load(name.as_c_str(), entry.name)
        {
            return Ok(library);
        }
        let opened = self.open_from_memory(&entry, name.as_c_str(), places)?;
        openssl::ignore_configuration(opened, entry.name);
        // If two threads have opened the same code, all users get the copy that the dynamic linker finds first.
        Ok(Library::find(name.as_c_str()).unwrap_or(opened))
    }

    fn open_from_memory(&self, entry: &Entry<'_>, name: &CStr, places: &Places<'_>) -> Result<Library, Error> {
        let block = self.index.block(entry.block).ok_or(Damaged("an entry has no block"))?;
        let name = name.to_str().map_err(|_| Damaged("its names are not UTF-8"))?;
        memory_file::open(name, block.len, places, &mut |bytes| {
            self.file.decompress(block, bytes)?;
            patch(bytes, entry, self.index.id())
        })
    }

    fn entry(&self, number: u32) -> Result<Entry<'_>, Error> {
        let entry = self.index.entry(number);
        Ok(entry.ok_or(Damaged("a number of an entry is out of range"))?)
    }
}

/// Writes the id of the bundle into native code.
fn patch(bytes: &mut [u8], entry: &Entry<'_>, id: &str) -> Result<(), Error> {
    for offset in entry.patches() {
        let slot = bytes.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..ID_LEN));
        match slot {
            Some(slot) if slot == ID_PLACEHOLDER && id.len() == ID_LEN => slot.copy_from_slice(id.as_bytes()),
            _ => return Err(Damaged("native code has no space for the id").into()),
        }
    }
    Ok(())
}

/// Returns the SONAME that the native code of an entry has after it was patched.
pub fn soname(id: &str, entry: &Entry<'_>) -> Result<Soname, Damaged> {
    let name = entry.name.as_bytes();
    let joined = match entry.kind {
        Kind::Library if entry.is_system_first() => Soname::join(&[name]),
        Kind::Library => Soname::join(&[id.as_bytes(), b"-", name]),
        Kind::Extension => Soname::join(&[id.as_bytes(), b"-", name, b".so"]),
        Kind::Module | Kind::Package | Kind::File => None,
    };
    joined
        .filter(|name| !name.bytes().contains(&b'/'))
        .ok_or(Damaged("an entry cannot be opened as native code"))
}
