//! The soak's events: the source's key, the producer and the number determine each (`tests/soak/plugin/plan.py` has the same
//! arithmetic).
//!
//! A tenth of the events is empty. The others are JSON with the plugin's version, the source's key, the producer, the
//! number, a checksum of these and of the body, and the body.

use std::io::Write as _;
use std::sync::LazyLock;

use crate::random::mix;

/// The size of an event before its body, in bytes.
pub const HEAD: usize = 76;
/// The bytes of an event after its body.
pub const TAIL: &[u8] = b"\"}";
/// The period of the text in which bodies begin, in bytes.
const PERIOD: usize = 8192;
const PERIODS: usize = 200;

/// The text from which all bodies are cut.
static BODIES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let period: String = (0..PERIOD as u64 / 16)
        .map(|word| format!("{:016x}", mix(word)))
        .collect();
    period.repeat(PERIODS).into_bytes()
});

/// The table of CRC-32.
static CRC: LazyLock<[u32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|index| {
        (0..8).fold(index as u32, |value, _| match value & 1 {
            1 => value >> 1 ^ 0xEDB8_8320,
            _ => value >> 1,
        })
    })
});

/// Returns the body of an event, or `None` if the whole event is empty.
pub fn body(key: u64, producer: usize, number: u32) -> Option<&'static [u8]> {
    let bits = mix(key ^ mix((producer as u64) << 32 | u64::from(number)));
    let start = (bits >> 40) as usize % PERIOD;
    body_size(bits).map(|size| &BODIES[start..start + size])
}

fn body_size(bits: u64) -> Option<usize> {
    let rest = bits >> 10;
    let size = match bits & 1023 {
        0..100 => return None,
        100..900 => rest % 512,
        900..1012 => rest % (16 << 10),
        1012..1023 => rest % (256 << 10),
        _ => (1 << 20) + rest % (512 << 10),
    };
    Some(size as usize)
}

/// Appends an event with a body to `out`.
pub fn write_event(out: &mut Vec<u8>, version: char, key: u64, producer: usize, number: u32, body: &[u8]) {
    write_head(out, version, key, producer, number, body);
    out.extend_from_slice(body);
    out.extend_from_slice(TAIL);
}

/// Appends the first [`HEAD`] bytes of an event to `out`.
pub fn write_head(out: &mut Vec<u8>, version: char, key: u64, producer: usize, number: u32, body: &[u8]) {
    let start = out.len();
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        r#"{{"v":"{version}","k":"{key:016x}","p":"{producer:02x}","n":"{number:08x}","c":""#
    );
    let checksum = crc32(crc32(0, &out[start..]), body);
    let _ = write!(out, r#"{checksum:08x}","b":""#);
    debug_assert_eq!(out.len() - start, HEAD);
}

/// Returns the producer and the number in the head of an event.
pub fn read_head(event: &[u8]) -> Option<(usize, u32)> {
    let hexadecimal = |bytes: &[u8]| u32::from_str_radix(std::str::from_utf8(bytes).ok()?, 16).ok();
    Some((
        hexadecimal(event.get(37..39)?)? as usize,
        hexadecimal(event.get(46..54)?)?,
    ))
}

fn crc32(crc: u32, data: &[u8]) -> u32 {
    !data
        .iter()
        .fold(!crc, |crc, byte| CRC[usize::from(crc as u8 ^ *byte)] ^ crc >> 8)
}
