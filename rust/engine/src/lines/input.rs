//! Where the bytes of lines come from: a file at a position of our own, or a stream that is waited for.

use std::collections::VecDeque;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::memmem::rfind;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::OFlags;
use rustix::net::SocketType;

use super::cursor::{Cursor, read_at};
use super::{Options, ReadError, Warn};
use crate::context::Context;
use crate::error::Error;

/// How often a file that is followed is looked at. Looking works on every file system, where a watch does not hear what
/// another machine writes; a look takes some microseconds.
const LOOK: Duration = Duration::from_millis(20);
/// Reads after which the path is looked at too while there is more: several files may come and go meanwhile.
const READS_A_LOOK: u32 = 64;
/// Bytes that are searched at once for the last end of a line.
const SEARCHED: u64 = 64 * 1024;

/// Where lines come from.
#[derive(Debug)]
pub enum Source {
    Path(PathBuf),
    Descriptor(OwnedFd),
}

/// Where in a file the first line begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Offset(u64),
    /// Behind the last line that has an end.
    End,
    Cursor(Cursor),
}

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// What is read from here on has nothing to do with what came before: another file, or a truncated one.
    Anew,
    End,
}

/// What is read, and goes on being read where it is followed.
pub(super) struct Input {
    name: String,
    separator: Vec<u8>,
    /// Looked at again and again, where a path is followed.
    path: Option<PathBuf>,
    follow: bool,
    start: Start,
    /// `None` as long as there is nothing at the path.
    open: Option<Open>,
    /// What has taken the path since, in this order; each is read to its end before the next.
    successors: VecDeque<Open>,
    reads: u32,
    is_over: bool,
    /// Readable once a stream is cancelled.
    wake: Option<Arc<OwnedFd>>,
    /// Why it cannot be read at the moment, as it was told.
    trouble: Option<String>,
    warn: Warn,
}

/// An open file.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) file: Arc<File>,
    /// Where a regular file is read next. It is ours: a descriptor that others have too keeps its own.
    pub(super) position: Option<u64>,
    identity: (u64, u64),
}

impl Input {
    pub(super) fn new(
        source: Source,
        name: String,
        options: Options,
        context: &Context,
        warn: Warn,
    ) -> Result<Self, Error> {
        let Options {
            separator,
            follow,
            start,
            ..
        } = options;
        let mut input = Self {
            name,
            separator,
            path: None,
            follow,
            start,
            open: None,
            successors: VecDeque::new(),
            reads: 0,
            is_over: false,
            wake: None,
            trouble: None,
            warn,
        };
        let opened = match source {
            Source::Path(path) => {
                // Where the host changes its directory, the path still leads to the same file.
                let path = std::path::absolute(path).map_err(|error| input.error(error))?;
                let opened = Open::path(&path);
                input.path = follow.then_some(path);
                opened
            }
            Source::Descriptor(descriptor) => Open::file(descriptor.into()),
        };
        match opened {
            Ok(open) => input.take_first(open, context)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && follow => {
                input.warn(&format!("{} does not exist; waiting for it", input.name));
                // All of a file that comes later is new.
                if start == Start::End {
                    input.start = Start::Offset(0);
                }
            }
            Err(error) => return Err(input.error(error)),
        }
        Ok(input)
    }

    fn take_first(&mut self, open: Open, context: &Context) -> Result<(), Error> {
        let metadata = open.file.metadata().map_err(|error| self.error(error))?;
        let kind = metadata.file_type();
        let refuse = |what: &str| Err(Error::InvalidOption(format!("{}: {what}", self.name)));
        if kind.is_socket() && !is_stream(&open.file) {
            return refuse(
                "a socket of datagrams has no lines: give a stream socket, or send each datagram as an event",
            );
        }
        if self.follow && !kind.is_file() && !kind.is_fifo() {
            return refuse("only a file or a FIFO can be followed: leave follow out");
        }
        if open.position.is_none() && self.start != Start::Offset(0) {
            return refuse("only a regular file has a start: leave start out");
        }
        if open.position.is_none() && !self.follow {
            let wake =
                eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|error| self.error(error.into()))?;
            let wake = Arc::new(wake);
            self.wake = Some(Arc::clone(&wake));
            context.on_cancel(move || {
                // It fails only where the counter is full, which wakes as well.
                let _ = rustix::io::write(&wake, &1_u64.to_ne_bytes());
            });
        }
        self.begin(open).map_err(|error| self.error(error))
    }

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

    /// Begins with the first file, where `start` says.
    fn begin(&mut self, mut open: Open) -> io::Result<()> {
        if open.position.is_some() {
            let size = open.file.metadata()?.len();
            let found = match self.start {
                Start::Offset(offset) => Some(offset).filter(|offset| *offset <= size),
                Start::End => Some(behind_last(&open.file, size, &self.separator)?),
                Start::Cursor(cursor) => cursor.find(&open.file)?,
            };
            if found.is_none() {
                self.warn(&format!(
                    "{} is not the file that start is a position in, or was truncated: it is read from its beginning, \
                     and what the other one got since then is not read",
                    self.name
                ));
            }
            open.position = Some(found.unwrap_or(0));
        }
        self.open = Some(open);
        Ok(())
    }

    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<Read, Error> {
        if self.open.is_none() {
            return Ok(self.appear());
        }
        let is_replaced = !self.successors.is_empty();
        let open = self.open.as_mut().expect("it was just looked at");
        let mut trouble = match open.read(into) {
            Ok(None) => return Ok(Read::Nothing),
            Ok(Some(0)) if !self.follow => {
                self.is_over = true;
                return Ok(Read::End);
            }
            Ok(Some(0)) => None,
            Ok(Some(len)) => {
                self.reads += 1;
                if self.reads >= READS_A_LOOK {
                    let trouble = self.look().err();
                    self.tell(trouble);
                }
                return Ok(Read::Bytes(len));
            }
            Err(error) if !self.follow => return Err(self.error(error)),
            Err(error) => Some(error),
        };
        if is_replaced {
            self.open = self.successors.pop_front();
            return Ok(Read::Anew);
        }
        if self.is_truncated() {
            return Ok(Read::Anew);
        }
        match self.look() {
            // What was written before the other took its place is read first.
            Ok(()) if !self.successors.is_empty() => return self.read(into),
            Ok(()) => {}
            Err(error) => trouble = trouble.or(Some(error)),
        }
        self.tell(trouble);
        Ok(Read::Nothing)
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

    /// Goes back to the beginning of a file that has become shorter than what was read of it.
    fn is_truncated(&mut self) -> bool {
        let Some(Open {
            file,
            position: Some(position),
            ..
        }) = &mut self.open
        else {
            return false;
        };
        let before = *position;
        match file.metadata() {
            Ok(metadata) if metadata.len() < before => *position = 0,
            _ => return false,
        }
        self.warn(&format!(
            "{} was truncated, of {before} bytes that were read: it is read from its beginning",
            self.name
        ));
        true
    }

    /// Looks whether another file has taken the path. One that is empty has not: whoever wrote the old one still may.
    fn look(&mut self) -> io::Result<()> {
        self.reads = 0;
        let (Some(path), Some(last)) = (&self.path, self.successors.back().or(self.open.as_ref())) else {
            return Ok(());
        };
        let is_other =
            |metadata: &Metadata| identity(metadata) != last.identity && !(metadata.is_file() && metadata.len() == 0);
        // A FIFO or a device in the place of a file is no file that was rotated: somebody put it there.
        let is_fitting = |metadata: &Metadata| last.position.is_none() || metadata.is_file();
        let found = path.metadata().and_then(|metadata| {
            if is_other(&metadata) && !is_fitting(&metadata) {
                return Err(io::Error::other("it was replaced by what is no regular file"));
            }
            is_other(&metadata).then(|| Open::path(path)).transpose()
        });
        match found {
            Ok(Some(found)) if found.identity != last.identity => self.successors.push_back(found),
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

impl Open {
    fn path(path: &Path) -> io::Result<Self> {
        // A FIFO is not waited for, until somebody opens it to write.
        let flags = OFlags::NONBLOCK.bits() as i32;
        Self::file(OpenOptions::new().read(true).custom_flags(flags).open(path)?)
    }

    fn file(file: File) -> io::Result<Self> {
        // Reads nothing, but says what every read would: of a folder, or of what is open for writing only.
        rustix::io::read(&file, &mut [0; 0])?;
        let metadata = file.metadata()?;
        Ok(Self {
            position: metadata.is_file().then_some(0),
            identity: identity(&metadata),
            file: Arc::new(file),
        })
    }

    /// Reads without waiting: `None` for nothing now, 0 for the end.
    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let read = match self.position {
                Some(position) => self.file.read_at(into, position),
                // Others may have the descriptor too: whether a read of it waits is for them to say.
                None => match is_ready(&self.file) {
                    Ok(true) => (&*self.file).read(into),
                    Ok(false) => return Ok(None),
                    Err(error) => Err(error),
                },
            };
            match read {
                Ok(len) => {
                    if let Some(position) = &mut self.position {
                        *position += len as u64;
                    }
                    return Ok(Some(len));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn is_stream(file: &File) -> bool {
    rustix::net::sockopt::socket_type(file).is_ok_and(|kind| kind == SocketType::STREAM)
}

/// Whether a read would not wait: there is something, or the end, or an error.
fn is_ready(file: &File) -> io::Result<bool> {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    Ok(poll(&mut polled, Some(&Timespec::default()))? > 0)
}

/// Waits until a read would not wait, or the source is woken; false at the deadline.
fn wait_for(file: &File, wake: &OwnedFd, deadline: Option<Instant>) -> bool {
    loop {
        let mut polled = [PollFd::new(file, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut polled, left.as_ref()) {
            Ok(0) => return false,
            Err(rustix::io::Errno::INTR) => {}
            // An error is one of the next read too.
            Ok(_) | Err(_) => return true,
        }
    }
}

/// Where the last line begins that has no end.
fn behind_last(file: &File, size: u64, separator: &[u8]) -> io::Result<u64> {
    let overlap = separator.len() as u64 - 1;
    let mut block = vec![0; (SEARCHED + overlap) as usize];
    let mut end = size;
    while end > 0 {
        let from = end.saturating_sub(SEARCHED);
        let len = (end + overlap).min(size) - from;
        let len = read_at(file, &mut block[..len as usize], from)?;
        if let Some(at) = rfind(&block[..len], separator) {
            return Ok(from + (at + separator.len()) as u64);
        }
        end = from;
    }
    Ok(0)
}
