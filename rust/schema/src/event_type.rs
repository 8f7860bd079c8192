//! The table of event types.

use std::ops::Range;

use crate::table::{EVENTS, NAME_ENDS, NAMES, PARAMS, SYSCALLS};

const CATEGORY: u8 = 0x0f;
const LARGE: u8 = 0x10;
const OLD: u8 = 0x20;
/// The code of the event of a system call that has no separate event type (`PPME_GENERIC_X`).
const GENERIC_EVENTS: [u16; 2] = [0, 1];

/// An event type (`ppm_event_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventType {
    code: u16,
}

/// The origin of the events of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// A system call. Each has two types, for its beginning and its end.
    Syscall,
    /// A tracepoint of the kernel, such as the end of a process.
    Tracepoint,
    /// A plugin.
    Plugin,
    /// Falco itself, or an async event of a plugin.
    Meta,
    /// A listing of processes and of their files by the driver.
    Iterator,
    /// Nothing: the code is reserved.
    Unused,
}

/// A parameter of an event type (`ppm_param_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    pub name: &'static str,
    pub kind: ParamType,
}

/// The type of a parameter: a number of `ppm_param_type`, or one of this crate's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamType(pub(crate) u8);

impl EventType {
    /// Returns the event type with a code; `None` if the table has no such code.
    #[inline]
    pub fn from_code(code: u16) -> Option<Self> {
        (usize::from(code) < EVENTS.len()).then_some(Self { code })
    }

    /// Returns the code (`ppm_event_code`).
    pub fn code(self) -> u16 {
        self.code
    }

    /// Returns the name, which several event types can have: those of the beginning and the end of a system call, and
    /// those of earlier drivers.
    pub fn name(self) -> &'static str {
        name(self.row().0)
    }

    pub fn category(self) -> Category {
        match self.row().1 & CATEGORY {
            0 => Category::Syscall,
            1 => Category::Tracepoint,
            2 => Category::Plugin,
            3 => Category::Meta,
            4 => Category::Iterator,
            _ => Category::Unused,
        }
    }

    /// Returns whether the lengths of parameters have 4 bytes instead of 2 (`EF_LARGE_PAYLOAD`).
    #[inline]
    pub fn has_large_lengths(self) -> bool {
        self.row().1 & LARGE != 0
    }

    /// Returns whether current drivers do not send such events (`EF_OLD_VERSION`).
    pub fn is_old(self) -> bool {
        self.row().1 & OLD != 0
    }

    /// Returns whether this is the beginning of a system call, whose end has an event type too.
    pub fn is_beginning(self) -> bool {
        let is_even = self.code.is_multiple_of(2);
        is_even && Self::from_code(self.code + 1).is_some_and(|end| end.category() != Category::Unused)
    }

    /// Returns whether the system calls of these events are known by an id only.
    pub fn is_generic(self) -> bool {
        GENERIC_EVENTS.contains(&self.code)
    }

    /// Returns the parameters in their order.
    #[inline]
    pub fn params(self) -> impl ExactSizeIterator<Item = Param> {
        self.param_rows().iter().map(|&(index, kind)| Param {
            name: name(index),
            kind: ParamType(kind),
        })
    }

    /// Returns the parameter at a position; `None` if the type has fewer.
    #[inline]
    pub fn param(self, position: usize) -> Option<Param> {
        self.params().nth(position)
    }

    /// Returns the position of the parameter with a name; `None` if the type has none.
    #[inline]
    pub fn position(self, name: &str) -> Option<usize> {
        // Comparing bytes leaves out the checks of a string's ends, which would take most of the time.
        let is_it = |&(index, _): &(u16, u8)| NAMES.as_bytes()[range(index)] == *name.as_bytes();
        self.param_rows().iter().position(is_it)
    }

    /// Returns the type of the parameter at a position; `None` if the type has fewer.
    #[inline]
    pub(crate) fn param_kind(self, position: usize) -> Option<ParamType> {
        let (_, kind) = *self.param_rows().get(position)?;
        Some(ParamType(kind))
    }

    #[inline]
    fn param_rows(self) -> &'static [(u16, u8)] {
        let (_, _, first, count) = self.row();
        &PARAMS[usize::from(first)..][..usize::from(count)]
    }

    #[inline]
    fn row(self) -> (u16, u8, u16, u8) {
        EVENTS[usize::from(self.code)]
    }
}

/// Returns all event types in the order of their codes.
pub fn event_types() -> impl Iterator<Item = EventType> {
    (0..EVENTS.len() as u16).map(|code| EventType { code })
}

/// Returns the name of the system call with an id, as generic events have it (`ppm_sc_code`).
pub fn syscall_name(id: u16) -> Option<&'static str> {
    let index = *SYSCALLS.get(usize::from(id))?;
    Some(name(index)).filter(|name| !name.is_empty())
}

/// Returns the id of a system call.
pub fn syscall_id(name: &str) -> Option<u16> {
    (0..SYSCALLS.len() as u16).find(|&id| syscall_name(id) == Some(name))
}

/// Returns the names of all system calls.
pub fn syscall_names() -> impl Iterator<Item = &'static str> {
    (0..SYSCALLS.len() as u16).filter_map(syscall_name)
}

/// Returns a name by its index.
#[inline]
fn name(index: u16) -> &'static str {
    &NAMES[range(index)]
}

/// Returns where a name is in [`NAMES`].
#[inline]
fn range(index: u16) -> Range<usize> {
    let index = usize::from(index);
    let start = index.checked_sub(1).map_or(0, |before| NAME_ENDS[before]);
    usize::from(start)..usize::from(NAME_ENDS[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_table_can_be_read() {
        for event in event_types() {
            assert!(!event.name().is_empty());
            assert_eq!(event.category() == Category::Unused, event.name() == "NA", "{event:?}");
            assert!(event.params().all(|param| !param.name.is_empty()), "{event:?}");
        }
        assert!(syscall_names().count() > 400);
    }

    #[test]
    fn event_type_describes_its_events() {
        let execve = EventType::from_code(293).unwrap();
        assert_eq!((execve.name(), execve.category()), ("execve", Category::Syscall));
        assert!(!execve.is_old() && !execve.is_beginning() && !execve.has_large_lengths());
        let begin = EventType::from_code(292).unwrap();
        assert!(begin.is_beginning() && begin.name() == "execve");
        let names: Vec<_> = execve.params().take(4).map(|param| param.name).collect();
        assert_eq!(names, ["res", "exe", "args", "tid"]);
        assert_eq!(execve.param(1).unwrap().name, "exe");
        assert_eq!((execve.position("exe"), execve.position("fd")), (Some(1), None));
        assert_eq!(execve.param(31), None);

        let plugin = EventType::from_code(322).unwrap();
        assert_eq!((plugin.name(), plugin.category()), ("pluginevent", Category::Plugin));
        assert!(plugin.has_large_lengths() && !plugin.is_beginning());
        let exit = EventType::from_code(186).unwrap();
        assert_eq!((exit.name(), exit.category()), ("procexit", Category::Tracepoint));
        assert!(!exit.is_beginning());
        assert_eq!(EventType::from_code(EVENTS.len() as u16), None);
    }

    #[test]
    fn syscalls_have_names_and_ids() {
        let id = syscall_id("setxattr").unwrap();
        assert_eq!(syscall_name(id), Some("setxattr"));
        assert_eq!(syscall_id("no_such_call"), None);
        assert_eq!(syscall_name(0), None, "an unknown call");
        assert_eq!(syscall_name(u16::MAX), None);
    }
}
