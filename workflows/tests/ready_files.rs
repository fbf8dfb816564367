//! The files that are shipped: they are sound, and the schema for editors is the one of the code.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use tideway::workflow::{self, JobKind, Mode, Workflow};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

#[test]
fn the_shipped_schema_is_the_generated_one() {
    let file = folder().join("workflow.schema.json");
    let shipped = std::fs::read_to_string(&file).unwrap();
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert!(
        value(&shipped) == value(&workflow::schema::text()),
        "{} is old: write it anew with `tideway schema workflow`",
        file.display()
    );
}

fn ready(name: &str) -> Workflow {
    let file = folder().join(name);
    let text = std::fs::read_to_string(&file).unwrap();
    let workflow = workflow::parse(&text, file.to_str().unwrap())
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(format!("{}.yaml", workflow.name), name);
    for named in workflow.sources.iter().chain([&workflow.task]) {
        assert!(Path::new(named).is_file(), "{name} names {named}");
    }
    workflow
}

fn names(workflow: &Workflow) -> Vec<&str> {
    workflow.stages.iter().map(|s| s.name.as_str()).collect()
}

#[test]
fn ready_workflows_are_sound_and_name_the_files_beside_them() {
    let full = ready("full-only.yaml");
    assert_eq!(full.mode, Some(Mode::Full));
    assert_eq!(names(&full), ["precheck", "dump", "load", "validate"]);
    for name in ["local-minio.yaml", "aurora-to-tidb.yaml"] {
        let all = ready(name);
        assert_eq!(all.mode, Some(Mode::All), "{name}");
        assert_eq!(
            names(&all),
            [
                "precheck", "capture", "dump", "load", "apply", "catch-up", "validate"
            ],
            "{name}"
        );
        for stage in &all.stages {
            let background = matches!(stage.name.as_str(), "capture" | "apply");
            assert_eq!(stage.background, background, "{name}: {}", stage.name);
        }
        assert_eq!(all.stage("apply").unwrap().beats_as(), "apply");
    }
    let scheduled = ready("scheduled-cdc.yaml");
    assert_eq!(names(&scheduled), ["capture", "apply"]);
    for stage in &scheduled.stages {
        assert_eq!(stage.job, JobKind::Cdc);
        assert!(!stage.background);
        assert_eq!(stage.args[0].1.arguments("until"), ["--until=now"]);
    }
}

#[test]
fn the_example_of_the_design_is_sound() {
    let text = "
name: aurora-to-tidb
task: task.yaml
sources: [source1.yaml, source2.yaml]
staging: s3://my-bucket/migrations
stages:
  - {name: precheck, job: precheck}
  - {name: capture,  job: cdc, args: {verb: capture}, needs: [precheck], background: true}
  - {name: dump,     job: dump, needs: [precheck], workers: 4, retry: {attempts: 3, backoff: 30s}, resources: {vcpu: 2, memory: 4GiB}}
  - {name: load,     job: load, needs: [dump], workers: 4}
  - {name: apply,    job: cdc, args: {verb: apply}, needs: [load], background: true}
  - {name: catch-up, job: cdc, args: {verb: wait, lag: 5s}, needs: [load]}
  - {name: validate, job: validate, needs: [catch-up]}
";
    let workflow = workflow::parse(text, "w.yaml").unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(
        names(&workflow),
        [
            "precheck", "capture", "dump", "load", "apply", "catch-up", "validate"
        ]
    );
    let dump = workflow.stage("dump").unwrap();
    assert_eq!(dump.workers, 4);
    assert_eq!(dump.retry.attempts, 3);
    assert_eq!(dump.retry.backoff.as_secs(), 30);
    assert_eq!(dump.resources.vcpu, Some(2.0));
    assert_eq!(dump.resources.memory, Some(4 << 30));
    let wait = workflow.stage("catch-up").unwrap();
    assert_eq!(wait.verb.as_deref(), Some("wait"));
    assert_eq!(wait.args[0].1.arguments(&wait.args[0].0), ["--lag=5s"]);
    assert_eq!(
        workflow.staging.as_deref(),
        Some("s3://my-bucket/migrations")
    );
}
