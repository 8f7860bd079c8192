//! Reads the content of compressed files, decompressed as far as needed.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;

use super::cursor::{BEFORE, Cursor, Place, read_at};

/// Compressed bytes of one read.
const BLOCK: usize = 64 * 1024;
/// Compressed bytes that are decompressed in one step. A decoder that finds a fault drops the output of that one step,
/// and the lines before a fault are events.
const STEP: usize = 64;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Gzip,
    Zstd,
}

impl Format {
    /// The format that the name of a file ends with.
    pub(super) fn of(name: &Path) -> Option<Self> {
        let extension = name.extension()?;
        if extension.eq_ignore_ascii_case("gz") {
            Some(Self::Gzip)
        } else if extension.eq_ignore_ascii_case("zst") {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// The content of one compressed file. Memory is bounded by the format's window, 128 MiB at most.
pub(super) struct Decoder {
    format: Format,
    content: Content,
    /// Bytes of content that were read.
    position: u64,
    compressed: Arc<AtomicU64>,
}

enum Content {
    Gzip(Box<GzDecoder<Pieces>>),
    Zstd(Box<zstd::Decoder<'static, Pieces>>),
    End,
}

impl Decoder {
    pub(super) fn new(file: Arc<File>, format: Format) -> io::Result<Self> {
        let compressed = Arc::new(AtomicU64::new(0));
        let pieces = Pieces::new(file, Arc::clone(&compressed));
        let content = match format {
            Format::Gzip => Content::Gzip(Box::new(GzDecoder::new(pieces))),
            Format::Zstd => Content::Zstd(Box::new(zstd::Decoder::with_buffer(pieces)?)),
        };
        Ok(Self {
            format,
            content,
            position: 0,
            compressed,
        })
    }

    /// A decoder of the same file, at its beginning.
    pub(super) fn again(&self, file: Arc<File>) -> io::Result<Self> {
        Self::new(file, self.format)
    }

    /// Returns the counter of compressed bytes that were read; it is updated by later reads.
    pub(super) fn compressed(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.compressed)
    }

    /// Reads content; 0 at the end of the last member. An error ends it.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.decode(into) {
            Ok(len) => {
                self.position += len as u64;
                Ok(len)
            }
            Err(error) => {
                self.content = Content::End;
                Err(self.fault(error))
            }
        }
    }

    /// Skips content up to a position. Returns `None` if the content is shorter.
    pub(super) fn go_to(&mut self, position: u64) -> io::Result<Option<Place>> {
        let mut block = vec![0; BEFORE + BLOCK];
        let mut before = 0;
        while self.position < position {
            let len = usize::try_from(position - self.position).map_or(BLOCK, |left| left.min(BLOCK));
            let len = self.read(&mut block[before..before + len])?;
            if len == 0 {
                return Ok(None);
            }
            let end = before + len;
            let kept = end.min(BEFORE);
            block.copy_within(end - kept..end, 0);
            before = kept;
        }
        Ok(Some(Place::new(position, &block[..before])))
    }

    /// Skips content up to a cursor. Returns `None` if the cursor belongs to other content.
    pub(super) fn find(&mut self, cursor: &Cursor) -> io::Result<Option<Place>> {
        let place = self.go_to(cursor.position())?;
        Ok(place.filter(|place| cursor.is_at(place)))
    }

    fn decode(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let len = match &mut self.content {
                Content::Gzip(decoder) => decoder.read(into)?,
                // It reads all frames.
                Content::Zstd(decoder) => return decoder.read(into),
                Content::End => return Ok(0),
            };
            if len > 0 {
                return Ok(len);
            }
            self.next_member()?;
        }
    }

    /// Begins with the next member of a gzip file, behind zeros that fill up a block.
    fn next_member(&mut self) -> io::Result<()> {
        let Content::Gzip(decoder) = std::mem::replace(&mut self.content, Content::End) else {
            return Ok(());
        };
        let mut pieces = decoder.into_inner();
        loop {
            let piece = pieces.fill_buf()?;
            if piece.is_empty() {
                return Ok(());
            }
            let zeros = piece.iter().take_while(|byte| **byte == 0).count();
            let is_member = zeros < piece.len();
            pieces.consume(zeros);
            if is_member {
                self.content = Content::Gzip(Box::new(GzDecoder::new(pieces)));
                return Ok(());
            }
        }
    }

    fn fault(&self, error: io::Error) -> io::Error {
        if error.raw_os_error().is_some() {
            return error;
        }
        let format = self.format.name();
        let position = self.position;
        let text = match error.kind() {
            io::ErrorKind::UnexpectedEof => format!(
                "the {format} data ends early, after {position} bytes of content: restore the whole file; the lines \
                 before that were read"
            ),
            _ => format!(
                "the {format} data is damaged after {position} bytes of content ({error}): restore the file; the lines \
                 before that were read"
            ),
        };
        io::Error::new(error.kind(), text)
    }
}

/// A file that is read in small steps, at its own position.
struct Pieces {
    file: Arc<File>,
    position: u64,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    compressed: Arc<AtomicU64>,
}

impl Pieces {
    fn new(file: Arc<File>, compressed: Arc<AtomicU64>) -> Self {
        Self {
            file,
            position: 0,
            buffer: vec![0; BLOCK],
            start: 0,
            end: 0,
            compressed,
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(into)?;
        self.consume(len);
        Ok(len)
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, read_at(&self.file, &mut self.buffer, self.position)?);
            self.position += self.end as u64;
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + STEP)])
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
        // A number that is shown; nothing is ordered by it.
        self.compressed
            .store(self.position - (self.end - self.start) as u64, Ordering::Relaxed);
    }
}
