//! The program.

use std::io;
use std::process::ExitCode;

use falco_plugin_packer::error::Error;
use falco_plugin_packer::pack::pack;
use falco_plugin_packer::plan::{Failure, Plan};

fn main() -> ExitCode {
    let result = serde_json::from_reader::<_, Plan>(io::stdin().lock())
        .map_err(Error::Plan)
        .and_then(|plan| pack(&plan));
    let written = match &result {
        Ok(reply) => serde_json::to_writer(io::stdout().lock(), reply),
        Err(error) => serde_json::to_writer(
            io::stdout().lock(),
            &Failure {
                error: error.to_string(),
                entry: error.entry(),
            },
        ),
    };
    match result.is_ok() && written.is_ok() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
