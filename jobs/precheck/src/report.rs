//! What precheck found: DM's `results[]` and `summary`, and the table for a person.
//!
//! A check collects findings; its state is that of the worst one. DM's names, states and keys are
//! kept, so that what reads DM's JSON reads this; `item`, `source` and `estimate` are added.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::checks::estimate::Estimate;

/// Findings of one check that are kept; what is more is counted. A source with 100,000 tables of
/// one fault must not fill the report.
const KEPT: usize = 100;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum State {
    /// Nothing found.
    #[serde(rename = "success")]
    Success,
    /// The migration can run; something should be known.
    #[serde(rename = "warn")]
    Warn,
    /// The migration would fail or lose something.
    #[serde(rename = "fail")]
    Fail,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: State,
    /// What was found.
    pub short_error: String,
    /// What was looked at.
    #[serde(rename = "self", default, skip_serializing_if = "String::is_empty")]
    pub this: String,
    /// What it collides with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub other: String,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Running number.
    pub id: u64,
    /// DM's name of the result.
    pub name: String,
    /// What is checked.
    pub desc: String,
    /// How it ended.
    pub state: State,
    /// What was found.
    pub errors: Vec<Finding>,
    /// What to do.
    pub instruction: String,
    /// Facts worth knowing.
    pub extra: String,
    /// The check's name in `ignore-checking-items`.
    pub item: String,
    /// The source it concerns; empty for the target and staging.
    pub source: String,
}

/// How many checks ended how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Whether nothing failed.
    pub passed: bool,
    /// All checks that ran.
    pub total: u64,
    /// Those that found nothing.
    pub successful: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that warn.
    pub warning: u64,
}

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this document.
    pub version: u32,
    /// The task.
    pub task: String,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// All checks that ran.
    pub results: Vec<CheckResult>,
    /// How they ended.
    pub summary: Summary,
    /// Rows, bytes and time to expect, one entry a source.
    pub estimate: Vec<Estimate>,
}

/// A check under way.
#[derive(Debug)]
pub struct Check {
    result: CheckResult,
    instructions: Vec<String>,
    extra: Vec<String>,
    dropped: usize,
}

impl Check {
    /// A check of `source` (empty for target and staging).
    pub fn new(item: &str, name: impl Into<String>, desc: &str, source: &str) -> Self {
        Self {
            result: CheckResult {
                id: 0,
                name: name.into(),
                desc: desc.to_owned(),
                state: State::Success,
                errors: Vec::new(),
                instruction: String::new(),
                extra: String::new(),
                item: item.to_owned(),
                source: source.to_owned(),
            },
            instructions: Vec::new(),
            extra: Vec::new(),
            dropped: 0,
        }
    }

    /// Adds a finding about `this`, with what to do.
    pub fn add(&mut self, severity: State, what: impl Into<String>, way_out: &str, this: &str) {
        self.push(
            Finding {
                severity,
                short_error: what.into(),
                this: this.to_owned(),
                other: String::new(),
            },
            way_out,
        );
    }

    /// Adds a finding.
    pub fn push(&mut self, finding: Finding, way_out: &str) {
        self.result.state = self.result.state.max(finding.severity);
        if !way_out.is_empty() && !self.instructions.iter().any(|known| known == way_out) {
            self.instructions.push(way_out.to_owned());
        }
        if self.result.errors.len() < KEPT {
            self.result.errors.push(finding);
        } else {
            self.dropped += 1;
        }
    }

    /// Adds a finding that stops the migration.
    pub fn fail(&mut self, what: impl Into<String>, way_out: &str) {
        self.add(State::Fail, what, way_out, "");
    }

    /// Adds a finding that does not.
    pub fn warn(&mut self, what: impl Into<String>, way_out: &str) {
        self.add(State::Warn, what, way_out, "");
    }

    /// Adds a fact worth knowing.
    pub fn note(&mut self, fact: impl Into<String>) {
        self.extra.push(fact.into());
    }

    /// Fails when `needed`; otherwise it is a fact worth knowing.
    pub fn need(&mut self, needed: bool, what: impl Into<String>, way_out: &str) {
        if needed {
            self.fail(what, way_out);
        } else {
            self.note(format!("{} (not needed in this task-mode)", what.into()));
        }
    }

    /// The result.
    pub fn finish(mut self) -> CheckResult {
        if self.dropped > 0 {
            self.extra.push(format!(
                "{} more findings of this check are not listed",
                self.dropped
            ));
        }
        self.result.instruction = self.instructions.join("; ");
        self.result.extra = self.extra.join("; ");
        self.result
    }
}

impl Report {
    /// Numbers the results and counts them.
    pub fn new(task: &str, mut results: Vec<CheckResult>, estimate: Vec<Estimate>) -> Self {
        for (id, result) in (0..).zip(&mut results) {
            result.id = id;
        }
        let count = |state| results.iter().filter(|r| r.state == state).count() as u64;
        let failed = count(State::Fail);
        let summary = Summary {
            passed: failed == 0,
            total: results.len() as u64,
            successful: count(State::Success),
            failed,
            warning: count(State::Warn),
        };
        Self {
            version: 1,
            task: task.to_owned(),
            at: Utc::now(),
            results,
            summary,
            estimate,
        }
    }

    /// The report for a person.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let name_width = self
            .results
            .iter()
            .map(|r| r.name.chars().count())
            .max()
            .unwrap_or(0);
        let whom = |r: &CheckResult| {
            if r.source.is_empty() {
                "-".into()
            } else {
                r.source.clone()
            }
        };
        let whom_width = self
            .results
            .iter()
            .map(|r| whom(r).chars().count())
            .max()
            .unwrap_or(0);
        for result in &self.results {
            let state = match result.state {
                State::Success => "ok  ",
                State::Warn => "WARN",
                State::Fail => "FAIL",
            };
            let whom = whom(result);
            let line = format!("{state}  {:name_width$}  {whom:whom_width$}", result.name);
            let _ = writeln!(out, "{}  {}", line, result.extra);
            for finding in &result.errors {
                let this = if finding.this.is_empty() {
                    String::new()
                } else {
                    format!("{}: ", finding.this)
                };
                let other = if finding.other.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", finding.other)
                };
                let mark = if finding.severity == State::Fail {
                    "fail"
                } else {
                    "warn"
                };
                let _ = writeln!(out, "      {mark}: {this}{}{other}", finding.short_error);
            }
            if !result.instruction.is_empty() {
                let _ = writeln!(out, "      do:   {}", result.instruction);
            }
        }
        for estimate in &self.estimate {
            let _ = writeln!(out, "\n{estimate}");
        }
        let s = &self.summary;
        let _ = writeln!(
            out,
            "\n{} checks: {} ok, {} warnings, {} failed",
            s.total, s.successful, s.warning, s.failed
        );
        // Lines without extra end in blanks.
        out.lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: State) -> CheckResult {
        let mut check = Check::new("version", "mysql_version", "check version", "a");
        check.add(state, "too old", "upgrade", "a:3306");
        check.finish()
    }

    #[test]
    fn the_worst_finding_is_the_state() {
        let mut c = Check::new("version", "mysql_version", "", "a");
        c.note("8.0.36");
        assert_eq!(c.result.state, State::Success);
        c.warn("odd", "look");
        c.fail("bad", "mend");
        c.warn("odd again", "look");
        let result = c.finish();
        assert_eq!(result.state, State::Fail);
        assert_eq!(result.instruction, "look; mend");
        assert_eq!(result.errors.len(), 3);
    }

    #[test]
    fn json_has_dms_keys() {
        let report = Report::new("t", vec![check(State::Warn), check(State::Fail)], vec![]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["results"][1]["id"], 1);
        assert_eq!(json["results"][0]["state"], "warn");
        assert_eq!(json["results"][1]["errors"][0]["severity"], "fail");
        assert_eq!(json["results"][1]["errors"][0]["self"], "a:3306");
        assert_eq!(
            json["summary"],
            serde_json::json!({
                "passed": false, "total": 2, "successful": 0, "failed": 1, "warning": 1
            })
        );
        for key in ["name", "desc", "errors", "instruction", "extra"] {
            assert!(json["results"][0].get(key).is_some(), "{key}");
        }
        let text = report.text();
        assert!(text.contains("FAIL  mysql_version  a\n"), "{text}");
        assert!(text.contains("fail: a:3306: too old"), "{text}");
        assert!(
            text.ends_with("2 checks: 0 ok, 1 warnings, 1 failed\n"),
            "{text}"
        );
    }

    #[test]
    fn findings_are_bounded() {
        let mut c = Check::new("table_schema", "x", "", "a");
        (0..1000).for_each(|i| c.warn(format!("table {i}"), "same"));
        let result = c.finish();
        assert_eq!(result.errors.len(), KEPT);
        assert_eq!(
            result.extra,
            "900 more findings of this check are not listed"
        );
        assert_eq!(result.instruction, "same");
    }
}
