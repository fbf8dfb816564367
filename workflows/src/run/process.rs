//! One child process: started in a process group of its own, its output kept, stopped on request.
//!
//! The group of its own keeps the terminal's Ctrl-C from reaching the jobs directly: the runner stops
//! them in order. A child that outlives a runner that was killed is found and stopped by the next run
//! (see `orphans`).
//!
//! Memory is bounded whatever a child writes: standard output goes straight to a file, standard error
//! is read in lines of which at most 64 KiB are kept.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tideway_job::job::STAGE_VARIABLE;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::watch;

use super::retry::Ending;

/// The longest line of which all is kept.
const LINE_LIMIT: usize = 64 << 10;
/// How long output is still read after the process ended: a grandchild may hold the pipe.
const DRAIN: Duration = Duration::from_secs(2);

/// Variables that are meant for a single job and would be wrong for several.
const NOT_INHERITED: [&str; 9] = [
    "TIDEWAY_SOURCE_ID",
    "TIDEWAY_WORKER_INDEX",
    "TIDEWAY_WORKER_COUNT",
    "TIDEWAY_METRICS_ADDR",
    "TIDEWAY_OUTPUT",
    "TIDEWAY_LOG_FORMAT",
    "TIDEWAY_RUN_ID",
    STAGE_VARIABLE,
    "TIDEWAY_TASK_MODE",
];

/// What is wanted of a process. It only ever rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// Run to the end.
    Run,
    /// Do what there is to do up to now, and leave. The process reads it in staging: no signal.
    Finish,
    /// Commit what is in hand and leave (SIGTERM).
    Stop,
    /// Be gone (SIGKILL).
    Kill,
}

/// A process to start.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The executable.
    pub program: PathBuf,
    /// Its stage, by which wishes in staging name it.
    pub stage: String,
    /// Its arguments. Never a secret: every user of the machine can read them.
    pub arguments: Vec<String>,
    /// Which try of the same work this is, from 1.
    pub attempt: u32,
    /// File for its standard error.
    pub log: PathBuf,
    /// File for its standard output.
    pub out: PathBuf,
}

/// Why a process could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The executable cannot be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// The executable.
        program: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A log file cannot be written.
    #[error("cannot write the log file {}: {source}; give another folder with --logs", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The process cannot be waited for.
    #[error("waiting for {}: {source}", program.display())]
    Wait {
        /// The executable.
        program: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Runs a process to its end; `line` sees each line of its standard error. A log that can be written
/// no more (the disk is full) does not end it: `warn` hears of it once, and the lines go on.
///
/// # Errors
/// When it cannot be started or its logs cannot be opened.
pub async fn run(
    spec: &Spec,
    mut wanted: watch::Receiver<Wanted>,
    line: impl FnMut(&str),
    warn: impl FnMut(&Error),
) -> Result<Ending, Error> {
    let mut log = Log {
        file: append(&spec.log)?,
        path: &spec.log,
        failed: false,
        line,
        warn,
    };
    let out = append(&spec.out)?;
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::from(out))
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    command
        .env("TIDEWAY_ATTEMPT", spec.attempt.to_string())
        .env(STAGE_VARIABLE, &spec.stage);
    let mut child = command.spawn().map_err(|source| Error::Start {
        program: spec.program.clone(),
        source,
    })?;
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let mut lines = Lines::new(child.stderr.take().map(BufReader::new));
    let status = loop {
        tokio::select! {
            read = lines.next(), if lines.is_open() => {
                if let Some(raw) = read {
                    log.keep(raw);
                }
            }
            status = child.wait() => break status,
            changed = wanted.changed() => {
                let level = *wanted.borrow_and_update();
                // A sender that is gone has nothing more to want; the select would spin on it.
                if changed.is_err() && level < Wanted::Kill {
                    signal(group, Wanted::Kill);
                    break child.wait().await;
                }
                signal(group, level);
            }
        }
    };
    let drain = async {
        while let Some(raw) = lines.next().await {
            log.keep(raw);
        }
    };
    if tokio::time::timeout(DRAIN, drain).await.is_err() {
        tracing::debug!("{}: its output is still held open", spec.program.display());
    }
    status.map(Ending::of).map_err(|source| Error::Wait {
        program: spec.program.clone(),
        source,
    })
}

fn signal(group: Option<Pid>, level: Wanted) {
    let signal = match level {
        Wanted::Run | Wanted::Finish => return,
        Wanted::Stop => Signal::TERM,
        Wanted::Kill => Signal::KILL,
    };
    if let Some(group) = group {
        // It fails only when the process has just ended by itself.
        let _ = kill_process_group(group, signal);
    }
}

fn append(path: &Path) -> Result<File, Error> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|source| Error::Log {
            path: path.to_owned(),
            source,
        })
}

/// Where the lines of a process go.
struct Log<'a, L, W> {
    file: File,
    path: &'a Path,
    failed: bool,
    line: L,
    warn: W,
}

impl<L: FnMut(&str), W: FnMut(&Error)> Log<'_, L, W> {
    fn keep(&mut self, raw: &[u8]) {
        let written = self
            .file
            .write_all(raw)
            .and_then(|()| self.file.write_all(b"\n"));
        if let Err(source) = written
            && !std::mem::replace(&mut self.failed, true)
        {
            (self.warn)(&Error::Log {
                path: self.path.to_owned(),
                source,
            });
        }
        (self.line)(&String::from_utf8_lossy(raw));
    }
}

/// Lines of a stream, each cut at [`LINE_LIMIT`]. A call of [`Lines::next`] that is dropped loses
/// nothing: what was read of a line stays here.
struct Lines<R> {
    reader: Option<R>,
    line: Vec<u8>,
    complete: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    fn new(reader: Option<R>) -> Self {
        Self {
            reader,
            line: Vec::new(),
            complete: false,
        }
    }

    /// The next line without its end; `None` at the end of the stream.
    async fn next(&mut self) -> Option<&[u8]> {
        if self.complete {
            self.line.clear();
            self.complete = false;
        }
        loop {
            let reader = self.reader.as_mut()?;
            let available = reader.fill_buf().await.unwrap_or_default();
            if available.is_empty() {
                self.reader = None;
                self.complete = true;
                return (!self.line.is_empty()).then_some(self.line.as_slice());
            }
            let end = available.iter().position(|&byte| byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let room = LINE_LIMIT.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let used = end.map_or(available.len(), |end| end + 1);
            reader.consume(used);
            if end.is_some() {
                self.complete = true;
                return Some(&self.line);
            }
        }
    }

    fn is_open(&self) -> bool {
        self.reader.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_log_disk_ends_no_process() {
        let folder = tempfile::tempdir().unwrap();
        let spec = Spec {
            program: "/bin/sh".into(),
            stage: "dump".into(),
            arguments: vec!["-c".into(), "echo one >&2; echo two >&2; exit 0".into()],
            attempt: 1,
            log: "/dev/full".into(),
            out: folder.path().join("out"),
        };
        let (_send, wanted) = watch::channel(Wanted::Run);
        let (mut lines, mut warnings) = (Vec::new(), Vec::new());
        let ending = run(
            &spec,
            wanted,
            |line| lines.push(line.to_owned()),
            |error| warnings.push(error.to_string()),
        )
        .await
        .unwrap();
        assert!(ending.is_done(), "{ending}");
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("/dev/full"), "{warnings:?}");
    }

    #[tokio::test]
    async fn lines_are_cut_not_hoarded() {
        let long = vec![b'x'; 3 * LINE_LIMIT];
        let mut input = b"one\n".to_vec();
        input.extend(&long);
        input.extend(b"\nlast");
        let mut lines = Lines::new(Some(BufReader::new(input.as_slice())));
        assert_eq!(lines.next().await, Some(&b"one"[..]));
        assert_eq!(lines.next().await.map(<[u8]>::len), Some(LINE_LIMIT));
        assert_eq!(lines.next().await, Some(&b"last"[..]));
        assert_eq!(lines.next().await, None);
        assert_eq!(lines.next().await, None);
    }

    #[tokio::test]
    async fn a_dropped_call_loses_nothing() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut lines = Lines::new(Some(BufReader::new(reader)));
        tokio::io::AsyncWriteExt::write_all(&mut writer, b"half ")
            .await
            .unwrap();
        let call = tokio::time::timeout(Duration::from_millis(20), lines.next());
        assert!(call.await.is_err(), "no line is complete yet");
        tokio::io::AsyncWriteExt::write_all(&mut writer, b"and half\n")
            .await
            .unwrap();
        assert_eq!(lines.next().await, Some(&b"half and half"[..]));
    }
}
