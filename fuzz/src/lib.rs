//! The targets of the fuzzer, one module each. Its function `check` takes any bytes, and panics if it finds a fault.
//!
//! Ordinary tests run the targets on the files of `corpus` and on damaged copies of them. `make fuzz` searches for
//! further inputs.
//!
//! | target | code under test | compared with |
//! |---|---|---|
//! | [`batch`] | the engine's batch memory | a list of payloads |
//! | [`bundle`] | the index of a self-contained library's bundle | lists of entries |
//! | [`calls`] | built libraries, through the C plugin API | the rules of the API for each answer |
//! | [`documents`] | the engine's splitter of JSON documents | serde_json's stream of documents |
//! | [`host`] | how the native host reads events, fields and schemas of a plugin | the same on slices; its own rules |
//! | [`json_field`] | the engine's JSON fields | a simple reader, and the tree of serde_json |
//! | [`library`] | how the stub and the SDK read the manifest of a library | pairs of strings |
//! | [`lines`] | the engine's splitter of lines | a search in the whole text |

#![deny(unsafe_code)]

pub mod batch;
pub mod bundle;
#[allow(unsafe_code)]
pub mod calls;
pub mod documents;
#[allow(unsafe_code)]
pub mod host;
pub mod json_field;
#[allow(unsafe_code)]
pub mod library;
pub mod lines;

#[cfg(test)]
mod corpus;
