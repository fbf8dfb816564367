//! Numbers, sizes, times and tables as a person reads them.

use tideway_staging::heartbeat::SyncState;

/// A size with its unit: `1.4 GiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).to_string()
}

/// A count with its thousands set apart: `1,234,567`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time span: `0.4s`, `12s`, `3m 05s`, `2h 10m`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{:.1}s", seconds.max(0.0));
    }
    // Far below 2^53 and not negative here.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// How far a process lies behind the source, how fast it goes, when it will have caught up.
#[must_use]
pub fn sync(sync: &SyncState) -> String {
    // Exact up to 2^53 milliseconds.
    #[allow(clippy::cast_precision_loss)]
    let span = |millis: u64| seconds(millis as f64 / 1000.0);
    let lag = match sync.behind_ms {
        Some(_) if sync.synced => "caught up".to_owned(),
        Some(behind) => format!("{} behind", span(behind)),
        None => "lag not known yet".to_owned(),
    };
    let mut parts = vec![lag];
    match sync.caught_up_in {
        Some(left) if left > 0 && !sync.synced => {
            parts.push(format!("caught up in {}", span(left.saturating_mul(1000))));
        }
        _ => {}
    }
    if sync.total_rows > 0 {
        parts.push(format!("{} rows/s", count(sync.recent_rps)));
        parts.push(format!("{} rows", count(sync.total_rows)));
    } else if sync.total_events > 0 {
        // Capture does not look into events.
        parts.push(format!("{} events", count(sync.total_events)));
    }
    if let Some(ddl) = sync.blocking_ddls.first() {
        parts.push(format!("held up by {ddl}"));
    }
    parts.join("  ")
}

/// On which side the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table in plain text: a header, a rule, the rows.
#[must_use]
pub fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width = |text: &str| text.chars().count();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, (title, _))| {
            rows.iter()
                .filter_map(|row| row.get(index))
                .map(|cell| width(cell))
                .chain([width(title)])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let mut text = String::new();
        for ((cell, width_of_column), (_, align)) in cells.iter().zip(&widths).zip(columns) {
            let gap = " ".repeat(width_of_column - width(cell));
            match align {
                Align::Left => text.push_str(&format!("{cell}{gap}  ")),
                Align::Right => text.push_str(&format!("{gap}{cell}  ")),
            }
        }
        format!("{}\n", text.trim_end())
    };
    let mut text = line(columns.iter().map(|(title, _)| *title).collect());
    let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    text.push_str(&line(rules.iter().map(String::as_str).collect()));
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let counts = [0, 7, 999, 1000, 123_456, 1_234_567].map(count);
        assert_eq!(counts, ["0", "7", "999", "1,000", "123,456", "1,234,567"]);
    }

    #[test]
    fn spans_of_time() {
        let spans = [0.04, 9.94, 59.4, 185.0, 7830.0].map(seconds);
        assert_eq!(spans, ["0.0s", "9.9s", "59s", "3m 05s", "2h 10m"]);
    }

    #[test]
    fn columns_line_up() {
        let text = table(
            &[("table", Align::Left), ("rows", Align::Right)],
            &[
                vec!["é".to_owned(), "1,000".to_owned()],
                vec!["longer".to_owned(), "7".to_owned()],
            ],
        );
        assert_eq!(
            text,
            "table    rows\n──────  ─────\né       1,000\nlonger      7\n"
        );
    }
}
