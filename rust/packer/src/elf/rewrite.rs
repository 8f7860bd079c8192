//! Changes the names of a shared library and the scope of its symbols, and drops what is not loaded.
//!
//! Nothing that is loaded moves: tables that grow are written again into a new segment at the end of the file. So this
//! is safe for files that other tools have changed, whose segments do not have the usual layout.

use std::collections::BTreeMap;

use falco_plugin_bundle::format::{ID_PLACEHOLDER, MAX_BLOCK_LEN};
use object::LittleEndian as LE;
use object::elf::{
    self, Dyn64, DynamicTag, FileHeader64, ProgramHeader64, SectionHeader64, Sym64, SymbolSection, Verneed,
};
use object::endian::{I64, U64};
use object::pod::{Pod, bytes_of_slice, from_bytes_mut, slice_from_bytes_mut};

use super::read::{Elf, ElfError};

/// The largest page of the architecture. The new segment is aligned to it.
#[cfg(target_arch = "x86_64")]
const PAGE: u64 = 0x1000;
#[cfg(target_arch = "aarch64")]
const PAGE: u64 = 0x10000;

/// Changes of the names in a shared library. A new name begins with the placeholder of the bundle's id, or has no id.
#[derive(Debug, Default)]
pub struct Names {
    /// The new SONAME. `None` keeps the present one.
    pub soname: Option<String>,
    /// New names of needed libraries, by their present names.
    pub renamed: BTreeMap<String, String>,
    /// Libraries that it needs in addition.
    pub added: Vec<String>,
}

/// A changed shared library.
#[derive(Debug)]
pub struct Rewritten {
    pub data: Vec<u8>,
    /// The offsets of all placeholders of the id.
    pub patches: Vec<u32>,
}

/// Changes the names of a shared library, removes its search paths, and makes its unique symbols global ones, which local
/// scope hides. Without `keeps_symbols`, also drops the parts
/// that are not loaded, like the symbol table and debug information.
pub fn rewrite(data: &[u8], names: &Names, keeps_symbols: bool) -> Result<Rewritten, ElfError> {
    let elf = Elf::parse(data)?;
    let mut output = if keeps_symbols {
        data.to_vec()
    } else {
        loaded_parts(&elf)
    };
    let mut strings = Strings::new(&elf);
    let dynamic = change_dynamic(&elf, names, &mut strings)?;
    for file in elf.needed_files()? {
        if let Some(name) = names.renamed.get(file.name) {
            record::<Verneed<LE>>(&mut output, file.offset)?
                .vn_file
                .set(LE, strings.add(name) as u32);
        }
    }
    for offset in elf.unique_symbols()? {
        let symbol: &mut Sym64<LE> = record(&mut output, offset)?;
        symbol.set_st_info(elf::STB_GLOBAL, symbol.st_type());
    }
    let patches = if strings.added.is_empty() {
        write_dynamic_in_place(&elf, &dynamic, &mut output)?;
        Vec::new()
    } else {
        append_segment(&elf, dynamic, &strings, &mut output)?
    };
    if output.len() as u64 > u64::from(MAX_BLOCK_LEN) {
        return Err(ElfError::TooLarge);
    }
    let patches = patches.into_iter().map(|offset| offset as u32).collect();
    Ok(Rewritten { data: output, patches })
}

/// Returns the file up to the end of its last segment, without sections, and with zeros between the segments.
fn loaded_parts(elf: &Elf<'_>) -> Vec<u8> {
    let headers = size_of::<FileHeader64<LE>>();
    let table = elf.header.e_phoff.get(LE) as usize;
    let mut ranges = vec![(0, headers), (table, table + size_of_val(elf.segments))];
    let stored = elf.segments.iter().filter(|segment| segment.p_filesz.get(LE) > 0);
    ranges.extend(stored.map(|segment| {
        let start = segment.p_offset.get(LE) as usize;
        (start, start + segment.p_filesz.get(LE) as usize)
    }));
    let mut output = vec![0; ranges.iter().map(|(_, end)| *end).max().unwrap_or(headers)];
    for (start, end) in ranges {
        // `Elf::parse` checked that headers and segments are inside of the file.
        output[start..end].copy_from_slice(&elf.data[start..end]);
    }
    if let Ok((header, _)) = from_bytes_mut::<FileHeader64<LE>>(&mut output) {
        header.e_shoff.set(LE, 0);
        header.e_shnum.set(LE, 0);
        header.e_shstrndx.set(LE, SymbolSection(0));
    }
    output
}

/// The dynamic string table with names behind its present ones.
struct Strings {
    table: Vec<u8>,
    /// Offsets of the added names.
    added: BTreeMap<String, u64>,
}

impl Strings {
    fn new(elf: &Elf<'_>) -> Self {
        Self {
            table: elf.strings.to_vec(),
            added: BTreeMap::new(),
        }
    }

    /// Returns the offset of a name, which is added once.
    fn add(&mut self, name: &str) -> u64 {
        *self.added.entry(name.to_owned()).or_insert_with(|| {
            let offset = self.table.len() as u64;
            self.table.extend_from_slice(name.as_bytes());
            self.table.push(0);
            offset
        })
    }
}

/// Returns the changed entries of the dynamic table. Those of the string table still describe the present one.
fn change_dynamic(elf: &Elf<'_>, names: &Names, strings: &mut Strings) -> Result<Vec<(DynamicTag, u64)>, ElfError> {
    let mut entries: Vec<_> = names
        .added
        .iter()
        .map(|name| (elf::DT_NEEDED, strings.add(name)))
        .collect();
    entries.extend(names.soname.iter().map(|name| (elf::DT_SONAME, strings.add(name))));
    for (tag, value) in &elf.dynamic {
        let value = match *tag {
            elf::DT_RPATH | elf::DT_RUNPATH => continue,
            elf::DT_SONAME if names.soname.is_some() => continue,
            elf::DT_NEEDED => match names.renamed.get(elf.string(*value)?) {
                Some(name) => strings.add(name),
                None => *value,
            },
            _ => *value,
        };
        entries.push((*tag, value));
    }
    Ok(entries)
}

fn write_dynamic_in_place(elf: &Elf<'_>, entries: &[(DynamicTag, u64)], output: &mut [u8]) -> Result<(), ElfError> {
    let segment = &elf.segments[elf.dynamic_segment];
    let bytes = dynamic_table(entries);
    let table = output
        .get_mut(segment.p_offset.get(LE) as usize..)
        .and_then(|data| data.get_mut(..segment.p_filesz.get(LE) as usize))
        .filter(|table| table.len() >= bytes.len())
        .ok_or(ElfError::Damaged("its dynamic table has no end"))?;
    table.fill(0);
    table[..bytes.len()].copy_from_slice(&bytes);
    Ok(())
}

/// Returns a dynamic table with its terminating entry.
fn dynamic_table(entries: &[(DynamicTag, u64)]) -> Vec<u8> {
    let end = [(elf::DT_NULL, 0)];
    let entries: Vec<_> = entries
        .iter()
        .chain(&end)
        .map(|(tag, value)| Dyn64::<LE> {
            d_tag: I64::new(LE, *tag),
            d_val: U64::new(LE, *value),
        })
        .collect();
    bytes_of_slice(&entries).to_vec()
}

/// Appends a segment with the program headers, the dynamic string table, and the dynamic table if it does not fit into
/// its place. Returns the offsets of the placeholders.
fn append_segment(
    elf: &Elf<'_>,
    mut dynamic: Vec<(DynamicTag, u64)>,
    strings: &Strings,
    output: &mut Vec<u8>,
) -> Result<Vec<u64>, ElfError> {
    let capacity = elf.segments[elf.dynamic_segment].p_filesz.get(LE) as usize;
    let table_len = (dynamic.len() + 1) * size_of::<Dyn64<LE>>();
    let is_moved = table_len > capacity;

    let start = (output.len() as u64).next_multiple_of(PAGE);
    let address = free_address(elf)?;
    let headers_len = (elf.segments.len() as u64 + 1) * size_of::<ProgramHeader64<LE>>() as u64;
    let moved = Place {
        offset: start + headers_len,
        address: address + headers_len,
        len: table_len as u64,
    };
    let strings_start = headers_len + if is_moved { moved.len } else { 0 };
    let names = Place {
        offset: start + strings_start,
        address: address + strings_start,
        len: strings.table.len() as u64,
    };
    for (tag, value) in &mut dynamic {
        match *tag {
            elf::DT_STRTAB => *value = names.address,
            elf::DT_STRSZ => *value = names.len,
            _ => {}
        }
    }

    let segment = Place {
        offset: start,
        address,
        len: strings_start + names.len,
    };
    let headers = program_headers(elf, &segment, headers_len, is_moved.then_some(&moved));
    if is_moved {
        update_sections(output, |header| header.sh_type.get(LE) == elf::SHT_DYNAMIC, &moved);
    } else {
        write_dynamic_in_place(elf, &dynamic, output)?;
    }
    let present = elf.value(elf::DT_STRTAB);
    update_sections(output, |header| Some(header.sh_addr.get(LE)) == present, &names);

    output.resize(start as usize, 0);
    output.extend_from_slice(bytes_of_slice(&headers));
    if is_moved {
        output.extend_from_slice(&dynamic_table(&dynamic));
    }
    output.extend_from_slice(&strings.table);
    let header: &mut FileHeader64<LE> = record(output, 0)?;
    header.e_phoff.set(LE, start);
    header.e_phnum.set(LE, headers.len() as u16);

    let is_patched = |name: &str| name.as_bytes().starts_with(ID_PLACEHOLDER);
    let patched = strings.added.iter().filter(|(name, _)| is_patched(name));
    let mut patches: Vec<_> = patched.map(|(_, offset)| names.offset + offset).collect();
    patches.sort_unstable();
    Ok(patches)
}

/// Where a part of the new segment is.
struct Place {
    offset: u64,
    address: u64,
    len: u64,
}

/// Returns the first address behind all segments where a new one can begin.
fn free_address(elf: &Elf<'_>) -> Result<u64, ElfError> {
    const DAMAGED: ElfError = ElfError::Damaged("a segment has an impossible address");
    let mut end = 0;
    let mut align = PAGE;
    for segment in elf.loaded() {
        let segment_end = segment
            .p_vaddr
            .get(LE)
            .checked_add(segment.p_memsz.get(LE))
            .ok_or(DAMAGED)?;
        end = segment_end.max(end);
        align = segment.p_align.get(LE).max(align);
    }
    // The new segment is small, so its end cannot overflow either.
    end.checked_next_multiple_of(align)
        .filter(|address| *address < 1 << 47)
        .ok_or(DAMAGED)
}

/// Returns the program headers with the new segment. Those of mapped segments stay sorted by address.
fn program_headers(
    elf: &Elf<'_>,
    segment: &Place,
    headers_len: u64,
    dynamic: Option<&Place>,
) -> Vec<ProgramHeader64<LE>> {
    let mut headers = elf.segments.to_vec();
    for header in &mut headers {
        let place = match header.p_type.get(LE) {
            elf::PT_DYNAMIC => dynamic,
            elf::PT_PHDR => Some(&Place {
                len: headers_len,
                ..*segment
            }),
            _ => None,
        };
        if let Some(place) = place {
            place.write_to(header);
        }
    }
    let last = headers.iter().rposition(|header| header.p_type.get(LE) == elf::PT_LOAD);
    let position = last.map_or(0, |last| last + 1);
    let mut added = elf.segments[elf.dynamic_segment];
    // The dynamic linker writes to the dynamic table.
    let flags = if dynamic.is_some() {
        elf::PF_R | elf::PF_W
    } else {
        elf::PF_R
    };
    added.p_type.set(LE, elf::PT_LOAD);
    added.p_flags.set(LE, flags);
    added.p_align.set(LE, PAGE);
    segment.write_to(&mut added);
    headers.insert(position, added);
    headers
}

impl Place {
    fn write_to(&self, header: &mut ProgramHeader64<LE>) {
        header.p_offset.set(LE, self.offset);
        header.p_vaddr.set(LE, self.address);
        header.p_paddr.set(LE, self.address);
        header.p_filesz.set(LE, self.len);
        header.p_memsz.set(LE, self.len);
    }
}

/// Updates section headers, if there are any, for tools that read them.
fn update_sections(output: &mut [u8], is_meant: impl Fn(&SectionHeader64<LE>) -> bool, place: &Place) {
    let Ok(header) = record::<FileHeader64<LE>>(output, 0) else {
        return;
    };
    let (offset, count) = (header.e_shoff.get(LE) as usize, usize::from(header.e_shnum.get(LE)));
    let Some(table) = output.get_mut(offset..).filter(|_| offset > 0) else {
        return;
    };
    if let Ok((headers, _)) = slice_from_bytes_mut::<SectionHeader64<LE>>(table, count) {
        for header in headers.iter_mut().filter(|header| is_meant(header)) {
            header.sh_offset.set(LE, place.offset);
            header.sh_addr.set(LE, place.address);
            header.sh_size.set(LE, place.len);
        }
    }
}

fn record<T: Pod>(output: &mut [u8], offset: usize) -> Result<&mut T, ElfError> {
    let data = output.get_mut(offset..).unwrap_or_default();
    from_bytes_mut(data)
        .map(|(record, _)| record)
        .map_err(|()| ElfError::Damaged("a record is outside of it"))
}
