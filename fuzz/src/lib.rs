//! One module for each target of the fuzzer: a function `check` of any bytes, which panics where something is not as it
//! must be. Any compiler runs them over `corpus` and over damaged files of it, as tests; `make fuzz` searches for more.
//!
//! | target | what reads the input | what it is compared with |
//! |---|---|---|
//! | [`batch`] | the engine's batch memory | a list of payloads |
//! | [`calls`] | built libraries, by the C plugin API | what the API says of every answer |
//! | [`documents`] | the engine's splitter of JSON documents | serde_json's stream of documents |
//! | [`host`] | what the native host reads of a plugin: an event, its fields, its schema | the same on slices; its own rules |
//! | [`json_field`] | the engine's JSON fields | a plain walk, and serde_json's own tree |
//! | [`library`] | the manifest behind a library, by the stub and by the SDK | pairs of texts |
//! | [`lines`] | the engine's splitter of lines | a search in the whole text |

#![deny(unsafe_code)]

pub mod batch;
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
