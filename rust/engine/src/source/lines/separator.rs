//! The separator of lines.

use memchr::memchr;
use memchr::memmem::Finder;

/// The bytes that end a line.
#[derive(Debug)]
pub(super) enum Separator {
    /// `\n`, or `\r\n`.
    Newline,
    Byte(u8),
    Bytes(Box<Finder<'static>>),
}

impl Separator {
    /// Returns `None` if there are no bytes.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [] => None,
            b"\n" => Some(Self::Newline),
            [byte] => Some(Self::Byte(*byte)),
            bytes => Some(Self::Bytes(Box::new(Finder::new(bytes).into_owned()))),
        }
    }

    #[inline]
    pub(super) fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Newline => memchr(b'\n', bytes),
            Self::Byte(byte) => memchr(*byte, bytes),
            Self::Bytes(finder) => finder.find(bytes),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Newline | Self::Byte(_) => 1,
            Self::Bytes(finder) => finder.needle().len(),
        }
    }

    /// Returns how many bytes at the end of a line belong to its separator: 1 for the `\r` of `\r\n`.
    #[inline]
    pub(super) fn len_in(&self, line: &[u8]) -> usize {
        usize::from(matches!(self, Self::Newline) && line.ends_with(b"\r"))
    }

    /// Returns the largest result of [`Self::len_in`].
    pub(super) fn max_len_in(&self) -> usize {
        usize::from(matches!(self, Self::Newline))
    }

    pub(super) fn has_nul(&self) -> bool {
        match self {
            Self::Newline => false,
            Self::Byte(byte) => *byte == 0,
            Self::Bytes(finder) => finder.needle().contains(&0),
        }
    }
}
