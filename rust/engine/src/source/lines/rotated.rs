//! Finds files that a rotation has renamed: the file of a cursor, and those that came after it.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::compressed::Format;
use super::cursor::Cursor;
use super::open::{Identity, Open, identity};

/// The file of a cursor under another name, begun at the cursor.
pub(super) struct Found {
    pub(super) open: Open,
    pub(super) path: PathBuf,
}

/// Searches the file of a cursor: at the path that the cursor knows, then by its inode in the folders of that path and
/// of `path`, then by its content among files whose names begin as the log's.
///
/// `except`: the file at `path`.
pub(super) fn find(path: &Path, cursor: &Cursor, except: Option<Identity>) -> Option<Found> {
    let begin = |path: PathBuf| {
        let mut open = open_regular(&path).ok()?;
        let is_found = Some(open.identity) != except && open.find(cursor).unwrap_or(false);
        is_found.then_some(Found { open, path })
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
    let mut alike: Vec<_> = paths.iter().flat_map(|path| begin_alike(path)).collect();
    alike.sort_by_key(|(path, metadata)| (Format::of(path).is_some(), -modified(metadata)));
    alike.into_iter().find_map(|(path, _)| begin(path))
}

/// A file that a rotation of a log has left.
pub(super) struct Rotated {
    pub(super) path: PathBuf,
    pub(super) key: Key,
    metadata: Metadata,
}

/// Identifies a file, even if the number of its inode is used again.
pub(super) type Key = (Identity, Option<SystemTime>);

pub(super) fn key(metadata: &Metadata) -> Key {
    (identity(metadata), metadata.created().ok())
}

impl Rotated {
    pub(super) fn is_changed_after(&self, old: &Metadata) -> bool {
        modified(&self.metadata) > modified(old)
    }

    /// Whether it is a log that was created since. One that is compressed was another file, under another name, before.
    pub(super) fn is_new_since(&self, since: SystemTime) -> bool {
        let created = self.metadata.created().or_else(|_| self.metadata.modified());
        created.is_ok_and(|created| created >= since) && Format::of(&self.path).is_none()
    }
}

/// The files that rotations of a log have left beside it, the oldest first.
pub(super) fn rotated(path: &Path) -> Vec<Rotated> {
    let real = path.canonicalize().unwrap_or_else(|_| path.into());
    let log = real.file_name().unwrap_or_default();
    let mut found: Vec<_> = entries(&real)
        .filter_map(|entry| Some((age(log, &entry.file_name())?, entry)))
        .filter_map(|(age, entry)| Some((age, with_metadata(&entry)?)))
        .collect();
    found.sort_by_key(|(age, (path, metadata))| (modified(metadata), -age, path.clone()));
    let rotated = found.into_iter().map(|(_, (path, metadata))| Rotated {
        path,
        key: key(&metadata),
        metadata,
    });
    rotated.collect()
}

/// Opens a regular file. Links are not followed, because anybody may have made them.
pub(super) fn open_regular(path: &Path) -> io::Result<Open> {
    if path.symlink_metadata()?.is_file() {
        Open::path(path)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// Returns the paths that the log may have had, each in a different folder: with and without symbolic links, now and
/// when the cursor was made.
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

/// Files beside the path whose names begin as its own, up to the first dot.
fn begin_alike(path: &Path) -> impl Iterator<Item = (PathBuf, Metadata)> + use<> {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let stem = name.iter().skip(1).position(|byte| *byte == b'.');
    let stem = name[..stem.map_or(name.len(), |at| at + 1)].to_owned();
    entries(path)
        .filter(move |entry| entry.file_name().as_bytes().starts_with(&stem))
        .filter_map(|entry| with_metadata(&entry))
}

fn entries(path: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    let folder = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    folder.into_iter().flatten().filter_map(Result::ok)
}

fn with_metadata(entry: &DirEntry) -> Option<(PathBuf, Metadata)> {
    // Links are not followed.
    let metadata = entry.metadata().ok()?;
    metadata.is_file().then(|| (entry.path(), metadata))
}

fn inode(path: &Path) -> Option<u64> {
    path.symlink_metadata().ok().map(|metadata| metadata.ino())
}

fn modified(metadata: &Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}

/// How many rotations ago a file was the log, as far as its name has that: the number of `app.log.1`, but 0 for the date
/// of `app.log-20261129.gz` or `app-2026-11-29.log`. `None` if the name is not that of a rotated log.
fn age(log: &OsStr, name: &OsStr) -> Option<i64> {
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
            // More digits are those of a date.
            [_, digits @ ..] if digits.len() <= 4 => str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .unwrap_or(0),
            _ => 0,
        })
    })
}

/// Returns whether a text is a separator and a number or a date.
fn is_number(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b".-_:+TZ".contains(byte);
    match text {
        [b'.' | b'-' | b'_', digit, rest @ ..] => digit.is_ascii_digit() && rest.iter().all(is_part),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_rotated_log_has_a_number_or_a_date() {
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
            assert_eq!(age(OsStr::new(log), OsStr::new(name)), expected, "{name}");
        }
    }
}
