//! Tests of the lines instance, with a reader and a temporary folder for them.

mod content;
mod following;
mod options;
mod rotation;
mod splitting;
mod streams;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::instance::LinesInstance;
use super::{Options, Source, Start};
use crate::error::Error;
use crate::event::EventBatch;
use crate::source::context::Context;

pub(super) const LONG: Duration = Duration::from_secs(60);

/// A temporary folder, deleted at the end of a test.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("lines-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(super) fn append(&self, name: &str, content: &[u8]) {
        let mut file = OpenOptions::new().append(true).open(self.path(name)).unwrap();
        file.write_all(content).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An instance with a timeout of 0, and its warnings.
pub(super) struct Reader {
    pub(super) lines: LinesInstance,
    batch: EventBatch,
    pub(super) warnings: Arc<Mutex<Vec<String>>>,
}

pub(super) fn options() -> Options {
    Options {
        separator: b"\n".to_vec(),
        timestamp: None,
        follow: false,
        start: Start::Offset(0),
        timeout: Duration::ZERO,
    }
}

pub(super) fn following() -> Options {
    Options {
        follow: true,
        ..options()
    }
}

pub(super) fn open(source: Source, options: Options) -> Result<Reader, Error> {
    open_with(source, options, EventBatch::new(4, 100).unwrap(), 16)
}

pub(super) fn open_with(source: Source, options: Options, batch: EventBatch, block: usize) -> Result<Reader, Error> {
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let logged = Arc::clone(&warnings);
    let warn = Box::new(move |text: &str| logged.lock().unwrap().push(text.to_owned()));
    LinesInstance::with_block(source, "input".into(), options, Context::new(), warn, block).map(|lines| Reader {
        lines,
        batch,
        warnings,
    })
}

pub(super) fn open_path(path: &Path, options: Options) -> Reader {
    open(Source::Path(path.into()), options).unwrap()
}

impl Reader {
    pub(super) fn next(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        self.batch.clear();
        self.lines.next_batch(&mut self.batch)?;
        Ok((0..self.batch.len())
            .map(|index| self.batch.get(index).unwrap().1.to_vec())
            .collect())
    }

    /// Returns all lines that are available, and whether the source has ended.
    pub(super) fn all(&mut self) -> (Vec<String>, bool) {
        let mut lines = Vec::new();
        // With a timeout of 0, a call reads one block, which may be shorter than a line.
        let mut idle = 0;
        loop {
            match self.next() {
                Ok(more) => {
                    idle = 0;
                    lines.extend(more.into_iter().map(|line| String::from_utf8(line).unwrap()));
                }
                Err(Error::Timeout) if idle < 100 => idle += 1,
                Err(Error::Timeout) => return (lines, false),
                Err(Error::Eof) => return (lines, true),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Checks that these lines are available, and that the source continues.
    pub(super) fn expect_lines(&mut self, lines: &[&str]) {
        assert_eq!(self.all(), (lines.iter().map(ToString::to_string).collect(), false));
    }

    /// Checks that the source ends with these lines.
    pub(super) fn expect_end(&mut self, lines: &[&str]) {
        assert_eq!(self.all(), (lines.iter().map(ToString::to_string).collect(), true));
    }

    pub(super) fn position(&self) -> u64 {
        self.lines.progress().position()
    }

    pub(super) fn count_warnings(&self, text: &str) -> usize {
        self.warnings
            .lock()
            .unwrap()
            .iter()
            .filter(|warning| warning.contains(text))
            .count()
    }
}

pub(super) fn fifo(folder: &Folder) -> PathBuf {
    let path = folder.path("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    path
}
