//! The metadata of a plugin.

use falco_plugin_api_table::Capability;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::abi::{ApiVersion, HOST_API, Library};
use crate::describe::capabilities;
use crate::describe::error::Error;
use crate::describe::field::Field;

/// Event sources that plugins must not have.
const RESERVED_SOURCES: [&str; 3] = ["syscall", "internal", "plugins"];

/// The metadata of a plugin, checked by Falco's rules.
#[derive(Debug, Serialize)]
pub struct Description {
    pub name: String,
    pub version: String,
    pub description: String,
    pub contact: String,
    pub required_api_version: String,
    #[serde(serialize_with = "capabilities::serialize")]
    pub capabilities: Vec<Capability>,
    pub id: Option<u32>,
    pub event_source: Option<String>,
    pub extract_event_sources: Vec<String>,
    /// The names of the plugin's async events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub async_events: Vec<String>,
    /// The event sources beside whose events these are; empty for every source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub async_event_sources: Vec<String>,
    /// `None` if the plugin parses no events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parse_event_sources: Option<Vec<String>>,
    #[serde(rename = "fields")]
    field_entries: Vec<Value>,
    #[serde(skip)]
    pub fields: Vec<Field>,
    pub schema: Option<Value>,
}

impl Description {
    /// Reads and checks the metadata of a library's plugin. The API version comes first, because the rest may mean
    /// something else in another version.
    pub fn read(library: &Library) -> Result<Self, Error> {
        let required_api_version = library.required_api_version()?;
        let Some(theirs) = ApiVersion::parse(&required_api_version) else {
            return refuse(format!(
                "the plugin needs plugin API {required_api_version:?}, which is not a version"
            ));
        };
        if !HOST_API.accepts(theirs) {
            return Err(Error::ApiVersion { theirs, ours: HOST_API });
        }
        let name = library.name()?;
        if !is_identifier(&name, b"_-") {
            return refuse(format!(
                "the plugin's name {name:?} must be a lower-case letter, then lower-case letters, digits, _ and -"
            ));
        }
        let version = library.version()?;
        if ApiVersion::parse(&version).is_none() {
            return refuse(format!(
                "the plugin's version {version:?} must be three numbers, such as 1.2.3"
            ));
        }
        let capabilities = capabilities::resolve(|symbol| library.has(symbol))?;
        let (id, event_source) = match capabilities.contains(&Capability::Sourcing) {
            true => source(library)?,
            false => (None, None),
        };
        let (extract_event_sources, (field_entries, fields)) = match capabilities.contains(&Capability::Extraction) {
            true => (
                event_sources("extract", library.extract_event_sources())?,
                fields(library)?,
            ),
            false => Default::default(),
        };
        let (async_events, async_event_sources) = match capabilities.contains(&Capability::AsyncEvents) {
            true => async_events(library)?,
            false => Default::default(),
        };
        let parses = capabilities.contains(&Capability::Parsing);
        let parse_event_sources = parses.then(|| event_sources("parse", library.parse_event_sources()));
        let schema = library
            .schema()?
            .map(|schema| parse("config schema", &schema))
            .transpose()?;
        Ok(Self {
            description: library.description()?,
            contact: library.contact()?,
            name,
            version,
            required_api_version,
            capabilities,
            id,
            event_source,
            extract_event_sources,
            async_events,
            async_event_sources,
            parse_event_sources: parse_event_sources.transpose()?,
            field_entries,
            fields,
            schema,
        })
    }

    /// Returns whether Falco extracts the plugin's fields from events of a source. From its own source it always does.
    pub fn extracts_from(&self, source: &str) -> bool {
        let every = self.extract_event_sources.is_empty() && self.event_source.is_none();
        every || self.sources().any(|name| name == source)
    }

    /// Returns whether Falco takes the plugin's async events beside the events of a source.
    pub fn sends_beside(&self, source: &str) -> bool {
        let sources = &self.async_event_sources;
        !self.async_events.is_empty() && (sources.is_empty() || sources.iter().any(|name| name == source))
    }

    /// Returns whether the plugin parses events or extracts fields from them.
    pub fn reads_events(&self) -> bool {
        !self.fields.is_empty() || self.parse_event_sources.is_some()
    }

    /// Returns whether Falco passes events of a source to the plugin to parse them. It always passes those of the plugin's source.
    pub fn parses_from(&self, source: &str) -> bool {
        let Some(sources) = &self.parse_event_sources else {
            return false;
        };
        let every = sources.is_empty() && self.event_source.is_none();
        every || sources.iter().chain(&self.event_source).any(|name| name == source)
    }

    /// Returns an event source whose events the plugin reads: its own, or the first that it names. A plugin that names none
    /// reads those of every source.
    pub fn read_source(&self) -> &str {
        let parsed = self.parse_event_sources.iter().flatten().map(String::as_str);
        self.event_source
            .as_deref()
            .or_else(|| self.sources().chain(parsed).next())
            .unwrap_or("events")
    }

    /// Returns the event sources to which the plugin's fields apply. If there is none, they apply to every source.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.extract_event_sources
            .iter()
            .chain(&self.event_source)
            .map(String::as_str)
    }
}

/// Reads the plugin id and the event source. A plugin has both or neither.
fn source(library: &Library) -> Result<(Option<u32>, Option<String>), Error> {
    match (library.id(), library.event_source().filter(|source| !source.is_empty())) {
        (0, None) => Ok((None, None)),
        (0, Some(source)) => refuse(format!("the plugin has the event source {source:?}, but no id")),
        (id, None) => refuse(format!("the plugin has the id {id}, but no event source")),
        (_, Some(source)) if RESERVED_SOURCES.contains(&source.as_str()) => {
            refuse(format!("the event source {source:?} is reserved"))
        }
        (_, Some(source)) if !is_identifier(&source, b"_") => refuse(format!(
            "the event source {source:?} must be a lower-case letter, then lower-case letters, digits and _"
        )),
        (id, Some(source)) => Ok((Some(id), Some(source))),
    }
}

/// Reads a list of event sources.
fn event_sources(purpose: &str, sources: Option<String>) -> Result<Vec<String>, Error> {
    let sources = sources.filter(|sources| !sources.is_empty());
    let sources: Vec<String> = sources.map_or(Ok(Vec::new()), |sources| {
        parse(&format!("list of {purpose} event sources"), &sources)
    })?;
    Ok(sources.into_iter().filter(|source| !source.is_empty()).collect())
}

/// Reads the names of the async events, and the sources beside whose events they are.
fn async_events(library: &Library) -> Result<(Vec<String>, Vec<String>), Error> {
    let names: Vec<String> = parse("list of async events", &library.async_events().unwrap_or_default())?;
    if names.is_empty() {
        return refuse("the plugin sends async events, but its list of their names is empty".into());
    }
    Ok((names, event_sources("async", library.async_event_sources())?))
}

/// Reads the list of fields. Returns the entries as JSON, and as fields.
fn fields(library: &Library) -> Result<(Vec<Value>, Vec<Field>), Error> {
    let entries: Vec<Value> = parse("list of fields", &library.fields().unwrap_or_default())?;
    if entries.is_empty() {
        return refuse("the plugin extracts fields, but its list of fields is empty".into());
    }
    let fields = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| Field::read(index, entry));
    let fields = fields.collect::<Result<_, _>>()?;
    Ok((entries, fields))
}

fn parse<'t, T: Deserialize<'t>>(what: &str, text: &'t str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Refused(format!("the plugin's {what} is invalid: {error}")))
}

fn refuse<T>(reason: String) -> Result<T, Error> {
    Err(Error::Refused(reason))
}

/// Returns whether `text` is lower-case letters, digits and `others`, and begins with a letter.
fn is_identifier(text: &str, others: &[u8]) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || others.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_begin_with_a_letter() {
        assert!(is_identifier("k8s_audit", b"_") && is_identifier("a-b", b"_-"));
        assert!(!is_identifier("a-b", b"_") && !is_identifier("8s", b"_") && !is_identifier("", b"_"));
        assert!(!is_identifier("Test", b"_") && !is_identifier("é", b"_"));
    }
}
