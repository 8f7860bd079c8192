//! A native program with no Python that loads any Falco plugin, of any SDK, and drives it as Falco does.
//!
//! It knows nothing of a plugin but the C plugin API, so what it shows is what Falco sees. `falco-plugin-host info`
//! reads what a plugin says of itself without initialising it; `falco-plugin-host run` captures its events, and extracts
//! fields from them. Both are strict where Falco is, and where Falco would read out of bounds or end without a word they
//! say what is wrong.
//!
//! | module | purpose |
//! |---|---|
//! | [`elf`] | is this file a library for this machine? |
//! | [`library`], [`extraction`] | the loaded library, the initialised plugin, the open source, the values of a field: the C boundary |
//! | [`event`] | one event of a batch, checked |
//! | [`description`], [`capabilities`], [`field`] | what a plugin says of itself, checked |
//! | [`config`], [`validation`] | the configuration, checked against the plugin's schema |
//! | [`request`], [`selection`] | which fields are asked for, and of which plugin |
//! | [`setup`] | all that is loaded, before anything is initialised |
//! | [`info`], [`run`], [`bench`] | the three commands |
//! | [`capture`] | the loop over `next_batch` |
//! | [`fields`], [`payload`] | the fields of each event, and whether its payload is valid JSON |
//! | [`output`], [`row`], [`value`], [`escape`], [`timestamp`] | lines on standard output |
//! | [`table`], [`schema`], [`count`] | tables and numbers for people |
//! | [`node`] | what `schema` and `validation` ask of a JSON schema alike |
//! | [`log`], [`console`] | the plugin's log, and standard error |
//! | [`signals`] | SIGINT and SIGTERM |

pub mod bench;
pub mod capabilities;
pub mod capture;
pub mod config;
pub mod console;
pub mod count;
pub mod description;
pub mod elf;
pub mod error;
pub mod escape;
pub mod event;
pub mod extraction;
pub mod field;
pub mod fields;
pub mod info;
pub mod library;
pub mod log;
pub mod node;
pub mod output;
pub mod payload;
pub mod request;
pub mod row;
pub mod run;
pub mod schema;
pub mod selection;
pub mod setup;
pub mod signals;
pub mod table;
pub mod timestamp;
pub mod validation;
pub mod value;
