//! Modules and files to pack, in blocks.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use falco_plugin_bundle::format::{Kind, SHARED_BLOCK_LEN};

use crate::error::Error;
use crate::plan::{Data, Source};

/// Entries that are compressed together.
#[derive(Debug)]
pub struct Block {
    pub group: String,
    pub data: Vec<u8>,
    pub entries: Vec<BlockEntry>,
}

#[derive(Debug)]
pub struct BlockEntry {
    pub name: String,
    pub kind: Kind,
    pub offset: usize,
    pub len: usize,
}

/// Reads the entries and divides them into blocks: groups in the order of their first entries, entries of a group in
/// the order of the plan.
pub fn read(entries: &[(Kind, &Data)]) -> Result<Vec<Block>, Error> {
    let mut sources = Sources::default();
    let mut groups: Vec<Vec<Block>> = Vec::new();
    let mut indexes: HashMap<&str, usize> = HashMap::new();
    for (kind, entry) in entries {
        let data = sources.read(entry)?;
        let index = *indexes.entry(&entry.group).or_insert(groups.len());
        if index == groups.len() {
            groups.push(Vec::new());
        }
        add(&mut groups[index], &entry.group, &entry.name, *kind, &data);
    }
    Ok(groups.into_iter().flatten().collect())
}

fn add(blocks: &mut Vec<Block>, group: &str, name: &str, kind: Kind, data: &[u8]) {
    let has_room = blocks
        .last()
        .is_some_and(|block| block.data.len() + data.len() <= SHARED_BLOCK_LEN as usize);
    if !has_room {
        blocks.push(Block {
            group: group.to_owned(),
            data: Vec::new(),
            entries: Vec::new(),
        });
    }
    if let Some(block) = blocks.last_mut() {
        let offset = block.data.len();
        block.entries.push(BlockEntry {
            name: name.to_owned(),
            kind,
            offset,
            len: data.len(),
        });
        block.data.extend_from_slice(data);
    }
}

/// Files of which slices were read.
#[derive(Default)]
struct Sources(HashMap<PathBuf, Arc<[u8]>>);

impl Sources {
    fn read(&mut self, entry: &Data) -> Result<Vec<u8>, Error> {
        match &entry.source {
            Source::File(path) => read_file(path),
            Source::Slice(path, offset, len) => {
                let file = self.file(path)?;
                let end = offset.checked_add(*len).and_then(|end| usize::try_from(end).ok());
                let slice = end.and_then(|end| file.get(*offset as usize..end));
                slice.map(<[u8]>::to_vec).ok_or_else(|| Error::Source {
                    entry: entry.name.clone(),
                    path: path.clone(),
                })
            }
        }
    }

    fn file(&mut self, path: &Path) -> Result<Arc<[u8]>, Error> {
        if let Some(file) = self.0.get(path) {
            return Ok(file.clone());
        }
        let file: Arc<[u8]> = read_file(path)?.into();
        self.0.insert(path.to_owned(), file.clone());
        Ok(file)
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::Read {
        path: path.to_owned(),
        error,
    })
}
