//! Writes a bundle. The packer is its only user.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::format::{BLOCK_LEN, ENTRY_LEN, Group, HASH_LEN, HEADER_LEN, ID_LEN, Kind, MAGIC};

/// An entry to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    pub name: String,
    pub kind: Kind,
    /// The number that `Writer::add_block` returned.
    pub block: u32,
    pub offset: u32,
    pub len: u32,
    /// The names of the libraries to open before this one, in this order.
    pub needs: Vec<String>,
    /// Offsets in the data where the bundle's id replaces the placeholder.
    pub patches: Vec<u32>,
    pub flags: u32,
}

/// The reason why entries do not make a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// Two entries of one group have this name.
    Duplicate(String),
    /// An entry needs a library that is not an entry.
    MissingNeed { entry: String, library: String },
    /// A count or a length does not fit into 32 bits.
    TooLarge,
}

impl fmt::Display for WriteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(name) => write!(formatter, "two entries are named {name}"),
            Self::MissingNeed { entry, library } => {
                write!(formatter, "{entry} needs {library}, which is not in the bundle")
            }
            Self::TooLarge => formatter.write_str("the bundle is larger than its format allows"),
        }
    }
}

impl core::error::Error for WriteError {}

/// Collects entries and blocks of a bundle. The result depends only on them: entries are sorted, blocks keep the order
/// in which they were added.
#[derive(Default)]
pub struct Writer {
    entries: BTreeMap<(Group, String), NewEntry>,
    blocks: Vec<(Vec<u8>, u32)>,
}

impl Writer {
    /// Adds a zstd frame that decompresses to `len` bytes. Returns the number of the block.
    pub fn add_block(&mut self, stored: Vec<u8>, len: u32) -> u32 {
        self.blocks.push((stored, len));
        (self.blocks.len() - 1) as u32
    }

    pub fn add_entry(&mut self, entry: NewEntry) -> Result<(), WriteError> {
        let key = (entry.kind.group(), entry.name.clone());
        match self.entries.insert(key, entry) {
            None => Ok(()),
            Some(entry) => Err(WriteError::Duplicate(entry.name)),
        }
    }

    /// Returns the bundle, and the hash of its index.
    pub fn finish(self, id: &[u8; ID_LEN]) -> Result<(Vec<u8>, [u8; HASH_LEN]), WriteError> {
        let mut numbers: Vec<u8> = Vec::new();
        let mut strings = String::new();
        let mut entries: Vec<u8> = Vec::new();
        let libraries = self.library_numbers()?;
        for entry in self.entries.values() {
            let needs_first = numbers.len() / 4;
            for library in &entry.needs {
                let number = libraries.get(library).ok_or_else(|| WriteError::MissingNeed {
                    entry: entry.name.clone(),
                    library: library.clone(),
                })?;
                push(&mut numbers, *number);
            }
            let patches_first = numbers.len() / 4;
            for patch in &entry.patches {
                push(&mut numbers, *patch);
            }
            let row = [
                to_u32(strings.len())?,
                to_u32(entry.name.len())?,
                entry.kind as u32,
                entry.block,
                entry.offset,
                entry.len,
                to_u32(needs_first)?,
                to_u32(entry.needs.len())?,
                to_u32(patches_first)?,
                to_u32(entry.patches.len())?,
                entry.flags,
            ];
            row.into_iter().for_each(|field| push(&mut entries, field));
            strings.push_str(&entry.name);
        }
        let counts = [self.blocks.len(), self.entries.len(), numbers.len() / 4, strings.len()];
        let data = HEADER_LEN + self.blocks.len() * BLOCK_LEN + self.entries.len() * ENTRY_LEN + numbers.len();
        let mut offset = (data + strings.len()) as u64;
        let mut bundle = Vec::new();
        bundle.extend_from_slice(MAGIC);
        bundle.extend_from_slice(id);
        for count in counts {
            push(&mut bundle, to_u32(count)?);
        }
        for (stored, len) in &self.blocks {
            bundle.extend_from_slice(&offset.to_le_bytes());
            push(&mut bundle, to_u32(stored.len())?);
            push(&mut bundle, *len);
            bundle.extend_from_slice(blake3::hash(stored).as_bytes());
            offset += stored.len() as u64;
        }
        bundle.extend_from_slice(&entries);
        bundle.extend_from_slice(&numbers);
        bundle.extend_from_slice(strings.as_bytes());
        let index_hash = *blake3::hash(&bundle).as_bytes();
        for (stored, _) in &self.blocks {
            bundle.extend_from_slice(stored);
        }
        Ok((bundle, index_hash))
    }

    fn library_numbers(&self) -> Result<BTreeMap<String, u32>, WriteError> {
        self.entries
            .values()
            .enumerate()
            .filter(|(_, entry)| entry.kind == Kind::Library)
            .map(|(number, entry)| Ok((entry.name.clone(), to_u32(number)?)))
            .collect()
    }
}

fn push(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn to_u32(number: usize) -> Result<u32, WriteError> {
    u32::try_from(number).map_err(|_| WriteError::TooLarge)
}
