//! Reads the content of compressed files. Only the needed part is decompressed.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;

use super::cursor::{Checkpoint, Cursor, PRECEDING, read_at};

/// How many compressed bytes to read in one call.
const BLOCK: usize = 64 * 1024;
/// How many compressed bytes to decompress in one step. A decoder that finds a fault drops the output of that step, so
/// small steps keep the lines before the fault.
const STEP: usize = 64;

/// The compression format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Gzip,
    Zstd,
}

impl Format {
    /// Returns the format of a file by the extension of its name.
    pub(super) fn from_name(name: &Path) -> Option<Self> {
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

/// Decompresses one file. Its memory is limited by the window of the format, at most 128 MiB.
pub(super) struct Decoder {
    format: Format,
    content: Content,
    /// How many bytes of content were read.
    position: u64,
    /// How many compressed bytes were read.
    compressed: Arc<AtomicU64>,
}

enum Content {
    Gzip(Box<GzDecoder<StepReader>>),
    Zstd(Box<zstd::Decoder<'static, StepReader>>),
    End,
}

impl Decoder {
    pub(super) fn new(file: Arc<File>, format: Format) -> io::Result<Self> {
        let compressed = Arc::new(AtomicU64::new(0));
        let reader = StepReader::new(file, Arc::clone(&compressed));
        let content = match format {
            Format::Gzip => Content::Gzip(Box::new(GzDecoder::new(reader))),
            Format::Zstd => Content::Zstd(Box::new(zstd::Decoder::with_buffer(reader)?)),
        };
        Ok(Self {
            format,
            content,
            position: 0,
            compressed,
        })
    }

    /// Returns a decoder at the beginning of the same file.
    pub(super) fn restart(&self, file: Arc<File>) -> io::Result<Self> {
        Self::new(file, self.format)
    }

    /// Returns the counter of compressed bytes that were read; it is updated by later reads.
    pub(super) fn compressed(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.compressed)
    }

    /// Reads content. Returns the number of bytes, 0 at the end of the last member. After an error there is no content.
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
    pub(super) fn go_to(&mut self, position: u64) -> io::Result<Option<Checkpoint>> {
        let mut block = vec![0; PRECEDING + BLOCK];
        let mut preceding = 0;
        while self.position < position {
            let len = usize::try_from(position - self.position).map_or(BLOCK, |left| left.min(BLOCK));
            let len = self.read(&mut block[preceding..preceding + len])?;
            if len == 0 {
                return Ok(None);
            }
            let end = preceding + len;
            let kept = end.min(PRECEDING);
            block.copy_within(end - kept..end, 0);
            preceding = kept;
        }
        Ok(Some(Checkpoint::new(position, &block[..preceding])))
    }

    /// Skips content up to a cursor. Returns `None` if the cursor belongs to other content.
    pub(super) fn find(&mut self, cursor: &Cursor) -> io::Result<Option<Checkpoint>> {
        let checkpoint = self.go_to(cursor.position())?;
        Ok(checkpoint.filter(|checkpoint| cursor.is_at(checkpoint)))
    }

    fn decode(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let len = match &mut self.content {
                Content::Gzip(decoder) => decoder.read(into)?,
                // The decoder continues with the next frame itself.
                Content::Zstd(decoder) => return decoder.read(into),
                Content::End => return Ok(0),
            };
            if len > 0 {
                return Ok(len);
            }
            self.next_member()?;
        }
    }

    /// Begins the next member of a gzip file, after zeros that pad a block.
    fn next_member(&mut self) -> io::Result<()> {
        let Content::Gzip(decoder) = std::mem::replace(&mut self.content, Content::End) else {
            return Ok(());
        };
        let mut reader = decoder.into_inner();
        loop {
            let step = reader.fill_buf()?;
            if step.is_empty() {
                return Ok(());
            }
            let zeros = step.iter().take_while(|byte| **byte == 0).count();
            let is_member = zeros < step.len();
            reader.consume(zeros);
            if is_member {
                self.content = Content::Gzip(Box::new(GzDecoder::new(reader)));
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

/// Reads a file in small steps, at its own position.
struct StepReader {
    file: Arc<File>,
    position: u64,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    compressed: Arc<AtomicU64>,
}

impl StepReader {
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

impl Read for StepReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(into)?;
        self.consume(len);
        Ok(len)
    }
}

impl BufRead for StepReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, read_at(&self.file, &mut self.buffer, self.position)?);
            self.position += self.end as u64;
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + STEP)])
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
        // Relaxed order: the number is only displayed.
        self.compressed
            .store(self.position - (self.end - self.start) as u64, Ordering::Relaxed);
    }
}
