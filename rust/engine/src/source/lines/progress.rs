//! How far the host has acknowledged the lines of an input.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cursor::{Checkpoint, Cursor, FileSnapshot};

/// How far the host has acknowledged the lines: it received them and came back for more. Clones refer to the same
/// state. No method waits for a `next_batch` that runs.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Mutex<InputPosition>>);

/// A position in the current file.
#[derive(Debug, Clone)]
pub(super) struct InputPosition {
    /// `None` for a stream, which cannot be read again, and while there is no file.
    pub(super) file: Option<Arc<File>>,
    /// How many bytes of a compressed file were read, including bytes that were read ahead.
    pub(super) compressed: Option<Arc<AtomicU64>>,
    /// In a compressed file, a position in its decompressed content.
    pub(super) checkpoint: Checkpoint,
}

impl Progress {
    pub(super) fn new(position: InputPosition) -> Self {
        Self(Arc::new(Mutex::new(position)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, InputPosition> {
        // A poisoned position is whole: it is replaced in one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the acknowledged bytes of the current file, or of a whole stream.
    pub fn position(&self) -> u64 {
        self.lock().checkpoint.position
    }

    /// Returns a cursor at the position; `None` for a stream, and while there is no file.
    pub fn cursor(&self) -> Option<Cursor> {
        let position = self.lock();
        let snapshot = snapshot(position.file.as_ref()?, position.compressed.is_some());
        Some(position.checkpoint.cursor(snapshot))
    }

    /// Returns the acknowledged fraction of the current file, from 0 to 1, and a description. The fraction of a stream
    /// is 0.
    pub fn report(&self) -> (f64, String) {
        let InputPosition {
            file,
            compressed,
            checkpoint,
        } = self.lock().clone();
        let acknowledged = format_size(checkpoint.position);
        let Some(file) = file else {
            return (0.0, acknowledged);
        };
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let fraction = |part: u64| if part >= size { 1.0 } else { part as f64 / size as f64 };
        match compressed {
            Some(compressed) => (
                fraction(compressed.load(Ordering::Relaxed)),
                format!("{acknowledged}, decompressed"),
            ),
            None => (
                fraction(checkpoint.position),
                format!("{acknowledged} of {}", format_size(size)),
            ),
        }
    }
}

/// Returns how to find the file after a restart; `None` if the system does not provide it.
fn snapshot(file: &File, is_compressed: bool) -> Option<FileSnapshot> {
    let metadata = file.metadata().ok()?;
    Some(FileSnapshot {
        inode: metadata.ino(),
        // The size of the decompressed content is unknown.
        size: if is_compressed { 0 } else { metadata.len() },
        // The current path of the file, even after a rotation.
        path: fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?,
    })
}

/// Formats a number of bytes, such as "12.3 MiB".
fn format_size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    let text = format!("{value:.1}");
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_size_chooses_the_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (40 << 20, "40 MiB"),
            (12_897_485, "12.3 MiB"),
            (1 << 50, "1024 TiB"),
        ] {
            assert_eq!(format_size(bytes), text);
        }
    }
}
