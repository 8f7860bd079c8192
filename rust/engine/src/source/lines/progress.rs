//! How far the host is.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cursor::{Cursor, Place, Seen};

/// How far the host is: what it was given before it came back for more. Clones are the same; it never waits for a
/// `next_batch` that runs.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Mutex<Given>>);

/// What was handed over.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// `None` for a stream, which cannot be read again, and as long as there is no file.
    pub(super) file: Option<Arc<File>>,
    /// How many bytes of a compressed file were read, some of them in advance.
    pub(super) compressed: Option<Arc<AtomicU64>>,
    /// As far as that goes, in the content of a compressed file.
    pub(super) place: Place,
}

impl Progress {
    pub(super) fn new(given: Given) -> Self {
        Self(Arc::new(Mutex::new(given)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Given> {
        // It is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes from the beginning of the file that is read now; of a stream, all that were read.
    pub fn position(&self) -> u64 {
        self.lock().place.position
    }

    /// The position, as it is found again; `None` for a stream, and as long as there is no file.
    pub fn cursor(&self) -> Option<Cursor> {
        let given = self.lock();
        let seen = seen(given.file.as_ref()?, given.compressed.is_some());
        Some(given.place.cursor(seen))
    }

    /// How much was taken, 0 to 1, and as a text. What has no size has no fraction.
    pub fn report(&self) -> (f64, String) {
        let Given {
            file,
            compressed,
            place,
        } = self.lock().clone();
        let taken = shown(place.position);
        let Some(file) = file else {
            return (0.0, taken);
        };
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let fraction = |part: u64| if part >= size { 1.0 } else { part as f64 / size as f64 };
        match compressed {
            Some(compressed) => (
                fraction(compressed.load(Ordering::Relaxed)),
                format!("{taken}, decompressed"),
            ),
            None => (fraction(place.position), format!("{taken} of {}", shown(size))),
        }
    }
}

/// Where to search the file after a restart; `None` where that cannot be known.
fn seen(file: &File, is_compressed: bool) -> Option<Seen> {
    let metadata = file.metadata().ok()?;
    Some(Seen {
        inode: metadata.ino(),
        // The length of the content of a compressed file is unknown.
        size: if is_compressed { 0 } else { metadata.len() },
        // The name that the file has now, also after a rotation.
        path: fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?,
    })
}

/// Bytes for a reader, such as "12.3 MiB".
fn shown(bytes: u64) -> String {
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
    fn sizes_are_shown_in_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (40 << 20, "40 MiB"),
            (12_897_485, "12.3 MiB"),
            (1 << 50, "1024 TiB"),
        ] {
            assert_eq!(shown(bytes), text);
        }
    }
}
