//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::bench::checksum::Of;
use crate::command::bench;
use crate::command::error::Error;
use crate::command::run;
use crate::command::setup::{Setup, With};
use crate::output::format::Format;
use crate::select::column::Wanted;

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

/// What the command line asks for.
pub enum Command {
    Print(String),
    Info { library: PathBuf, format: Format },
    Run(run::Options),
    Bench(bench::Options),
}

/// Reads the command line.
pub fn parse() -> Result<Command, Error> {
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
