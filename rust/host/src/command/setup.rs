//! The plugins of a command: the one whose source runs, and those that parse its events or extract fields from them. All are loaded and
//! checked before any of them is initialised.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::abi::{self, Library, Metric, Plugin, Registry};
use crate::command::error::Error;
use crate::command::listeners::Listener;
use crate::command::recorded::Content;
use crate::config;
use crate::describe::Description;
use crate::output::Log;
use crate::select::{Column, Selection, select};

/// The source of system calls: of the events of capture files. A plugin without a source is run beside it, without any
/// system calls.
pub const SYSCALL: &str = "syscall";

/// The id in recorded events of a source whose plugin is not loaded: the one that Falco keeps for development.
pub const UNREGISTERED: u32 = 999;

/// A further library, which parses the source's events, extracts fields from them, or sends async events beside them.
pub struct With {
    pub library: PathBuf,
    /// The path that messages name instead of the library's, if the library was built from there.
    pub target: Option<PathBuf>,
    pub config: Option<OsString>,
}

/// The libraries, configurations and fields on the command line.
#[derive(Default)]
pub struct Setup {
    pub library: PathBuf,
    /// The path that messages name instead of the library's, if the library was built from there.
    pub target: Option<PathBuf>,
    pub config: OsString,
    pub params: OsString,
    /// The configuration that the plugin gets after its init.
    pub set_config: Option<OsString>,
    /// The capture file whose events are read instead of those of a source.
    pub scap: Option<PathBuf>,
    /// The file of events that are read instead of those of a source.
    pub recorded: Option<(PathBuf, Content)>,
    pub with: Vec<With>,
    pub fields: Selection,
    /// The names of the tables to show at the end.
    pub tables: Vec<String>,
    /// A file of JSON with the contents of tables of the host.
    pub table_contents: Option<PathBuf>,
}

impl Setup {
    /// Returns the paths that messages name: the path of the plugin that runs, then those of the others.
    fn targets(&self) -> impl Iterator<Item = &Path> {
        let own = self.target.as_ref().unwrap_or(&self.library);
        let others = self
            .with
            .iter()
            .map(|with| with.target.as_ref().unwrap_or(&with.library));
        std::iter::once(own).chain(others).map(PathBuf::as_path)
    }

    /// Returns the open parameters without white space around them, as Falco passes them.
    pub fn params(&self) -> &OsStr {
        OsStr::from_bytes(self.params.as_bytes().trim_ascii())
    }
}

/// A loaded library and its metadata.
pub struct Loaded {
    pub library: Library,
    pub description: Description,
}

impl Loaded {
    /// Loads a library and checks its metadata.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let library = Library::load(path)?;
        let description = Description::read(&library)?;
        Ok(Self { library, description })
    }

    /// Returns a configuration as Falco passes it, if it matches the plugin's schema.
    fn check_config<'c>(&self, config: &'c OsStr) -> Result<&'c OsStr, config::Error> {
        check_config(&self.description, config)
    }
}

/// The plugins, each with its configuration, and the columns to extract.
pub struct Plugins<'s> {
    pub own: Loaded,
    pub config: &'s OsStr,
    pub set_config: Option<&'s OsStr>,
    /// The id of the plugin; 0 if it has no source.
    pub id: u32,
    /// The name of the source whose events are read.
    pub source: String,
    pub others: Vec<(Loaded, &'s OsStr)>,
    /// `None` if no fields are selected.
    pub columns: Option<Vec<Column>>,
    all_fields: bool,
    /// The tables that the plugins share.
    tables: Mutex<Arc<Registry>>,
    table_contents: Option<&'s Path>,
}

impl<'s> Plugins<'s> {
    /// Loads and checks the other plugins of `setup`. `own` is the plugin of `setup.library`.
    pub fn new(own: Loaded, setup: &'s Setup) -> Result<Self, Error> {
        let (id, source) = match (&setup.scap, own.description.id, &own.description.event_source) {
            (Some(_), id, _) => (id.unwrap_or(0), SYSCALL.to_owned()),
            (None, Some(id), Some(source)) => (id, source.clone()),
            (None, ..) if setup.recorded.is_some() => (UNREGISTERED, own.description.read_source().to_owned()),
            (None, ..) if own.description.sends_beside(SYSCALL) => (0, SYSCALL.to_owned()),
            (None, ..) => return Err(Error::NoSource(own.description.name)),
        };
        let others = setup.with.iter().map(|with| Loaded::load(&with.library));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let descriptions: Vec<_> = std::iter::once(&own)
            .chain(&others)
            .map(|plugin| &plugin.description)
            .collect();
        let together: Vec<_> = setup.targets().zip(descriptions.iter().copied()).collect();
        check_together(&together)?;
        let is_unused =
            |plugin: &&Loaded| !plugin.description.reads_events() && plugin.description.async_events.is_empty();
        let has_source = own.description.event_source.is_some();
        let own_is_read = (setup.scap.is_some() || (setup.recorded.is_some() && !has_source)).then_some(&own);
        if let Some(plugin) = own_is_read.into_iter().chain(&others).find(is_unused) {
            return Err(Error::ReadsNothing(plugin.description.name.clone()));
        }
        let columns = select(&setup.fields, &descriptions, &source)?;
        let config = own.check_config(&setup.config)?;
        let set_config = setup.set_config.as_deref().map(|config| own.check_config(config));
        let others = others.into_iter().zip(&setup.with).map(|(plugin, with)| {
            let config = with.config.as_deref().unwrap_or_default();
            let config = plugin.check_config(config)?;
            Ok((plugin, config))
        });
        Ok(Self {
            config,
            set_config: set_config.transpose()?,
            id,
            others: others.collect::<Result<_, Error>>()?,
            columns,
            own,
            source,
            all_fields: setup.fields.all,
            tables: Mutex::new(new_tables(setup.table_contents.as_deref())?),
            table_contents: setup.table_contents.as_deref(),
        })
    }

    /// Returns the plugins that may send async events or listen to captures, in load order.
    pub fn listeners<'a, 'l>(&'a self, own: &'a Plugin<'l>, others: &'a [Plugin<'l>]) -> Vec<Listener<'a, 'l>> {
        let others = others
            .iter()
            .zip(&self.others)
            .map(|(plugin, (loaded, _))| (plugin, loaded));
        std::iter::once((own, &self.own)).chain(others).collect()
    }

    /// Returns the tables that the plugins share which are initialised from now on.
    pub fn tables(&self) -> Arc<Registry> {
        Arc::clone(&self.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes new tables for plugins that are initialised from now on: each state of a plugin adds its own.
    pub fn renew_tables(&self) -> Result<(), Error> {
        let tables = new_tables(self.table_contents)?;
        *self.tables.lock().unwrap_or_else(PoisonError::into_inner) = tables;
        Ok(())
    }

    /// Returns the metadata of all plugins in their order.
    pub fn descriptions(&self) -> impl Iterator<Item = &Description> {
        let others = self.others.iter().map(|(plugin, _)| plugin);
        std::iter::once(&self.own)
            .chain(others)
            .map(|plugin| &plugin.description)
    }

    /// Returns the id of each plugin that has a source, with the name of the source.
    pub fn own_sources(&self) -> impl Iterator<Item = (u32, &str)> {
        self.descriptions()
            .filter_map(|plugin| Some((plugin.id?, plugin.event_source.as_deref()?)))
    }

    /// Initialises the plugin whose source runs.
    pub fn init_own(&self, log: &Arc<Log>) -> Result<Plugin<'_>, abi::Error> {
        self.init(&self.own, self.config, log)
    }

    /// Initialises the other plugins.
    pub fn init_others(&self, log: &Arc<Log>) -> Result<Vec<Plugin<'_>>, abi::Error> {
        let others = self.others.iter();
        others.map(|(plugin, config)| self.init(plugin, config, log)).collect()
    }

    /// Initialises a plugin. If there are several, log lines name the plugin.
    fn init<'p>(&self, plugin: &'p Loaded, config: &OsStr, log: &Arc<Log>) -> Result<Plugin<'p>, abi::Error> {
        let owner = log.owner(&plugin.description.name, !self.others.is_empty(), &self.tables());
        Plugin::init(&plugin.library, config, owner)
    }

    /// Returns a warning for each plugin that has no fields for the source, if all fields are selected.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let plugins = self.descriptions().filter(|plugin| !plugin.fields.is_empty());
        let unused = plugins.filter(|plugin| self.all_fields && !plugin.extracts_from(&self.source));
        unused.map(|plugin| {
            let named = plugin.sources().collect::<Vec<_>>().join(", ");
            format!(
                "the plugin {} has no fields for the source {}: it names {named}",
                plugin.name, self.source
            )
        })
    }
}

/// Returns a configuration as Falco passes it, if it matches the schema of a plugin.
pub fn check_config<'c>(plugin: &Description, config: &'c OsStr) -> Result<&'c OsStr, config::Error> {
    config::check(config, &plugin.name, plugin.schema.as_ref())
}

/// Returns the metrics of plugins, each under the name that Falco gives it: that of the plugin, a dot, and its own.
pub fn metrics<'a, 'l: 'a>(
    plugins: impl Iterator<Item = (&'a Description, &'a Plugin<'l>)>,
) -> Result<Vec<Metric>, abi::Error> {
    let mut metrics = Vec::new();
    for (description, plugin) in plugins {
        metrics.extend(plugin.metrics()?.into_iter().map(|metric| Metric {
            name: format!("{}.{}", description.name, metric.name),
            ..metric
        }));
    }
    Ok(metrics)
}

/// Returns the tables of the host, filled from a file.
fn new_tables(contents: Option<&Path>) -> Result<Arc<Registry>, Error> {
    let tables = Registry::new();
    if let Some(path) = contents {
        let fail = |reason: String| Error::TableContents {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
        let contents = serde_json::from_slice(&text).map_err(|error| fail(error.to_string()))?;
        tables.fill(&contents).map_err(|error| fail(error.to_string()))?;
    }
    Ok(tables)
}

/// Fails if one Falco would not load all of these plugins, because two have the same name or the same id.
fn check_together(plugins: &[(&Path, &Description)]) -> Result<(), Error> {
    for (index, (second_path, second)) in plugins.iter().enumerate() {
        for (first_path, first) in &plugins[..index] {
            let paths = || [first_path.to_path_buf(), second_path.to_path_buf()];
            if first.name == second.name {
                return Err(Error::SameName {
                    name: first.name.clone(),
                    paths: paths(),
                });
            }
            if let Some(id) = first.id.filter(|id| Some(*id) == second.id) {
                return Err(Error::SameId {
                    id,
                    names: [first.name.clone(), second.name.clone()],
                    paths: paths(),
                });
            }
        }
    }
    Ok(())
}
