//! The command line.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::bench::checksum::Scope;
use crate::command::error::Error;
use crate::command::recorded::Content;
use crate::command::setup::{Setup, With};
use crate::command::{bench, run};
use crate::output::Format;
use crate::select::Selection;

const HELP: &str = "\
Loads any Falco plugin library and drives it as Falco does.

Usage:
  falco-plugin-host info LIB [--json]
      Show the metadata of the plugin, without initialising it.
  falco-plugin-host run LIB [--config TEXT] [--params TEXT | --scap FILE | --replay FILE | --events FILE]
                        [--limit N] [--seconds S] [--record FILE] [--fields LIST] [--all-fields]
                        [--with LIB [--with-config TEXT]] [--set-config TEXT] [--tables LIST] [--metrics]
                        [--dump-state] [--control FILE] [--ready FILE]
                        [--pretty | --json]
      Initialise the plugin, open its event source, and write one event a line to standard output.
  falco-plugin-host bench LIB [options of run that choose plugins, --scap, --limit and fields] [--seconds S]
                          [--live | --threads N] [--checksum] [--json]
      Measure what the plugin costs its host: an event, a call, a field, and memory. With --scap: parsing an event.

Options:
  --config TEXT       The plugin's init configuration
  --params TEXT       The open parameters
  --scap FILE         Read the events of a capture file, such as system calls, instead of the plugin's source
  --replay FILE       Read events with their times from FILE, which --record or --json has written, instead of the
                      plugin's source
  --events FILE       Read events from a plain file, one a line, instead of the plugin's source
  --record FILE       Also write each event to FILE, one JSON object a line, for --replay
  --limit N           Stop after N events
  --fields LIST       Extract these fields from each event, written as in rules: a.b,c.d[argument],e.f[\"an, argument\"].
                      They follow the event as name=value, with a tab before each, as Falco prints them
  --all-fields        Extract all fields that need no argument
  --with LIB          A further plugin, which parses the events or extracts fields from them
  --with-config TEXT  The init configuration of the preceding --with
  --set-config TEXT   Change the configuration of the plugin to this after its init
  --control FILE      With --json: read commands from FILE, such as a named pipe, while the plugins run, one a line:
                      {\"id\": 1, \"command\": \"metrics\"}
                      {\"id\": 2, \"command\": \"set_config\", \"config\": \"TEXT\"}
                      A line of kind reply answers each
  --ready FILE        Make FILE when all plugins are initialised and the source is open
  --metrics           Write the metrics of all plugins at the end, as name and value
  --target PATH       The path that messages name instead of LIB
  --with-target PATH  The same for the preceding --with
  --dump-state        At the end, write the async events of the plugins' states, as for a capture file
  --tables LIST       Write the entries of these state tables at the end: threads,plugin_table
  --table-contents FILE
                      Fill the host's table threads from FILE: {\"threads\": [{\"tid\": 1, \"comm\": \"bash\"}]}
  --pretty            Write each field on a line below its event, with readable values; with colours on a terminal,
                      unless NO_COLOR is set
  --seconds S         run: stop after S seconds. bench: measure for S seconds, and fields as long again (default: 2; with
                      --limit: only fields)
  --live              Extract the fields from each event as it arrives, instead of from some events afterwards
  --threads N         Extract the fields on N threads at the same time, each with its own state of the plugin
  --checksum          Make the checksum of all bytes of each event, instead of its first and last ones
  --json              Write JSON: one object a line for run, one object for info and bench
  -h, --help          Show this help
  -V, --version       Show the version

--fields and --with may be given several times. The exit status is 0 if the source ended, the limit was reached, the
time was up, or SIGINT or SIGTERM closed it, and 1 otherwise. A second signal ends the process immediately, with status 130 or 143.
";

/// The options of each command.
const INFO_OPTIONS: &[&str] = &["json"];
const RUN_OPTIONS: &[&str] = &[
    "config",
    "params",
    "scap",
    "limit",
    "fields",
    "all-fields",
    "with",
    "with-config",
    "target",
    "with-target",
    "dump-state",
    "tables",
    "table-contents",
    "pretty",
    "set-config",
    "metrics",
    "control",
    "json",
    "replay",
    "events",
    "record",
    "seconds",
    "ready",
];
const BENCH_OPTIONS: &[&str] = &[
    "config",
    "params",
    "scap",
    "limit",
    "fields",
    "all-fields",
    "with",
    "with-config",
    "target",
    "with-target",
    "table-contents",
    "json",
    "seconds",
    "live",
    "threads",
    "checksum",
];

/// A command with its options.
pub enum Command {
    /// Print the help or the version.
    Print(String),
    Info {
        library: PathBuf,
        format: Format,
    },
    Run(run::Options),
    Bench(bench::Options),
}

/// Reads the command line.
pub fn parse() -> Result<Command, Error> {
    parse_arguments().map_err(|error| Error::Usage(error.to_string()))
}

/// The options of all commands.
struct Options {
    /// The names of the options on the command line.
    names: Vec<String>,
    /// The command and the library.
    words: Vec<OsString>,
    setup: Setup,
    limit: Option<u64>,
    format: Format,
    pretty: bool,
    metrics: bool,
    control: Option<PathBuf>,
    ready: Option<PathBuf>,
    record: Option<PathBuf>,
    dump_state: bool,
    time: Option<Duration>,
    live: bool,
    threads: Option<NonZeroUsize>,
    checksum: Scope,
}

fn parse_arguments() -> Result<Command, lexopt::Error> {
    let mut options = Options {
        names: Vec::new(),
        words: Vec::new(),
        setup: Setup::default(),
        limit: None,
        format: Format::Text,
        pretty: false,
        metrics: false,
        control: None,
        ready: None,
        record: None,
        dump_state: false,
        time: None,
        live: false,
        threads: None,
        checksum: Scope::Ends,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        if let Long(name) = argument {
            options.names.push(name.to_owned());
        }
        match argument {
            Short('h') | Long("help") => return Ok(Command::Print(HELP.into())),
            Short('V') | Long("version") => {
                return Ok(Command::Print(
                    concat!("falco-plugin-host ", env!("CARGO_PKG_VERSION"), "\n").into(),
                ));
            }
            Long("config") => options.setup.config = parser.value()?,
            Long("params") => options.setup.params = parser.value()?,
            Long("scap") => options.setup.scap = Some(parser.value()?.into()),
            Long("replay") => options.setup.recorded = Some((parser.value()?.into(), Content::Records)),
            Long("events") => options.setup.recorded = Some((parser.value()?.into(), Content::Lines)),
            Long("record") => options.record = Some(parser.value()?.into()),
            Long("ready") => options.ready = Some(parser.value()?.into()),
            Long("fields") => options.setup.fields.lists.push(parser.value()?.string()?),
            Long("all-fields") => options.setup.fields.all = true,
            Long("target") => options.setup.target = Some(parser.value()?.into()),
            Long("with") => options.setup.with.push(With {
                library: parser.value()?.into(),
                target: None,
                config: None,
            }),
            Long("with-target") => {
                let target = parser.value()?.into();
                preceding(&mut options.setup.with, "--with-target")?.target = Some(target);
            }
            Long("with-config") => {
                let config = parser.value()?;
                let with = preceding(&mut options.setup.with, "--with-config")?;
                if with.config.replace(config).is_some() {
                    return Err("--with-config may be given once for each --with".into());
                }
            }
            Long("tables") => {
                let names = parser.value()?.string()?;
                options.setup.tables.extend(names.split(',').map(str::to_owned));
            }
            Long("table-contents") => options.setup.table_contents = Some(parser.value()?.into()),
            Long("limit") => {
                let number: u64 = parser.value()?.parse()?;
                if number == 0 {
                    return Err("--limit must be 1 or more".into());
                }
                options.limit = Some(number);
            }
            Long("seconds") => {
                let time = Duration::try_from_secs_f64(parser.value()?.parse()?).ok();
                let time = time.filter(|time| !time.is_zero());
                options.time = Some(time.ok_or("--seconds must be a number above 0")?);
            }
            Long("json") => options.format = Format::Json,
            Long("dump-state") => options.dump_state = true,
            Long("pretty") => options.pretty = true,
            Long("control") => options.control = Some(parser.value()?.into()),
            Long("metrics") => options.metrics = true,
            Long("set-config") => options.setup.set_config = Some(parser.value()?),
            Long("live") => options.live = true,
            Long("threads") => options.threads = Some(parser.value()?.parse()?),
            Long("checksum") => options.checksum = Scope::Bytes,
            Value(word) if options.words.len() < 2 => options.words.push(word),
            _ => return Err(argument.unexpected()),
        }
    }
    options.into_command()
}

/// Returns the last `--with`, to which an option applies.
fn preceding<'w>(with: &'w mut [With], option: &str) -> Result<&'w mut With, String> {
    with.last_mut()
        .ok_or_else(|| format!("{option} must come after the --with to which it applies"))
}

impl Options {
    fn into_command(self) -> Result<Command, lexopt::Error> {
        let Self {
            mut setup,
            format,
            limit,
            ..
        } = self;
        let mut words = self.words.into_iter();
        let command = words.next().ok_or("no command")?;
        let command = command.to_str().unwrap_or_default();
        let accepted = match command {
            "info" => INFO_OPTIONS,
            "run" => RUN_OPTIONS,
            "bench" => BENCH_OPTIONS,
            _ => return Err(format!("unknown command {command:?}").into()),
        };
        if let Some(name) = self.names.iter().find(|name| !accepted.contains(&name.as_str())) {
            return Err(format!("{command} has no option --{name}").into());
        }
        for (name, is_given) in [("--live", self.live), ("--threads", self.threads.is_some())] {
            if is_given && setup.fields == Selection::default() {
                return Err(format!("{name} needs --fields or --all-fields").into());
            }
        }
        if self.live && self.threads.is_some() {
            return Err("--live extracts on one thread: leave out --live or --threads".into());
        }
        let replacements: Vec<_> = ["scap", "replay", "events"]
            .into_iter()
            .filter(|option| self.names.iter().any(|name| name == option))
            .collect();
        match replacements[..] {
            [first, second, ..] => return Err(format!("--{first} and --{second}: give one of them").into()),
            [option] if !setup.params.is_empty() => {
                return Err(format!("--{option} replaces a source: leave out --params").into());
            }
            _ => {}
        }
        if self.pretty && format == Format::Json {
            return Err("--pretty applies to text: leave out --json or --pretty".into());
        }
        if self.control.is_some() && format == Format::Text {
            return Err("--control writes its replies as JSON: add --json".into());
        }
        setup.library = words.next().map(PathBuf::from).ok_or("no library")?;
        Ok(match command {
            "info" => Command::Info {
                library: setup.library,
                format,
            },
            "run" => Command::Run(run::Options {
                setup,
                limit,
                format,
                pretty: self.pretty,
                metrics: self.metrics,
                control: self.control,
                ready: self.ready,
                record: self.record,
                time: self.time,
                dump_state: self.dump_state,
            }),
            _ => Command::Bench(bench::Options {
                setup,
                time: self.time,
                limit,
                live: self.live,
                threads: self.threads,
                checksum: self.checksum,
                format,
            }),
        })
    }
}
