//! Where the bytes of lines come from: which file is read now, and what is read after it.

mod begin;

use std::collections::{HashSet, VecDeque};
use std::fs::Metadata;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::error::ReadError;
use super::occasional::Occasional;
use super::open::{Got, Open, identity, wait_for};
use super::options::{Start, Warn};
use super::rotated::{self, Key};
use crate::error::Error;
use crate::source::context::Context;

/// How often a file that is followed is looked at. Looking works on every file system, where a watch does not hear what
/// another machine writes; a look takes some microseconds.
const LOOK: Duration = Duration::from_millis(20);
/// Reads after which the path is looked at too while there is more: several files may come and go meanwhile.
const READS_A_LOOK: u32 = 64;
/// How coarse the times of a file system may be.
const COARSE: Duration = Duration::from_secs(1);

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The next bytes do not continue the previous ones: they are of another file, a truncated one, or another writer
    /// of a FIFO.
    Anew,
    End,
}

/// What is read, and goes on being read where it is followed.
pub(super) struct Input {
    name: String,
    separator: Vec<u8>,
    /// The path that is checked repeatedly if the file is followed.
    path: Option<PathBuf>,
    follow: bool,
    start: Start,
    /// `None` as long as there is nothing at the path.
    open: Option<Open>,
    /// What has taken the path since, in this order; each is read to its end before the next.
    successors: VecDeque<Open>,
    /// Rotated files that existed when their folder was last checked.
    known: HashSet<Key>,
    /// When the path was last seen to lead to the last of the files that are read.
    seen: SystemTime,
    reads: u32,
    is_over: bool,
    /// Readable once a stream is cancelled.
    wake: Option<Arc<OwnedFd>>,
    /// Why it cannot be read at the moment, as it was told.
    trouble: Option<String>,
    truncated: Occasional,
    warn: Warn,
}

impl Input {
    /// The file that is read now.
    pub(super) fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// Lets go of all files.
    pub(super) fn close(&mut self) {
        self.open = None;
        self.successors.clear();
        self.is_over = true;
    }

    /// Whether a read has found the end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// An error of reading it.
    fn error(&self, error: io::Error) -> Error {
        Error::Source(Box::new(ReadError {
            name: self.name.clone(),
            error,
        }))
    }

    pub(super) fn warn(&self, text: &str) {
        (self.warn)(text);
    }

    /// Reads what comes next. `before` is what was read last.
    pub(super) fn read(&mut self, before: &[u8], into: &mut [u8]) -> Result<Read, Error> {
        let Some(open) = &mut self.open else {
            return Ok(self.appear());
        };
        let is_replaced = !self.successors.is_empty();
        let before = if self.follow { before } else { &[] };
        let mut trouble = match open.read(before, into) {
            Ok(Got::Nothing) => return Ok(Read::Nothing),
            Ok(Got::Bytes(0)) if !self.follow || open.is_compressed() => return Ok(self.finish()),
            Ok(Got::Bytes(0)) => {
                if open.is_stream() && open.end_line() {
                    return Ok(Read::Anew);
                }
                None
            }
            Ok(Got::Bytes(len)) => {
                self.reads += 1;
                if self.reads >= READS_A_LOOK {
                    let trouble = self.look().err();
                    self.tell(trouble);
                }
                return Ok(Read::Bytes(len));
            }
            Ok(Got::Rewritten) => match self.begin_rewritten() {
                Ok(true) => return Ok(Read::Anew),
                Ok(false) => None,
                Err(error) => Some(error),
            },
            Err(error) if !self.follow => return Err(self.error(error)),
            Err(error) if open.is_compressed() => {
                self.warn(&format!("{}: a rotated file: {error}", self.name));
                return Ok(self.finish());
            }
            Err(error) => Some(error),
        };
        if is_replaced {
            return Ok(self.finish());
        }
        match self.look() {
            // What was written before the other took its place is read first.
            Ok(()) if !self.successors.is_empty() => return self.read(before, into),
            Ok(()) => {}
            Err(error) => trouble = trouble.or(Some(error)),
        }
        self.tell(trouble);
        Ok(Read::Nothing)
    }

    /// Skips a hole in front of the next bytes. Returns its length.
    pub(super) fn skip_hole(&mut self) -> u64 {
        self.open.as_mut().map_or(0, Open::skip_hole)
    }

    /// Waits until it is worth another read, or the source is cancelled; false at the deadline.
    pub(super) fn wait(&self, context: &Context, deadline: Option<Instant>) -> bool {
        match (&self.wake, &self.open) {
            (Some(wake), Some(open)) => wait_for(&open.file, wake, deadline),
            _ => {
                let look = Instant::now() + LOOK;
                context.wait(Some(deadline.map_or(look, |deadline| deadline.min(look))))
                    || deadline.is_none_or(|deadline| Instant::now() < deadline)
            }
        }
    }

    /// Leaves the file that was read to its end for the next.
    fn finish(&mut self) -> Read {
        if self.successors.is_empty() && !self.follow {
            self.is_over = true;
            return Read::End;
        }
        let next = self.successors.pop_front();
        self.open = next;
        Read::Anew
    }

    /// The first file at the path, where it has come.
    fn appear(&mut self) -> Read {
        let path = self
            .path
            .as_ref()
            .expect("only a path that is followed may lead nowhere");
        let begun = Open::path(path).and_then(|open| self.begin(open));
        let trouble = begun.err().filter(|error| error.kind() != io::ErrorKind::NotFound);
        self.tell(trouble);
        if self.open.is_some() { Read::Anew } else { Read::Nothing }
    }

    /// Returns to the beginning of a file whose content is not what was read. Returns false if the file cannot be
    /// followed.
    fn begin_rewritten(&mut self) -> io::Result<bool> {
        let Some(open) = &mut self.open else { return Ok(false) };
        if open.check_unsized()? {
            self.warn(&format!(
                "{} has a size of 0 although it has content, as files of /proc do: reading it once, without seeing \
                 changes of it; leave follow out, and open it again for its new content",
                self.name
            ));
            return Ok(false);
        }
        let read = open.position();
        open.rewind()?;
        if let Some(count) = self.truncated.count() {
            self.warn(&format!(
                "{} was truncated, after {read} bytes of it were read: reading it from its beginning (truncations so \
                 far: {count})",
                self.name
            ));
        }
        Ok(true)
    }

    /// Looks whether another file has taken the path. One that is empty has not: whoever wrote the old one still may.
    fn look(&mut self) -> io::Result<()> {
        self.reads = 0;
        let (true, Some(path), Some(last)) = (self.follow, &self.path, self.successors.back().or(self.open.as_ref()))
        else {
            return Ok(());
        };
        let now = SystemTime::now();
        let is_other =
            |metadata: &Metadata| identity(metadata) != last.identity && !(metadata.is_file() && metadata.len() == 0);
        // A FIFO or a device in the place of a file is no file that was rotated: somebody put it there.
        let is_fitting = |metadata: &Metadata| last.is_stream() || metadata.is_file();
        let found = path.metadata().and_then(|metadata| {
            if is_other(&metadata) && !is_fitting(&metadata) {
                return Err(io::Error::other("it was replaced by what is no regular file"));
            }
            if identity(&metadata) == last.identity {
                self.seen = now;
            }
            is_other(&metadata).then(|| Open::path(path)).transpose()
        });
        match found {
            Ok(Some(found)) if found.identity != last.identity => {
                let since = self.seen.checked_sub(COARSE).unwrap_or(SystemTime::UNIX_EPOCH);
                let mut between = rotated::rotated(path);
                let before = std::mem::replace(&mut self.known, between.iter().map(|file| file.key).collect());
                let is_read = |identity| {
                    self.open
                        .iter()
                        .chain(&self.successors)
                        .any(|open| open.identity == identity)
                };
                between.retain(|file| {
                    let identity = file.key.0;
                    let is_new = file.is_new_since(since) && !before.contains(&file.key);
                    is_new && identity != found.identity && !is_read(identity)
                });
                self.push_rotated(between.into_iter().map(|file| file.path).collect());
                self.successors.push_back(found);
                self.seen = now;
            }
            Ok(_) => {}
            // Between two steps of a rotation.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Says once why it cannot be read, and when it can be read again.
    fn tell(&mut self, trouble: Option<io::Error>) {
        let trouble = trouble.map(|error| format!("{} cannot be read: {error}; trying again", self.name));
        if self.trouble != trouble {
            let solved = || format!("{} can be read again", self.name);
            self.warn(&trouble.clone().unwrap_or_else(solved));
            self.trouble = trouble;
        }
    }
}
