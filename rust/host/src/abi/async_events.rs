//! Async events: the host's queue, and the checks that Falco makes before an event enters it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use falco_plugin_api::ss_plugin_event;
use falco_plugin_schema::RawEvent;

/// The type of async events.
pub const ASYNC_EVENT: u16 = 402;
/// The number of parameters: the plugin id, the name and the data.
const PARAMETERS: u32 = 3;
/// The offset of the parameters, after the header and their lengths.
const PARAMETERS_OFFSET: usize = 38;
const ID_SIZE: usize = 4;
const NAME_OFFSET: usize = PARAMETERS_OFFSET + ID_SIZE;
/// A timestamp or thread id that is not set.
const ABSENT: u64 = u64::MAX;
/// The number of events that wait at most (libs: `DEFAULT_ASYNC_EVENT_QUEUE_SIZE`).
const CAPACITY: usize = 4096;
/// How far in the future an event may be, in nanoseconds.
const MOST_AHEAD: u64 = 10_000_000_000;

/// A copy of an async event, which passed the host's checks.
#[derive(Debug, PartialEq, Eq)]
pub struct AsyncEvent {
    bytes: Box<[u8]>,
    /// The length of the name without its NUL.
    name_length: usize,
}

impl AsyncEvent {
    /// Copies an event.
    ///
    /// # Safety
    /// `start` is NULL, or points to an event whose length member is its size in bytes.
    pub(super) unsafe fn copy(start: *const ss_plugin_event) -> Result<Self, &'static str> {
        if start.is_null() {
            return Err("it is NULL");
        }
        // SAFETY: the caller ensures a whole header at least. The struct is packed, so any address is aligned for it.
        let header = unsafe { start.read() };
        // SAFETY: the caller ensures that the event has this size.
        let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), header.len as usize) };
        Self::check(bytes, header.type_, header.nparams)
    }

    /// Copies the event that `bytes` is.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let event = RawEvent::new(bytes)?;
        Self::check(bytes, event.code(), event.param_count()).ok()
    }

    fn check(bytes: &[u8], type_: u16, parameters: u32) -> Result<Self, &'static str> {
        if type_ != ASYNC_EVENT || parameters != PARAMETERS {
            return Err("its type or its number of parameters is wrong");
        }
        let length = |at: usize| {
            let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_ne_bytes(bytes)).ok()
        };
        let (Some(id), Some(name), Some(data)) = (length(26), length(30), length(34)) else {
            return Err("it is shorter than its header");
        };
        if id != ID_SIZE || bytes.len() != PARAMETERS_OFFSET + id + name + data {
            return Err("the lengths of its parameters are wrong");
        }
        let Some(name_length) = bytes[NAME_OFFSET..NAME_OFFSET + name]
            .iter()
            .position(|byte| *byte == 0)
        else {
            return Err("its name has no NUL");
        };
        if name_length + 1 != name {
            return Err("its name contains a NUL");
        }
        Ok(Self {
            bytes: bytes.into(),
            name_length,
        })
    }

    /// Returns the event's time in nanoseconds since the epoch.
    pub fn timestamp(&self) -> u64 {
        self.number_at(0)
    }

    /// Returns the name.
    pub fn name(&self) -> &[u8] {
        &self.bytes[NAME_OFFSET..NAME_OFFSET + self.name_length]
    }

    /// Returns the payload.
    pub fn data(&self) -> &[u8] {
        &self.bytes[NAME_OFFSET + self.name_length + 1..]
    }

    /// Returns the whole event.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn number_at(&self, offset: usize) -> u64 {
        let bytes = self.bytes[offset..offset + 8].try_into();
        u64::from_ne_bytes(bytes.expect("the header has both numbers"))
    }

    fn thread_id(&self) -> u64 {
        self.number_at(8)
    }

    /// Sets the time of an event that has none.
    pub fn set_time(&mut self, now: u64) {
        if self.timestamp() == ABSENT {
            self.bytes[..8].copy_from_slice(&now.to_ne_bytes());
        }
    }

    fn set_plugin_id(&mut self, id: u32) {
        self.bytes[PARAMETERS_OFFSET..NAME_OFFSET].copy_from_slice(&id.to_ne_bytes());
    }
}

/// Who may send async events.
#[derive(Debug, Clone)]
pub struct AsyncSender {
    pub plugin: String,
    /// The names of its events.
    pub names: Vec<String>,
    /// The sources beside whose events they are; empty for every source.
    pub sources: Vec<String>,
}

impl AsyncSender {
    /// Checks an event as Falco does before it checks the open source.
    ///
    /// # Safety
    /// As for [`AsyncEvent::copy`].
    pub(super) unsafe fn receive(&self, event: *const ss_plugin_event) -> Result<AsyncEvent, String> {
        // SAFETY: the caller's promise.
        let event = unsafe { AsyncEvent::copy(event) }
            .map_err(|fault| format!("malformed async event produced by plugin: {}: {fault}", self.plugin))?;
        if !self.names.iter().any(|name| name.as_bytes() == event.name()) {
            let name = String::from_utf8_lossy(event.name());
            return Err(format!(
                "incompatible async event '{name}' produced by plugin: {}",
                self.plugin
            ));
        }
        Ok(event)
    }
}

/// The events that wait until the open source is at their time.
pub struct AsyncQueue {
    /// The name of the open source.
    source: String,
    /// The id of the plugin whose source is open; 0 for system calls.
    id: u32,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// By time, then in the order of arrival. An event without a time comes first.
    events: BTreeMap<(u64, u64), AsyncEvent>,
    arrived: u64,
    dropped: u64,
    /// Why events were dropped so far.
    reasons: Vec<Dropped>,
}

/// An event that does not enter the queue, without an error for the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    TooFarAhead,
    Full,
}

impl Dropped {
    /// Returns the warning. Falco logs it for each event.
    pub(super) fn warning(self) -> &'static str {
        match self {
            Self::TooFarAhead => "an async event was dropped, because its time is more than 10 s in the future",
            Self::Full => "an async event was dropped, because the queue is full: Falco takes 4096 events at most",
        }
    }
}

impl AsyncQueue {
    /// Makes the queue of an open source. `id` is 0 for system calls.
    pub fn new(source: &str, id: u32) -> Self {
        Self {
            source: source.to_owned(),
            id,
            waiting: Mutex::default(),
        }
    }

    /// Adds an event. If it was dropped, returns why, but only the first time for each reason. Fails if the event must not
    /// be sent beside the open source.
    pub(super) fn push(
        &self,
        sender: &AsyncSender,
        mut event: AsyncEvent,
        now: u64,
    ) -> Result<Option<Dropped>, String> {
        let source = &self.source;
        if !sender.sources.is_empty() && !sender.sources.contains(source) {
            return Err(format!(
                "async events of plugin '{}' are not compatible with open event source '{source}'",
                sender.plugin
            ));
        }
        if self.id != 0 && event.thread_id() != ABSENT {
            return Err(format!(
                "async events of plugin '{}' can have no thread associated with open event source '{source}'",
                sender.plugin
            ));
        }
        event.set_plugin_id(self.id);
        let time = event.timestamp();
        let mut waiting = self.lock();
        let dropped = if time != ABSENT && time > now.saturating_add(MOST_AHEAD) {
            Some(Dropped::TooFarAhead)
        } else if waiting.events.len() >= CAPACITY {
            Some(Dropped::Full)
        } else {
            waiting.arrived += 1;
            // An absent time is the largest number, so the sum is 0.
            let place = (time.wrapping_add(1), waiting.arrived);
            waiting.events.insert(place, event);
            None
        };
        let Some(reason) = dropped else { return Ok(None) };
        waiting.dropped += 1;
        if waiting.reasons.contains(&reason) {
            return Ok(None);
        }
        waiting.reasons.push(reason);
        Ok(Some(reason))
    }

    /// Removes and returns the first event, if its time is not after `time`. An event without a time gets `now`.
    pub fn pop(&self, time: u64, now: impl FnOnce() -> u64) -> Option<AsyncEvent> {
        let mut waiting = self.lock();
        let entry = waiting.events.first_entry()?;
        if entry.key().0 > time.saturating_add(1) {
            return None;
        }
        let mut event = entry.remove();
        event.set_time(now());
        Some(event)
    }

    /// Returns whether the first event's time is not after `time`.
    pub fn is_due(&self, time: u64) -> bool {
        let waiting = self.lock();
        let first = waiting.events.first_key_value();
        first.is_some_and(|(place, _)| place.0 <= time.saturating_add(1))
    }

    /// Returns how many events were dropped.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic cannot leave the queue half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(time: u64, name: &[u8], data: &[u8]) -> Vec<u8> {
        let length = PARAMETERS_OFFSET + ID_SIZE + name.len() + data.len();
        let mut bytes = Vec::new();
        bytes.extend(time.to_ne_bytes());
        bytes.extend(ABSENT.to_ne_bytes());
        bytes.extend((length as u32).to_ne_bytes());
        bytes.extend(ASYNC_EVENT.to_ne_bytes());
        bytes.extend(PARAMETERS.to_ne_bytes());
        bytes.extend(
            [4, name.len() as u32, data.len() as u32]
                .iter()
                .flat_map(|length| length.to_ne_bytes()),
        );
        bytes.extend([0; 4]);
        bytes.extend(name);
        bytes.extend(data);
        bytes
    }

    fn sender(sources: &[&str]) -> AsyncSender {
        AsyncSender {
            plugin: "owners".into(),
            names: vec!["changed".into()],
            sources: sources.iter().map(|source| (*source).to_owned()).collect(),
        }
    }

    fn receive(bytes: &[u8]) -> Result<AsyncEvent, String> {
        // SAFETY: the slice is an event whose length member is its size.
        unsafe { sender(&[]).receive(bytes.as_ptr().cast()) }
    }

    fn event(time: u64, data: &[u8]) -> AsyncEvent {
        receive(&bytes(time, b"changed\0", data)).unwrap()
    }

    #[test]
    fn receive_reports_the_fault() {
        let good = bytes(7, b"changed\0", b"data");
        let received = receive(&good).unwrap();
        assert_eq!((received.name(), received.data()), (&b"changed"[..], &b"data"[..]));
        let changed = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            receive(&bytes).unwrap_err()
        };
        let malformed = "malformed async event produced by plugin: owners: ";
        for (at, value, fault) in [
            (20, 66, "its type or its number of parameters is wrong"),
            (22, 2, "its type or its number of parameters is wrong"),
            (30, 9, "the lengths of its parameters are wrong"),
            (44, 0, "its name contains a NUL"),
            (49, 1, "its name has no NUL"),
        ] {
            assert_eq!(changed(at, value), format!("{malformed}{fault}"));
        }
        assert_eq!(
            receive(&bytes(7, b"other\0", b"")).unwrap_err(),
            "incompatible async event 'other' produced by plugin: owners"
        );
    }

    #[test]
    fn queue_keeps_the_order_of_times_then_of_arrival() {
        let queue = AsyncQueue::new("test", 999);
        for (time, data) in [(30, b"c"), (ABSENT, b"a"), (20, b"b"), (30, b"d"), (ABSENT, b"A")] {
            assert_eq!(queue.push(&sender(&[]), event(time, data), 40), Ok(None));
        }
        let pop = |time| {
            queue
                .pop(time, || 25)
                .map(|event| (event.timestamp(), event.data().to_vec()))
        };
        assert_eq!(pop(10), Some((25, b"a".to_vec())));
        assert_eq!(pop(10), Some((25, b"A".to_vec())));
        assert_eq!(pop(10), None);
        assert_eq!(pop(20), Some((20, b"b".to_vec())));
        assert_eq!(pop(30), Some((30, b"c".to_vec())));
        assert_eq!(pop(u64::MAX), Some((30, b"d".to_vec())));
        assert_eq!(pop(u64::MAX), None);
    }

    #[test]
    fn queue_drops_and_refuses_as_falco_does() {
        let queue = AsyncQueue::new("test", 999);
        let late = event(MOST_AHEAD + 2, b"");
        assert_eq!(queue.push(&sender(&[]), late, 1), Ok(Some(Dropped::TooFarAhead)));
        for _ in 0..CAPACITY {
            assert_eq!(queue.push(&sender(&["syscall", "test"]), event(1, b""), 1), Ok(None));
        }
        for reported in [Some(Dropped::Full), None] {
            assert_eq!(queue.push(&sender(&[]), event(1, b""), 1), Ok(reported));
        }
        assert_eq!(queue.dropped(), 3);
        assert_eq!(
            queue.push(&sender(&["syscall"]), event(1, b""), 1).unwrap_err(),
            "async events of plugin 'owners' are not compatible with open event source 'test'"
        );
        let mut threaded = bytes(1, b"changed\0", b"");
        threaded[8..16].copy_from_slice(&[0; 8]);
        assert_eq!(
            queue.push(&sender(&[]), receive(&threaded).unwrap(), 1).unwrap_err(),
            "async events of plugin 'owners' can have no thread associated with open event source 'test'"
        );
        let calls = AsyncQueue::new("syscall", 0);
        assert_eq!(calls.push(&sender(&[]), receive(&threaded).unwrap(), 1), Ok(None));
    }
}
