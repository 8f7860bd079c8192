//! Everything that can go wrong, one line each.

use std::io;
use std::path::PathBuf;

use crate::abi::event::Fault;
use crate::abi::values;
use crate::abi::version::ApiVersion;
use crate::config::validation::Problem;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("cannot open {}: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("{} is no shared library", .0.display())]
    NotALibrary(PathBuf),
    #[error("{} was built for {theirs}, this is {ours}", path.display())]
    Architecture {
        path: PathBuf,
        theirs: String,
        ours: &'static str,
    },
    #[error("cannot load {0}")]
    Load(String),
    #[error("{} is no Falco plugin: it lacks {}", path.display(), missing.join(", "))]
    NotAPlugin { path: PathBuf, missing: Vec<&'static str> },
    #[error("the plugin defines {}, but not {}", has.join(", "), lacks.join(", "))]
    Partial {
        has: Vec<&'static str>,
        lacks: Vec<&'static str>,
    },
    #[error("the plugin needs plugin API {theirs}, but this host has {ours}")]
    ApiVersion { theirs: ApiVersion, ours: ApiVersion },
    /// What the plugin says of itself breaks a rule of the host.
    #[error("{0}")]
    Refused(String),
    #[error("the plugin {0} has no event source to run: run a source, and add this one by --with")]
    NoSource(String),
    #[error("the plugin {0} has no fields to extract: leave it out")]
    NoFields(String),
    #[error(
        "two plugins have the name {name}, and Falco does not load two plugins with one name: \
         leave one out, or rename one ({} and {})",
        paths[0].display(), paths[1].display()
    )]
    SameName { name: String, paths: [PathBuf; 2] },
    #[error(
        "the plugins {} and {} have the id {id}, and Falco does not load two plugins with one id: give one of \
         them another id, \
         1073741824 to 2147483647 for private use ({} and {})",
        names[0], names[1], paths[0].display(), paths[1].display()
    )]
    SameId {
        id: u32,
        names: [String; 2],
        paths: [PathBuf; 2],
    },
    #[error("{0}")]
    Fields(String),
    #[error("the configuration of the plugin {plugin} is not JSON, which its schema asks for: {source}")]
    NoJson { plugin: String, source: serde_json::Error },
    #[error(
        "the configuration of the plugin {plugin} does not fit its schema: {}",
        listed(problems)
    )]
    Config { plugin: String, problems: Vec<Problem> },
    #[error("{function} failed: {message}")]
    Failed { function: &'static str, message: String },
    #[error("{0} failed without a message")]
    FailedSilently(&'static str),
    #[error("{function} left {what} unset")]
    Unset { function: &'static str, what: &'static str },
    #[error("next_batch returned success with no event")]
    NoEvent,
    #[error("next_batch returned the unknown code {0}")]
    UnknownCode(i32),
    #[error("next_batch says it has {count} events, more than the {most} this host takes")]
    TooManyEvents { count: u32, most: u32 },
    #[error("next_batch says it has {0} events, but gave a NULL array")]
    NoArray(u32),
    #[error("event {number}: {fault}")]
    Event { number: u64, fault: Fault },
    #[error("event {number}: the field {field}: {fault}")]
    Field {
        number: u64,
        field: String,
        fault: values::Fault,
    },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

fn listed(problems: &[Problem]) -> String {
    let listed = problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ");
    match problems.iter().any(Problem::is_missing_key) {
        true => format!("{listed} (falco-plugin info shows its keys)"),
        false => listed,
    }
}
