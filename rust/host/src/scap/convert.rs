//! Events of files of versions before 1.2, whose headers lack the number of parameters.

use falco_plugin_schema::{EventType, HEADER_LEN};

/// The length of the header without the number of parameters.
const OLD_HEADER_LEN: usize = HEADER_LEN - 4;
/// The notification and the infrastructure event. Old files have a wrong length in them.
const TOO_LONG: [u16; 2] = [280, 286];
const EXCESS: usize = 3;

/// Writes the event at the beginning of `content` with the number of its parameters. Returns false if its type is not known,
/// so that the number cannot be found.
pub(super) fn add_count(content: &[u8], event: &mut Vec<u8>) -> Result<bool, &'static str> {
    let header = content.get(..OLD_HEADER_LEN).ok_or("the header is incomplete")?;
    let code = u16::from_le_bytes([header[20], header[21]]);
    let Some(known) = EventType::from_code(code) else {
        return Ok(false);
    };
    let mut length = super::length_of(header).ok_or("the header is incomplete")?;
    if TOO_LONG.contains(&code) {
        length = length.saturating_sub(EXCESS);
    }
    let body = content.get(OLD_HEADER_LEN..length).ok_or("its length is wrong")?;
    let width = if known.has_large_lengths() { 4 } else { 2 };
    // Older drivers have fewer parameters, so the largest number that fits is the right one.
    let count = (0..=known.params().len()).rev().find(|&count| fits(body, count, width));
    let count = count.ok_or("no number of parameters fits its length")?;
    event.extend_from_slice(&header[..16]);
    event.extend(((HEADER_LEN + body.len()) as u32).to_le_bytes());
    event.extend_from_slice(&header[20..]);
    event.extend((count as u32).to_le_bytes());
    event.extend_from_slice(body);
    Ok(true)
}

/// Returns whether so many lengths, and the parameters of these lengths, make up the whole body.
fn fits(body: &[u8], count: usize, width: usize) -> bool {
    let Some(lengths) = body.get(..count * width) else {
        return false;
    };
    let sum: usize = lengths
        .chunks_exact(width)
        .map(|length| {
            length
                .iter()
                .rev()
                .fold(0, |number, &byte| number << 8 | usize::from(byte))
        })
        .sum();
    sum + lengths.len() == body.len()
}
