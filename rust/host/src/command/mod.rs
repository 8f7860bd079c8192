//! The commands, and what they share.
//!
//! | module | purpose |
//! |---|---|
//! | [`arguments`] | the command line |
//! | [`info`], [`run`], [`bench`] | the commands |
//! | [`setup`] | the plugins of a command, loaded and checked before any of them is initialised |
//! | [`capture`], [`replay`] | the loops of `run`: over `next_batch`, and over a file of events |
//! | [`recorded`] | files of events: recordings, and plain files |
//! | [`finish`] | the end of `run`: result, totals and findings |
//! | [`live`] | the live line on a terminal |
//! | [`control`] | commands for the plugins while they run |
//! | [`listeners`] | the calls at the beginning and at the end of a capture |

pub mod arguments;
pub mod bench;
pub mod capture;
pub mod control;
mod error;
mod finish;
pub mod info;
pub mod listeners;
mod live;
pub mod recorded;
mod replay;
pub mod run;
pub mod setup;

pub use error::Error;
