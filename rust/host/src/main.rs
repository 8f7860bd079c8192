//! The program.

use std::process::ExitCode;

use falco_plugin_host::command::arguments::{Command, parse};
use falco_plugin_host::command::{Error, bench, info, run};
use falco_plugin_host::output::{console, print};

fn main() -> ExitCode {
    // If native code crashes, a plugin of this SDK then prints where Python's threads are.
    // SAFETY: there is no other thread yet.
    unsafe { std::env::set_var("FALCO_PLUGIN_FAULTHANDLER", "1") };
    let result = parse().and_then(|command| match command {
        Command::Print(text) => print(text.as_bytes()).map_err(Error::Output),
        Command::Info { library, format } => info::run(&library, format),
        Command::Run(options) => run::run(&options),
        Command::Bench(options) => bench::run(&options),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::message(&format!("falco-plugin-host: {error}"));
            ExitCode::FAILURE
        }
    }
}
