//! The input of lines: the file that is being read, and the files that follow it.

mod begin;

use std::collections::{HashSet, VecDeque};
use std::fs::Metadata;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::error::ReadError;
use super::open::{OpenInput, ReadResult, identity, wait_for};
use super::options::{Start, Warn};
use super::rotated::{self, Key};
use crate::error::Error;
use crate::source::context::Context;
use crate::throttle::Throttle;

/// The time between two checks of a followed file. A check takes some microseconds, and works on every file system; a
/// watch (inotify) does not notice what another machine writes.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// After this many reads the path is checked too, even if more can be read: it may be rotated several times until then.
const READS_PER_CHECK: u32 = 64;
/// The largest granularity of the times of a file system.
const TIME_GRANULARITY: Duration = Duration::from_secs(1);

/// The result of [`Input::read`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadOutcome {
    Bytes(usize),
    /// No bytes are available at the moment.
    Pending,
    /// The next bytes do not continue the previous ones. They come from another file, a truncated file, or another
    /// writer of a FIFO.
    NewContent,
    End,
}

/// An input. If it is followed, it continues after the end of its current content.
pub(super) struct Input {
    name: String,
    separator: Vec<u8>,
    /// The path that is checked repeatedly if the file is followed.
    path: Option<PathBuf>,
    follow: bool,
    start: Start,
    /// The current file; `None` while the path does not exist.
    open: Option<OpenInput>,
    /// The files that replaced the current one at the path, oldest first. Each is read to its end before the next.
    successors: VecDeque<OpenInput>,
    /// Rotated files that existed when their folder was last checked.
    known: HashSet<Key>,
    /// When the path last led to the newest of these files.
    seen: SystemTime,
    /// Reads since the last check of the path.
    reads: u32,
    is_over: bool,
    /// Becomes readable when the context of a stream is cancelled.
    wake: Option<Arc<OwnedFd>>,
    /// The last reported reason why the input cannot be read; `None` if it can.
    trouble: Option<String>,
    truncations: Throttle,
    warn: Warn,
}

impl Input {
    /// Returns the current file.
    pub(super) fn open(&self) -> Option<&OpenInput> {
        self.open.as_ref()
    }

    /// Closes all files.
    pub(super) fn close(&mut self) {
        self.open = None;
        self.successors.clear();
        self.is_over = true;
    }

    /// Returns whether the input has ended.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns the error of opening or reading the input.
    fn error(&self, error: io::Error) -> Error {
        Error::Source(Box::new(ReadError {
            name: self.name.clone(),
            error,
        }))
    }

    pub(super) fn warn(&self, text: &str) {
        (self.warn)(text);
    }

    /// Reads the next bytes without blocking. `preceding` are the bytes that were read last.
    pub(super) fn read(&mut self, preceding: &[u8], into: &mut [u8]) -> Result<ReadOutcome, Error> {
        let Some(open) = &mut self.open else {
            return Ok(self.try_open());
        };
        let is_replaced = !self.successors.is_empty();
        let preceding = if self.follow { preceding } else { &[] };
        let mut trouble = match open.read(preceding, into) {
            Ok(ReadResult::Pending) => return Ok(ReadOutcome::Pending),
            Ok(ReadResult::Bytes(0)) if !self.follow || open.is_compressed() => return Ok(self.open_next()),
            Ok(ReadResult::Bytes(0)) => {
                if open.is_stream() && open.end_line() {
                    return Ok(ReadOutcome::NewContent);
                }
                None
            }
            Ok(ReadResult::Bytes(len)) => {
                self.reads += 1;
                if self.reads >= READS_PER_CHECK {
                    let trouble = self.check_path().err();
                    self.report(trouble);
                }
                return Ok(ReadOutcome::Bytes(len));
            }
            Ok(ReadResult::Rewritten) => match self.begin_rewritten() {
                Ok(true) => return Ok(ReadOutcome::NewContent),
                Ok(false) => None,
                Err(error) => Some(error),
            },
            Err(error) if !self.follow => return Err(self.error(error)),
            Err(error) if open.is_compressed() => {
                self.warn(&format!("{}: a rotated file: {error}", self.name));
                return Ok(self.open_next());
            }
            Err(error) => Some(error),
        };
        if is_replaced {
            return Ok(self.open_next());
        }
        match self.check_path() {
            // The current file may have grown before it was replaced: read it again first.
            Ok(()) if !self.successors.is_empty() => return self.read(preceding, into),
            Ok(()) => {}
            Err(error) => trouble = trouble.or(Some(error)),
        }
        self.report(trouble);
        Ok(ReadOutcome::Pending)
    }

    /// Skips a hole at the current position. Returns its length.
    pub(super) fn skip_hole(&mut self) -> u64 {
        self.open.as_mut().map_or(0, OpenInput::skip_hole)
    }

    /// Blocks until another read may return more, or the source is cancelled. Returns false at the deadline.
    pub(super) fn wait(&self, context: &Context, deadline: Option<Instant>) -> bool {
        match (&self.wake, &self.open) {
            (Some(wake), Some(open)) => wait_for(&open.file, wake, deadline),
            _ => {
                let check = Instant::now() + CHECK_INTERVAL;
                context.wait(Some(deadline.map_or(check, |deadline| deadline.min(check))))
                    || deadline.is_none_or(|deadline| Instant::now() < deadline)
            }
        }
    }

    /// Replaces the current file, which was read to its end, by the next.
    fn open_next(&mut self) -> ReadOutcome {
        if self.successors.is_empty() && !self.follow {
            self.is_over = true;
            return ReadOutcome::End;
        }
        let next = self.successors.pop_front();
        self.open = next;
        ReadOutcome::NewContent
    }

    /// Opens the path if it exists by now.
    fn try_open(&mut self) -> ReadOutcome {
        let path = self.path.as_ref().expect("only a followed path may not exist");
        let opened = OpenInput::open(path).and_then(|open| self.begin(open));
        let trouble = opened.err().filter(|error| error.kind() != io::ErrorKind::NotFound);
        self.report(trouble);
        if self.open.is_some() {
            ReadOutcome::NewContent
        } else {
            ReadOutcome::Pending
        }
    }

    /// Returns to the beginning of a file whose content has changed. Returns false if such a file cannot be followed.
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
        if self.truncations.count(Instant::now()).is_some() {
            self.warn(&format!(
                "{} was truncated, after {read} bytes of it were read: reading it from its beginning (truncations so \
                 far: {})",
                self.name,
                self.truncations.total()
            ));
        }
        Ok(true)
    }

    /// Checks whether another file has replaced the newest one at the path. An empty file does not count yet: the
    /// writer may still write to the old one.
    fn check_path(&mut self) -> io::Result<()> {
        self.reads = 0;
        let (true, Some(path), Some(last)) = (self.follow, &self.path, self.successors.back().or(self.open.as_ref()))
        else {
            return Ok(());
        };
        let now = SystemTime::now();
        let is_other =
            |metadata: &Metadata| identity(metadata) != last.identity && !(metadata.is_file() && metadata.len() == 0);
        // A FIFO or a device that replaces a file is not the result of a rotation: do not read it.
        let is_fitting = |metadata: &Metadata| last.is_stream() || metadata.is_file();
        let found = path.metadata().and_then(|metadata| {
            if is_other(&metadata) && !is_fitting(&metadata) {
                return Err(io::Error::other(
                    "it was replaced by something that is not a regular file",
                ));
            }
            if identity(&metadata) == last.identity {
                self.seen = now;
            }
            is_other(&metadata).then(|| OpenInput::open(path)).transpose()
        });
        match found {
            Ok(Some(found)) if found.identity != last.identity => {
                let since = self
                    .seen
                    .checked_sub(TIME_GRANULARITY)
                    .unwrap_or(SystemTime::UNIX_EPOCH);
                let mut between = rotated::list(path);
                let known = std::mem::replace(&mut self.known, between.iter().map(|file| file.key).collect());
                let is_read = |identity| {
                    self.open
                        .iter()
                        .chain(&self.successors)
                        .any(|open| open.identity == identity)
                };
                between.retain(|file| {
                    let identity = file.key.0;
                    let is_new = file.is_new_since(since) && !known.contains(&file.key);
                    is_new && identity != found.identity && !is_read(identity)
                });
                self.push_rotated(between.into_iter().map(|file| file.path).collect());
                self.successors.push_back(found);
                self.seen = now;
            }
            Ok(_) => {}
            // The path does not exist between two steps of a rotation.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Logs once why the input cannot be read, and once when it can be read again.
    fn report(&mut self, trouble: Option<io::Error>) {
        let trouble = trouble.map(|error| format!("{} cannot be read: {error}; trying again", self.name));
        if self.trouble != trouble {
            let solved = || format!("{} can be read again", self.name);
            self.warn(&trouble.clone().unwrap_or_else(solved));
            self.trouble = trouble;
        }
    }
}
