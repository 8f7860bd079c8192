//! The bytes of JSON that matter for where a value ends, 64 at a time.

use wide::u8x16;

/// How many bytes are checked in one step.
pub(super) const BLOCK: usize = 64;

/// Which bytes of a block are what, the first byte in the lowest bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// `{` and `[`.
    pub(super) opening: u64,
    /// `}` and `]`.
    pub(super) closing: u64,
}

/// With this bit set both kinds of bracket are the same byte.
const CASE: u8 = 0x20;
const OPENING: u8 = b'{';
const CLOSING: u8 = b'}';

impl Block {
    #[inline]
    pub(super) fn of(bytes: &[u8; BLOCK]) -> Self {
        let mut block = Self {
            quotes: 0,
            backslashes: 0,
            opening: 0,
            closing: 0,
        };
        let (parts, _) = bytes.as_chunks::<16>();
        for (index, part) in parts.iter().enumerate() {
            let part = u8x16::new(*part);
            let folded = part | u8x16::splat(CASE);
            let is = |part: u8x16, byte| u64::from(part.simd_eq(u8x16::splat(byte)).to_bitmask()) << (16 * index);
            block.quotes |= is(part, b'"');
            block.backslashes |= is(part, b'\\');
            block.opening |= is(folded, OPENING);
            block.closing |= is(folded, CLOSING);
        }
        block
    }
}

/// Each bit becomes the sum, modulo 2, of itself and all lower ones: of the quotes it makes what is within strings.
#[inline]
pub(super) fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn block_marks_each_byte(text in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(br#""\\{}[]"#.to_vec())], BLOCK)) {
            let block = Block::of(text.as_slice().try_into().unwrap());
            for (index, byte) in text.iter().enumerate() {
                let is_set = |bits: u64| bits >> index & 1 == 1;
                prop_assert_eq!(is_set(block.quotes), *byte == b'"');
                prop_assert_eq!(is_set(block.backslashes), *byte == b'\\');
                prop_assert_eq!(is_set(block.opening), matches!(byte, b'{' | b'['));
                prop_assert_eq!(is_set(block.closing), matches!(byte, b'}' | b']'));
            }
        }

        #[test]
        fn prefix_xor_counts_the_bits_below(bits: u64) {
            for index in 0..64 {
                let below = bits & (u64::MAX >> (63 - index));
                prop_assert_eq!(prefix_xor(bits) >> index & 1, u64::from(below.count_ones() % 2));
            }
        }
    }
}
