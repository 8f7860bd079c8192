//! Detects content in UTF-16, which cannot be read.

/// How many bytes of the content are checked.
const SAMPLE: usize = 64;
/// Fewer bytes than this do not show the encoding.
const MIN_SAMPLE: usize = 4;

/// Detects UTF-16 by the first bytes of the content.
#[derive(Debug, Default)]
pub(super) struct Sniffer {
    is_decided: bool,
    has_found: bool,
}

impl Sniffer {
    /// Returns whether the content, of which the beginning is passed, is UTF-16. Returns true only once.
    #[inline]
    pub(super) fn is_utf16(&mut self, content: &[u8]) -> bool {
        !self.is_decided && self.decide(content)
    }

    /// Begins other content.
    pub(super) fn begin(&mut self) {
        self.is_decided = self.has_found;
    }

    /// Returns whether UTF-16 was found.
    pub(super) fn has_found(&self) -> bool {
        self.has_found
    }

    fn decide(&mut self, content: &[u8]) -> bool {
        // Skip a hole: it does not show the encoding.
        let hole = content.iter().take_while(|byte| **byte == 0).count();
        let sample = &content[if hole > 1 { hole } else { 0 }..];
        let sample = &sample[..sample.len().min(SAMPLE)];
        self.is_decided = sample.len() >= MIN_SAMPLE;
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
    fn is_utf16_detects_a_mark_or_alternating_nuls() {
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
