//! Content that is not UTF-8.

/// Bytes of the content that are checked.
const SAMPLE: usize = 64;
/// Fewer bytes do not prove an encoding.
const LEAST: usize = 4;

/// Finds out whether content is UTF-16, by its first bytes.
#[derive(Debug, Default)]
pub(super) struct Sniffer {
    is_decided: bool,
    has_found: bool,
}

impl Sniffer {
    /// Returns whether content that begins like this is UTF-16. Returns true only once.
    #[inline]
    pub(super) fn is_utf16(&mut self, content: &[u8]) -> bool {
        !self.is_decided && self.decide(content)
    }

    /// Other content follows.
    pub(super) fn begin(&mut self) {
        self.is_decided = self.has_found;
    }

    /// Returns whether UTF-16 was found.
    pub(super) fn has_found(&self) -> bool {
        self.has_found
    }

    fn decide(&mut self, content: &[u8]) -> bool {
        // A hole in front of the content does not reveal its encoding.
        let hole = content.iter().take_while(|byte| **byte == 0).count();
        let sample = &content[if hole > 1 { hole } else { 0 }..];
        let sample = &sample[..sample.len().min(SAMPLE)];
        self.is_decided = sample.len() >= LEAST;
        self.has_found = self.is_decided && is_utf16(sample);
        self.has_found
    }
}

fn is_utf16(sample: &[u8]) -> bool {
    let pairs = || sample.chunks_exact(2);
    sample.starts_with(b"\xFF\xFE")
        || sample.starts_with(b"\xFE\xFF")
        || pairs().all(|pair| pair[0] != 0 && pair[1] == 0)
        || pairs().all(|pair| pair[0] == 0 && pair[1] != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_is_found_by_its_mark_or_by_nuls_at_every_other_byte() {
        for (content, expected) in [
            (&b"\xFF\xFEa\0\n\0"[..], true),
            (b"\xFE\xFF\0a\0\n", true),
            (b"a\0b\0\n\0", true),
            (b"\0a\0b\0\n", true),
            (b"plain", false),
            (b"a\0bcde", false),
            (b"\xEF\xBB\xBFa\n", false),
            (b"\0\0\0\0\0\0", false),
            (b"\0\0\0\0{\"a\":1}\n", false),
            (b"a\0", false),
        ] {
            let mut sniffer = Sniffer::default();
            assert_eq!(sniffer.is_utf16(content), expected, "{content:?}");
            if expected {
                assert!(!sniffer.is_utf16(content));
            }
        }
    }
}
