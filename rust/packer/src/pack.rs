//! Makes the bundle of a plan.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;

use falco_plugin_bundle::format::{ID_LEN, ID_PLACEHOLDER, Kind, SYSTEM_FIRST};
use falco_plugin_bundle::write::{NewEntry, Writer};

use crate::blocks::{self, Block};
use crate::cache::{Cache, Key};
use crate::compress::Stored;
use crate::elf::{Names, rewrite};
use crate::error::Error;
use crate::libraries::{self, Native};
use crate::parallel;
use crate::plan::{Data, Plan, PlannedEntry, Reply, ReplyEntry, ReplyGroup, ReplyLibrary, kind_name};

/// Makes the bundle and writes it to the plan's output.
pub fn pack(plan: &Plan) -> Result<Reply, Error> {
    let (data, natives) = read(plan)?;
    let cache = Cache::open(plan.cache.as_deref());
    let jobs = jobs(&data, &natives);
    let stored = parallel::map(&jobs, |job| {
        let stored = match job {
            Job::Block(index) => store_block(plan, &cache, &data[*index]),
            Job::Native(index) => store_native(plan, &cache, &natives, *index),
        };
        stored.map(|stored| (*job, stored))
    })?;
    cache.remove_unused();
    let stored = stored.into_iter().collect();
    let bundle = Assembly {
        plan,
        data,
        natives,
        stored,
    };
    bundle.write()
}

fn read(plan: &Plan) -> Result<(Vec<Block>, Vec<Native>), Error> {
    let mut data: Vec<(Kind, &Data)> = Vec::new();
    let mut native = Vec::new();
    for entry in &plan.entries {
        match entry {
            PlannedEntry::Module(entry) => data.push((Kind::Module, entry)),
            PlannedEntry::Package(entry) => data.push((Kind::Package, entry)),
            PlannedEntry::File(entry) => data.push((Kind::File, entry)),
            PlannedEntry::Extension { name, path } => native.push((name, Kind::Extension, path, false)),
            PlannedEntry::Library {
                name,
                path,
                system_first,
            } => {
                native.push((name, Kind::Library, path, *system_first));
            }
        }
    }
    let natives = parallel::map(&native, |(name, kind, path, is_system_first)| {
        Native::read(name, *kind, path, *is_system_first)
    })?;
    Ok((blocks::read(&data)?, libraries::complete(natives, &plan.linker)?))
}

/// A block to compress: the index of a block or of a native file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Block(usize),
    Native(usize),
}

/// Returns all jobs, the longest first, so that no core has to wait for a long one at the end.
fn jobs(data: &[Block], natives: &[Native]) -> Vec<Job> {
    let blocks = data
        .iter()
        .enumerate()
        .map(|(index, block)| (block.data.len(), Job::Block(index)));
    let natives = natives
        .iter()
        .enumerate()
        .map(|(index, native)| (native.data.len(), Job::Native(index)));
    let mut jobs: Vec<_> = blocks.chain(natives).collect();
    jobs.sort_by_key(|(len, _)| Reverse(*len));
    jobs.into_iter().map(|(_, job)| job).collect()
}

fn store_block(plan: &Plan, cache: &Cache, block: &Block) -> Result<Stored, Error> {
    let mut key = cache.key("block");
    key.add(&plan.level.unwrap_or(0).to_le_bytes()).add(&block.data);
    cache.get_or_make(&key, || {
        Stored::compress(&block.data, Vec::new(), plan.level).map_err(Error::Compress)
    })
}

fn store_native(plan: &Plan, cache: &Cache, natives: &[Native], index: usize) -> Result<Stored, Error> {
    let native = &natives[index];
    let names = names(natives, native);
    let mut key = cache.key("native");
    key.add(&plan.level.unwrap_or(0).to_le_bytes())
        .add(&native.data)
        .add(&[u8::from(plan.debug_symbols)]);
    add_names(&mut key, &names);
    cache.get_or_make(&key, || {
        let rewritten = rewrite(&native.data, &names, plan.debug_symbols).map_err(|error| Error::Elf {
            entry: native.name.clone(),
            path: native.path.clone(),
            error,
        })?;
        Stored::compress(&rewritten.data, rewritten.patches, plan.level).map_err(Error::Compress)
    })
}

fn add_names(key: &mut Key, names: &Names) {
    for (old, new) in &names.renamed {
        key.add(old.as_bytes()).add(new.as_bytes());
    }
    key.add(b"");
    for name in names.soname.iter().chain(&names.added) {
        key.add(name.as_bytes());
    }
}

/// Returns the names that a native file gets.
fn names(natives: &[Native], native: &Native) -> Names {
    let unique = |native: &Native| match native.kind {
        _ if native.is_system_first => None,
        Kind::Extension => Some(with_placeholder(&format!("{}.so", native.name))),
        _ => Some(with_placeholder(&native.name)),
    };
    let renamed = native
        .links
        .iter()
        .filter_map(|(name, index)| Some((name.clone(), unique(&natives[*index])?)));
    Names {
        soname: unique(native),
        renamed: renamed.collect(),
        added: native
            .added_python
            .iter()
            .filter_map(|index| unique(&natives[*index]))
            .collect(),
    }
}

fn with_placeholder(name: &str) -> String {
    format!("{}-{name}", ID_PLACEHOLDER.escape_ascii())
}

/// All parts of the bundle.
struct Assembly<'a> {
    plan: &'a Plan,
    data: Vec<Block>,
    natives: Vec<Native>,
    stored: BTreeMap<Job, Stored>,
}

impl Assembly<'_> {
    fn write(mut self) -> Result<Reply, Error> {
        let mut writer = Writer::default();
        let mut id = Id::new(&self.plan.plugin);
        let groups = self.add_blocks(&mut writer, &mut id)?;
        let (entries, libraries) = self.add_natives(&mut writer, &mut id)?;
        let id = id.finish();
        let (bundle, index_hash) = writer.finish(&id)?;
        fs::write(&self.plan.output, &bundle).map_err(|error| Error::Write {
            path: self.plan.output.clone(),
            error,
        })?;
        // The system's copy of a library that comes from the system first does not need what the bundled copy needs.
        let own = self.natives.iter().filter(|native| !native.is_system_first);
        let glibc = own.filter_map(|native| native.glibc).max();
        Ok(Reply {
            id: id.escape_ascii().to_string(),
            glibc: glibc.map_or_else(String::new, |(major, minor)| format!("{major}.{minor}")),
            size: bundle.len() as u64,
            index_hash: blake3::Hash::from_bytes(index_hash).to_string(),
            entries,
            libraries,
            groups,
        })
    }

    fn take(&mut self, job: Job) -> Stored {
        // Each job was done once, and its result is removed once.
        self.stored
            .remove(&job)
            .unwrap_or_else(|| unreachable!("each block was compressed"))
    }

    fn add_blocks(&mut self, writer: &mut Writer, id: &mut Id) -> Result<Vec<ReplyGroup>, Error> {
        let mut groups: Vec<ReplyGroup> = Vec::new();
        for (index, block) in std::mem::take(&mut self.data).into_iter().enumerate() {
            let stored = self.take(Job::Block(index));
            let (len, stored_len) = (u64::from(stored.len), stored.frame.len() as u64);
            match groups.last_mut().filter(|group| group.group == block.group) {
                Some(group) => {
                    group.len += len;
                    group.stored += stored_len;
                }
                None => groups.push(ReplyGroup {
                    group: block.group,
                    len,
                    stored: stored_len,
                }),
            }
            let number = writer.add_block(stored.frame, stored.len);
            for entry in block.entries {
                let data = &block.data[entry.offset..][..entry.len];
                id.add(entry.kind, &entry.name, blake3::hash(data).as_bytes());
                writer.add_entry(NewEntry {
                    name: entry.name,
                    kind: entry.kind,
                    block: number,
                    // `Stored::compress` checked that the length of the block fits into 32 bits.
                    offset: entry.offset as u32,
                    len: entry.len as u32,
                    needs: Vec::new(),
                    patches: Vec::new(),
                    flags: 0,
                })?;
            }
        }
        Ok(groups)
    }

    fn add_natives(&mut self, writer: &mut Writer, id: &mut Id) -> Result<(Vec<ReplyEntry>, Vec<ReplyLibrary>), Error> {
        // Found libraries are in the order of the search. The order of the bundle must not depend on it.
        let mut order: Vec<usize> = (0..self.natives.len()).collect();
        order.sort_by_key(|index| (self.natives[*index].kind.group(), &self.natives[*index].name));
        let (mut entries, mut libraries) = (Vec::new(), Vec::new());
        for index in order {
            let stored = self.take(Job::Native(index));
            let native = &self.natives[index];
            let needs = libraries::needs(&self.natives, index)?;
            let stored_len = stored.frame.len() as u64;
            entries.push(ReplyEntry {
                name: native.name.clone(),
                kind: kind_name(native.kind),
                len: u64::from(stored.len),
                stored: stored_len,
            });
            if native.kind == Kind::Library {
                libraries.push(ReplyLibrary {
                    soname: native.name.clone(),
                    path: native.path.clone(),
                    stored: stored_len,
                });
            }
            id.add(native.kind, &native.name, &stored.hash);
            let block = writer.add_block(stored.frame, stored.len);
            writer.add_entry(NewEntry {
                name: native.name.clone(),
                kind: native.kind,
                block,
                offset: 0,
                len: stored.len,
                needs: needs.into_iter().map(|need| self.natives[need].name.clone()).collect(),
                patches: stored.patches,
                flags: if native.is_system_first { SYSTEM_FIRST } else { 0 },
            })?;
        }
        Ok((entries, libraries))
    }
}

/// The bundle's id, a hash of the plugin's name and of all entries, in any order.
struct Id {
    plugin: String,
    entries: BTreeMap<(u32, String), [u8; blake3::OUT_LEN]>,
}

impl Id {
    fn new(plugin: &str) -> Self {
        Self {
            plugin: plugin.to_owned(),
            entries: BTreeMap::new(),
        }
    }

    fn add(&mut self, kind: Kind, name: &str, hash: &[u8; blake3::OUT_LEN]) {
        self.entries.insert((kind as u32, name.to_owned()), *hash);
    }

    fn finish(self) -> [u8; ID_LEN] {
        let mut hasher = blake3::Hasher::new();
        let add_name = |name: &str, hasher: &mut blake3::Hasher| {
            hasher
                .update(&(name.len() as u64).to_le_bytes())
                .update(name.as_bytes());
        };
        add_name(&self.plugin, &mut hasher);
        for ((kind, name), hash) in &self.entries {
            hasher.update(&kind.to_le_bytes());
            add_name(name, &mut hasher);
            hasher.update(hash);
        }
        let digits = hasher.finalize().to_hex();
        let mut id = [b'0'; ID_LEN];
        id.copy_from_slice(&digits.as_bytes()[..ID_LEN]);
        id
    }
}
