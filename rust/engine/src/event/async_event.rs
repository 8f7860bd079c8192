//! The encoding of an async event, as libscap reads it: little endian, packed, with lengths of 4 bytes.
//!
//! | offset | size | value |
//! |---|---|---|
//! | 0 | 8 | timestamp, ns since the epoch |
//! | 8 | 8 | thread id |
//! | 16 | 4 | length of the whole event |
//! | 20 | 2 | type |
//! | 22 | 4 | number of parameters |
//! | 26 | 4 | length of parameter 1, the plugin id |
//! | 30 | 4 | length of parameter 2, the name with its NUL |
//! | 34 | 4 | length of parameter 3, the data |
//! | 38 | 4 | plugin id |
//! | 42 | n | name, NUL |
//! | 42 + n | m | data |

use crate::error::Error;

/// The event type of async events.
pub const ASYNC_EVENT_TYPE: u16 = 402;
/// The longest name of an async event in bytes. Falco cuts longer ones in its table of event types.
pub const MAX_ASYNC_NAME_LEN: usize = 31;

/// The length of everything before the name.
const PREFIX_LEN: usize = 42;
const NO_THREAD_ID: u64 = u64::MAX;
const PARAMETERS: u32 = 3;
const PLUGIN_ID_LEN: u32 = 4;
/// The id of an event that is shown beside system calls (`plugin_id`).
pub const NO_PLUGIN_ID: u32 = 0;

/// A name of async events, with the part of their encoding that all events of this name have in common.
#[derive(Debug, Clone)]
pub struct AsyncEventName {
    /// Everything before the data, without timestamp, plugin id and lengths.
    prefix: Box<[u8]>,
}

impl AsyncEventName {
    /// # Errors
    /// [`Error::InvalidOption`] if the name is empty, too long, or contains a NUL.
    pub fn new(name: &str) -> Result<Self, Error> {
        if name.is_empty() || name.len() > MAX_ASYNC_NAME_LEN || name.contains('\0') {
            return Err(Error::InvalidOption(format!(
                "the name of an async event must have 1 to {MAX_ASYNC_NAME_LEN} bytes and no NUL, got {name:?}"
            )));
        }
        let mut prefix = vec![0; PREFIX_LEN + name.len() + 1];
        prefix[8..16].copy_from_slice(&NO_THREAD_ID.to_le_bytes());
        prefix[20..22].copy_from_slice(&ASYNC_EVENT_TYPE.to_le_bytes());
        prefix[22..26].copy_from_slice(&PARAMETERS.to_le_bytes());
        prefix[26..30].copy_from_slice(&PLUGIN_ID_LEN.to_le_bytes());
        prefix[30..34].copy_from_slice(&(name.len() as u32 + 1).to_le_bytes());
        prefix[PREFIX_LEN..PREFIX_LEN + name.len()].copy_from_slice(name.as_bytes());
        Ok(Self { prefix: prefix.into() })
    }

    /// Returns the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.prefix[PREFIX_LEN..self.prefix.len() - 1]
    }

    /// Replaces the content of `buffer` by an encoded event. `plugin_id` is the id of the open source.
    ///
    /// # Errors
    /// [`Error::EventTooLarge`] if the length of the whole event would not fit into its field of 4 bytes.
    #[inline]
    pub fn encode(&self, timestamp: u64, plugin_id: u32, data: &[u8], buffer: &mut Vec<u8>) -> Result<(), Error> {
        let most = u32::MAX - self.prefix.len() as u32;
        let Some(data_len) = u32::try_from(data.len()).ok().filter(|len| *len <= most) else {
            return Err(Error::EventTooLarge {
                size: data.len(),
                event_size: most,
            });
        };
        buffer.clear();
        buffer.reserve(self.prefix.len() + data.len());
        buffer.extend_from_slice(&self.prefix);
        buffer[0..8].copy_from_slice(&timestamp.to_le_bytes());
        buffer[16..20].copy_from_slice(&(self.prefix.len() as u32 + data_len).to_le_bytes());
        buffer[34..38].copy_from_slice(&data_len.to_le_bytes());
        buffer[38..42].copy_from_slice(&plugin_id.to_le_bytes());
        buffer.extend_from_slice(data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NO_TIMESTAMP;

    #[test]
    fn encode_writes_each_member_at_its_offset() {
        let mut event = vec![1; 100];
        let name = AsyncEventName::new("abc").unwrap();
        name.encode(0x0102030405060708, 0x090a0b0c, b"hello", &mut event)
            .unwrap();
        let expected = [
            &[8, 7, 6, 5, 4, 3, 2, 1][..], // timestamp
            &[255; 8],                     // thread id
            &[51, 0, 0, 0],                // whole length
            &[146, 1],                     // type 402
            &[3, 0, 0, 0],                 // parameters
            &[4, 0, 0, 0],                 // length of the plugin id
            &[4, 0, 0, 0],                 // length of the name
            &[5, 0, 0, 0],                 // length of the data
            &[12, 11, 10, 9],              // plugin id
            b"abc\0",
            b"hello",
        ]
        .concat();
        assert_eq!(event, expected);
        assert_eq!(name.as_bytes(), b"abc");

        name.encode(NO_TIMESTAMP, NO_PLUGIN_ID, b"", &mut event).unwrap();
        assert_eq!(event.len(), 46);
        assert_eq!(
            (&event[..8], &event[16..20], &event[34..42]),
            (&[255; 8][..], &[46, 0, 0, 0][..], &[0; 8][..])
        );
    }

    #[test]
    fn new_refuses_names_that_hosts_cut() {
        assert!(AsyncEventName::new(&"n".repeat(31)).is_ok());
        for name in ["", &"n".repeat(32), "a\0b"] {
            assert!(
                matches!(AsyncEventName::new(name), Err(Error::InvalidOption(_))),
                "{name:?}"
            );
        }
    }
}
