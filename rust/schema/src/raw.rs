//! An encoded event, as drivers and plugins make it: little endian, packed.
//!
//! | offset | size | value |
//! |---|---|---|
//! | 0 | 8 | timestamp, ns since the epoch |
//! | 8 | 8 | thread id; all bits set if there is none |
//! | 16 | 4 | length of the whole event |
//! | 20 | 2 | event type |
//! | 22 | 4 | number of parameters |
//! | 26 | 2 or 4 each | lengths of the parameters |
//! | … | … | parameters |

use std::borrow::Cow;

use crate::event_type::{EventType, Param, ParamType, syscall_name};
use crate::value::Value;

/// The length of an event's header.
pub const HEADER_LEN: usize = 26;
/// The code of events that plugins make as sources (`PPME_PLUGINEVENT_E`).
pub const PLUGIN_EVENT: u16 = 322;
/// The code of async events (`PPME_ASYNCEVENT_E`).
pub const ASYNC_EVENT: u16 = 402;

const NO_THREAD: u64 = u64::MAX;
/// The position of the name and of the data in async events, and of the data in plugin events.
const ASYNC_NAME: usize = 1;
const ASYNC_DATA: usize = 2;
const PLUGIN_DATA: usize = 1;

/// An encoded event.
#[derive(Debug, Clone, Copy)]
pub struct RawEvent<'a> {
    bytes: &'a [u8],
    header: &'a [u8; HEADER_LEN],
}

impl<'a> RawEvent<'a> {
    /// Reads an event. `bytes` ends where the event ends. Returns `None` if the header is incomplete, or has another length.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let event = Self {
            bytes,
            header: bytes.first_chunk()?,
        };
        (event.u32(16) as usize == bytes.len()).then_some(event)
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the time in nanoseconds since the epoch.
    #[inline]
    pub fn timestamp(&self) -> u64 {
        self.u64(0)
    }

    /// Returns the id of the thread that made the event; `None` if it belongs to no thread.
    #[inline]
    pub fn thread_id(&self) -> Option<i64> {
        let bits = self.u64(8);
        (bits != NO_THREAD).then_some(bits as i64)
    }

    /// Returns the code of the event type.
    #[inline]
    pub fn code(&self) -> u16 {
        u16::from_le_bytes([self.header[20], self.header[21]])
    }

    /// Returns the event type; `None` if it is newer than the table.
    #[inline]
    pub fn event_type(&self) -> Option<EventType> {
        EventType::from_code(self.code())
    }

    /// Returns the name as rules have it (`evt.type`): for a generic event that of its system call, for an async event its
    /// own. An event type that is newer than the table has its code as its name.
    pub fn name(&self) -> Cow<'a, str> {
        match self.event_type() {
            None => self.code().to_string().into(),
            Some(event) if event.code() == ASYNC_EVENT => self.async_name().unwrap_or_else(|| event.name().into()),
            Some(event) if event.is_generic() => {
                self.syscall_id().and_then(syscall_name).unwrap_or(event.name()).into()
            }
            Some(event) => event.name().into(),
        }
    }

    /// Returns the id of the system call of a generic event.
    pub fn syscall_id(&self) -> Option<u16> {
        let id = self.params().bytes(0)?.first_chunk()?;
        Some(u16::from_le_bytes(*id))
    }

    /// Returns the name of an async event as bytes.
    #[inline]
    pub fn async_name_bytes(&self) -> Option<&'a [u8]> {
        let name = self.params().bytes(ASYNC_NAME)?;
        Some(name.split(|&byte| byte == 0).next().unwrap_or(name))
    }

    fn async_name(&self) -> Option<Cow<'a, str>> {
        self.async_name_bytes().map(String::from_utf8_lossy)
    }

    /// Returns the payload of a plugin event, or the data of an async event; `None` for other events, and if the lengths in
    /// the event are wrong.
    pub fn data(&self) -> Option<&'a [u8]> {
        match self.code() {
            PLUGIN_EVENT => self.params().bytes(PLUGIN_DATA),
            ASYNC_EVENT => self.params().bytes(ASYNC_DATA),
            _ => None,
        }
    }

    /// Returns the number of parameters in the header, which is wrong if the event is malformed.
    pub fn param_count(&self) -> u32 {
        self.u32(22)
    }

    /// Returns the parameters.
    #[inline]
    pub fn params(&self) -> Params<'a> {
        let event = self.event_type();
        let rest = &self.bytes[HEADER_LEN..];
        let count = self.u32(22) as usize;
        let is_large = match event {
            Some(event) => event.has_large_lengths(),
            None => is_large(rest, count),
        };
        let width = if is_large { 4 } else { 2 };
        match count.checked_mul(width).and_then(|end| rest.split_at_checked(end)) {
            Some((lengths, values)) => Params {
                event,
                is_large,
                lengths,
                values,
            },
            // The number is wrong: what follows the header is not known.
            None => Params {
                event,
                is_large,
                lengths: &[],
                values: &[],
            },
        }
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.header[offset..offset + 4].try_into().expect("4 bytes"))
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.header[offset..offset + 8].try_into().expect("8 bytes"))
    }
}

/// Returns whether an event of an unknown type has lengths of 4 bytes: if so, they fit to its end, and lengths of 2 bytes do
/// not.
fn is_large(rest: &[u8], count: usize) -> bool {
    let fits = |is_large: bool| {
        let width = if is_large { 4 } else { 2 };
        let lengths = count.checked_mul(width).and_then(|end| rest.get(..end));
        lengths.is_some_and(|lengths| {
            let sum: u64 = lengths.chunks_exact(width).map(|length| number(length) as u64).sum();
            sum + lengths.len() as u64 == rest.len() as u64
        })
    };
    !fits(false) && fits(true)
}

/// Returns a length of 2 or 4 bytes.
#[inline]
fn number(length: &[u8]) -> usize {
    match *length {
        [a, b] => u16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]) as usize,
        _ => 0,
    }
}

/// The parameters of an event. They can be fewer or more than those of its type.
#[derive(Debug, Clone, Copy)]
pub struct Params<'a> {
    event: Option<EventType>,
    is_large: bool,
    lengths: &'a [u8],
    values: &'a [u8],
}

impl<'a> Params<'a> {
    /// Returns the number of parameters of the event.
    #[inline]
    pub fn len(&self) -> usize {
        self.lengths.len() / self.width()
    }

    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Returns the name of a parameter. One that the table does not contain has its position as its name.
    pub fn name(&self, position: usize) -> Cow<'static, str> {
        self.param(position)
            .map_or_else(|| position.to_string().into(), |param| param.name.into())
    }

    /// Returns the position of a parameter of the event by its name.
    #[inline]
    pub fn find(&self, name: &str) -> Option<usize> {
        let known = self.event.and_then(|event| event.position(name));
        let position = known.or_else(|| self.find_unnamed(name))?;
        (position < self.len()).then_some(position)
    }

    /// Returns the position in the name of a parameter that the table does not contain.
    #[cold]
    fn find_unnamed(&self, name: &str) -> Option<usize> {
        let position = name.parse().ok()?;
        (self.param(position).is_none() && position.to_string() == name).then_some(position)
    }

    /// Returns the bytes of a parameter; `None` if the event does not have it, or if its length leads out of the event.
    #[inline]
    pub fn bytes(&self, position: usize) -> Option<&'a [u8]> {
        let width = self.width();
        let before = self.lengths.get(..position.checked_mul(width)?)?;
        let length = number(self.lengths.get(before.len()..before.len() + width)?);
        let start = match self.is_large {
            true => sum(before.as_chunks::<4>().0, |length| u32::from_le_bytes(*length).into()),
            false => sum(before.as_chunks::<2>().0, |length| u16::from_le_bytes(*length).into()),
        };
        self.values.get(usize::try_from(start).ok()?..)?.get(..length)
    }

    /// Returns the type of a parameter. One that the table does not contain is bytes.
    #[inline]
    pub fn kind(&self, position: usize) -> ParamType {
        let known = self.event.and_then(|event| event.param_kind(position));
        known.unwrap_or(ParamType::BYTES)
    }

    /// Returns the value of a parameter; `None` if the event does not have it.
    #[inline]
    pub fn value(&self, position: usize) -> Option<Value<'a>> {
        if position >= self.len() {
            return None;
        }
        let bytes = self.bytes(position);
        Some(bytes.map_or(Value::Malformed(&[]), |bytes| Value::decode(self.kind(position), bytes)))
    }

    #[inline]
    fn param(&self, position: usize) -> Option<Param> {
        self.event.and_then(|event| event.param(position))
    }

    #[inline]
    fn width(&self) -> usize {
        if self.is_large { 4 } else { 2 }
    }
}

#[inline]
fn sum<T>(lengths: &[T], number: impl Fn(&T) -> u64) -> u64 {
    lengths.iter().map(number).sum()
}
