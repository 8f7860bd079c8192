//! The command line.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use falco_plugin_host::abi::library::Library;
use falco_plugin_host::bench::checksum::Of;
use falco_plugin_host::command::bench;
use falco_plugin_host::command::error::Error;
use falco_plugin_host::command::info;
use falco_plugin_host::command::run;
use falco_plugin_host::command::setup::{Setup, With};
use falco_plugin_host::describe::description::Description;
use falco_plugin_host::output::console;
use falco_plugin_host::output::lines::Format;
use falco_plugin_host::select::column::Wanted;
use lexopt::prelude::{Long, Short, Value, ValueExt};

const HELP: &str = "\
Loads any Falco plugin library and drives it as Falco does.

Usage:
  falco-plugin-host info LIB [--json]
      Show what the plugin says of itself. It is not initialised.
  falco-plugin-host run LIB [--config TEXT] [--params TEXT] [--limit N] [--fields LIST] [--all-fields]
                        [--with LIB [--with-config TEXT]] [--pretty | --json]
      Initialise the plugin, open its event source and write its events, one a line, to standard output.
  falco-plugin-host bench LIB [the options of run but for --json] [--seconds S] [--live] [--checksum] [--json]
      Measure what the plugin costs its host: each event of its source, a call, a field, and memory.

Options:
  --config TEXT       The plugin's init configuration
  --params TEXT       The open parameters
  --limit N           Stop after N events
  --fields LIST       Extract these fields from each event, written as in rules: a.b,c.d[argument],e.f[\"an, argument\"].
                      They follow the event's text as name=value, with a tab before each, as Falco prints them
  --all-fields        Extract all fields that need no argument
  --with LIB          A further plugin that extracts fields from the events
  --with-config TEXT  The init configuration of the plugin of the --with before it
  --target PATH       The path that messages name instead of LIB
  --with-target PATH  The same for the plugin of the --with before it
  --pretty            Write times, durations, networks and lists for a person to read
  --seconds S         Measure for so long, and fields as long again: 2 seconds, with a --limit for fields alone
  --live              Extract the fields from each event as it arrives, not from some of them afterwards
  --checksum          Make the checksum of all bytes of each event, not of its first and last
  --json              Write JSON: one object a line, or one in all
  -h, --help          Show this
  -V, --version       Show the version

--fields and --with may be given several times. The exit status is 0 if the source ended, the limit was reached, or
SIGINT or SIGTERM closed it, and 1 otherwise. A second signal ends the process immediately, with status 130 or 143.
";

const OF_INFO: &[&str] = &["json"];
const OF_RUN: &[&str] = &[
    "config",
    "params",
    "limit",
    "fields",
    "all-fields",
    "with",
    "with-config",
    "target",
    "with-target",
    "pretty",
    "json",
];
const OF_BENCH: &[&str] = &[
    "config",
    "params",
    "limit",
    "fields",
    "all-fields",
    "with",
    "with-config",
    "target",
    "with-target",
    "json",
    "seconds",
    "live",
    "checksum",
];

enum Command {
    Print(String),
    Info { library: PathBuf, format: Format },
    Run(run::Options),
    Bench(bench::Options),
}

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

fn parse() -> Result<Command, Error> {
    parse_arguments().map_err(|error| Error::Usage(format!("{error} (see --help)")))
}

fn parse_arguments() -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut words: Vec<OsString> = Vec::new();
    let mut given: Vec<String> = Vec::new();
    let (mut config, mut params, mut limit, mut format) = (None, None, None, Format::Text);
    let (mut fields, mut with) = (Wanted::default(), Vec::<With>::new());
    let (mut seconds, mut live, mut checksum) = (None, false, Of::Ends);
    let (mut target, mut pretty) = (None, false);
    while let Some(argument) = parser.next()? {
        if let Long(name) = argument {
            given.push(name.to_owned());
        }
        match argument {
            Short('h') | Long("help") => return Ok(Command::Print(HELP.into())),
            Short('V') | Long("version") => {
                return Ok(Command::Print(
                    concat!("falco-plugin-host ", env!("CARGO_PKG_VERSION"), "\n").into(),
                ));
            }
            Long("json") => format = Format::Json,
            Long("config") => config = Some(parser.value()?),
            Long("params") => params = Some(parser.value()?),
            Long("fields") => fields.lists.push(parser.value()?.string()?),
            Long("all-fields") => fields.all = true,
            Long("with") => with.push(With {
                library: parser.value()?.into(),
                target: None,
                config: None,
            }),
            Long("target") => target = Some(parser.value()?.into()),
            Long("with-target") => {
                let target = parser.value()?.into();
                let last = with
                    .last_mut()
                    .ok_or("--with-target must come after the --with that it is for")?;
                last.target = Some(target);
            }
            Long("pretty") => pretty = true,
            Long("with-config") => {
                let config = parser.value()?;
                let last = with
                    .last_mut()
                    .ok_or("--with-config must come after the --with that it is for")?;
                if last.config.replace(config).is_some() {
                    return Err("--with-config must come once for a --with".into());
                }
            }
            Long("limit") => {
                let number: u64 = parser.value()?.parse()?;
                if number == 0 {
                    return Err("--limit must be 1 or more".into());
                }
                limit = Some(number);
            }
            Long("seconds") => {
                let time = Duration::try_from_secs_f64(parser.value()?.parse()?).ok();
                seconds = Some(
                    time.filter(|time| !time.is_zero())
                        .ok_or("--seconds must be a number above 0")?,
                );
            }
            Long("live") => live = true,
            Long("checksum") => checksum = Of::Bytes,
            Value(word) if words.len() < 2 => words.push(word),
            _ => return Err(argument.unexpected()),
        }
    }
    let mut words = words.into_iter();
    let command = words.next().ok_or("no command")?;
    let command = command.to_str().unwrap_or_default();
    let takes = match command {
        "info" => OF_INFO,
        "run" => OF_RUN,
        "bench" => OF_BENCH,
        _ => return Err(format!("unknown command {command:?}").into()),
    };
    if let Some(name) = given.iter().find(|name| !takes.contains(&name.as_str())) {
        return Err(format!("{command} takes no --{name}").into());
    }
    if live && fields == Wanted::default() {
        return Err("--live needs --fields or --all-fields".into());
    }
    if pretty && format == Format::Json {
        return Err("--pretty is for text: leave out --json, or --pretty".into());
    }
    let library = words.next().map(PathBuf::from).ok_or("no library")?;
    if command == "info" {
        return Ok(Command::Info { library, format });
    }
    let setup = Setup {
        library,
        target,
        config: config.unwrap_or_default(),
        params: params.unwrap_or_default(),
        with,
        fields,
    };
    Ok(match command {
        "run" => Command::Run(run::Options {
            setup,
            limit,
            format,
            pretty,
        }),
        _ => Command::Bench(bench::Options {
            setup,
            time: seconds,
            limit,
            live,
            checksum,
            format,
        }),
    })
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
