//! Selects events by their types and sources.

use super::Event;
use super::schema::{ASYNC_EVENT, GENERIC_EVENT, RawEvent, Selection, is_meta, select};

/// The codes of types that a filter can select. There are about 450 types.
const MOST_CODES: usize = 1024;
const BITS: usize = u64::BITS as usize;

/// The events that a method or the fields of a plugin are for.
#[derive(Debug, Clone)]
pub struct EventFilter {
    /// Whether events of every type are selected.
    is_every_type: bool,
    /// A bit for each type.
    codes: [u64; MOST_CODES / BITS],
    /// The ids of system calls whose generic events are selected.
    syscalls: Vec<u16>,
    /// The names of async events that are selected.
    async_names: Vec<Vec<u8>>,
    /// The sources whose events are selected; every source if it is empty.
    sources: Vec<Vec<u8>>,
}

impl EventFilter {
    /// Creates a filter for events with one of these names, from one of these sources. Without names it selects events of
    /// every type, and without sources those of every source.
    ///
    /// A name is that of an event type or a system call, or else of an async event.
    pub fn new<S: AsRef<str>>(names: &[S], sources: &[S]) -> Self {
        let mut filter = Self {
            is_every_type: names.is_empty(),
            codes: [0; MOST_CODES / BITS],
            syscalls: Vec::new(),
            async_names: Vec::new(),
            sources: sources
                .iter()
                .map(|source| source.as_ref().as_bytes().to_vec())
                .collect(),
        };
        for name in names {
            filter.add(name.as_ref());
        }
        filter
    }

    fn add(&mut self, name: &str) {
        match select(name) {
            Some(Selection::Types(types)) => types.into_iter().for_each(|code| self.add_code(code)),
            Some(Selection::Syscall(id)) => self.syscalls.push(id),
            None => self.async_names.push(name.as_bytes().to_vec()),
        }
        if is_meta(name) {
            // Plugins have replaced some of Falco's own events by async events of the same name.
            self.async_names.push(name.as_bytes().to_vec());
        }
    }

    fn add_code(&mut self, code: u16) {
        if let Some(bits) = self.codes.get_mut(usize::from(code) / BITS) {
            *bits |= 1 << (usize::from(code) % BITS);
        }
    }

    /// Returns whether the filter selects an event.
    #[inline]
    pub fn selects(&self, event: &Event<'_>) -> bool {
        self.selects_encoded(event.raw, event.source)
    }

    /// Returns whether the filter selects an encoded event of a source. It does not select an event that has no type.
    #[inline]
    pub fn selects_encoded(&self, raw: &[u8], source: &[u8]) -> bool {
        code(raw).is_some_and(|code| self.selects_type(code, raw))
            && (self.sources.is_empty() || self.sources.iter().any(|name| name == source))
    }

    #[inline]
    fn selects_type(&self, code: u16, raw: &[u8]) -> bool {
        let position = usize::from(code);
        let is_selected = self
            .codes
            .get(position / BITS)
            .is_some_and(|bits| bits >> (position % BITS) & 1 == 1);
        let has_name = matches!(code, ASYNC_EVENT | GENERIC_EVENT);
        self.is_every_type || is_selected || (has_name && self.selects_name(code, raw))
    }

    /// Returns whether the filter selects an event by a name in the event.
    fn selects_name(&self, code: u16, raw: &[u8]) -> bool {
        match code {
            ASYNC_EVENT if !self.async_names.is_empty() => {
                let name = RawEvent::new(raw).and_then(|event| event.async_name_bytes());
                name.is_some_and(|name| self.async_names.iter().any(|selected| selected == name))
            }
            GENERIC_EVENT if !self.syscalls.is_empty() => {
                let id = RawEvent::new(raw).and_then(|event| event.syscall_id());
                id.is_some_and(|id| self.syscalls.contains(&id))
            }
            _ => false,
        }
    }
}

/// Returns the code of an encoded event's type; `None` if the event is too short.
#[inline]
fn code(raw: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(*raw.get(20..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::super::schema::syscall_id;
    use super::*;

    /// Encodes an event with lengths of 2 or 4 bytes.
    fn encode(code: u16, width: usize, params: &[&[u8]]) -> Vec<u8> {
        let len = 26 + params.iter().map(|param| width + param.len()).sum::<usize>();
        let mut raw = vec![0; 16];
        raw.extend((len as u32).to_le_bytes());
        raw.extend(code.to_le_bytes());
        raw.extend((params.len() as u32).to_le_bytes());
        for param in params {
            raw.extend(&(param.len() as u32).to_le_bytes()[..width]);
        }
        raw.extend(params.concat());
        raw
    }

    #[test]
    fn filter_selects_by_type_name_and_source() {
        let generic = |name| encode(GENERIC_EVENT, 2, &[&syscall_id(name).unwrap().to_le_bytes(), &[0, 0]]);
        let named = |name: &[u8]| encode(ASYNC_EVENT, 4, &[&[0; 4], name, b"data"]);
        let events = [
            ("execve", "syscall", encode(293, 2, &[])),
            ("close", "syscall", encode(5, 2, &[])),
            ("setxattr", "syscall", generic("setxattr")),
            ("getxattr", "syscall", generic("getxattr")),
            ("changed", "shop", named(b"changed\0")),
            ("container", "syscall", named(b"container\0")),
            ("pluginevent", "shop", encode(322, 4, &[&[0; 4], b"x"])),
            ("newer", "syscall", encode(2000, 2, &[])),
            ("damaged", "syscall", encode(ASYNC_EVENT, 4, &[])),
            ("begin", "syscall", encode(292, 2, &[])),
        ];
        let all: Vec<_> = events.iter().map(|(name, ..)| *name).collect();
        let cases: [(&[&str], &[&str], &[&str]); 10] = [
            (&[], &[], &all),
            (&[], &["shop"], &["changed", "pluginevent"]),
            (&["execve", "close"], &[], &["execve", "close"]),
            (&["execve"], &["shop"], &[]),
            (&["setxattr"], &["syscall", "shop"], &["setxattr"]),
            (&["syscall"], &[], &["setxattr", "getxattr"]),
            (&["changed"], &["shop"], &["changed"]),
            (&["container"], &[], &["container"]),
            (&["asyncevent"], &[], &["changed", "container", "damaged"]),
            (&["pluginevent", "change"], &[], &["pluginevent"]),
        ];
        for (names, sources, expected) in cases {
            let filter = EventFilter::new(names, sources);
            let selected = events.iter().filter(|(_, source, raw)| {
                let event = Event::decode(raw, 0, 1, source.as_bytes()).unwrap();
                filter.selects(&event)
            });
            let selected: Vec<_> = selected.map(|(name, ..)| *name).collect();
            assert_eq!(selected, expected, "{names:?} of {sources:?}");
        }
    }
}
