//! The commands that a run takes while the plugins run: their metrics, and a new configuration.
//!
//! They come from a file, such as a named pipe, as one JSON object a line. Each is answered on standard output by a line of
//! kind `reply` with its id. The thread of the capture runs them between two calls of `next_batch`, so a plugin gets them
//! as from Falco: never during another call.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::Deserialize;

use crate::abi::{Extractor, Plugin};
use crate::command::capture::lock;
use crate::command::error::Error;
use crate::command::setup::{check_config, metrics};
use crate::describe::Description;
use crate::output::Output;

/// A command with the id of its reply.
#[derive(Debug, Deserialize)]
struct Command {
    id: u64,
    #[serde(flatten)]
    action: Action,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
enum Action {
    /// Get the metrics of all plugins.
    Metrics,
    /// Change the configuration of the plugin that runs.
    SetConfig { config: String },
}

/// The commands of one run.
pub struct Control<'p> {
    /// In load order: the first plugin is the one that runs.
    plugins: Vec<&'p Description>,
    /// `None` if the run takes no commands. A line that is not a command is an error.
    commands: Option<Mutex<Receiver<Result<Command, String>>>>,
}

impl<'p> Control<'p> {
    /// Begins to read commands from a file, on another thread. Blocks until a writer has opened a named pipe.
    pub fn open(plugins: Vec<&'p Description>, path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else {
            return Ok(Self {
                plugins,
                commands: None,
            });
        };
        let fail = |error| Error::Control {
            path: path.to_owned(),
            error,
        };
        let lines = BufReader::new(File::open(path).map_err(fail)?).lines();
        let (sender, commands) = channel();
        // The thread ends with the process: nothing can end a read of a pipe.
        thread::Builder::new()
            .name("control".into())
            .spawn(move || {
                for line in lines.map_while(Result::ok) {
                    let command = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"));
                    if sender.send(command).is_err() {
                        return;
                    }
                }
            })
            .map_err(fail)?;
        Ok(Self {
            plugins,
            commands: Some(Mutex::new(commands)),
        })
    }

    /// Runs the commands that have come, and writes their replies. `own` is the plugin that runs.
    pub fn run(&self, own: &Plugin<'_>, extractors: &mut [Extractor<'_>], output: &Mutex<Output>) -> Result<(), Error> {
        let Some(commands) = &self.commands else { return Ok(()) };
        let commands = commands.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(command) = commands.try_recv() {
            let Command { id, action } = command.map_err(Error::Command)?;
            let result = match action {
                Action::Metrics => {
                    let others = extractors.iter_mut().map(|extractor| extractor.plugin());
                    let plugins = self.plugins.iter().copied().zip(std::iter::once(own).chain(others));
                    metrics(plugins).map(Some).map_err(Error::from)
                }
                Action::SetConfig { config } => self.set_config(own, OsStr::new(&config)).map(|()| None),
            };
            let (metrics, error) = match result {
                Ok(metrics) => (metrics, None),
                Err(error) => (None, Some(error.to_string())),
            };
            let mut output = lock(output);
            output.reply(id, error.as_deref(), metrics.as_deref());
            output.flush();
        }
        Ok(())
    }

    fn set_config(&self, plugin: &Plugin<'_>, config: &OsStr) -> Result<(), Error> {
        plugin.set_config(check_config(self.plugins[0], config)?)?;
        Ok(())
    }
}
