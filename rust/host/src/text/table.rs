//! Tables of text.

use std::io::{self, Write};

/// Writes a head and rows, indented and aligned. Leaves out a column that is empty in all rows.
pub fn write<const COLUMNS: usize>(
    out: &mut impl Write,
    head: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
) -> io::Result<()> {
    let used: Vec<usize> = (0..COLUMNS)
        .filter(|&column| rows.iter().any(|row| !row[column].is_empty()))
        .collect();
    let head = head.map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = used.iter().map(|&column| width(column)).collect();
    for row in all() {
        let mut line = String::new();
        for (&column, &width) in used.iter().zip(&widths) {
            line += &format!("  {:<width$}", row[column]);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
