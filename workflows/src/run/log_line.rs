//! Lines that a job writes to standard error: JSON, as `--log-format json` asks for, or whatever else
//! comes out of a process (a panic, the dynamic linker).

use std::fmt::Write;

use serde_json::{Map, Value};

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Trace and debug.
    Debug,
    /// What a person who reads the log wants to know.
    Info,
    /// Something to look at.
    Warn,
    /// Something that failed.
    Error,
}

impl Level {
    /// Five characters.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO ",
            Self::Warn => "WARN ",
            Self::Error => "ERROR",
        }
    }
}

/// One line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How loud it is. A line that is no log line is a warning: it may be a panic.
    pub level: Level,
    /// Message and fields.
    pub text: String,
    /// A regular report of progress, which the runner makes itself from the heartbeats.
    pub progress: bool,
}

/// Fields that the runner tells in another way, or that only machines want.
const LEFT_OUT: [&str; 9] = [
    "timestamp",
    "level",
    "message",
    "target",
    "job",
    "source",
    "worker",
    "run_id",
    "attempt",
];

/// Reads a line.
#[must_use]
pub fn read(line: &str) -> LogLine {
    let line = line.trim_end();
    match serde_json::from_str::<Map<String, Value>>(line) {
        Ok(fields) if fields.contains_key("level") => of_fields(&fields),
        _ => LogLine {
            level: Level::Warn,
            text: line.to_owned(),
            progress: false,
        },
    }
}

fn of_fields(fields: &Map<String, Value>) -> LogLine {
    let level = match fields.get("level").and_then(Value::as_str) {
        Some("ERROR") => Level::Error,
        Some("WARN") => Level::Warn,
        Some("INFO") => Level::Info,
        _ => Level::Debug,
    };
    let progress = fields.contains_key("chunks_total")
        && fields.get("state").and_then(Value::as_str) == Some("running");
    let mut text = match fields.get("message") {
        Some(Value::String(message)) => message.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    for (name, value) in fields {
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = match value {
            Value::String(value) => write!(text, " {name}={value}"),
            value => write!(text, " {name}={value}"),
        };
    }
    LogLine {
        level,
        text: text.trim_start().to_owned(),
        progress,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_becomes_plain_text() {
        let line = read(
            r#"{"timestamp":"2026-11-25T10:00:00Z","level":"WARN","message":"slow","table":"a.b","rows":3,"source":"s","target":"tideway_dump"}"#,
        );
        assert_eq!(line.level, Level::Warn);
        assert!(line.text.starts_with("slow "), "{}", line.text);
        assert!(line.text.contains(" table=a.b"), "{}", line.text);
        assert!(line.text.contains(" rows=3"), "{}", line.text);
        assert!(!line.text.contains("tideway_dump"), "{}", line.text);
        assert!(!line.progress);
    }

    #[test]
    fn what_is_no_log_line_stays_as_it_is() {
        for text in [
            "thread 'main' panicked at src/x.rs:1",
            "[1, 2]",
            "{\"a\": 1}",
        ] {
            let line = read(&format!("{text}\n"));
            assert_eq!((line.level, line.text.as_str()), (Level::Warn, text));
        }
    }

    #[test]
    fn regular_progress_is_recognised() {
        let line = read(r#"{"level":"INFO","message":"1 row","state":"running","chunks_total":4}"#);
        assert!(line.progress);
        let line = read(r#"{"level":"INFO","message":"1 row","state":"done","chunks_total":4}"#);
        assert!(!line.progress);
    }
}
