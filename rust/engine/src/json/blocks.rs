//! Finds the bytes that decide where a JSON value ends, 64 at a time.

use wide::u8x16;

/// How many bytes one step checks.
pub(super) const BLOCK: usize = 64;

/// Bit masks of the bytes of a block. The lowest bit stands for the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// `{` and `[`.
    pub(super) opening: u64,
    /// `}` and `]`.
    pub(super) closing: u64,
}

/// The bit in which the two kinds of brackets differ.
const CASE: u8 = 0x20;
const OPENING: u8 = b'{';
const CLOSING: u8 = b'}';

impl Block {
    #[inline]
    pub(super) fn new(bytes: &[u8; BLOCK]) -> Self {
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

/// Sets each bit to the exclusive or of itself and all lower bits. Applied to the quotes, this marks the bytes inside
/// of strings.
#[inline]
pub(super) fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Returns the mask of the bytes that a backslash escapes, and whether one escapes the first byte after the block.
/// `carry` is the latter result for the preceding block.
#[inline]
pub(super) fn find_escaped(backslashes: u64, carry: bool) -> (u64, bool) {
    const EVEN: u64 = u64::MAX / 3;
    let carry = u64::from(carry);
    // An escaped backslash does not escape the next byte.
    let backslashes = backslashes & !carry;
    let follows = backslashes << 1 | carry;
    // In a run of backslashes, every other one escapes. The addition carries from the beginning of a run at an odd
    // position to its end.
    let odd_starts = backslashes & !EVEN & !follows;
    let (sum, overflow) = odd_starts.overflowing_add(backslashes);
    ((EVEN ^ (sum << 1)) & follows, overflow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn block_marks_quotes_backslashes_and_brackets(text in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(br#""\\{}[]"#.to_vec())], BLOCK)) {
            let block = Block::new(text.as_slice().try_into().unwrap());
            for (index, byte) in text.iter().enumerate() {
                let is_set = |bits: u64| bits >> index & 1 == 1;
                prop_assert_eq!(is_set(block.quotes), *byte == b'"');
                prop_assert_eq!(is_set(block.backslashes), *byte == b'\\');
                prop_assert_eq!(is_set(block.opening), matches!(byte, b'{' | b'['));
                prop_assert_eq!(is_set(block.closing), matches!(byte, b'}' | b']'));
            }
        }

        #[test]
        fn find_escaped_marks_each_byte_after_a_backslash(runs in prop::collection::vec((0_u32..5, 0_u32..5), 64), carry: bool) {
            // Runs of backslashes with gaps between.
            let bits = runs.iter().fold(0_u64, |bits, (set, clear)| (bits << set | ((1 << set) - 1)) << clear);
            let (mut expected, mut next) = (0, carry);
            for index in 0..64 {
                let is_escaped = next;
                expected |= u64::from(is_escaped) << index;
                next = !is_escaped && bits >> index & 1 == 1;
            }
            prop_assert_eq!(find_escaped(bits, carry), (expected, next));
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
