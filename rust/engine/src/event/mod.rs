//! The bytes of one plugin event, as libscap reads them (little endian, packed).
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

pub mod batch;

/// Bytes in front of the payload.
pub const HEADER_LEN: usize = 38;
/// Timestamp of an event that has none: the host fills in its own time.
pub const NO_TIMESTAMP: u64 = u64::MAX;
/// The event type of plugin events.
pub const PLUGIN_EVENT_TYPE: u16 = 322;
/// The largest event size an instance can have: the length field counts the header too.
pub const MAX_EVENT_SIZE: u32 = u32::MAX - HEADER_LEN as u32;
/// Largest payload of one event, unless an instance says otherwise.
pub const DEFAULT_EVENT_SIZE: u32 = 256 * 1024;

const NO_THREAD_ID: u64 = u64::MAX;
const PARAMETERS: u32 = 2;
const PLUGIN_ID_LEN: u32 = 4;
/// The host writes the plugin's own id over it.
const PLUGIN_ID: u32 = 0;

/// The header of an event with a payload of `payload_len` bytes, at most [`MAX_EVENT_SIZE`].
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

/// Completes a header that was written without timestamp and payload.
#[inline]
pub(crate) fn complete(header: &mut [u8; HEADER_LEN], timestamp: u64, payload_len: u32) {
    header[0..8].copy_from_slice(&timestamp.to_le_bytes());
    header[16..20].copy_from_slice(&(HEADER_LEN as u32 + payload_len).to_le_bytes());
    header[30..34].copy_from_slice(&payload_len.to_le_bytes());
}

/// An event as the host hands it back, for its text and its fields.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// How often a source was opened or closed before the host's call: the next one's events may look the same.
    pub generation: u64,
    pub number: u64,
    pub timestamp: u64,
    /// The name of its event source: UTF-8 in a host that is as it should be.
    pub source: &'a [u8],
    pub data: &'a [u8],
}

/// Splits an encoded event into its timestamp and payload; `None` where the lengths or the type do not fit.
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
        fn an_encoded_event_decodes_to_its_timestamp_and_payload(
            timestamp: u64, payload in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let mut event = encode_header(timestamp, payload.len() as u32).to_vec();
            event.extend_from_slice(&payload);
            prop_assert_eq!(decode(&event), Some((timestamp, &payload[..])));
            prop_assert_eq!(decode(&event[..event.len().saturating_sub(1)]).is_none(), true);
        }
    }

    #[test]
    fn every_header_field_stands_at_its_offset() {
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
