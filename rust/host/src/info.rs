//! `info`: what a plugin says of itself, for people and for programs.

use std::io::{self, Write};

use serde::Deserialize;

use crate::description::{Argument, Description, Field};
use crate::escape;

pub fn write_json(out: &mut impl Write, description: &Description) -> io::Result<()> {
    serde_json::to_writer(&mut *out, description)?;
    writeln!(out)
}

pub fn write_text(out: &mut impl Write, description: &Description) -> io::Result<()> {
    let capabilities: Vec<_> = description
        .capabilities
        .iter()
        .map(|capability| capability.name())
        .collect();
    let id = description.id.map(|id| id.to_string());
    let sources = description.extract_event_sources.join(", ");
    let lines = [
        ("name", Some(description.name.as_str())),
        ("version", Some(&description.version)),
        ("description", Some(&description.description)),
        ("contact", Some(&description.contact)),
        ("required API version", Some(&description.required_api_version)),
        ("capabilities", Some(&capabilities.join(", "))),
        ("id", id.as_deref()),
        ("event source", description.event_source.as_deref()),
        (
            "extract event sources",
            Some(sources.as_str()).filter(|sources| !sources.is_empty()),
        ),
    ];
    let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    for (label, value) in lines {
        if let Some(value) = value {
            writeln!(out, "{:<1$}{2}", format!("{label}:"), width + 2, one_line(value))?;
        }
    }
    write_fields(out, description)?;
    if let Some(schema) = &description.schema {
        writeln!(out, "\nconfig schema:\n{schema:#}")?;
    }
    Ok(())
}

fn write_fields(out: &mut impl Write, description: &Description) -> io::Result<()> {
    // All are fields: the description was checked.
    let fields = description
        .fields
        .iter()
        .filter_map(|field| Field::deserialize(field).ok());
    let rows: Vec<[String; 4]> = fields
        .map(|field| {
            let list = if field.is_list { "[]" } else { "" };
            let argument = field.arg.as_ref().map(words).unwrap_or_default();
            [
                one_line(&field.name),
                format!("{}{list}", field.type_),
                argument,
                one_line(&field.desc),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nfields:")?;
    let head = ["name", "type", "arg", "desc"].map(str::to_owned);
    let width = |column: usize| {
        let cells = std::iter::once(&head)
            .chain(&rows)
            .map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    for [name, type_, argument, desc] in std::iter::once(&head).chain(&rows) {
        let [a, b, c] = widths;
        let row = format!("  {name:<a$}  {type_:<b$}  {argument:<c$}  {desc}");
        writeln!(out, "{}", row.trim_end())?;
    }
    Ok(())
}

fn words(argument: &Argument) -> String {
    let kinds = [
        (argument.is_index, "index"),
        (argument.is_key, "key"),
        (argument.is_required, "required"),
    ];
    kinds
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, word)| *word)
        .collect::<Vec<_>>()
        .join(", ")
}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    escape::line(&mut line, text);
    line
}
