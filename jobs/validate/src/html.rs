//! The report as one page for a person, without scripts and without anything from elsewhere.

use std::fmt::Write as _;

use crate::report::{Report, RowKind, TableReport, conclusion};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#1c1e21}\
table{border-collapse:collapse;margin:1rem 0;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}\
td.n{text-align:right;font-variant-numeric:tabular-nums}.good{color:#146c2e}.bad{color:#b3261e}code{white-space:pre-wrap;word-break:break-all}\
i{color:#777}";

/// Renders the page.
#[must_use]
pub fn render(report: &Report) -> String {
    let (differences, text) = conclusion(std::slice::from_ref(report));
    let class = if differences == 0 { "good" } else { "bad" };
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1>\
         <p>{source} compared with {target}, {start} to {end} UTC{share}.</p>\
         <p class=\"{class}\"><strong>{text}</strong></p>",
        title = escape(&format!(
            "Validation of {}, source {}",
            report.task, report.source
        )),
        source = escape(&report.servers.source),
        target = escape(&report.servers.target),
        start = report.started_at.format("%Y-%m-%d %H:%M:%S"),
        end = report.finished_at.format("%H:%M:%S"),
        share = if report.workers > 1 {
            format!(
                " (worker {} of {}: its share of the rows)",
                report.worker, report.workers
            )
        } else {
            String::new()
        },
    );
    out += "<table><tr><th>Table<th>Source<th>Rows source<th>Rows target<th>Result</tr>";
    for table in &report.tables {
        let class = if table.differences() == 0 {
            "good"
        } else {
            "bad"
        };
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td class=n>{}<td class=n>{}<td class={class}>{}</tr>",
            escape(&format!("{}.{}", table.schema, table.table)),
            escape(&table.sources.join(", ")),
            table.rows_source,
            table.rows_target,
            escape(&table.result())
        );
    }
    out += "</table>";
    for table in &report.tables {
        details(table, &mut out);
    }
    if !report.repair.is_empty() {
        out += "<h2>Repair</h2><p>SQL that would make the target equal for the rows listed here; read it before you run it:</p><ul>";
        for key in &report.repair {
            let _ = write!(out, "<li><code>{}</code>", escape(key));
        }
        out += "</ul>";
    }
    out += "</body></html>\n";
    out
}

fn details(table: &TableReport, out: &mut String) {
    if table.rows.is_empty() && table.notes.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "<h2>{}</h2>",
        escape(&format!("{}.{}", table.schema, table.table))
    );
    for note in &table.notes {
        let _ = write!(out, "<p>{}</p>", escape(note));
    }
    if table.rows.is_empty() {
        return;
    }
    *out += "<table><tr><th>Row<th>Column<th>Source<th>Target</tr>";
    for row in &table.rows {
        let kind = match row.kind {
            RowKind::Missing => "missing",
            RowKind::Extra => "extra",
            RowKind::Different => "different",
        };
        let key: Vec<String> = row.key.iter().map(|(c, v)| format!("{c} = {v}")).collect();
        let times = if row.rows > 1 {
            format!(" × {}", row.rows)
        } else {
            String::new()
        };
        let _ = write!(
            out,
            "<tr><td rowspan={}>{kind}{times} <code>{}</code> {}",
            row.columns.len().max(1),
            escape(&key.join(", ")),
            escape(row.note.as_deref().unwrap_or_default())
        );
        if row.columns.is_empty() {
            *out += "<td><td><td></tr>";
        }
        for (index, column) in row.columns.iter().enumerate() {
            if index > 0 {
                *out += "<tr>";
            }
            let value = |value: &Option<String>, there: bool| match value {
                Some(text) => format!("<code>{}</code>", escape(text)),
                None if there => "<i>NULL</i>".to_owned(),
                None => String::new(),
            };
            let _ = write!(
                out,
                "<td>{}<td>{}<td>{}</tr>",
                escape(&column.column),
                value(&column.source, row.kind != RowKind::Extra),
                value(&column.target, row.kind != RowKind::Missing)
            );
        }
    }
    *out += "</table>";
    if table.counts.unlisted > 0 {
        let _ = write!(out, "<p>{} more rows differ.</p>", table.counts.unlisted);
    }
}

/// Text that is text in HTML, in content and in quoted attributes. Control characters, which a page
/// must not hold, are shown as their symbols.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\0'..='\x1f' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('�')),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_text() {
        assert_eq!(
            escape("<script>'\"&\0"),
            "&lt;script&gt;&#39;&quot;&amp;\u{2400}"
        );
    }
}
