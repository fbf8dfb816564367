//! Imports go one way: staging knows nothing of MySQL, MySQL nothing of staging, jobs never each
//! other, and the workflows start jobs as processes and never link them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What each crate of the workspace may use of the workspace.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("tideway-staging", &[]),
    ("tideway-mysql", &[]),
    ("tideway-config", &[]),
    (
        "tideway-job",
        &["tideway-staging", "tideway-mysql", "tideway-config"],
    ),
    ("tideway-precheck", JOB),
    ("tideway-dump", JOB),
    ("tideway-load", JOB),
    ("tideway-cdc", JOB),
    ("tideway-validate", JOB),
    ("tideway", JOB),
];

const JOB: &[&str] = &[
    "tideway-staging",
    "tideway-mysql",
    "tideway-config",
    "tideway-job",
];

#[test]
fn crates_use_only_what_lies_below_them() {
    let used = workspace_dependencies();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    for (name, dependencies) in &used {
        // End-to-end tests drive everything, and nothing uses them.
        if name == "tideway-tests" {
            continue;
        }
        let allowed = allowed
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} is new: say here what it may use"));
        for dependency in dependencies {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} must not use {dependency}"
            );
        }
    }
    for name in ["tideway", "tideway-staging", "tideway-mysql", "tideway-job"] {
        assert!(used.contains_key(name), "{name} was not looked at");
    }
}

/// Each crate of the workspace with what it uses of the workspace, tests included.
fn workspace_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let names: BTreeSet<String> = packages
        .iter()
        .map(|package| text(&package["name"]))
        .collect();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            let inside = dependencies
                .iter()
                .map(|dependency| text(&dependency["name"]))
                .filter(|name| names.contains(name))
                .collect();
            (text(&package["name"]), inside)
        })
        .collect()
}
