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
use super::cursor::{Checkpoint, Cursor, PRECEDING, read_at};

/// How many bytes one step of the search for the last separator covers.
const SEARCH_BLOCK: u64 = 64 * 1024;

/// The device and the inode, which identify a file under any name.
pub(super) type Identity = (u64, u64);

/// An open file or stream.
pub(super) struct OpenInput {
    pub(super) file: Arc<File>,
    pub(super) kind: Kind,
    pub(super) identity: Identity,
    /// The beginning of the first line, or of the line after the last [`Self::end_line`].
    pub(super) begin: Checkpoint,
    /// The position of the next read. The position of the descriptor is not changed, because others may share it.
    position: u64,
    /// Whether others may share the descriptor.
    is_shared: bool,
    /// Whether the file has content although its size is 0, as files of /proc do. Its content may change, and its size
    /// does not show whether there is more.
    is_unsized: bool,
}

/// The kind of an input.
pub(super) enum Kind {
    Regular,
    Compressed(Box<Decoder>),
    /// A pipe, a socket or a device.
    Stream,
}

/// The result of [`OpenInput::read`].
pub(super) enum ReadResult {
    /// The number of bytes; 0 at the end.
    Bytes(usize),
    /// No bytes are available at the moment.
    Pending,
    /// The bytes before the position have changed since they were read.
    Rewritten,
}

impl OpenInput {
    /// Opens a path without blocking.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // Do not wait until a writer opens a FIFO.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = file.map_err(|error| socket_error(path).unwrap_or(error))?;
        Self::new(file, path, false)
    }

    /// Takes ownership of a descriptor. The extension of `name` decides whether the content is compressed.
    pub(super) fn from_descriptor(descriptor: OwnedFd, name: &Path) -> io::Result<Self> {
        Self::new(descriptor.into(), name, true)
    }

    fn new(file: File, name: &Path, is_shared: bool) -> io::Result<Self> {
        // A read of 0 bytes fails like every other read: for a directory, or a file that is open only for writing.
        rustix::io::read(&file, &mut [0; 0])?;
        let metadata = file.metadata()?;
        let file = Arc::new(file);
        let kind = match Format::from_name(name) {
            _ if !metadata.is_file() => Kind::Stream,
            None => Kind::Regular,
            Some(format) => Kind::Compressed(Box::new(Decoder::new(Arc::clone(&file), format)?)),
        };
        Ok(Self {
            kind,
            identity: identity(&metadata),
            file,
            begin: Checkpoint::new(0, &[]),
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
        let checkpoint = match &mut self.kind {
            Kind::Compressed(decoder) => decoder.go_to(position)?,
            _ if position > self.file.metadata()?.len() => None,
            // Without the preceding bytes a later cursor does not match, and the file is read from its beginning.
            _ => Some(Checkpoint::read(&self.file, position).unwrap_or_else(|_| Checkpoint::new(position, &[]))),
        };
        self.begin_at(checkpoint)
    }

    /// Begins at a cursor. Returns false if the cursor belongs to another file.
    pub(super) fn find(&mut self, cursor: &Cursor) -> io::Result<bool> {
        let checkpoint = match &mut self.kind {
            Kind::Compressed(decoder) => decoder.find(cursor)?,
            _ => cursor.find(&self.file)?,
        };
        self.begin_at(checkpoint)
    }

    /// Begins after the last separator.
    pub(super) fn go_to_end(&mut self, separator: &[u8]) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        let end = find_last_line(&self.file, size, separator)?;
        self.go_to(end).map(drop)
    }

    /// Begins again at the beginning.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        if let Kind::Compressed(decoder) = &mut self.kind {
            **decoder = decoder.restart(Arc::clone(&self.file))?;
        }
        (self.begin, self.position) = (Checkpoint::new(0, &[]), 0);
        Ok(())
    }

    fn begin_at(&mut self, checkpoint: Option<Checkpoint>) -> io::Result<bool> {
        match checkpoint {
            Some(checkpoint) => (self.begin, self.position) = (checkpoint, checkpoint.position),
            None => self.rewind()?,
        }
        Ok(checkpoint.is_some())
    }

    /// Ends the current line, so that the next bytes begin a new one. Returns whether anything was read since the last
    /// end.
    pub(super) fn end_line(&mut self) -> bool {
        let has_read = self.position > self.begin.position;
        self.begin = Checkpoint::new(self.position, &[]);
        has_read
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Reads without blocking. If `preceding`, the bytes that were read last, is not empty, a regular file is read only
    /// if it still has these bytes before the position.
    pub(super) fn read(&mut self, preceding: &[u8], into: &mut [u8]) -> io::Result<ReadResult> {
        loop {
            let read = match &mut self.kind {
                Kind::Compressed(decoder) => decoder.read(into),
                Kind::Regular if preceding.is_empty() || self.is_unsized => self.file.read_at(into, self.position),
                Kind::Regular => match read_after(&self.file, preceding, into, self.position) {
                    Ok(Some(len)) => Ok(len),
                    Ok(None) => return Ok(ReadResult::Rewritten),
                    Err(error) => Err(error),
                },
                // Poll first: others may share the descriptor and make its reads block.
                Kind::Stream => match is_ready(&self.file) {
                    Ok(true) => (&*self.file).read(into),
                    Ok(false) => return Ok(ReadResult::Pending),
                    Err(error) => Err(error),
                },
            };
            match read {
                Ok(len) => {
                    self.position += len as u64;
                    return Ok(ReadResult::Bytes(len));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(ReadResult::Pending),
                Err(error) => return Err(error),
            }
        }
    }

    /// Skips a hole at the position, if the file system reports one. Returns its length. All its bytes are NULs.
    pub(super) fn skip_hole(&mut self) -> u64 {
        if !matches!(self.kind, Kind::Regular) {
            return 0;
        }
        let end = self.end_of_hole().unwrap_or(self.position);
        // A hole of this length makes the bytes before the new position known: they are NULs.
        if end < self.position + PRECEDING as u64 {
            return 0;
        }
        let skipped = end - self.position;
        self.position = end;
        skipped
    }

    fn end_of_hole(&self) -> io::Result<u64> {
        let size = self.file.metadata()?.len();
        let found = if self.is_shared {
            // Open the file again: seeking moves the position of the descriptor, which others may share.
            let own = File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?;
            seek(&own, SeekFrom::Data(self.position))
        } else {
            seek(&self.file, SeekFrom::Data(self.position))
        };
        match found {
            Ok(data) => Ok(data),
            // The hole ends with the file.
            Err(Errno::NXIO) => Ok(size),
            Err(error) => Err(error.into()),
        }
    }

    /// Detects a file with content and a size of 0, whose content changes without being rewritten. Returns whether it
    /// is one.
    pub(super) fn check_unsized(&mut self) -> io::Result<bool> {
        self.is_unsized = self.file.metadata()?.len() == 0 && read_at(&self.file, &mut [0], 0)? > 0;
        Ok(self.is_unsized)
    }
}

impl fmt::Debug for OpenInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenInput")
            .field("file", &self.file)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

pub(super) fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// Returns a clear error if the path is a socket: opening one fails with an error that does not name the cause.
fn socket_error(path: &Path) -> Option<io::Error> {
    let is_socket = path.metadata().ok()?.file_type().is_socket();
    is_socket.then(|| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            "a socket cannot be opened by its path: connect to it, and pass the connection instead",
        )
    })
}

pub(super) fn is_stream_socket(file: &File) -> bool {
    rustix::net::sockopt::socket_type(file).is_ok_and(|kind| kind == SocketType::STREAM)
}

/// Reads at a position and the preceding bytes in one call. Returns `None` if these differ from `preceding`.
fn read_after(file: &File, preceding: &[u8], into: &mut [u8], position: u64) -> io::Result<Option<usize>> {
    let mut block = [0; PRECEDING];
    let found = &mut block[..preceding.len()];
    let from = position - preceding.len() as u64;
    let len = rustix::io::preadv(file, &mut [IoSliceMut::new(found), IoSliceMut::new(into)], from)?;
    Ok(if len >= preceding.len() && found == preceding {
        Some(len - preceding.len())
    } else {
        None
    })
}

/// Returns whether a read would not block: there is data, an error or the end.
fn is_ready(file: &File) -> io::Result<bool> {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    Ok(poll(&mut polled, Some(&Timespec::default()))? > 0)
}

/// Blocks until a read would not block or `wake` is readable. Returns false at the deadline.
pub(super) fn wait_for(file: &File, wake: &OwnedFd, deadline: Option<Instant>) -> bool {
    loop {
        let mut polled = [PollFd::new(file, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut polled, left.as_ref()) {
            Ok(0) => return false,
            Err(Errno::INTR) => {}
            // The next read returns the error.
            Ok(_) | Err(_) => return true,
        }
    }
}

/// Returns the offset after the last separator; 0 if there is none.
fn find_last_line(file: &File, size: u64, separator: &[u8]) -> io::Result<u64> {
    let overlap = separator.len() as u64 - 1;
    let mut block = vec![0; (SEARCH_BLOCK + overlap) as usize];
    let mut end = size;
    while end > 0 {
        let from = end.saturating_sub(SEARCH_BLOCK);
        let len = (end + overlap).min(size) - from;
        let len = read_at(file, &mut block[..len as usize], from)?;
        if let Some(at) = rfind(&block[..len], separator) {
            return Ok(from + (at + separator.len()) as u64);
        }
        end = from;
    }
    Ok(0)
}
