//! `info`: shows the metadata of a plugin, as text or JSON.

use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use crate::abi::Library;
use crate::command::error::Error;
use crate::config::{self, Key, Keys};
use crate::describe::{Argument, Description, Field};
use crate::output::{Format, print};
use crate::text::{escape, table};

/// Writes the metadata of a library's plugin, which is not initialised.
pub fn run(library: &Path, format: Format) -> Result<(), Error> {
    let library = Library::load(library)?;
    let description = Description::read(&library)?;
    let mut text = Vec::new();
    match format {
        Format::Text => write_text(&mut text, &description),
        Format::Json => write_json(&mut text, &description),
    }
    .map_err(Error::Output)?;
    print(&text).map_err(Error::Output)
}

fn write_json(out: &mut impl Write, description: &Description) -> io::Result<()> {
    serde_json::to_writer(&mut *out, description)?;
    writeln!(out)
}

fn write_text(out: &mut impl Write, description: &Description) -> io::Result<()> {
    let capabilities: Vec<_> = description
        .capabilities
        .iter()
        .map(|capability| capability.name())
        .collect();
    let capabilities = capabilities.join(", ");
    let id = description.id.map(|id| id.to_string());
    let sources = description.extract_event_sources.join(", ");
    let lines = [
        ("name", Some(description.name.as_str())),
        ("version", Some(&description.version)),
        ("description", Some(&description.description)),
        ("contact", Some(&description.contact)),
        ("required API version", Some(&description.required_api_version)),
        ("capabilities", Some(&capabilities)),
        ("id", id.as_deref()),
        ("event source", description.event_source.as_deref()),
        ("extract event sources", Some(&sources)),
    ];
    let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    for (label, value) in lines {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            writeln!(out, "{:<1$}{2}", format!("{label}:"), width + 2, one_line(value))?;
        }
    }
    write_fields(out, &description.fields)?;
    description
        .schema
        .as_ref()
        .map_or(Ok(()), |schema| write_schema(out, schema))
}

fn write_fields(out: &mut impl Write, fields: &[Field]) -> io::Result<()> {
    if fields.is_empty() {
        return Ok(());
    }
    let row = |field: &Field| {
        let list = if field.is_list { "[]" } else { "" };
        [
            one_line(&field.name),
            format!("{}{list}", field.type_.name()),
            argument(field.argument),
            properties(field),
            one_line(field.display.as_deref().unwrap_or_default()),
            one_line(&field.desc),
        ]
    };
    let rows: Vec<_> = fields.iter().map(row).collect();
    writeln!(out, "\nfields:")?;
    table::write(out, ["name", "type", "arg", "properties", "display", "desc"], &rows)
}

/// Returns the argument of a field in words.
fn argument(argument: Argument) -> String {
    let need = if argument.is_required { "required" } else { "optional" };
    argument
        .kind()
        .map(|kind| format!("{kind}, {need}"))
        .unwrap_or_default()
}

fn properties(field: &Field) -> String {
    let add_output = field.add_output.then_some("add_output");
    let words = add_output
        .into_iter()
        .chain(field.properties.iter().map(String::as_str));
    one_line(&words.collect::<Vec<_>>().join(", "))
}

fn write_schema(out: &mut impl Write, schema: &Value) -> io::Result<()> {
    writeln!(out, "\nconfig:")?;
    let Keys { keys, is_cut } = config::list_keys(schema);
    if keys.is_empty() {
        return writeln!(out, "{schema:#}");
    }
    let row = |key: &Key| {
        let required = if key.is_required { "yes" } else { "" };
        [
            one_line(&key.path),
            one_line(&key.type_),
            required.to_owned(),
            one_line(&key.default),
            one_line(&key.allowed),
            one_line(&key.description),
        ]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    table::write(
        out,
        ["key", "type", "required", "default", "allowed", "description"],
        &rows,
    )?;
    match is_cut {
        true => writeln!(out, "  … and more keys, too many to list: --json shows the schema"),
        false => Ok(()),
    }
}

/// Returns a text as one line.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    escape::line(&mut line, text);
    line
}
