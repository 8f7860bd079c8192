//! Compressed blocks of earlier builds.
//!
//! The name of a file is the hash of everything that its content depends on, including this program. A file that is
//! damaged, or not of this cache, counts as absent. The cache is only an optimisation, so no error of it is reported.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::compress::Stored;

const MAGIC: &[u8; 8] = b"FPCACHE1";
const SUFFIX: &str = ".block";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const KEPT: Duration = Duration::from_secs(30 * DAY.as_secs());

pub struct Cache {
    folder: Option<PathBuf>,
    program: blake3::Hash,
}

/// The hash of everything that a block depends on.
pub struct Key(blake3::Hasher);

impl Key {
    /// Adds a part. Different lists of parts have different keys.
    pub fn add(&mut self, part: &[u8]) -> &mut Self {
        self.0.update(&(part.len() as u64).to_le_bytes()).update(part);
        self
    }
}

impl Cache {
    /// Opens the cache in `folder`, which is made if it does not exist. Without a folder, nothing is kept.
    pub fn open(folder: Option<&Path>) -> Self {
        let folder = folder
            .filter(|folder| fs::create_dir_all(folder).is_ok())
            .map(Path::to_owned);
        let program = match (&folder, std::env::current_exe().and_then(fs::read)) {
            (Some(_), Ok(program)) => blake3::hash(&program),
            _ => blake3::hash(b""),
        };
        Self { folder, program }
    }

    /// Returns a key for blocks of `kind`, to which the caller adds the rest.
    pub fn key(&self, kind: &str) -> Key {
        let mut key = Key(blake3::Hasher::new());
        key.add(self.program.as_bytes()).add(kind.as_bytes());
        key
    }

    /// Returns the block with this key, or makes and keeps it.
    pub fn get_or_make<Error>(&self, key: &Key, make: impl FnOnce() -> Result<Stored, Error>) -> Result<Stored, Error> {
        let Some(folder) = &self.folder else {
            return make();
        };
        let key = key.0.finalize();
        let path = folder.join(format!("{key}{SUFFIX}"));
        if let Some(stored) = read(&path, &key) {
            return Ok(stored);
        }
        let stored = make()?;
        let _ = write(&path, &key, &stored);
        Ok(stored)
    }

    /// Removes blocks that no build has used for 30 days.
    pub fn remove_unused(&self) {
        let now = SystemTime::now();
        for file in self.folder.iter().flat_map(fs::read_dir).flatten().flatten() {
            let is_block = file.file_name().to_string_lossy().contains(SUFFIX);
            if is_block && age(&file.path(), now).is_some_and(|age| age > KEPT) {
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

/// Returns the time since the last use of a file.
fn age(path: &Path, now: SystemTime) -> Option<Duration> {
    now.duration_since(fs::metadata(path).ok()?.modified().ok()?).ok()
}

/// Returns the hash that a file contains. It depends on the key, so that a block under the name of another one is not
/// used.
fn hash(key: &blake3::Hash, block: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update(key.as_bytes()).update(block).finalize()
}

fn read(path: &Path, key: &blake3::Hash) -> Option<Stored> {
    let bytes = fs::read(path).ok()?;
    let (found, block) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<{ blake3::OUT_LEN }>()?;
    if hash(key, block) != *found {
        return None;
    }
    let now = SystemTime::now();
    if age(path, now).is_some_and(|age| age > DAY) {
        let _ = File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(now));
    }
    Stored::decode(block)
}

/// Writes a file under another name and renames it, so that no other build reads a part of it.
fn write(path: &Path, key: &blake3::Hash, stored: &Stored) -> io::Result<()> {
    let block = stored.encode();
    let bytes = [&MAGIC[..], hash(key, &block).as_bytes(), &block].concat();
    let temporary = path.with_extension(format!("block.{}", std::process::id()));
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
