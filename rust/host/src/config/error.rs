//! Why a configuration cannot be passed to its plugin.

use crate::config::problem::Problem;

/// Why a configuration cannot be passed to its plugin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the configuration of the plugin {plugin} is not JSON, which its schema requires: {source}")]
    NotJson { plugin: String, source: serde_json::Error },
    #[error("the plugin's config schema is invalid: {0}")]
    Schema(String),
    #[error(
        "the configuration of the plugin {plugin} does not match its schema: {}",
        list(problems)
    )]
    Mismatch { plugin: String, problems: Vec<Problem> },
}

fn list(problems: &[Problem]) -> String {
    let list = problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ");
    match problems.iter().any(Problem::is_missing_key) {
        true => format!("{list} (falco-plugin info shows the keys)"),
        false => list,
    }
}
