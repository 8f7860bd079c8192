//! Reads the index of a bundle: the header, the tables and the names in front of the blocks.
//!
//! All integers are little-endian:
//!
//! ```text
//! header   magic "FPBUNDL2", id [u8; 16], u32 block_count, u32 entry_count, u32 number_count, u32 strings_len
//! blocks   block_count x { u64 offset from the start of the bundle, u32 stored_len, u32 len, hash [u8; 32] }
//! entries  entry_count x { u32 name_offset, name_len, kind, block, offset, len, needs_first, needs_count,
//!                          patches_first, patches_count, flags }, sorted by group and name
//! numbers  number_count x u32
//! strings  the names, UTF-8
//! data     the blocks, each one zstd frame, whose hash is that of the block
//! ```
//!
//! `Index::new` checks every number once. The index of a damaged bundle is refused as a whole, so the functions of an
//! `Index` cannot read outside of it.

use core::fmt;

pub const MAGIC: &[u8; 8] = b"FPBUNDL2";
pub const ID_LEN: usize = 16;
/// Bytes of a hash, which is BLAKE3.
pub const HASH_LEN: usize = 32;
/// The id in stored native code. The real id replaces it before the code is opened.
pub const ID_PLACEHOLDER: &[u8; ID_LEN] = b"0000000000000000";
/// Bytes of the header.
pub const HEADER_LEN: usize = MAGIC.len() + ID_LEN + 4 * 4;
/// Bytes of a row of the table of blocks.
pub(crate) const BLOCK_LEN: usize = 16 + HASH_LEN;
pub(crate) const ENTRY_LEN: usize = 11 * 4;
/// The largest block, in decompressed bytes. It bounds the memory that a damaged bundle can make a reader allocate.
pub const MAX_BLOCK_LEN: u32 = 1 << 30;

/// The largest block that has more than one entry, in decompressed bytes. With 1 MiB, a library of the standard library
/// would be 0.1 MB larger. Blocks are decompressed whole, at about 1 GB a second.
pub const SHARED_BLOCK_LEN: u32 = 4 << 20;

/// The type of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// A module: the marshalled code object. The name is dotted.
    Module = 0,
    /// A package: the marshalled code object of its `__init__`. The name is dotted.
    Package = 1,
    /// An extension module, an ELF file in a block that it does not share. The name is dotted.
    Extension = 2,
    /// A shared library, an ELF file in a block that it does not share. The name is its original SONAME.
    Library = 3,
    /// A data file. The name is its path with slashes.
    File = 4,
}

/// The namespace of an entry's name. Within a group, names are unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    Modules,
    Libraries,
    Files,
}

impl Kind {
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Module, Self::Package, Self::Extension, Self::Library, Self::File]
            .into_iter()
            .find(|kind| *kind as u32 == number)
    }

    pub fn group(self) -> Group {
        match self {
            Self::Module | Self::Package | Self::Extension => Group::Modules,
            Self::Library => Group::Libraries,
            Self::File => Group::Files,
        }
    }

    /// Returns whether an entry of this kind is an ELF file.
    pub fn is_native(self) -> bool {
        matches!(self, Self::Extension | Self::Library)
    }
}

/// The library keeps its own name. It is opened from the bundle only if the system has none that can be opened.
pub const SYSTEM_FIRST: u32 = 1;

/// The error of a bundle that cannot be read. The string names the damaged part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged(pub &'static str);

impl fmt::Display for Damaged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the bundle is damaged: ")?;
        formatter.write_str(self.0)
    }
}

impl core::error::Error for Damaged {}

/// A compressed unit of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The offset of the zstd frame from the start of the bundle.
    pub offset: u64,
    /// Bytes of the zstd frame.
    pub stored_len: u32,
    /// Decompressed bytes.
    pub len: u32,
    /// The hash of the zstd frame.
    pub hash: [u8; HASH_LEN],
}

/// A module, package, extension, library or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub name: &'a str,
    pub kind: Kind,
    /// The number of the block that holds the data.
    pub block: u32,
    /// The offset of the data in the decompressed block.
    pub offset: u32,
    pub len: u32,
    pub flags: u32,
    needs: &'a [u8],
    patches: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Returns the numbers of the library entries to open before this one, in this order.
    pub fn needs(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        numbers(self.needs)
    }

    /// Returns the offsets in the data where the bundle's id replaces `ID_PLACEHOLDER`.
    pub fn patches(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        numbers(self.patches)
    }

    pub fn is_system_first(&self) -> bool {
        self.flags & SYSTEM_FIRST != 0
    }

    /// Returns the data of the entry in its decompressed block, or `None` if the block is too short.
    pub fn data<'b>(&self, block: &'b [u8]) -> Option<&'b [u8]> {
        part(block, u64::from(self.offset), u64::from(self.len))
    }
}

/// Returns the bytes of header, tables and names, for a bundle that begins with `header`.
pub fn index_len(header: &[u8]) -> Result<u64, Damaged> {
    let header = header.get(..HEADER_LEN).ok_or(Damaged("it is too short"))?;
    if !header.starts_with(MAGIC) {
        return Err(Damaged("it does not begin with the magic bytes of this version"));
    }
    Ok(Layout::read(header).end())
}

/// The counts of the header, and the offsets that follow from them.
struct Layout {
    block_count: u32,
    entry_count: u32,
    number_count: u32,
    strings_len: u32,
}

impl Layout {
    fn read(header: &[u8]) -> Self {
        let at = |index: usize| read_u32(header, MAGIC.len() + ID_LEN + 4 * index);
        Self {
            block_count: at(0),
            entry_count: at(1),
            number_count: at(2),
            strings_len: at(3),
        }
    }

    fn blocks_len(&self) -> u64 {
        u64::from(self.block_count) * BLOCK_LEN as u64
    }

    fn entries_len(&self) -> u64 {
        u64::from(self.entry_count) * ENTRY_LEN as u64
    }

    fn numbers_len(&self) -> u64 {
        u64::from(self.number_count) * 4
    }

    // The sum of products of u32 and small constants cannot overflow.
    fn end(&self) -> u64 {
        HEADER_LEN as u64 + self.blocks_len() + self.entries_len() + self.numbers_len() + u64::from(self.strings_len)
    }
}

/// The checked index of a bundle.
#[derive(Clone, Copy)]
pub struct Index<'a> {
    id: &'a str,
    blocks: &'a [u8],
    entries: &'a [u8],
    numbers: &'a [u8],
    strings: &'a str,
}

impl<'a> Index<'a> {
    /// Checks the index of a bundle of `bundle_len` bytes. `bytes` begins with the bundle, and may end anywhere behind
    /// the index.
    pub fn new(bytes: &'a [u8], bundle_len: u64) -> Result<Self, Damaged> {
        let end = index_len(bytes)?;
        if end > bytes.len() as u64 || end > bundle_len {
            return Err(Damaged("its index is cut off"));
        }
        let layout = Layout::read(bytes);
        let mut offset = HEADER_LEN as u64;
        let mut next = |len: u64| {
            let table = part(bytes, offset, len);
            offset += len;
            table.ok_or(Damaged("its index is cut off"))
        };
        let index = Self {
            id: part(bytes, MAGIC.len() as u64, ID_LEN as u64)
                .and_then(|id| str::from_utf8(id).ok())
                .filter(|id| id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')))
                .ok_or(Damaged("its id is not hexadecimal"))?,
            blocks: next(layout.blocks_len())?,
            entries: next(layout.entries_len())?,
            numbers: next(layout.numbers_len())?,
            strings: str::from_utf8(next(u64::from(layout.strings_len))?)
                .map_err(|_| Damaged("its names are not UTF-8"))?,
        };
        index.check_blocks(end, bundle_len)?;
        index.check_entries()?;
        Ok(index)
    }

    /// Returns the 16 hexadecimal digits that make the names of native code unique.
    pub fn id(&self) -> &'a str {
        self.id
    }

    pub fn entry_count(&self) -> u32 {
        (self.entries.len() / ENTRY_LEN) as u32
    }

    pub fn block_count(&self) -> u32 {
        (self.blocks.len() / BLOCK_LEN) as u32
    }

    /// Returns an entry, or `None` if there are not that many.
    pub fn entry(&self, number: u32) -> Option<Entry<'a>> {
        let row = row(self.entries, number, ENTRY_LEN)?;
        let field = |index: usize| read_u32(row, 4 * index);
        let name_end = field(0).checked_add(field(1))?;
        Some(Entry {
            name: self.strings.get(field(0) as usize..name_end as usize)?,
            kind: Kind::from_number(field(2))?,
            block: field(3),
            offset: field(4),
            len: field(5),
            needs: part(self.numbers, u64::from(field(6)) * 4, u64::from(field(7)) * 4)?,
            patches: part(self.numbers, u64::from(field(8)) * 4, u64::from(field(9)) * 4)?,
            flags: field(10),
        })
    }

    /// Returns a block, or `None` if there are not that many.
    pub fn block(&self, number: u32) -> Option<Block> {
        let row = row(self.blocks, number, BLOCK_LEN)?;
        Some(Block {
            offset: u64::from(read_u32(row, 0)) | u64::from(read_u32(row, 4)) << 32,
            stored_len: read_u32(row, 8),
            len: read_u32(row, 12),
            hash: *row.last_chunk()?,
        })
    }

    /// Returns the number of the entry with this name.
    pub fn find(&self, group: Group, name: &str) -> Option<u32> {
        let number = self.lower_bound(group, name);
        self.entry(number)
            .filter(|entry| entry.kind.group() == group && entry.name == name)
            .map(|_| number)
    }

    /// Returns the entries of a group whose names begin with `prefix`, each with its number, sorted by name.
    pub fn with_prefix<'b>(
        &self,
        group: Group,
        prefix: &'b str,
    ) -> impl Iterator<Item = (u32, Entry<'a>)> + use<'a, 'b> {
        let index = *self;
        (self.lower_bound(group, prefix)..self.entry_count())
            .map_while(move |number| Some((number, index.entry(number)?)))
            .take_while(move |(_, entry)| entry.kind.group() == group && entry.name.starts_with(prefix))
    }

    /// Returns the number of the first entry that does not sort before this name.
    fn lower_bound(&self, group: Group, name: &str) -> u32 {
        let (mut low, mut high) = (0, self.entry_count());
        while low < high {
            let middle = low + (high - low) / 2;
            let is_before = self
                .entry(middle)
                .is_some_and(|entry| (entry.kind.group(), entry.name) < (group, name));
            if is_before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn check_blocks(&self, index_end: u64, bundle_len: u64) -> Result<(), Damaged> {
        for number in 0..self.block_count() {
            let is_inside = self.block(number).is_some_and(|block| {
                block.offset >= index_end
                    && block
                        .offset
                        .checked_add(u64::from(block.stored_len))
                        .is_some_and(|end| end <= bundle_len)
                    && block.len <= MAX_BLOCK_LEN
            });
            if !is_inside {
                return Err(Damaged("a block is outside of it"));
            }
        }
        Ok(())
    }

    fn check_entries(&self) -> Result<(), Damaged> {
        let mut preceding: Option<(Group, &str)> = None;
        for number in 0..self.entry_count() {
            let entry = self
                .entry(number)
                .ok_or(Damaged("a number of an entry is out of range"))?;
            let block = self.block(entry.block).ok_or(Damaged("an entry has no block"))?;
            let end = u64::from(entry.offset) + u64::from(entry.len);
            if end > u64::from(block.len) {
                return Err(Damaged("an entry is outside of its block"));
            }
            if entry.kind.is_native() && (entry.offset != 0 || entry.len != block.len) {
                return Err(Damaged("native code shares its block"));
            }
            let mut patches = entry.patches();
            if !patches.all(|patch| u64::from(patch) + ID_LEN as u64 <= u64::from(entry.len)) {
                return Err(Damaged("a patch is outside of its entry"));
            }
            let is_library = |number| self.entry(number).is_some_and(|need| need.kind == Kind::Library);
            if !entry.needs().all(is_library) {
                return Err(Damaged("an entry needs an entry that is not a library"));
            }
            let key = (entry.kind.group(), entry.name);
            if preceding.is_some_and(|preceding| preceding >= key) {
                return Err(Damaged("its entries are not sorted"));
            }
            preceding = Some(key);
        }
        Ok(())
    }
}

fn row(table: &[u8], number: u32, len: usize) -> Option<&[u8]> {
    part(table, u64::from(number) * len as u64, len as u64)
}

fn part(bytes: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let end = offset.checked_add(len)?;
    bytes.get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)
}

fn numbers(table: &[u8]) -> impl ExactSizeIterator<Item = u32> {
    table.chunks_exact(4).map(|number| read_u32(number, 0))
}

/// Returns the number at `offset`, or 0 if it is outside. The callers pass complete rows.
fn read_u32(bytes: &[u8], offset: usize) -> u32 {
    match bytes.get(offset..).and_then(|rest| rest.first_chunk::<4>()) {
        Some(number) => u32::from_le_bytes(*number),
        None => 0,
    }
}
