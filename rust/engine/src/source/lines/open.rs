//! An open file or stream, and how it is read.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IoSliceMut, Read as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use memchr::memmem::rfind;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, SeekFrom, seek};
use rustix::io::Errno;
use rustix::net::SocketType;

use super::compressed::{Decoder, Format};
use super::cursor::{BEFORE, Cursor, Place, read_at};

/// Bytes of one step of the search for the last end of a line.
const SEARCHED: u64 = 64 * 1024;

/// Device and inode: a file, whatever its name.
pub(super) type Identity = (u64, u64);

/// An open file.
pub(super) struct Open {
    pub(super) file: Arc<File>,
    pub(super) kind: Kind,
    pub(super) identity: Identity,
    /// Where the first line begins, or the one after the last that was ended by [`Self::end_line`].
    pub(super) begin: Place,
    /// The position of the next read. The position of the descriptor, which others may share, is left alone.
    position: u64,
    /// Whether others may read with the same descriptor.
    is_shared: bool,
    /// Whether it has content although its size is 0, as files of /proc do: its content may change, and its size does
    /// not show whether there is more.
    is_unsized: bool,
}

/// What kind of file it is.
pub(super) enum Kind {
    Regular,
    Compressed(Box<Decoder>),
    /// A pipe, a socket or a device.
    Stream,
}

/// What a read gave.
pub(super) enum Got {
    /// 0 for the end.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The bytes in front of the position are not those that were read.
    Rewritten,
}

impl Open {
    pub(super) fn path(path: &Path) -> io::Result<Self> {
        // Do not wait until a writer opens a FIFO.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = file.map_err(|error| socket_error(path).unwrap_or(error))?;
        Self::new(file, path, false)
    }

    /// `name` is that of the object that has the descriptor.
    pub(super) fn descriptor(descriptor: OwnedFd, name: &Path) -> io::Result<Self> {
        Self::new(descriptor.into(), name, true)
    }

    fn new(file: File, name: &Path, is_shared: bool) -> io::Result<Self> {
        // Reads nothing, but fails as each read would, for a folder or a file that is open only for writing.
        rustix::io::read(&file, &mut [0; 0])?;
        let metadata = file.metadata()?;
        let file = Arc::new(file);
        let kind = match Format::of(name) {
            _ if !metadata.is_file() => Kind::Stream,
            None => Kind::Regular,
            Some(format) => Kind::Compressed(Box::new(Decoder::new(Arc::clone(&file), format)?)),
        };
        Ok(Self {
            kind,
            identity: identity(&metadata),
            file,
            begin: Place::new(0, &[]),
            position: 0,
            is_shared,
            is_unsized: false,
        })
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Stream)
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self.kind, Kind::Compressed(_))
    }

    /// Begins at a position. Returns false if the content is shorter.
    pub(super) fn go_to(&mut self, position: u64) -> io::Result<bool> {
        let place = match &mut self.kind {
            Kind::Compressed(decoder) => decoder.go_to(position)?,
            _ if position > self.file.metadata()?.len() => None,
            // If the bytes in front of the position are not known, the cursor is not found again, and the file is read
            // from its beginning.
            _ => Some(Place::of(&self.file, position).unwrap_or_else(|_| Place::new(position, &[]))),
        };
        self.begin_at(place)
    }

    /// Begins at a cursor. Returns false if the cursor belongs to another file.
    pub(super) fn find(&mut self, cursor: &Cursor) -> io::Result<bool> {
        let place = match &mut self.kind {
            Kind::Compressed(decoder) => decoder.find(cursor)?,
            _ => cursor.find(&self.file)?,
        };
        self.begin_at(place)
    }

    /// Begins behind the last line that has an end.
    pub(super) fn go_to_end(&mut self, separator: &[u8]) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        let end = behind_last(&self.file, size, separator)?;
        self.go_to(end).map(drop)
    }

    /// Begins again at the beginning.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        if let Kind::Compressed(decoder) = &mut self.kind {
            **decoder = decoder.again(Arc::clone(&self.file))?;
        }
        (self.begin, self.position) = (Place::new(0, &[]), 0);
        Ok(())
    }

    fn begin_at(&mut self, place: Option<Place>) -> io::Result<bool> {
        match place {
            Some(place) => (self.begin, self.position) = (place, place.position),
            None => self.rewind()?,
        }
        Ok(place.is_some())
    }

    /// Ends the current line: the next bytes do not continue it. Returns whether anything was read.
    pub(super) fn end_line(&mut self) -> bool {
        let has_read = self.position > self.begin.position;
        self.begin = Place::new(self.position, &[]);
        has_read
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Reads without waiting. `before` is what was read last: where it is not empty, a file that has something else
    /// there is not read.
    pub(super) fn read(&mut self, before: &[u8], into: &mut [u8]) -> io::Result<Got> {
        loop {
            let read = match &mut self.kind {
                Kind::Compressed(decoder) => decoder.read(into),
                Kind::Regular if before.is_empty() || self.is_unsized => self.file.read_at(into, self.position),
                Kind::Regular => match read_behind(&self.file, before, into, self.position) {
                    Ok(Some(len)) => Ok(len),
                    Ok(None) => return Ok(Got::Rewritten),
                    Err(error) => Err(error),
                },
                // Others may share the descriptor, and decide whether a read of it waits.
                Kind::Stream => match is_ready(&self.file) {
                    Ok(true) => (&*self.file).read(into),
                    Ok(false) => return Ok(Got::Nothing),
                    Err(error) => Err(error),
                },
            };
            match read {
                Ok(len) => {
                    self.position += len as u64;
                    return Ok(Got::Bytes(len));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Got::Nothing),
                Err(error) => return Err(error),
            }
        }
    }

    /// Skips a hole at the position if the file system reports one. Returns its length; all of it reads as NULs.
    pub(super) fn skip_hole(&mut self) -> u64 {
        if !matches!(self.kind, Kind::Regular) {
            return 0;
        }
        let end = self.end_of_hole().unwrap_or(self.position);
        // What stands in front of the new position is then known.
        if end < self.position + BEFORE as u64 {
            return 0;
        }
        let skipped = end - self.position;
        self.position = end;
        skipped
    }

    fn end_of_hole(&self) -> io::Result<u64> {
        let size = self.file.metadata()?.len();
        let found = if self.is_shared {
            // The position of the descriptor must not be moved, because others may share it.
            let own = File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?;
            seek(&own, SeekFrom::Data(self.position))
        } else {
            seek(&self.file, SeekFrom::Data(self.position))
        };
        match found {
            Ok(data) => Ok(data),
            // There is no data up to the end.
            Err(Errno::NXIO) => Ok(size),
            Err(error) => Err(error.into()),
        }
    }

    /// Finds out whether what was read has changed because the file is not one that is written and truncated.
    pub(super) fn check_unsized(&mut self) -> io::Result<bool> {
        self.is_unsized = self.file.metadata()?.len() == 0 && read_at(&self.file, &mut [0], 0)? > 0;
        Ok(self.is_unsized)
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("file", &self.file)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

pub(super) fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// Opening a socket by its path fails with an error that does not name the cause.
fn socket_error(path: &Path) -> Option<io::Error> {
    let is_socket = path.metadata().ok()?.file_type().is_socket();
    is_socket.then(|| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            "a socket cannot be opened by its path: connect to it, and give the connection instead",
        )
    })
}

pub(super) fn is_stream_socket(file: &File) -> bool {
    rustix::net::sockopt::socket_type(file).is_ok_and(|kind| kind == SocketType::STREAM)
}

/// Reads at a position, and the bytes in front of it in the same call. Returns `None` if these differ from `before`.
fn read_behind(file: &File, before: &[u8], into: &mut [u8], position: u64) -> io::Result<Option<usize>> {
    let mut block = [0; BEFORE];
    let seen = &mut block[..before.len()];
    let from = position - before.len() as u64;
    let len = rustix::io::preadv(file, &mut [IoSliceMut::new(seen), IoSliceMut::new(into)], from)?;
    Ok(if len >= before.len() && seen == before {
        Some(len - before.len())
    } else {
        None
    })
}

/// Returns whether a read would not wait, because there is data, the end or an error.
fn is_ready(file: &File) -> io::Result<bool> {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    Ok(poll(&mut polled, Some(&Timespec::default()))? > 0)
}

/// Waits until a read would not wait, or the source is woken. Returns false at the deadline.
pub(super) fn wait_for(file: &File, wake: &OwnedFd, deadline: Option<Instant>) -> bool {
    loop {
        let mut polled = [PollFd::new(file, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut polled, left.as_ref()) {
            Ok(0) => return false,
            Err(Errno::INTR) => {}
            // An error is one of the next read too.
            Ok(_) | Err(_) => return true,
        }
    }
}

/// Returns where the last line begins that has no end.
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
