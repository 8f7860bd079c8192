//! One event of a batch. Falco trusts the lengths in an event; this host checks them. It also sets the members that
//! Falco sets.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::{offset_of, size_of};

use falco_plugin_api::ss_plugin_event;
use falco_plugin_schema::RawEvent;

/// The type of all events of plugins.
pub const PLUGIN_EVENT: u16 = 322;
/// The number of parameters of a plugin event: the plugin id and the payload.
const PARAMETERS: u32 = 2;
const ID_SIZE: u32 = size_of::<u32>() as u32;
/// The header and the lengths of the two parameters.
const PREFIX: u32 = (size_of::<ss_plugin_event>() + 2 * size_of::<u32>()) as u32;
const ID_OFFSET: usize = PREFIX as usize;
const PAYLOAD_OFFSET: usize = ID_OFFSET + size_of::<u32>();
/// A timestamp or thread id that is not set.
const ABSENT: u64 = u64::MAX;

/// Why an event is malformed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    #[error("the pointer to the event is NULL")]
    Null,
    #[error("the event has type {0}, but plugin events have type {PLUGIN_EVENT}")]
    Type(u16),
    #[error("the event has {0} parameters, but plugin events have {PARAMETERS}")]
    Parameters(u32),
    #[error("the event has {length} bytes, but its parameters need {needed}")]
    Length { length: u32, needed: u64 },
    #[error("parameter 1, the plugin id, has {0} bytes instead of {ID_SIZE}")]
    IdLength(u32),
    #[error("the event has plugin id {id}, but the plugin has id {own}")]
    Id { id: u32, own: u32 },
    #[error("the event's header is wrong")]
    Header,
}

/// A checked event in the plugin's memory, which stays valid for `'b`.
pub struct Event<'b> {
    start: *const ss_plugin_event,
    code: u16,
    /// The length of the whole event.
    length: usize,
    payload: *const u8,
    payload_length: usize,
    timestamp: u64,
    memory: PhantomData<&'b [u8]>,
}

impl<'b> Event<'b> {
    /// Checks the event at `start` and sets the members that the plugin leaves to the host, in libscap's order. If the
    /// event has no timestamp, it gets the result of `now`.
    ///
    /// # Safety
    /// `start` is NULL, or points to an event whose length member is its size in bytes. The memory is writable, nobody
    /// else accesses it, and it stays valid for `'b`.
    #[inline]
    pub unsafe fn check(
        start: *mut ss_plugin_event,
        own_id: u32,
        now: impl FnOnce() -> u64,
    ) -> Result<Self, EventFault> {
        if start.is_null() {
            return Err(EventFault::Null);
        }
        // SAFETY: the caller ensures a whole header at least. The struct is packed, so any address is aligned for it.
        let mut header = unsafe { start.read() };
        let (type_, parameters, length) = (header.type_, header.nparams, header.len);
        if type_ != PLUGIN_EVENT {
            return Err(EventFault::Type(type_));
        }
        if parameters != PARAMETERS {
            return Err(EventFault::Parameters(parameters));
        }
        if length < PREFIX {
            return Err(EventFault::Length {
                length,
                needed: PREFIX.into(),
            });
        }
        let bytes = start.cast::<u8>();
        // SAFETY: the event has at least PREFIX bytes, which include both lengths. The reads may be unaligned.
        let (id_length, payload_length) = unsafe {
            let lengths = bytes.add(size_of::<ss_plugin_event>()).cast::<u32>();
            (lengths.read_unaligned(), lengths.add(1).read_unaligned())
        };
        let needed = u64::from(PREFIX) + u64::from(id_length) + u64::from(payload_length);
        if u64::from(length) != needed {
            return Err(EventFault::Length { length, needed });
        }
        if id_length != ID_SIZE {
            return Err(EventFault::IdLength(id_length));
        }
        // SAFETY: the event has `length` bytes, which include the id, as its length was just checked.
        let id_at = unsafe { bytes.add(ID_OFFSET) }.cast::<u32>();
        // SAFETY: as above. The read may be unaligned.
        let id = unsafe { id_at.read_unaligned() };
        if id == 0 {
            // SAFETY: as above, and the caller ensures that the memory is writable.
            unsafe { id_at.write_unaligned(own_id) };
        } else if id != own_id {
            return Err(EventFault::Id { id, own: own_id });
        }
        if header.ts == ABSENT {
            header.ts = now();
            // SAFETY: the header is within the event, and the caller ensures that the memory is writable.
            unsafe {
                bytes
                    .add(offset_of!(ss_plugin_event, ts))
                    .cast::<u64>()
                    .write_unaligned(header.ts)
            };
        }
        // libscap always overwrites the thread id, because the event of a plugin belongs to no thread.
        // SAFETY: as for the timestamp.
        unsafe {
            bytes
                .add(offset_of!(ss_plugin_event, tid))
                .cast::<u64>()
                .write_unaligned(ABSENT)
        };
        Ok(Self {
            start,
            code: PLUGIN_EVENT,
            length: length as usize,
            // SAFETY: PAYLOAD_OFFSET is at most `length`, which includes the id.
            payload: unsafe { bytes.add(PAYLOAD_OFFSET) },
            payload_length: payload_length as usize,
            timestamp: header.ts,
            memory: PhantomData,
        })
    }

    /// Reads an event of any type, as capture files have it. `bytes` ends where the event ends.
    pub fn from_bytes(bytes: &'b [u8]) -> Result<Self, EventFault> {
        let event = RawEvent::new(bytes).ok_or(EventFault::Header)?;
        let payload = event.data().unwrap_or_default();
        Ok(Self {
            start: bytes.as_ptr().cast(),
            code: event.code(),
            length: bytes.len(),
            payload: payload.as_ptr(),
            payload_length: payload.len(),
            timestamp: event.timestamp(),
            memory: PhantomData,
        })
    }

    /// Returns the code of the event's type.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns the whole event.
    pub fn bytes(&self) -> &'b [u8] {
        // SAFETY: `check` or `from_bytes` saw that the event has this many bytes. It stays valid for `'b`, and nobody writes to
        // it afterwards.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }

    /// Returns the event's time in nanoseconds since the epoch.
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// Returns the payload of a plugin event, the data of an async event, or else nothing.
    pub fn payload(&self) -> &'b [u8] {
        // SAFETY: `check` or `from_bytes` saw that this many bytes are within the event. The event stays valid for `'b`, and
        // nobody writes to it afterwards.
        unsafe { std::slice::from_raw_parts(self.payload, self.payload_length) }
    }

    /// Returns the event as the plugin API passes it.
    pub fn as_ptr(&self) -> *const ss_plugin_event {
        self.start
    }
}

/// A copy of a plugin event that outlives its batch.
pub struct OwnedEvent {
    bytes: Box<[u8]>,
    timestamp: u64,
}

impl OwnedEvent {
    /// Copies a plugin event.
    pub fn copy(event: &Event<'_>) -> Self {
        Self {
            bytes: event.bytes().into(),
            timestamp: event.timestamp,
        }
    }

    /// Returns the size of the whole event in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the event.
    pub fn event(&self) -> Event<'_> {
        let payload = &self.bytes[PAYLOAD_OFFSET..];
        Event {
            start: self.bytes.as_ptr().cast(),
            code: PLUGIN_EVENT,
            length: self.bytes.len(),
            payload: payload.as_ptr(),
            payload_length: payload.len(),
            timestamp: self.timestamp,
            memory: PhantomData,
        }
    }
}

/// A pointer that no plugin returns. It is passed in, so that a plugin that sets none is noticed.
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

    fn check(bytes: &mut [u8]) -> Result<Event<'_>, EventFault> {
        // SAFETY: the slice is an event, or has a whole prefix and a length that is refused.
        unsafe { Event::check(bytes.as_mut_ptr().cast(), 999, || 42) }
    }

    #[test]
    fn check_sets_the_members_that_the_plugin_leaves_out() {
        let mut memory = bytes(43, 322, 2, [4, 5], 0, b"hello");
        let event = check(&mut memory).unwrap();
        assert_eq!((event.timestamp(), event.payload()), (42, &b"hello"[..]));
        assert_eq!(memory[..8], 42u64.to_ne_bytes());
        assert_eq!(memory[8..16], u64::MAX.to_ne_bytes());
        assert_eq!(memory[34..38], 999u32.to_ne_bytes());
    }

    #[test]
    fn check_reports_the_wrong_number() {
        let fault = |length, type_, parameters, lengths, id| {
            check(&mut bytes(length, type_, parameters, lengths, id, b"hello"))
                .err()
                .unwrap()
                .to_string()
        };
        assert_eq!(
            fault(43, 1, 2, [4, 5], 0),
            "the event has type 1, but plugin events have type 322"
        );
        assert_eq!(
            fault(43, 322, 3, [4, 5], 0),
            "the event has 3 parameters, but plugin events have 2"
        );
        assert_eq!(
            fault(50, 322, 2, [4, 22], 0),
            "the event has 50 bytes, but its parameters need 60"
        );
        assert_eq!(
            fault(20, 322, 2, [4, 5], 0),
            "the event has 20 bytes, but its parameters need 34"
        );
        assert_eq!(
            fault(4, 322, 2, [u32::MAX, u32::MAX], 0),
            "the event has 4 bytes, but its parameters need 34"
        );
        assert_eq!(
            fault(43, 322, 2, [5, 4], 0),
            "parameter 1, the plugin id, has 5 bytes instead of 4"
        );
        assert_eq!(
            fault(43, 322, 2, [4, 5], 5),
            "the event has plugin id 5, but the plugin has id 999"
        );
    }
}
