//! The table on the terminal.

use crate::report::{Report, RowKind, TableReport, conclusion};

/// How many rows that differ are shown of each table; the report has the others.
const SHOWN: usize = 10;

/// The reports for a person: a line for each table, the first rows that differ, the conclusion.
#[must_use]
pub fn render(reports: &[Report]) -> String {
    let mut lines = vec![[
        "table".to_owned(),
        "rows source".to_owned(),
        "rows target".to_owned(),
        "result".to_owned(),
    ]];
    let tables: Vec<&TableReport> = reports.iter().flat_map(|report| &report.tables).collect();
    for table in &tables {
        lines.push([
            format!("{}.{}", table.schema, table.table),
            table.rows_source.to_string(),
            table.rows_target.to_string(),
            table.result(),
        ]);
    }
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2)];
    let mut out = String::new();
    for [table, source, target, result] in &lines {
        out += &format!(
            "{table:<a$}  {source:>b$}  {target:>c$}  {result}\n",
            a = widths[0],
            b = widths[1],
            c = widths[2]
        );
    }
    for table in tables {
        rows(table, &mut out);
    }
    out += &conclusion(reports).1;
    out.push('\n');
    out
}

fn rows(table: &TableReport, out: &mut String) {
    if table.rows.is_empty() && table.notes.is_empty() {
        return;
    }
    *out += &format!("\n{}.{}\n", table.schema, table.table);
    for note in &table.notes {
        *out += &format!("  note: {note}\n");
    }
    for row in table.rows.iter().take(SHOWN) {
        let kind = match row.kind {
            RowKind::Missing => "missing",
            RowKind::Extra => "extra",
            RowKind::Different => "different",
        };
        let times = if row.rows > 1 {
            format!(" ({} times)", row.rows)
        } else {
            String::new()
        };
        let mut parts: Vec<String> = row
            .key
            .iter()
            .map(|(column, value)| format!("{column} = {value}"))
            .collect();
        if row.kind == RowKind::Different || row.key.is_empty() {
            parts.extend(row.columns.iter().map(|column| {
                let value = |v: &Option<String>| match v {
                    Some(text) => text.escape_debug().to_string(),
                    None => "NULL".to_owned(),
                };
                match row.kind {
                    RowKind::Different => format!(
                        "{}: {} → {}",
                        column.column,
                        value(&column.source),
                        value(&column.target)
                    ),
                    RowKind::Missing => format!("{}: {}", column.column, value(&column.source)),
                    RowKind::Extra => format!("{}: {}", column.column, value(&column.target)),
                }
            }));
        }
        let note = row.note.iter().map(|note| format!(" ({note})"));
        *out += &format!(
            "  {kind}{times}: {}{}\n",
            parts.join("; "),
            note.collect::<String>()
        );
    }
    let more = table
        .counts
        .total()
        .saturating_sub(table.rows.iter().take(SHOWN).map(|r| r.rows).sum());
    if more > 0 && !table.rows.is_empty() {
        *out += &format!("  … and {more} more rows: see the report\n");
    }
}
