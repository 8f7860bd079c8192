//! The encoding of a plugin event, as libscap reads it: little endian, packed.
//!
//! | offset | size | value |
//! |---|---|---|
//! | 0 | 8 | timestamp, ns since the epoch |
//! | 8 | 8 | thread id |
//! | 16 | 4 | length of the whole event |
//! | 20 | 2 | type |
//! | 22 | 4 | number of parameters |
//! | 26 | 4 | length of parameter 1, the plugin id |
//! | 30 | 4 | length of parameter 2, the payload |
//! | 34 | 4 | plugin id |
//! | 38 | n | payload |

/// Length of the header, which precedes the payload.
pub const HEADER_LEN: usize = 38;
/// The timestamp of an event without one. The host replaces it by the current time.
pub const NO_TIMESTAMP: u64 = u64::MAX;
/// The event type of plugin events.
pub const PLUGIN_EVENT_TYPE: u16 = 322;
/// The largest event size that an instance can have: the length field counts the header too.
pub const MAX_EVENT_SIZE: u32 = u32::MAX - HEADER_LEN as u32;
/// Default limit of an event's payload in bytes.
pub const DEFAULT_EVENT_SIZE: u32 = 256 * 1024;

const NO_THREAD_ID: u64 = u64::MAX;
const PARAMETERS: u32 = 2;
const PLUGIN_ID_LEN: u32 = 4;
/// A placeholder: the host writes the plugin's id over it.
const PLUGIN_ID: u32 = 0;

/// Returns the header of an event with a payload of `payload_len` bytes, at most [`MAX_EVENT_SIZE`].
pub fn encode_header(timestamp: u64, payload_len: u32) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[0..8].copy_from_slice(&timestamp.to_le_bytes());
    header[8..16].copy_from_slice(&NO_THREAD_ID.to_le_bytes());
    header[16..20].copy_from_slice(&(HEADER_LEN as u32 + payload_len).to_le_bytes());
    header[20..22].copy_from_slice(&PLUGIN_EVENT_TYPE.to_le_bytes());
    header[22..26].copy_from_slice(&PARAMETERS.to_le_bytes());
    header[26..30].copy_from_slice(&PLUGIN_ID_LEN.to_le_bytes());
    header[30..34].copy_from_slice(&payload_len.to_le_bytes());
    header[34..38].copy_from_slice(&PLUGIN_ID.to_le_bytes());
    header
}

/// Writes the timestamp and the payload's length into a header that was encoded without them.
#[inline]
pub(super) fn complete_header(header: &mut [u8; HEADER_LEN], timestamp: u64, payload_len: u32) {
    header[0..8].copy_from_slice(&timestamp.to_le_bytes());
    header[16..20].copy_from_slice(&(HEADER_LEN as u32 + payload_len).to_le_bytes());
    header[30..34].copy_from_slice(&payload_len.to_le_bytes());
}

/// Returns the timestamp and the payload of an encoded event; `None` if its lengths or its type are wrong.
#[inline]
pub fn decode(event: &[u8]) -> Option<(u64, &[u8])> {
    let timestamp = u64::from_le_bytes(event.get(0..8)?.try_into().ok()?);
    let kind = u16::from_le_bytes(event.get(20..22)?.try_into().ok()?);
    let id_len = u32::from_le_bytes(event.get(26..30)?.try_into().ok()?);
    let payload_len = u32::from_le_bytes(event.get(30..34)?.try_into().ok()?) as usize;
    if kind != PLUGIN_EVENT_TYPE || id_len != PLUGIN_ID_LEN {
        return None;
    }
    Some((timestamp, event.get(HEADER_LEN..HEADER_LEN.checked_add(payload_len)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decode_returns_the_encoded_timestamp_and_payload(
            timestamp: u64, payload in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let mut event = encode_header(timestamp, payload.len() as u32).to_vec();
            event.extend_from_slice(&payload);
            prop_assert_eq!(decode(&event), Some((timestamp, &payload[..])));
            prop_assert_eq!(decode(&event[..event.len().saturating_sub(1)]).is_none(), true);
        }
    }

    #[test]
    fn encode_header_writes_each_field_at_its_offset() {
        let header = encode_header(0x0102030405060708, 5);
        assert_eq!(
            header,
            [
                8, 7, 6, 5, 4, 3, 2, 1, // timestamp
                255, 255, 255, 255, 255, 255, 255, 255, // thread id
                43, 0, 0, 0, // whole length
                66, 1, // type 322
                2, 0, 0, 0, // parameters
                4, 0, 0, 0, // length of the plugin id
                5, 0, 0, 0, // length of the payload
                0, 0, 0, 0, // plugin id
            ]
        );
    }
}
