//! Errors in capture files.

use std::io;
use std::path::PathBuf;

/// A capture file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {damage}", path.display())]
    Damaged { path: PathBuf, damage: Damage },
}

/// A fault in a file. Offsets count the bytes of the uncompressed file.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    #[error("this is not a capture file: it must begin with a section header")]
    NotACapture,
    #[error("the capture was written on a machine with another byte order")]
    ByteOrder,
    #[error("the capture has version {0} of the format, and this host reads version 1")]
    Version(u16),
    #[error("cannot read at offset {offset}: {source}")]
    Read { offset: u64, source: io::Error },
    #[error("the file ends within the block at offset {offset}")]
    CutOff { offset: u64 },
    #[error("the block at offset {offset} has the length {length}, which is too small")]
    Length { offset: u64, length: u32 },
    #[error("the block at offset {offset} has the length {length} in front and {trailer} behind")]
    Trailer { offset: u64, length: u32, trailer: u32 },
    #[error("the list of threads or files in the block at offset {offset} is damaged: {fault}")]
    List { offset: u64, fault: &'static str },
    #[error("the event in the block at offset {offset} is damaged: {fault}")]
    Event { offset: u64, fault: &'static str },
}
