//! Jobs that outlived their runner.
//!
//! A runner that is killed cannot stop its jobs. They go on and commit what they do, which harms
//! nothing, but a second process on the same work would only get in their way. So the next run on the
//! same machine looks for processes that were started with the id of a former run of the task, asks
//! them to stop, and waits. It looks while it holds the lease `run`: the runner that started them is
//! gone. Jobs on other machines are not seen here; the protocols of staging and target hold against
//! them as against any second process.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::screen::Screen;

/// How long jobs get to commit what is in hand.
const PATIENCE: Duration = Duration::from_secs(120);

/// Stops what still runs of these runs; says what it waits for.
///
/// # Errors
/// Names the processes that did not end in time.
pub async fn stop(run_ids: &BTreeSet<String>, screen: &Screen) -> Result<(), String> {
    let start = Instant::now();
    let mut asked: BTreeSet<i32> = BTreeSet::new();
    loop {
        let left = find(run_ids);
        if left.is_empty() {
            return Ok(());
        }
        for &pid in &left {
            if asked.insert(pid) {
                screen.note(&format!(
                    "process {pid} of a former run is still at work: asking it to stop"
                ));
                if let Some(pid) = Pid::from_raw(pid) {
                    // It fails only when the process has just ended by itself.
                    let _ = kill_process(pid, Signal::TERM);
                }
            }
        }
        if start.elapsed() > PATIENCE {
            return Err(format!(
                "processes {left:?} of a former run of this task do not stop; \
                 look at them, end them, then run again"
            ));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Processes on this machine that were started with `--run-id` and one of these. Empty where there
/// is no `/proc`.
fn find(run_ids: &BTreeSet<String>) -> Vec<i32> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for process in processes.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        // Another user's process, or one that has just ended, cannot be read.
        let Ok(line) = std::fs::read(process.path().join("cmdline")) else {
            continue;
        };
        if belongs(&line, run_ids) {
            found.push(pid);
        }
    }
    found
}

/// Whether a command line, its arguments ended by zero bytes, names one of the runs.
fn belongs(line: &[u8], run_ids: &BTreeSet<String>) -> bool {
    let arguments: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
    arguments
        .windows(2)
        .any(|pair| pair[0] == b"--run-id" && run_ids.iter().any(|id| id.as_bytes() == pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_run_is_meant() {
        let ids = BTreeSet::from(["20261125T095346Z-3fa2".to_owned()]);
        assert!(belongs(
            b"/x/tideway-dump\0--run-id\x0020261125T095346Z-3fa2\0--log-format\0json\0",
            &ids
        ));
        assert!(!belongs(
            b"/x/tideway-dump\0--run-id\x0020261125T095346Z-3fa3\0",
            &ids
        ));
        assert!(!belongs(b"grep\x0020261125T095346Z-3fa2\0", &ids));
        assert!(!belongs(b"", &ids));
    }
}
