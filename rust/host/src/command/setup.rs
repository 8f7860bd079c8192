//! What is loaded: the plugin whose source it is, and those that extract from its events. All is checked before the first
//! is initialised.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::abi::library::Library;
use crate::command::error::Error;
use crate::config::check;
use crate::describe::description::Description;
use crate::output::log::{Log, Owner};
use crate::select::column::{self, Column, Wanted};

/// A further library, whose fields are extracted from the source's events too.
pub struct With {
    pub library: PathBuf,
    /// The path that messages name instead of the library's, if it was built from there.
    pub target: Option<PathBuf>,
    pub config: Option<OsString>,
}

/// What the user asked for.
pub struct Setup {
    pub library: PathBuf,
    /// The path that messages name instead of the library's, if it was built from there.
    pub target: Option<PathBuf>,
    pub config: OsString,
    pub params: OsString,
    pub with: Vec<With>,
    pub fields: Wanted,
}

impl Setup {
    /// Returns the paths that messages name: of the plugin that is run, and of the others.
    fn targets(&self) -> impl Iterator<Item = &Path> {
        let own = self.target.as_ref().unwrap_or(&self.library);
        let others = self
            .with
            .iter()
            .map(|with| with.target.as_ref().unwrap_or(&with.library));
        std::iter::once(own).chain(others).map(PathBuf::as_path)
    }

    /// The open parameters as the host passes them.
    pub fn params(&self) -> &OsStr {
        OsStr::from_bytes(self.params.as_bytes().trim_ascii())
    }
}

/// A library and what it says of its plugin.
pub struct Loaded {
    pub library: Library,
    pub description: Description,
}

impl Loaded {
    pub fn load(path: &Path) -> Result<Self, Error> {
        let library = Library::load(path)?;
        let description = Description::read(&library)?;
        Ok(Self { library, description })
    }
}

/// The plugins, each with its configuration, and the fields that are wanted of them.
pub struct Plugins<'s> {
    pub own: Loaded,
    pub config: &'s OsStr,
    pub id: u32,
    pub source: String,
    pub others: Vec<(Loaded, &'s OsStr)>,
    /// None where no fields are wanted.
    pub columns: Option<Vec<Column>>,
    all_fields: bool,
}

impl<'s> Plugins<'s> {
    /// `own` is the plugin of `setup.library`.
    pub fn new(own: Loaded, setup: &'s Setup) -> Result<Self, Error> {
        let (Some(id), Some(source)) = (own.description.id, own.description.event_source.clone()) else {
            return Err(Error::NoSource(own.description.name));
        };
        let others = setup.with.iter().map(|with| Loaded::load(&with.library));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let descriptions: Vec<_> = std::iter::once(&own)
            .chain(&others)
            .map(|plugin| &plugin.description)
            .collect();
        let together: Vec<_> = setup.targets().zip(descriptions.iter().copied()).collect();
        check_together(&together)?;
        if let Some(plugin) = others.iter().find(|plugin| plugin.description.fields.is_empty()) {
            return Err(Error::NoFields(plugin.description.name.clone()));
        }
        let columns = column::select(&setup.fields, &descriptions, &source).map_err(Error::Fields)?;
        let config = check::checked(&setup.config, &own.description)?;
        let others = others.into_iter().zip(&setup.with).map(|(plugin, with)| {
            let config = with.config.as_deref().unwrap_or_default();
            let config = check::checked(config, &plugin.description)?;
            Ok((plugin, config))
        });
        Ok(Self {
            config,
            id,
            others: others.collect::<Result<_, Error>>()?,
            columns,
            own,
            source,
            all_fields: setup.fields.all,
        })
    }

    /// Makes the owner of each plugin: of the plugin that is run, and of the others. If there are several plugins, log
    /// lines name the plugin.
    pub fn owners(&self, log: &'static Log) -> (&'static Owner, Vec<&'static Owner>) {
        let owner = |plugin: &Loaded| Owner::leaked(log, &plugin.description.name, !self.others.is_empty());
        (
            owner(&self.own),
            self.others.iter().map(|(plugin, _)| owner(plugin)).collect(),
        )
    }

    /// What the user should know, though it keeps nothing from running: of which plugin no field is among all fields.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let others = self.others.iter().map(|(plugin, _)| plugin);
        let plugins = std::iter::once(&self.own)
            .chain(others)
            .map(|plugin| &plugin.description);
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

/// Checks that one Falco loads all of these plugins: each has its own name, and each that makes events its own id.
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
