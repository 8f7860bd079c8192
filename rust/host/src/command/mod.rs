//! The commands, and what they share.
//!
//! | module | purpose |
//! |---|---|
//! | [`arguments`] | the command line |
//! | [`info`], [`run`], [`bench`] | the commands |
//! | [`setup`] | the plugins of a command, loaded and checked before any of them is initialised |
//! | [`capture`], [`replay`] | the loops of `run`: over `next_batch`, and over a capture file |
//! | [`control`] | commands for the plugins while they run |
//! | [`listeners`] | the calls at the beginning and at the end of a capture |

pub mod arguments;
pub mod bench;
pub mod capture;
pub mod control;
mod error;
pub mod info;
pub mod listeners;
mod replay;
pub mod run;
pub mod setup;

pub use error::Error;
