//! `info`: shows the metadata of a plugin, as text or JSON.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::abi::Library;
use crate::command::error::Error;
use crate::config::{self, Key, Keys};
use crate::describe::{Argument, Contents, Description, Field, Python};
use crate::output::{Format, print};
use crate::text::{escape, table};

/// The metadata of a plugin, and what its library brings.
#[derive(Serialize)]
struct Info<'d> {
    #[serde(flatten)]
    description: &'d Description,
    contents: Option<&'d Value>,
}

/// Writes the metadata of a library's plugin, which is not initialised.
pub fn run(path: &Path, format: Format) -> Result<(), Error> {
    let library = Library::load(path)?;
    // A damaged library has no metadata, so the damage is reported first.
    let contents = Contents::read(path)?;
    let description = Description::read(&library)?;
    let mut text = Vec::new();
    match format {
        Format::Text => write_text(&mut text, &description, contents.as_ref()),
        Format::Json => write_json(&mut text, &description, contents.as_ref()),
    }
    .map_err(Error::Output)?;
    print(&text).map_err(Error::Output)
}

fn write_json(out: &mut impl Write, description: &Description, contents: Option<&Contents>) -> io::Result<()> {
    let info = Info {
        description,
        contents: contents.map(|contents| &contents.json),
    };
    serde_json::to_writer(&mut *out, &info)?;
    writeln!(out)
}

fn write_text(out: &mut impl Write, description: &Description, contents: Option<&Contents>) -> io::Result<()> {
    let capabilities: Vec<_> = description
        .capabilities
        .iter()
        .map(|capability| capability.name())
        .collect();
    let capabilities = capabilities.join(", ");
    let id = description.id.map(|id| id.to_string());
    let sources = description.extract_event_sources.join(", ");
    let async_events = description.async_events.join(", ");
    let async_sources = description.async_event_sources.join(", ");
    let parsed = description
        .parse_event_sources
        .as_ref()
        .map(|sources| sources.join(", "));
    let python = contents.map(|contents| python(&contents.python));
    let real_files = contents.map_or_else(String::new, |contents| contents.real_files.join(", "));
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
        ("async events", Some(&async_events)),
        ("async event sources", Some(&async_sources)),
        ("parse event sources", parsed.as_deref()),
        ("Python", python.as_deref()),
        ("real files", Some(&real_files)),
    ];
    let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    for (label, value) in lines {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            writeln!(out, "{:<1$}{2}", format!("{label}:"), width + 2, one_line(value))?;
        }
    }
    if let Some(contents) = contents {
        write_packages(out, contents)?;
    }
    write_fields(out, &description.fields)?;
    description
        .schema
        .as_ref()
        .map_or(Ok(()), |schema| write_schema(out, schema))
}

/// Returns where Python comes from in words.
fn python(python: &Python) -> String {
    match python {
        Python::Linked { version, executable } => format!("{version}, linked to the environment of {executable}"),
        Python::SelfContained {
            version,
            needs_gil,
            glibc,
            size,
            stored,
        } => format!(
            "{version}, {}self-contained, needs glibc {glibc}, {} ({} compressed)",
            match needs_gil.as_str() {
                "" => String::new(),
                module => format!("with the GIL because of {module}, "),
            },
            megabytes(*size),
            megabytes(*stored)
        ),
    }
}

fn write_packages(out: &mut impl Write, contents: &Contents) -> io::Result<()> {
    if !contents.packages.is_empty() {
        let rows = contents.packages.iter().map(|package| {
            [
                one_line(&package.name),
                one_line(&package.version),
                one_line(&package.licence),
                megabytes(package.size),
                megabytes(package.stored),
            ]
        });
        writeln!(out, "\npackages:")?;
        table::write(
            out,
            ["name", "version", "licence", "size", "compressed"],
            &rows.collect::<Vec<_>>(),
        )?;
    }
    if !contents.libraries.is_empty() {
        let rows = contents.libraries.iter().map(|library| {
            [
                one_line(&library.name),
                megabytes(library.size),
                megabytes(library.stored),
            ]
        });
        writeln!(out, "\nlibraries:")?;
        table::write(out, ["name", "size", "compressed"], &rows.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Returns a number of bytes in megabytes.
fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
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
