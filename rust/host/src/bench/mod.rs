//! `bench`: what a plugin costs its host, in one pass.
//!
//! | module | purpose |
//! |---|---|
//! | [`events`] | the running source |
//! | [`live`], [`extraction`] | fields of each event as it arrives, and of events that were kept |
//! | [`checksum`] | whether two libraries did the same |
//! | [`clock`] | which calls are timed |
//! | [`slices`], [`histogram`] | many durations in a few numbers |
//! | [`process`] | memory, and time that was computed |
//! | [`report`] | the result, for people and for programs |

pub mod checksum;
pub mod clock;
pub mod events;
pub mod extraction;
pub mod histogram;
pub mod live;
pub mod process;
pub mod report;
pub mod slices;
