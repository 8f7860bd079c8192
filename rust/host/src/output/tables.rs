//! The entries of state tables at the end of a run.

use serde_json::{Map, Value as Json};

use crate::abi::{Cell, Row, Rows};
use crate::text::escape;

/// Returns a table as text: a line with its name, and one for each entry with its fields.
pub fn table_text(name: &str, rows: &Rows) -> String {
    let mut text = format!("table {name}: {} entries\n", rows.rows.len());
    for row in &rows.rows {
        text.push(' ');
        if let Some(key) = row.key {
            text.push_str(&format!(" [{key}]"));
        }
        for (field, cell) in rows.fields.iter().zip(&row.cells) {
            if !is_default(cell) {
                text.push_str(&format!(" {}={}", escape::column(field), cell_text(cell)));
            }
        }
        text.push('\n');
    }
    text
}

/// Returns a table as the line of JSON that `run --json` writes for it.
pub fn table_json(name: &str, rows: &Rows) -> Json {
    serde_json::json!({"kind": "table", "name": name, "entries": entries_json(rows)})
}

fn entries_json(rows: &Rows) -> Json {
    rows.rows.iter().map(|row| entry_json(&rows.fields, row)).collect()
}

/// Returns an entry as an object: its key, if the host knows it, and its fields.
fn entry_json(fields: &[String], row: &Row) -> Json {
    let cells = fields.iter().zip(&row.cells);
    let fields: Map<_, _> = cells.map(|(field, cell)| (field.clone(), cell_json(cell))).collect();
    match row.key {
        Some(key) => serde_json::json!({"key": number(key), "fields": fields}),
        None => serde_json::json!({"fields": fields}),
    }
}

fn cell_json(cell: &Cell) -> Json {
    match cell {
        Cell::Number(value) => number(*value),
        Cell::Bool(value) => Json::Bool(*value),
        Cell::Text(text) => Json::String(text.clone()),
        Cell::Table(rows) => entries_json(rows),
        Cell::Unreadable => Json::Null,
    }
}

/// Returns a number of at most 64 bits.
fn number(value: i128) -> Json {
    i64::try_from(value).map_or_else(|_| Json::from(value as u64), Json::from)
}

/// Returns whether a value is the one that a field has if nothing has set it. Text leaves such values out: a thread has
/// some thirty fields.
fn is_default(cell: &Cell) -> bool {
    match cell {
        Cell::Number(value) => *value == 0,
        Cell::Bool(value) => !value,
        Cell::Text(text) => text.is_empty(),
        Cell::Table(rows) => rows.rows.is_empty(),
        Cell::Unreadable => false,
    }
}

fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::Number(value) => value.to_string(),
        Cell::Bool(value) => value.to_string(),
        Cell::Text(text) => escape::column(text),
        Cell::Table(rows) => format!("({} entries)", rows.rows.len()),
        Cell::Unreadable => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows() -> Rows {
        let row = |key, cells| Row { key, cells };
        Rows {
            fields: vec!["tid".into(), "comm".into(), "args".into()],
            rows: vec![
                row(
                    Some(1),
                    vec![
                        Cell::Number(1),
                        Cell::Text("a b\n".into()),
                        Cell::Table(Rows {
                            fields: vec!["value".into()],
                            rows: vec![row(Some(0), vec![Cell::Text("-c".into())])],
                        }),
                    ],
                ),
                row(None, vec![Cell::Number(0), Cell::Unreadable, Cell::Bool(true)]),
            ],
        }
    }

    #[test]
    fn text_leaves_out_defaults() {
        assert_eq!(
            table_text("threads", &rows()),
            "table threads: 2 entries\n  [1] tid=1 comm=a b\\n args=(1 entries)\n  comm=? args=true\n"
        );
    }

    #[test]
    fn json_has_all_fields() {
        assert_eq!(
            table_json("threads", &rows()),
            json!({"kind": "table", "name": "threads", "entries": [
                {"key": 1, "fields": {
                    "tid": 1, "comm": "a b\n", "args": [{"key": 0, "fields": {"value": "-c"}}]
                }},
                {"fields": {"tid": 0, "comm": null, "args": true}},
            ]})
        );
    }
}
