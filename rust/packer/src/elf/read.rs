//! Reads a shared library as the dynamic linker does.

use object::LittleEndian as LE;
use object::elf::{self, Dyn64, DynamicTag, FileHeader64, ProgramHeader64, Sym64, Vernaux, Verneed};
use object::pod::{from_bytes, slice_from_bytes};
use object::read::elf::{FileHeader as _, GnuHashTable, HashTable, ProgramHeader as _};

type Header = FileHeader64<LE>;

/// The architecture that this program was compiled for, which is that of Python.
#[cfg(target_arch = "x86_64")]
const MACHINE: elf::Machine = elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: elf::Machine = elf::EM_AARCH64;

/// The reason why a file is not a shared library that can be packed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ElfError {
    #[error("it is not an ELF file")]
    NotElf,
    #[error("it was built for another architecture (ELF machine {found}, expected {})", MACHINE.0)]
    OtherArchitecture { found: u16 },
    #[error("it is an ELF file, but not a shared library")]
    NotSharedLibrary,
    #[error("it has no dynamic section, so it cannot be opened as a shared library")]
    NoDynamicSection,
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    #[error("it is too large: native code is limited to 1 GiB")]
    TooLarge,
}

/// A shared library.
pub struct Elf<'a> {
    pub(super) data: &'a [u8],
    pub(super) header: &'a Header,
    pub(super) segments: &'a [ProgramHeader64<LE>],
    /// The entries of the dynamic table before the terminating one: tag and value.
    pub(super) dynamic: Vec<(DynamicTag, u64)>,
    /// The number of the segment that contains the dynamic table.
    pub(super) dynamic_segment: usize,
    pub(super) strings: &'a [u8],
}

/// A name in the table of needed versions.
pub(super) struct NeededFile<'a> {
    /// The position of the record in the file.
    pub offset: usize,
    pub name: &'a str,
}

impl<'a> Elf<'a> {
    pub fn parse(data: &'a [u8]) -> Result<Self, ElfError> {
        if !data.starts_with(&elf::ELFMAG) {
            return Err(ElfError::NotElf);
        }
        let header = Header::parse(data).map_err(|_| ElfError::OtherArchitecture {
            // The field is at the same offset in files of 32 bits.
            found: data
                .get(18..20)
                .map_or(0, |machine| u16::from_le_bytes([machine[0], machine[1]])),
        })?;
        let found = header.e_machine.get(LE);
        if found != MACHINE {
            return Err(ElfError::OtherArchitecture { found: found.0 });
        }
        if header.e_type.get(LE) != elf::ET_DYN {
            return Err(ElfError::NotSharedLibrary);
        }
        let segments = header
            .program_headers(LE, data)
            .map_err(|_| ElfError::Damaged("its program headers are outside of it"))?;
        if segments.iter().any(|segment| segment.data(LE, data).is_err()) {
            return Err(ElfError::Damaged("a segment is outside of it"));
        }
        let dynamic_segment = segments
            .iter()
            .position(|segment| segment.p_type.get(LE) == elf::PT_DYNAMIC)
            .ok_or(ElfError::NoDynamicSection)?;
        let table: &[Dyn64<LE>] = segments[dynamic_segment]
            .data_as_array(LE, data)
            .map_err(|_| ElfError::Damaged("its dynamic table is outside of it"))?;
        let dynamic = table
            .iter()
            .map(|entry| (entry.d_tag.get(LE), entry.d_val.get(LE)))
            .take_while(|(tag, _)| *tag != elf::DT_NULL)
            .collect();
        let mut library = Self {
            data,
            header,
            segments,
            dynamic,
            dynamic_segment,
            strings: &[],
        };
        library.strings = library.read_strings()?;
        Ok(library)
    }

    fn read_strings(&self) -> Result<&'a [u8], ElfError> {
        let damaged = ElfError::Damaged("it has no dynamic string table");
        let (Some(address), Some(len)) = (self.value(elf::DT_STRTAB), self.value(elf::DT_STRSZ)) else {
            return Err(damaged);
        };
        let strings = self.at(address).and_then(|data| data.get(..usize::try_from(len).ok()?));
        strings.filter(|strings| strings.last() == Some(&0)).ok_or(damaged)
    }

    pub fn soname(&self) -> Result<Option<&'a str>, ElfError> {
        self.value(elf::DT_SONAME).map(|offset| self.string(offset)).transpose()
    }

    /// Returns the names of the libraries that it needs directly.
    pub fn needed(&self) -> Result<Vec<&'a str>, ElfError> {
        let needed = self.dynamic.iter().filter(|(tag, _)| *tag == elf::DT_NEEDED);
        needed.map(|(_, offset)| self.string(*offset)).collect()
    }

    /// Returns whether it expects symbols of Python from another file.
    pub fn uses_python(&self) -> Result<bool, ElfError> {
        for symbol in self.symbols()? {
            if symbol.st_shndx.get(LE) == elf::SHN_UNDEF {
                let name = self.string(u64::from(symbol.st_name.get(LE)))?;
                if name.starts_with("Py") || name.starts_with("_Py") {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Returns the offsets in the file of the symbols that would be one for all libraries of the process, even for those
    /// in local scope (`STB_GNU_UNIQUE`). Symbols of the C++ standard library are left out.
    pub(super) fn unique_symbols(&self) -> Result<Vec<usize>, ElfError> {
        let start = self.value(elf::DT_SYMTAB).and_then(|address| self.offset_of(address));
        let mut offsets = Vec::new();
        for (number, symbol) in self.symbols()?.iter().enumerate() {
            if symbol.st_bind() == elf::STB_GNU_UNIQUE
                && !is_of_standard_library(self.string(u64::from(symbol.st_name.get(LE)))?)
            {
                offsets.extend(start.map(|start| start + number * size_of::<Sym64<LE>>()));
            }
        }
        Ok(offsets)
    }

    fn symbols(&self) -> Result<&'a [Sym64<LE>], ElfError> {
        const DAMAGED: ElfError = ElfError::Damaged("its symbol table is outside of it");
        let Some(address) = self.value(elf::DT_SYMTAB) else {
            return Ok(&[]);
        };
        let data = self.at(address).ok_or(DAMAGED)?;
        let (symbols, _) = slice_from_bytes(data, self.symbol_count()? as usize).map_err(|()| DAMAGED)?;
        Ok(symbols)
    }

    /// Returns the number of dynamic symbols. No header has this number: it is derived from a hash table. A GNU hash table
    /// has only the defined symbols, which follow the undefined ones.
    fn symbol_count(&self) -> Result<u32, ElfError> {
        const DAMAGED: ElfError = ElfError::Damaged("its hash table is outside of it");
        if let Some(address) = self.value(elf::DT_GNU_HASH) {
            let data = self.at(address).ok_or(DAMAGED)?;
            let table = GnuHashTable::<Header>::parse(LE, data).map_err(|_| DAMAGED)?;
            return Ok(table.symbol_table_length(LE).unwrap_or_else(|| table.symbol_base()));
        }
        let Some(address) = self.value(elf::DT_HASH) else {
            return Ok(0);
        };
        let table = HashTable::<Header>::parse(LE, self.at(address).ok_or(DAMAGED)?).map_err(|_| DAMAGED)?;
        Ok(table.symbol_table_length())
    }

    /// Returns the highest version of glibc that it needs: the numbers of `GLIBC_2.34`.
    pub fn glibc(&self) -> Result<Option<(u32, u32)>, ElfError> {
        let mut highest = None;
        self.visit_needed_versions(|_, versions| {
            highest = versions
                .iter()
                .filter_map(|version| glibc_version(version))
                .max()
                .max(highest);
        })?;
        Ok(highest)
    }

    /// Returns the file names in the table of needed versions.
    pub(super) fn needed_files(&self) -> Result<Vec<NeededFile<'a>>, ElfError> {
        let mut files = Vec::new();
        self.visit_needed_versions(|file, _| files.push(file))?;
        Ok(files)
    }

    fn visit_needed_versions(&self, mut visit: impl FnMut(NeededFile<'a>, &[&'a str])) -> Result<(), ElfError> {
        const DAMAGED: ElfError = ElfError::Damaged("its table of needed versions is outside of it");
        let Some(address) = self.value(elf::DT_VERNEED) else {
            return Ok(());
        };
        let mut offset = self.offset_of(address).ok_or(DAMAGED)?;
        for _ in 0..self.value(elf::DT_VERNEEDNUM).unwrap_or(0) {
            let file: &Verneed<LE> = self.read(offset).ok_or(DAMAGED)?;
            let mut versions = Vec::new();
            let mut version_offset = offset + file.vn_aux.get(LE) as usize;
            for _ in 0..file.vn_cnt.get(LE) {
                let version: &Vernaux<LE> = self.read(version_offset).ok_or(DAMAGED)?;
                versions.push(self.string(u64::from(version.vna_name.get(LE)))?);
                match version.vna_next.get(LE) {
                    0 => break,
                    next => version_offset += next as usize,
                }
            }
            let name = self.string(u64::from(file.vn_file.get(LE)))?;
            visit(NeededFile { offset, name }, &versions);
            match file.vn_next.get(LE) {
                0 => break,
                next => offset += next as usize,
            }
        }
        Ok(())
    }

    pub(super) fn value(&self, tag: DynamicTag) -> Option<u64> {
        self.dynamic.iter().find(|entry| entry.0 == tag).map(|entry| entry.1)
    }

    pub(super) fn string(&self, offset: u64) -> Result<&'a str, ElfError> {
        let strings = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.strings.get(offset..));
        let name = strings.and_then(|strings| strings.split(|byte| *byte == 0).next());
        name.and_then(|name| str::from_utf8(name).ok())
            .ok_or(ElfError::Damaged("a name is outside of its string table"))
    }

    /// Returns the offset in the file of an address in memory.
    fn offset_of(&self, address: u64) -> Option<usize> {
        let segment = self.loaded().find(|segment| {
            let start = segment.p_vaddr.get(LE);
            address >= start && address - start < segment.p_filesz.get(LE)
        })?;
        // The segment is inside of the file, so this cannot overflow.
        usize::try_from(address - segment.p_vaddr.get(LE) + segment.p_offset.get(LE)).ok()
    }

    fn at(&self, address: u64) -> Option<&'a [u8]> {
        self.data.get(self.offset_of(address)?..)
    }

    fn read<T: object::Pod>(&self, offset: usize) -> Option<&'a T> {
        Some(from_bytes(self.data.get(offset..)?).ok()?.0)
    }

    /// Returns the segments that are mapped.
    pub(super) fn loaded(&self) -> impl Iterator<Item = &'a ProgramHeader64<LE>> + use<'a> {
        self.segments
            .iter()
            .filter(|segment| segment.p_type.get(LE) == elf::PT_LOAD)
    }
}

/// Returns whether a symbol belongs to the C++ standard library, by its mangled name. The system's libstdc++ has such
/// symbols too, and compares their addresses.
fn is_of_standard_library(symbol: &str) -> bool {
    let Some(mangled) = symbol.strip_prefix("_Z") else {
        return false;
    };
    // Virtual tables, type information and their names.
    let special = ["TV", "TT", "TI", "TS"];
    let name = special
        .iter()
        .find_map(|prefix| mangled.strip_prefix(prefix))
        .unwrap_or(mangled);
    // Guard variables, local names, nested names, and qualifiers of functions.
    let name = name
        .trim_start_matches("GV")
        .trim_start_matches(['Z', 'N', 'K', 'V', 'r']);
    let mut letters = name.bytes();
    letters.next() == Some(b'S') && letters.next().is_some_and(|letter| b"tasbiod".contains(&letter))
}

/// Returns the numbers of a version name of glibc, or `None` for another name, as of a private interface.
fn glibc_version(name: &str) -> Option<(u32, u32)> {
    // A file whose relative relocations are packed needs a dynamic linker that can read them.
    if name == "GLIBC_ABI_DT_RELR" {
        return Some((2, 36));
    }
    let mut numbers = name.strip_prefix("GLIBC_")?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::is_of_standard_library;

    #[test]
    fn mangled_names_of_the_standard_library_are_recognised() {
        for name in [
            "_ZNSs4_Rep20_S_empty_rep_storageE",
            "_ZNSt6locale2id11_S_refcountE",
            "_ZGVNSt7collateIcE2idE",
            "_ZZNSt8__detail9_CompilerE5table",
            "_ZTSSt9exception",
            "_ZTVSt9exception",
            "_ZStL8__ioinit",
        ] {
            assert!(is_of_standard_library(name), "{name}");
        }
        for name in [
            "",
            "_Z",
            "shared",
            "_ZN2np4sort5tableE",
            "_ZGVZN2np4sortEvE5table",
            "_ZTS2np",
            "_ZN1S1sE",
        ] {
            assert!(!is_of_standard_library(name), "{name}");
        }
    }
}
