//! The writer of the file or the FIFO that a source reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::kind::Kind;
use crate::plan;
use crate::random::Dice;
use crate::spec::{Flags, SourceSpec};
use crate::{report, totals};

/// The number of events by which the writer may be ahead of the reader.
const MOST_AHEAD: u64 = 4096;
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Writes the events of one source.
pub struct Writer {
    spec: Arc<SourceSpec>,
    version: char,
    file: File,
}

impl Writer {
    /// Makes the file or the FIFO, and opens it.
    pub fn new(spec: Arc<SourceSpec>, version: char) -> Self {
        if spec.kind == Kind::Pipe {
            make_fifo(&spec.path);
        }
        let file = open(spec.kind, &spec.path);
        Self { spec, version, file }
    }

    /// Writes all events, while the source is open.
    pub fn run(mut self, flags: &Flags) {
        let mut dice = Dice(!self.spec.key);
        let mut line = Vec::new();
        let mut rotated_at = 0;
        for number in 0..self.spec.count {
            if !wait_for_reader(flags, number.into()) {
                return;
            }
            line.clear();
            if let Some(body) = plan::body(self.spec.key, 0, number) {
                plan::write_event(&mut line, self.version, self.spec.key, 0, number, body);
            }
            line.push(b'\n');
            self.write(&line, &mut dice, flags);
            if dice.one_in(16) {
                dice.sleep_below(1 + self.spec.longest_pause);
            }
            // Rotate only after the reader was in the current file: it cannot see one that comes and goes between two polls.
            if self.spec.kind == Kind::File && dice.one_in(300) && flags.accepted() > rotated_at {
                self.rotate(&mut dice);
                rotated_at = u64::from(number) + 1;
            }
        }
    }

    /// Writes a line, sometimes in pieces.
    fn write(&mut self, mut line: &[u8], dice: &mut Dice, flags: &Flags) {
        while !line.is_empty() && !flags.is_closed() {
            let size = match dice.one_in(8) {
                true => 1 + dice.below(line.len() as u64) as usize,
                false => line.len(),
            };
            match self.file.write(&line[..size]) {
                Ok(written) => line = &line[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(POLL_INTERVAL),
                Err(error) => report::abort(format!("cannot write {}: {error}", self.spec.path.display())),
            }
        }
    }

    fn rotate(&mut self, dice: &mut Dice) {
        let path = &self.spec.path;
        if let Err(error) = fs::rename(path, rotated(path)) {
            report::abort(format!("cannot rename {}: {error}", path.display()));
        }
        if dice.one_in(2) {
            dice.sleep_below(50_000);
        }
        self.file = open(self.spec.kind, path);
        totals::ROTATIONS.add(1);
    }
}

/// Removes the files of a source.
pub fn remove(path: &Path) {
    for path in [path, &rotated(path)] {
        // The file may not exist.
        let _ = fs::remove_file(path);
    }
}

/// Waits until the reader is near. Returns false if the source was closed.
fn wait_for_reader(flags: &Flags, written: u64) -> bool {
    while !flags.is_closed() && flags.accepted() + MOST_AHEAD < written {
        thread::sleep(POLL_INTERVAL);
    }
    !flags.is_closed()
}

fn open(kind: Kind, path: &Path) -> File {
    let mut options = OpenOptions::new();
    match kind {
        // A FIFO that is open for reading here always has a reader.
        Kind::Pipe => options.read(true).write(true).custom_flags(libc::O_NONBLOCK),
        _ => options.append(true).create(true).mode(0o600),
    };
    let opened = options.open(path);
    opened.unwrap_or_else(|error| report::abort(format!("cannot open {}: {error}", path.display())))
}

fn make_fifo(path: &Path) {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    let name = CString::new(path.as_os_str().as_bytes()).unwrap_or_else(|error| report::abort(error));
    // SAFETY: `name` is NUL-terminated.
    if unsafe { libc::mkfifo(name.as_ptr(), 0o600) } != 0 {
        let error = io::Error::last_os_error();
        report::abort(format!("cannot make {}: {error}", path.display()));
    }
}

fn rotated(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.1", path.display()))
}
