//! `tideway staging verify`: every block of every dump and binlog segment against its checksum, and
//! the chain of the segments.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tideway_job::{JobError, Output};
use tideway_staging::segment::{SegmentsReport, verify_segments};
use tideway_staging::verify::{Problem, VerifyReport, verify_dump};
use tideway_staging::{Error, Staging};

use crate::cli::VerifyArgs;
use crate::human;

/// Verifies and prints what was found.
///
/// # Errors
/// When something is damaged or missing; when staging cannot be read.
pub async fn run(args: &VerifyArgs) -> Result<(), JobError> {
    let staging = Staging::open(&args.at.staging).await?;
    let text = args.output == Output::Text;
    let mut found = 0;
    let mut dumps = 0;
    let mut documents = Vec::new();
    for task in super::tasks(&staging, args.task.as_deref()).await? {
        for (source, keys) in super::sources(&staging, &task).await? {
            let bar = bar(&format!("{} {source}", task.name), text);
            let report = verify_dump(&staging, &keys, |progress| {
                bar.set_length(progress.total_chunks);
                bar.set_position(progress.chunks);
                bar.set_message(human::bytes(progress.bytes));
            })
            .await;
            let segments = verify_segments(&staging, &keys, |number, last| {
                bar.set_length(last);
                bar.set_position(number);
            })
            .await;
            bar.finish_and_clear();
            let report = match report {
                Ok(report) => Some(report),
                // Nothing was dumped for this source yet.
                Err(Error::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            let segments = Some(segments?).filter(|segments| segments.first > 0);
            if report.is_none() && segments.is_none() {
                continue;
            }
            dumps += 1;
            if let Some(report) = &report {
                found += report.problems.len();
                if text {
                    print_report(&task.name, &source, report);
                }
            }
            if let Some(segments) = &segments {
                found += segments.problems.len();
                if text {
                    print_segments(&task.name, &source, segments);
                }
            }
            if !text {
                documents.push(document(
                    &task.name,
                    &source,
                    report.as_ref(),
                    segments.as_ref(),
                ));
            }
        }
    }
    if !text {
        println!("{:#}", Value::Array(documents));
    } else if dumps == 0 {
        println!("there is no dump and no binlog in {}", staging.url());
    }
    if found == 0 {
        return Ok(());
    }
    Err(JobError::failed(format!(
        "{found} objects are damaged, missing or contradict each other. What is damaged is not loaded. \
         Put the objects back from a copy (versions of the bucket), or dump anew after `tideway \
         cleanup`"
    )))
}

fn bar(name: &str, text: bool) -> ProgressBar {
    if !text || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {prefix:32!} {bar:20} {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    bar.set_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn print_report(task: &str, source: &str, report: &VerifyReport) {
    let state = match (report.problems.is_empty(), report.finished) {
        (false, _) => "DAMAGED",
        (true, true) => "whole",
        (true, false) => "right so far, not finished",
    };
    println!(
        "{task} {source}: {state}; {}/{} chunks, {} files, {} rows, {} verified",
        human::count(report.chunks),
        human::count(report.total_chunks),
        human::count(report.files),
        human::count(report.rows),
        human::bytes(report.bytes)
    );
    print_problems(&report.problems);
    if report.unreferenced > 0 {
        println!(
            "  {} files that no marker names: `tideway staging gc` removes them",
            human::count(report.unreferenced)
        );
    }
}

fn print_problems(problems: &[Problem]) {
    for problem in problems {
        println!("  {}: {}", problem.key, problem.what);
    }
}

fn print_segments(task: &str, source: &str, report: &SegmentsReport) {
    let state = if report.problems.is_empty() {
        "whole"
    } else {
        "DAMAGED"
    };
    println!(
        "{task} {source} binlog: {state}; {} segments ({} to {}), {} events, {} verified",
        human::count(report.segments),
        report.first,
        report.last,
        human::count(report.events),
        human::bytes(report.bytes)
    );
    print_problems(&report.problems);
}

fn problems(problems: &[Problem]) -> Vec<Value> {
    problems
        .iter()
        .map(|problem| json!({ "key": problem.key, "what": problem.what }))
        .collect()
}

/// Of a source: what its dump has stands beside task and source (as before there were segments), what
/// its binlog has in `binlog`.
fn document(
    task: &str,
    source: &str,
    report: Option<&VerifyReport>,
    segments: Option<&SegmentsReport>,
) -> Value {
    let mut document = match report {
        Some(report) => dump_document(task, source, report),
        None => json!({ "task": task, "source": source }),
    };
    if let Some(segments) = segments {
        document["binlog"] = json!({
            "whole": segments.problems.is_empty(),
            "segments": segments.segments,
            "first": segments.first,
            "last": segments.last,
            "events": segments.events,
            "bytes": segments.bytes,
            "unreferenced": segments.unreferenced,
            "problems": problems(&segments.problems),
        });
    }
    document
}

fn dump_document(task: &str, source: &str, report: &VerifyReport) -> Value {
    json!({
        "task": task,
        "source": source,
        "whole": report.is_whole(),
        "finished": report.finished,
        "chunks": report.chunks,
        "total_chunks": report.total_chunks,
        "files": report.files,
        "rows": report.rows,
        "bytes": report.bytes,
        "void_markers": report.void_markers,
        "unreferenced": report.unreferenced,
        "problems": problems(&report.problems),
    })
}
