//! A native program with no Python that loads any Falco plugin, of any SDK, and drives it as Falco does.
//!
//! It knows nothing of a plugin but the C plugin API, so what it shows is what Falco sees. `falco-plugin-host info`
//! reads what a plugin says of itself without initialising it; `falco-plugin-host run` captures its events. Both are
//! strict where Falco is, and where Falco would read out of bounds or end without a word they say what is wrong.
//!
//! | module | purpose |
//! |---|---|
//! | [`elf`] | is this file a library for this machine? |
//! | [`library`] | the loaded library, the initialised plugin, the open source: the C boundary |
//! | [`event`] | one event of a batch, checked |
//! | [`description`], [`capabilities`] | what a plugin says of itself, checked |
//! | [`info`], [`run`] | the two commands |
//! | [`capture`] | the loop over `next_batch` |
//! | [`output`], [`escape`], [`timestamp`] | lines on standard output |
//! | [`log`], [`console`] | the plugin's log, and standard error |
//! | [`signals`] | SIGINT and SIGTERM |

pub mod capabilities;
pub mod capture;
pub mod console;
pub mod description;
pub mod elf;
pub mod error;
pub mod escape;
pub mod event;
pub mod info;
pub mod library;
pub mod log;
pub mod output;
pub mod run;
pub mod signals;
pub mod timestamp;
