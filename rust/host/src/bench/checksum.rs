//! A number that two libraries that do the same work agree on. It depends on each event and on their order, and not on
//! where a batch ends.

const START: u64 = 0x9E37_79B9_7F4A_7C15;
const FACTOR: u64 = 0xD6E8_FEB8_6659_FD93;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The length of each payload, its first and its last eight bytes: next to nothing per event.
    Ends,
    /// Its length and all its bytes.
    Bytes,
}

#[derive(Clone, Copy)]
pub struct Checksum {
    of: Of,
    state: u64,
}

impl Checksum {
    pub fn new(of: Of) -> Self {
        Self { of, state: START }
    }

    #[inline]
    pub fn add(&mut self, payload: &[u8]) {
        let length = payload.len() as u64;
        match self.of {
            Of::Ends => {
                let (first, last) = match (payload.first_chunk(), payload.last_chunk()) {
                    (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
                    _ => (word(payload), word(payload)),
                };
                self.fold(length ^ first ^ last.rotate_left(23));
            }
            Of::Bytes => {
                self.fold(length);
                let (words, rest) = payload.as_chunks();
                for bytes in words {
                    self.fold(u64::from_le_bytes(*bytes));
                }
                if !rest.is_empty() {
                    self.fold(word(rest));
                }
            }
        }
    }

    pub fn value(&self) -> u64 {
        self.state
    }

    fn fold(&mut self, word: u64) {
        self.state = (self.state.rotate_left(27) ^ word).wrapping_mul(FACTOR);
    }
}

/// Fewer than eight bytes as a little-endian number.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(of: Of, payloads: &[&[u8]]) -> u64 {
        let mut checksum = Checksum::new(of);
        for payload in payloads {
            checksum.add(payload);
        }
        checksum.value()
    }

    #[test]
    fn it_depends_on_the_bytes_their_order_and_the_number_of_events() {
        let long: Vec<u8> = (0..40).collect();
        let different: [&[&[u8]]; 9] = [
            &[],
            &[b""],
            &[b"", b""],
            &[b"a"],
            &[b"a", b""],
            &[b"", b"a"],
            &[b"\0a"],
            &[b"a\0"],
            &[&long],
        ];
        for of in [Of::Ends, Of::Bytes] {
            let mut values: Vec<_> = different.iter().map(|payloads| checksum(of, payloads)).collect();
            values.sort_unstable();
            values.dedup();
            assert_eq!(values.len(), different.len(), "{of:?}");
        }
    }

    #[test]
    fn the_middle_counts_where_all_bytes_do() {
        let one: Vec<u8> = (0..40).collect();
        let mut other = one.clone();
        other[20] ^= 1;
        assert_eq!(checksum(Of::Ends, &[&one]), checksum(Of::Ends, &[&other]));
        assert_ne!(checksum(Of::Bytes, &[&one]), checksum(Of::Bytes, &[&other]));
        other[20] ^= 1;
        other[39] ^= 1;
        assert_ne!(checksum(Of::Ends, &[&one]), checksum(Of::Ends, &[&other]));
    }
}
