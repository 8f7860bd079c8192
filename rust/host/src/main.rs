//! The program.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use falco_plugin_host::abi::library::Library;
use falco_plugin_host::command::arguments::{Command, parse};
use falco_plugin_host::command::error::Error;
use falco_plugin_host::command::{bench, info, run};
use falco_plugin_host::describe::description::Description;
use falco_plugin_host::output::console;
use falco_plugin_host::output::format::Format;

fn main() -> ExitCode {
    // A crash in native code then says where Python's threads stood: see `threads` of the SDK.
    // SAFETY: there is no other thread yet.
    unsafe { std::env::set_var("FALCO_PLUGIN_FAULTHANDLER", "1") };
    let result = parse().and_then(|command| match command {
        Command::Print(text) => print(text.as_bytes()),
        Command::Info { library, format } => show(&library, format),
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

fn show(library: &Path, format: Format) -> Result<(), Error> {
    let library = Library::load(library)?;
    let description = Description::read(&library)?;
    let mut text = Vec::new();
    match format {
        Format::Text => info::write_text(&mut text, &description),
        Format::Json => info::write_json(&mut text, &description),
    }
    .map_err(Error::Output)?;
    print(&text)
}

fn print(text: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}
