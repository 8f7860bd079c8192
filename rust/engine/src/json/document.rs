//! The JSON of one event, shared by all readers of the event.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::Fault;
use super::tree::Tree;

/// The JSON of one event, as far as it was read. All readers of the event share it.
#[derive(Debug, Default)]
pub struct Document {
    tree: Mutex<Tree>,
    /// Whether the tree may have content: nothing reads system calls as JSON, so their tree needs neither a lock nor to be
    /// emptied. `Relaxed` is enough, because an event is replaced only after all accesses to it.
    is_used: AtomicBool,
}

impl Document {
    /// Locks the tree for a look-up. The holder of the lock must not wait for anything.
    pub(crate) fn tree(&self) -> MutexGuard<'_, Tree> {
        self.is_used.store(true, Ordering::Relaxed);
        // A poisoned tree is whole after each step.
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empties the document for the next event, and keeps its memory.
    pub fn clear(&mut self) {
        if std::mem::take(self.is_used.get_mut()) {
            self.tree.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Does the same while others hold the document. They must not read it.
    #[inline]
    pub(crate) fn clear_shared(&self) {
        if self.is_used.load(Ordering::Relaxed) {
            self.tree().clear();
            self.is_used.store(false, Ordering::Relaxed);
        }
    }

    /// Records a fault that user code found in the text. Only the first fault of the text is kept.
    pub fn record_fault(&self, fault: Fault) {
        self.tree().record_fault(fault);
    }

    /// Takes the recorded fault.
    #[inline]
    pub(crate) fn take_fault(&self) -> Option<Fault> {
        let is_used = self.is_used.load(Ordering::Relaxed);
        is_used.then(|| self.tree().take_fault()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::{Argument, FieldType, JsonReader, Value, Values};
    use crate::json::tree::MAX_KEPT;

    #[test]
    fn look_up_finds_values_beyond_the_kept_ones() {
        let many = |value: &str| vec![value; MAX_KEPT].join(",");
        let json = format!(
            r#"{{"a": [{}], "\u0062": {{{}, "c": {{"d": 1}}}}, "e": {{"f": 2}}, {}, "g": [[3], [4, 5]]}}"#,
            many("0"),
            many(r#""x": 0"#),
            many(r#""y": {"z": 0}"#),
        );
        let document = Document::default();
        for (pointer, expected) in [
            ("/e/f", Some(2)),
            (&format!("/a/{}", MAX_KEPT - 1), Some(0)),
            (&format!("/a/{MAX_KEPT}"), None),
            ("/b/c/d", Some(1)),
            ("/b/c/e", None),
            ("/g/1/1", Some(5)),
            ("/g/2", None),
            ("/y/z", Some(0)),
        ] {
            let mut values = Values::default();
            let reader = JsonReader::new(pointer, FieldType::Uint64).unwrap();
            reader.read(&document, json.as_bytes(), &Argument::default(), &mut values);
            let expected: Vec<_> = expected.map(Value::Number).into_iter().collect();
            assert_eq!(values.as_slice(), expected, "{pointer}");
        }
        assert!(document.tree().len() <= MAX_KEPT);
    }
}
