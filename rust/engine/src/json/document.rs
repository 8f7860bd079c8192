//! The JSON of one event, shared by all readers of the event.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::Fault;
use super::tree::Tree;

/// The JSON of one event, as far as it was read. All readers of the event share it.
#[derive(Debug, Default)]
pub struct Document(Mutex<Tree>);

impl Document {
    /// Locks the tree for a look-up. The holder of the lock must not wait for anything.
    pub(crate) fn tree(&self) -> MutexGuard<'_, Tree> {
        // A poisoned tree is whole after each step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empties the document for the next event, and keeps its memory.
    pub fn clear(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Does the same while others hold the document. They must not read it.
    pub(crate) fn clear_shared(&self) {
        self.tree().clear();
    }

    /// Records a fault that user code found in the text. Only the first fault of the text is kept.
    pub fn record_fault(&self, fault: Fault) {
        self.tree().record_fault(fault);
    }

    /// Takes the recorded fault.
    pub(crate) fn take_fault(&self) -> Option<Fault> {
        self.tree().take_fault()
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
