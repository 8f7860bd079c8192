//! A native program with no Python that loads any Falco plugin, of any SDK, and drives it as Falco does.
//!
//! It knows nothing of a plugin but the C plugin API, so what it shows is what Falco sees. `falco-plugin-host info`
//! reads what a plugin says of itself without initialising it; `falco-plugin-host run` captures its events, and extracts
//! fields from them. Both are strict where Falco is, and where Falco would read out of bounds or end without a word they
//! say what is wrong.
//!
//! | module | purpose |
//! |---|---|
//! | [`abi`] | the C boundary: library, plugin, source, events, and values of fields |
//! | [`describe`] | what a plugin reports about itself, checked |
//! | [`config`] | the configuration, checked against the plugin's schema |
//! | [`select`] | the fields that the user asked for, and the plugins that have them |
//! | [`output`] | lines on standard output, messages on standard error |
//! | [`bench`] | measurements |
//! | [`command`] | the three commands: `info`, `run`, `bench` |
//! | [`text`] | escapes, timestamps, tables and numbers |
//! | [`signals`] | SIGINT and SIGTERM |

pub mod abi;
pub mod bench;
pub mod command;
pub mod config;
pub mod describe;
pub mod output;
pub mod select;
pub mod signals;
pub mod text;
