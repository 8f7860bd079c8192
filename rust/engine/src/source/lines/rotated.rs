//! Finds files that a rotation has renamed: the file of a cursor, and the files that came after it.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::compressed::Format;
use super::cursor::Cursor;
use super::open::{Identity, OpenInput, identity};

/// The file of a cursor under another name, opened at the cursor.
pub(super) struct FoundFile {
    pub(super) open: OpenInput,
    pub(super) path: PathBuf,
}

/// Searches for the file of a cursor. The search goes in this order:
///
/// 1. the path that is stored in the cursor;
/// 2. files with the stored inode, in the directories of that path and of `path`;
/// 3. files whose name begins like the log's and whose content matches the cursor.
///
/// `except` is the file at `path`.
pub(super) fn find(path: &Path, cursor: &Cursor, except: Option<Identity>) -> Option<FoundFile> {
    let begin = |path: PathBuf| {
        let mut open = open_regular(&path).ok()?;
        let is_found = Some(open.identity) != except && open.find(cursor).unwrap_or(false);
        is_found.then_some(FoundFile { open, path })
    };
    let paths = aliases(path, cursor);
    if let Some(seen) = cursor.file() {
        let is_same = |path: &PathBuf| inode(path) == Some(seen.inode);
        let kept = [seen.path.clone()].into_iter().filter(is_same);
        let renamed = paths.iter().flat_map(|path| entries(path));
        let renamed = renamed
            .filter(|entry| entry.ino() == seen.inode)
            .map(|entry| entry.path());
        if let Some(found) = kept.chain(renamed).find_map(begin) {
            return Some(found);
        }
    }
    // A cursor at position 0 matches any file.
    if cursor.position() == 0 {
        return None;
    }
    let mut similar: Vec<_> = paths.iter().flat_map(|path| list_similar(path)).collect();
    similar.sort_by_key(|(path, metadata)| (Format::from_name(path).is_some(), -modified(metadata)));
    similar.into_iter().find_map(|(path, _)| begin(path))
}

/// A rotated file of a log.
pub(super) struct RotatedFile {
    pub(super) path: PathBuf,
    pub(super) key: Key,
    metadata: Metadata,
}

/// Identifies a file by identity and creation time: an inode may be used again.
pub(super) type Key = (Identity, Option<SystemTime>);

pub(super) fn key(metadata: &Metadata) -> Key {
    (identity(metadata), metadata.created().ok())
}

impl RotatedFile {
    /// Returns whether the file was modified after `old`.
    pub(super) fn is_changed_after(&self, old: &Metadata) -> bool {
        modified(&self.metadata) > modified(old)
    }

    /// Returns whether the file was created after `since`. A compressed file does not count: it replaced another file.
    pub(super) fn is_new_since(&self, since: SystemTime) -> bool {
        let created = self.metadata.created().or_else(|_| self.metadata.modified());
        created.is_ok_and(|created| created >= since) && Format::from_name(&self.path).is_none()
    }
}

/// Lists the rotated files of a log in its directory, oldest first.
pub(super) fn list(path: &Path) -> Vec<RotatedFile> {
    let real = path.canonicalize().unwrap_or_else(|_| path.into());
    let log = real.file_name().unwrap_or_default();
    let mut found: Vec<_> = entries(&real)
        .filter_map(|entry| Some((rotation_count(log, &entry.file_name())?, entry)))
        .filter_map(|(count, entry)| Some((count, with_metadata(&entry)?)))
        .collect();
    found.sort_by_key(|(count, (path, metadata))| (modified(metadata), -count, path.clone()));
    let files = found.into_iter().map(|(_, (path, metadata))| RotatedFile {
        path,
        key: key(&metadata),
        metadata,
    });
    files.collect()
}

/// Opens a regular file. Symbolic links are rejected, because any user may have created them.
pub(super) fn open_regular(path: &Path) -> io::Result<OpenInput> {
    if path.symlink_metadata()?.is_file() {
        OpenInput::open(path)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// Returns the paths that the log may have had, each in a different directory: with and without symbolic links, now and
/// at the time of the cursor.
fn aliases(path: &Path, cursor: &Cursor) -> Vec<PathBuf> {
    let mut paths = vec![path.to_owned()];
    let real = path.canonicalize().ok();
    for alias in real.into_iter().chain(cursor.file().map(|seen| seen.path.clone())) {
        if paths.iter().all(|path| path.parent() != alias.parent()) {
            paths.push(alias);
        }
    }
    paths
}

/// Lists the files in the directory of `path` whose names begin like its own, up to the first dot.
fn list_similar(path: &Path) -> impl Iterator<Item = (PathBuf, Metadata)> + use<> {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let stem = name.iter().skip(1).position(|byte| *byte == b'.');
    let stem = name[..stem.map_or(name.len(), |at| at + 1)].to_owned();
    entries(path)
        .filter(move |entry| entry.file_name().as_bytes().starts_with(&stem))
        .filter_map(|entry| with_metadata(&entry))
}

fn entries(path: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    let entries = path.parent().and_then(|directory| fs::read_dir(directory).ok());
    entries.into_iter().flatten().filter_map(Result::ok)
}

fn with_metadata(entry: &DirEntry) -> Option<(PathBuf, Metadata)> {
    // The metadata of an entry does not follow symbolic links.
    let metadata = entry.metadata().ok()?;
    metadata.is_file().then(|| (entry.path(), metadata))
}

fn inode(path: &Path) -> Option<u64> {
    path.symlink_metadata().ok().map(|metadata| metadata.ino())
}

fn modified(metadata: &Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}

/// Returns how many rotations ago a file was the log, according to its name: 1 for `app.log.1`, but 0 for a date, as in
/// `app.log-20261129.gz` or `app-2026-11-29.log`. Returns `None` if the name is not that of a rotated log.
fn rotation_count(log: &OsStr, name: &OsStr) -> Option<i64> {
    let (log, name) = (log.as_bytes(), name.as_bytes());
    let compressed = [&b".gz"[..], b".zst"].iter().find_map(|end| name.strip_suffix(*end));
    let name = compressed.unwrap_or(name);
    let dot = log.iter().rposition(|byte| *byte == b'.').unwrap_or(log.len());
    // A number is not an extension: `app.2.1` is a rotated `app.2`, and not an `app.1`.
    let dot = if is_number(&log[dot..]) { log.len() } else { dot };
    [log.len(), dot].iter().find_map(|&at| {
        let (stem, extension) = log.split_at(at);
        let number = name.strip_prefix(stem)?.strip_suffix(extension)?;
        is_number(number).then(|| match number {
            // A longer number is a date.
            [_, digits @ ..] if digits.len() <= 4 => str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .unwrap_or(0),
            _ => 0,
        })
    })
}

/// Returns whether a string is a separator followed by a number or a date.
fn is_number(bytes: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b".-_:+TZ".contains(byte);
    match bytes {
        [b'.' | b'-' | b'_', digit, rest @ ..] => digit.is_ascii_digit() && rest.iter().all(is_part),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_count_reads_a_number_or_a_date() {
        for (log, name, expected) in [
            ("app.log", "app.log.1", Some(1)),
            ("app.log", "app.log.12.gz", Some(12)),
            ("app.log", "app.log.1.zst", Some(1)),
            ("app.log", "app.log-20261129", Some(0)),
            ("app.log", "app.log.2026-11-29T10:00:00Z", Some(0)),
            ("app.log", "app-2026-11-29.log", Some(0)),
            ("app.log", "app.1.log.gz", Some(1)),
            ("app", "app.1", Some(1)),
            (".hidden", ".hidden.1", Some(1)),
            ("app.log", "app.log", None),
            ("app.log", "app.log.gz", None),
            ("app.log", "app.log.cursor", None),
            ("app.log", "app.log.1.cursor", None),
            ("app.log", "app.log.new", None),
            ("app.log", "app.log1", None),
            ("app.log", "other.log.1", None),
            ("app.1", "app.1.1", Some(1)),
            ("app.1", "app.2.1", None),
            ("app.log", "app-errors.log", None),
            ("app.log", "app-errors.log.1", None),
        ] {
            assert_eq!(rotation_count(OsStr::new(log), OsStr::new(name)), expected, "{name}");
        }
    }
}
