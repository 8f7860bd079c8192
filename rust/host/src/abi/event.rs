//! One event of a batch. The host trusts the lengths an event gives; here they are checked, and the fields that the host
//! fills in are filled in.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::{offset_of, size_of};

use falco_plugin_api::ss_plugin_event;

pub const PLUGIN_EVENT: u16 = 322;
const PARAMETERS: u32 = 2;
const ID_SIZE: u32 = size_of::<u32>() as u32;
/// The header and the lengths of the two parameters.
const PREFIX: u32 = (size_of::<ss_plugin_event>() + 2 * size_of::<u32>()) as u32;
const ID_OFFSET: usize = PREFIX as usize;
const PAYLOAD_OFFSET: usize = ID_OFFSET + size_of::<u32>();
const ABSENT: u64 = u64::MAX;

/// What is wrong with an event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("its pointer is NULL")]
    Null,
    #[error("type {0}, but a plugin's events have type {PLUGIN_EVENT}")]
    Type(u16),
    #[error("{0} parameters, but a plugin's events have {PARAMETERS}")]
    Parameters(u32),
    #[error("length {length}, but its parameters need {needed}")]
    Length { length: u32, needed: u64 },
    #[error("parameter 1 has {0} bytes, but the plugin id has {ID_SIZE}")]
    IdLength(u32),
    #[error("plugin id {theirs}, but the plugin's own is {own}")]
    Id { theirs: u32, own: u32 },
}

/// A checked event in the plugin's memory, which is good for `'b`.
pub struct Event<'b> {
    start: *const ss_plugin_event,
    payload: *const u8,
    payload_length: usize,
    timestamp: u64,
    memory: PhantomData<&'b [u8]>,
}

impl<'b> Event<'b> {
    /// Checks the event at `start` and fills in what the plugin left to the host, in the order libscap does. `now` is
    /// asked for the current time if the event has none.
    ///
    /// # Safety
    /// `start` is NULL, or points to memory of the length that the event gives, writable, which nobody else touches and
    /// which stays for `'b`.
    #[inline]
    pub unsafe fn check(start: *mut ss_plugin_event, own_id: u32, now: impl FnOnce() -> u64) -> Result<Self, Fault> {
        if start.is_null() {
            return Err(Fault::Null);
        }
        // SAFETY: the caller gives a whole header at least. The struct is packed, so any address is aligned for it.
        let mut header = unsafe { start.read() };
        let (type_, parameters, length) = (header.type_, header.nparams, header.len);
        if type_ != PLUGIN_EVENT {
            return Err(Fault::Type(type_));
        }
        if parameters != PARAMETERS {
            return Err(Fault::Parameters(parameters));
        }
        if length < PREFIX {
            return Err(Fault::Length {
                length,
                needed: PREFIX.into(),
            });
        }
        let bytes = start.cast::<u8>();
        // SAFETY: the event has PREFIX bytes, which include both lengths; they may be unaligned.
        let (id_length, payload_length) = unsafe {
            let lengths = bytes.add(size_of::<ss_plugin_event>()).cast::<u32>();
            (lengths.read_unaligned(), lengths.add(1).read_unaligned())
        };
        let needed = u64::from(PREFIX) + u64::from(id_length) + u64::from(payload_length);
        if u64::from(length) != needed {
            return Err(Fault::Length { length, needed });
        }
        if id_length != ID_SIZE {
            return Err(Fault::IdLength(id_length));
        }
        // SAFETY: the event has `length` bytes, and the id lies within: its length was just checked.
        let id_at = unsafe { bytes.add(ID_OFFSET) }.cast::<u32>();
        // SAFETY: as above; it may be unaligned.
        let id = unsafe { id_at.read_unaligned() };
        if id == 0 {
            // SAFETY: as above, and the caller gives memory to write to.
            unsafe { id_at.write_unaligned(own_id) };
        } else if id != own_id {
            return Err(Fault::Id {
                theirs: id,
                own: own_id,
            });
        }
        if header.ts == ABSENT {
            header.ts = now();
            // SAFETY: the header is within the event, and the caller gives memory to write to.
            unsafe {
                bytes
                    .add(offset_of!(ss_plugin_event, ts))
                    .cast::<u64>()
                    .write_unaligned(header.ts)
            };
        }
        // libscap overwrites the thread id whatever it is: a plugin's event belongs to no thread.
        // SAFETY: as for the timestamp.
        unsafe {
            bytes
                .add(offset_of!(ss_plugin_event, tid))
                .cast::<u64>()
                .write_unaligned(ABSENT)
        };
        Ok(Self {
            start,
            // SAFETY: PAYLOAD_OFFSET is at most `length`, which includes the id.
            payload: unsafe { bytes.add(PAYLOAD_OFFSET) },
            payload_length: payload_length as usize,
            timestamp: header.ts,
            memory: PhantomData,
        })
    }

    /// Nanoseconds since the epoch.
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    pub fn payload(&self) -> &'b [u8] {
        // SAFETY: `check` saw that this many bytes follow within the event, which stays for `'b` and which nobody writes
        // to from here on.
        unsafe { std::slice::from_raw_parts(self.payload, self.payload_length) }
    }

    /// The event as the plugin API passes it.
    pub fn as_ptr(&self) -> *const ss_plugin_event {
        self.start
    }
}

/// A copy of an event, which outlives its batch.
pub struct OwnedEvent {
    bytes: Box<[u8]>,
    timestamp: u64,
}

impl OwnedEvent {
    pub fn of(event: &Event<'_>) -> Self {
        let length = PAYLOAD_OFFSET + event.payload_length;
        // SAFETY: `check` saw that the event has this many bytes, and nobody writes to them within its lifetime.
        let bytes = unsafe { std::slice::from_raw_parts(event.start.cast::<u8>(), length) };
        Self {
            bytes: bytes.into(),
            timestamp: event.timestamp,
        }
    }

    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    pub fn event(&self) -> Event<'_> {
        let payload = &self.bytes[PAYLOAD_OFFSET..];
        Event {
            start: self.bytes.as_ptr().cast(),
            payload: payload.as_ptr(),
            payload_length: payload.len(),
            timestamp: self.timestamp,
            memory: PhantomData,
        }
    }
}

/// A pointer that no plugin returns, to see whether it set one.
pub const UNSET: *mut *mut ss_plugin_event = {
    static NOWHERE: u8 = 0;
    (&raw const NOWHERE).cast::<c_void>().cast_mut().cast()
};

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(length: u32, type_: u16, parameters: u32, lengths: [u32; 2], id: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(u64::MAX.to_ne_bytes());
        out.extend(7u64.to_ne_bytes());
        out.extend(length.to_ne_bytes());
        out.extend(type_.to_ne_bytes());
        out.extend(parameters.to_ne_bytes());
        out.extend(lengths.iter().flat_map(|length| length.to_ne_bytes()));
        out.extend(id.to_ne_bytes());
        out.extend(payload);
        out
    }

    fn check(bytes: &mut [u8]) -> Result<Event<'_>, Fault> {
        // SAFETY: the slice is an event, or has a whole prefix and a length that is refused.
        unsafe { Event::check(bytes.as_mut_ptr().cast(), 999, || 42) }
    }

    #[test]
    fn what_the_plugin_left_out_is_filled_in() {
        let mut memory = bytes(43, 322, 2, [4, 5], 0, b"hello");
        let event = check(&mut memory).unwrap();
        assert_eq!((event.timestamp(), event.payload()), (42, &b"hello"[..]));
        assert_eq!(memory[..8], 42u64.to_ne_bytes());
        assert_eq!(memory[8..16], u64::MAX.to_ne_bytes());
        assert_eq!(memory[34..38], 999u32.to_ne_bytes());
    }

    #[test]
    fn a_wrong_event_is_refused_with_its_numbers() {
        let fault = |length, type_, parameters, lengths, id| {
            check(&mut bytes(length, type_, parameters, lengths, id, b"hello"))
                .err()
                .unwrap()
                .to_string()
        };
        assert_eq!(
            fault(43, 1, 2, [4, 5], 0),
            "type 1, but a plugin's events have type 322"
        );
        assert_eq!(
            fault(43, 322, 3, [4, 5], 0),
            "3 parameters, but a plugin's events have 2"
        );
        assert_eq!(fault(50, 322, 2, [4, 22], 0), "length 50, but its parameters need 60");
        assert_eq!(fault(20, 322, 2, [4, 5], 0), "length 20, but its parameters need 34");
        assert_eq!(
            fault(4, 322, 2, [u32::MAX, u32::MAX], 0),
            "length 4, but its parameters need 34"
        );
        assert_eq!(
            fault(43, 322, 2, [5, 4], 0),
            "parameter 1 has 5 bytes, but the plugin id has 4"
        );
        assert_eq!(fault(43, 322, 2, [4, 5], 5), "plugin id 5, but the plugin's own is 999");
    }
}
