//! A problem of a configuration, and the position of a value in it.

use std::fmt;

use serde_json::Value;

use crate::config::node::{is_whole, type_of};

/// The message for a missing key.
pub const REQUIRED: &str = "required";
/// The type that allows only numbers without a fraction.
pub const INTEGER: &str = "integer";

/// A problem of one value of a configuration. It never contains the value, which may be a secret.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The path of the value, such as `listen.ports[0]`.
    pub path: String,
    pub message: String,
    /// The expected types, if the value has another one.
    pub types: Vec<String>,
}

impl Problem {
    /// Returns whether a required key is missing.
    pub fn is_missing_key(&self) -> bool {
        self.message.starts_with(REQUIRED)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.path, self.message)
    }
}

/// The position of a value in a configuration.
pub struct Position {
    pub path: String,
    /// The number of references that were followed to the schema of the value.
    pub references: usize,
}

impl Position {
    /// Returns the position of the whole configuration.
    pub fn root() -> Self {
        Self {
            path: String::new(),
            references: 0,
        }
    }

    /// Returns the position of a member of an object.
    pub fn member(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            path: format!("{}{dot}{name}", self.path),
            references: 0,
        }
    }

    /// Returns the position of an item of an array.
    pub fn item(&self, index: usize) -> Self {
        Self {
            path: format!("{}[{index}]", self.path),
            references: 0,
        }
    }

    /// Returns a problem of the value.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            path: self.path.clone(),
            message: message.into(),
            types: Vec::new(),
        }
    }

    /// Returns the problem that `value` has none of the expected types.
    pub fn type_problem(&self, types: Vec<String>, value: &Value) -> Problem {
        let mut expected = types.join(" or ");
        if is_whole(value) {
            let range = format!("{INTEGER} from {} to {} (all that Falco accepts)", i64::MIN, i64::MAX);
            expected = expected.replace(INTEGER, &range);
        }
        Problem {
            path: self.path.clone(),
            message: format!("expected {expected}, got {}", type_of(value)),
            types,
        }
    }
}
