//! Runs the real `tideway` over stand-ins for the jobs: shell scripts that write down that they were
//! started and then do what a test says. They stand in for how processes behave (exit codes, signals,
//! output), for nothing else.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Reads the flags into variables and writes down the start; a test's own lines follow.
const HEAD: &str = r#"#!/bin/sh
job=${0##*/tideway-}; verb=-; source=all; worker=0; line="$*"
case "$1" in --*) ;; *) verb=$1 ;; esac
while [ $# -gt 0 ]; do
  case "$1" in
    --source-id) source=$2 ;;
    --worker-index) worker=$2 ;;
  esac
  shift
done
me="$job $verb $source $worker"
note() { echo "$*" >> "$EVENTS"; }
note "start $me try $TIDEWAY_ATTEMPT"
"#;

/// A folder with a workflow, stand-ins, staging and logs.
pub struct Stand {
    folder: tempfile::TempDir,
}

impl Stand {
    /// With these stages in the workflow file, and jobs that do nothing and succeed.
    pub fn new(stages: &str) -> Self {
        let stand = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        stand.write_workflow(stages);
        for name in ["source1.yaml", "source2.yaml", "task.yaml"] {
            let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
            std::fs::copy(shipped, stand.path(name)).unwrap();
        }
        std::fs::create_dir(stand.path("jobs")).unwrap();
        for job in ["precheck", "dump", "load", "cdc", "validate"] {
            stand.job(job, "");
        }
        stand
    }

    pub fn write_workflow(&self, stages: &str) {
        let text = format!(
            "name: stand\ntask: task.yaml\nsources: [source1.yaml, source2.yaml]\nmode: full\n\
             stages:\n{stages}"
        );
        std::fs::write(self.path("workflow.yaml"), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a job do this after its start was written down.
    pub fn job(&self, job: &str, script: &str) {
        let path = self.path(&format!("jobs/tideway-{job}"));
        // A new file each time: one that runs cannot be written.
        let new = self.path("jobs/new");
        std::fs::write(&new, format!("{HEAD}{script}\n")).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&new, path).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tideway"));
        command
            .current_dir(self.folder.path())
            .env("EVENTS", self.path("events"))
            .env_remove("RUST_LOG")
            .args(arguments);
        command
    }

    fn run_arguments<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        let mut all = vec!["run", "workflow.yaml", "--jobs", "jobs"];
        all.extend(arguments);
        all
    }

    /// `tideway run workflow.yaml` with further flags, to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.tideway(&Self::run_arguments(arguments))
    }

    /// `tideway` with these arguments, to its end.
    pub fn tideway(&self, arguments: &[&str]) -> Ended {
        let output = self
            .command(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ended::of(&output)
    }

    /// `tideway run workflow.yaml`, left running.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let child = self
            .command(&Self::run_arguments(arguments))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running { child }
    }

    /// What the stand-ins wrote down, in order.
    pub fn events(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("events")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Forgets what was written down.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(self.path("events"));
    }

    /// Waits until something was written down.
    #[track_caller]
    pub fn wait_for(&self, event: &str) {
        let start = Instant::now();
        while !self.events().iter().any(|line| line.contains(event)) {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "no `{event}` among {:#?}",
                self.events()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The documents of all runs, oldest first.
    pub fn runs(&self) -> Vec<Value> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.path("tideway-staging/test/runs"))
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
        files.sort();
        files
            .iter()
            .map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
            .collect()
    }

    /// The state of a stage in the last run.
    #[track_caller]
    pub fn stage_state(&self, name: &str) -> String {
        let run = self.runs().pop().unwrap();
        let stages = run["stages"].as_array().unwrap().clone();
        let stage = stages.iter().find(|stage| stage["name"] == name).unwrap();
        stage["state"].as_str().unwrap().to_owned()
    }
}

/// A `tideway run` that goes on.
pub struct Running {
    pub child: Child,
}

impl Running {
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    pub fn end(self) -> Ended {
        Ended::of(&self.child.wait_with_output().unwrap())
    }
}

/// A `tideway` that ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that this was said, on standard output or standard error.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "`{text}` was not said\nstdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}
