//! The configuration, checked before init as Falco does: against the plugin's schema. Falco tells the first problem, here
//! all are told.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::description::Description;
use crate::error::Error;
use crate::validation;

/// The configuration as Falco passes it: with a schema it is JSON that fits, and `{}` where it is blank.
pub fn checked<'c>(config: &'c OsStr, plugin: &Description) -> Result<&'c OsStr, Error> {
    let Some(schema) = &plugin.schema else {
        return Ok(config);
    };
    let config = match config.as_bytes().trim_ascii() {
        b"" => OsStr::new("{}"),
        _ => config,
    };
    let value = serde_json::from_slice(config.as_bytes()).map_err(|source| Error::NoJson {
        plugin: plugin.name.clone(),
        source,
    })?;
    let problems = validation::problems(schema, &value)
        .map_err(|reason| Error::Refused(format!("the plugin's config schema is wrong: {reason}")))?;
    if problems.is_empty() {
        Ok(config)
    } else {
        let plugin = plugin.name.clone();
        Err(Error::Config { plugin, problems })
    }
}
