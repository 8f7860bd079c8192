//! Measurements of a plugin: what it costs its host, in one pass.
//!
//! | module | purpose |
//! |---|---|
//! | [`events`] | the running source |
//! | [`live`], [`extraction`] | fields of each event as it arrives, and of events that were kept |
//! | [`metrics`] | the metrics of the plugin |
//! | [`parsing`] | events of a capture file that the plugin parses |
//! | [`sending`] | async events |
//! | [`threads`] | fields of events that were kept, on several threads at the same time |
//! | [`checksum`] | a number that two libraries agree on if they produce the same events |
//! | [`clock`] | which calls are timed |
//! | [`slices`], [`histogram`] | statistics of many durations |
//! | [`process`] | memory and CPU time of this process |
//! | [`report`] | the result, as text or JSON |

pub mod checksum;
pub mod clock;
mod error;
pub mod events;
pub mod extraction;
pub mod histogram;
pub mod live;
pub mod metrics;
pub mod parsing;
pub mod process;
pub mod report;
pub mod sending;
pub mod slices;
pub mod threads;

pub use error::Error;
