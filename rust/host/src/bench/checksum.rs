//! A number that two libraries agree on if they produce the same events. It depends on the payloads and their order, but
//! not on the batches.

const START: u64 = 0x9E37_79B9_7F4A_7C15;
const FACTOR: u64 = 0xD6E8_FEB8_6659_FD93;

/// The bytes of a payload that the checksum depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The length, and the first and the last eight bytes. This costs little per event.
    Ends,
    /// The length and all bytes.
    Bytes,
}

/// The checksum of a sequence of payloads.
#[derive(Clone, Copy)]
pub struct Checksum {
    scope: Scope,
    state: u64,
}

impl Checksum {
    /// Makes the checksum of no payloads.
    pub fn new(scope: Scope) -> Self {
        Self { scope, state: START }
    }

    /// Adds a payload.
    #[inline]
    pub fn add(&mut self, payload: &[u8]) {
        let length = payload.len() as u64;
        match self.scope {
            Scope::Ends => {
                let (first, last) = match (payload.first_chunk(), payload.last_chunk()) {
                    (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
                    _ => (word(payload), word(payload)),
                };
                self.fold(length ^ first ^ last.rotate_left(23));
            }
            Scope::Bytes => {
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

    /// Returns the checksum.
    pub fn value(&self) -> u64 {
        self.state
    }

    fn fold(&mut self, word: u64) {
        self.state = (self.state.rotate_left(27) ^ word).wrapping_mul(FACTOR);
    }
}

/// Returns fewer than eight bytes as a little-endian number.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(scope: Scope, payloads: &[&[u8]]) -> u64 {
        let mut checksum = Checksum::new(scope);
        for payload in payloads {
            checksum.add(payload);
        }
        checksum.value()
    }

    #[test]
    fn checksum_depends_on_payloads_and_their_order() {
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
        for scope in [Scope::Ends, Scope::Bytes] {
            let mut values: Vec<_> = different.iter().map(|payloads| checksum(scope, payloads)).collect();
            values.sort_unstable();
            values.dedup();
            assert_eq!(values.len(), different.len(), "{scope:?}");
        }
    }

    #[test]
    fn only_bytes_scope_depends_on_the_middle() {
        let one: Vec<u8> = (0..40).collect();
        let mut other = one.clone();
        other[20] ^= 1;
        assert_eq!(checksum(Scope::Ends, &[&one]), checksum(Scope::Ends, &[&other]));
        assert_ne!(checksum(Scope::Bytes, &[&one]), checksum(Scope::Bytes, &[&other]));
        other[20] ^= 1;
        other[39] ^= 1;
        assert_ne!(checksum(Scope::Ends, &[&one]), checksum(Scope::Ends, &[&other]));
    }
}
