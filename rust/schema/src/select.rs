//! Event types by the names that rules use.

use std::collections::BTreeSet;

use crate::event_type::{Category, EventType, event_types, syscall_id, syscall_names};

/// The events that a name selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Those of these types.
    Types(Vec<u16>),
    /// The generic events ([`GENERIC_EVENT`]) of one system call, by its id.
    Syscall(u16),
}

/// The code of the event of a system call that has no separate event type (`PPME_GENERIC_X`).
pub const GENERIC_EVENT: u16 = 1;

/// Returns the events that a name selects; `None` if neither an event type nor a system call has the name.
///
/// The beginnings of system calls are not selected, because Falco does not deliver them since 0.42. The parameters are in
/// the event of the end.
pub fn select(name: &str) -> Option<Selection> {
    let types: Vec<_> = selectable()
        .filter(|event| event.name() == name)
        .map(EventType::code)
        .collect();
    if types.is_empty() {
        return syscall_id(name).map(Selection::Syscall);
    }
    Some(Selection::Types(types))
}

/// Returns whether a name is that of events that Falco makes, or plugins by async events: not of a driver, nor of the
/// events of sources.
pub fn is_meta(name: &str) -> bool {
    let mut types = selectable().filter(|event| event.name() == name).peekable();
    types.peek().is_some() && types.all(|event| event.category() == Category::Meta)
}

/// Returns all names that [`select`] accepts, sorted.
pub fn selectable_names() -> BTreeSet<&'static str> {
    selectable().map(EventType::name).chain(syscall_names()).collect()
}

fn selectable() -> impl Iterator<Item = EventType> {
    event_types().filter(|event| event.category() != Category::Unused && !event.is_beginning())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn select_finds_types_and_system_calls() {
        let types = |name| match select(name) {
            Some(Selection::Types(types)) => types,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(types("pluginevent"), [322]);
        assert_eq!(types("asyncevent"), [402]);
        assert_eq!(types("close"), [5]);
        let execve = types("execve");
        assert!(
            execve.contains(&293) && execve.iter().all(|code| code % 2 == 1),
            "{execve:?}"
        );
        assert!(types("procexit").contains(&186));
        assert_eq!(types("syscall"), [GENERIC_EVENT]);
        assert!(matches!(select("setxattr"), Some(Selection::Syscall(_))));
        for name in ["NA", "", "exceve", "402"] {
            assert_eq!(select(name), None, "{name}");
        }
    }

    #[test]
    fn each_selectable_name_selects() {
        let names = selectable_names();
        assert!(names.len() > 400 && names.iter().all(|name| select(name).is_some()));
        assert!(is_meta("container") && is_meta("asyncevent"));
        assert!(!is_meta("execve") && !is_meta("pluginevent") && !is_meta("none"));
    }
}
