//! A native program without Python that loads any Falco plugin, of any SDK, and drives it as Falco does.
//!
//! The host knows only the C plugin API, so it sees what Falco sees. `falco-plugin-host info` shows the metadata of a plugin
//! without initialising it. `falco-plugin-host run` writes the events of a plugin's source, and fields from them.
//! `falco-plugin-host bench` measures a plugin. All are as strict as Falco; where Falco would read out of bounds or end
//! silently, the host reports what is wrong.
//!
//! Each module below uses only those above it:
//!
//! | module | purpose |
//! |---|---|
//! | [`text`], [`signals`] | escapes, timestamps, tables and numbers; SIGINT and SIGTERM |
//! | [`abi`] | the C boundary: library, plugin, source, events, and values of fields |
//! | [`scap`] | the events of capture files |
//! | [`describe`] | the metadata of a plugin, checked |
//! | [`config`] | the configuration, checked against the plugin's schema |
//! | [`select`] | the fields that the user asks for, and the plugins that extract them |
//! | [`output`] | lines on standard output, messages on standard error |
//! | [`bench`] | measurements |
//! | [`command`] | the commands: `info`, `run`, `bench` |

pub mod abi;
pub mod bench;
pub mod command;
pub mod config;
pub mod describe;
pub mod output;
pub mod scap;
pub mod select;
pub mod signals;
pub mod text;
