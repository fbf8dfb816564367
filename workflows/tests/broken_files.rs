//! Every mistake in a workflow file is told with file, line and a hint.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use tideway::workflow::{Problem, parse};

const HEAD: &str = "name: w\ntask: task.yaml\nsources: [a.yaml]\n";

/// The problems of a file whose stages (from line 5 on) are these.
fn problems_of_stages(stages: &str) -> Vec<Problem> {
    problems(&format!("{HEAD}stages:\n{stages}"))
}

fn problems(text: &str) -> Vec<Problem> {
    match parse(text, "dir/w.yaml") {
        Ok(workflow) => panic!("no problem was found: {workflow:?}"),
        Err(problems) => problems.0,
    }
}

/// Asserts that there is one problem, in this line, that says this with this hint.
#[track_caller]
fn one(problems: &[Problem], line: u64, what: &str, hint: &str) {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 1, "{all:#?}");
    let text = &all[0];
    assert!(text.starts_with(&format!("dir/w.yaml:{line}:")), "{text}");
    assert!(text.contains(what), "{text}");
    assert!(text.contains(hint), "{text}");
}

#[test]
fn unknown_keys() {
    one(
        &problems(&format!("{HEAD}stagging: x\nstages: []\n")),
        4,
        "unknown key `stagging`",
        "did you mean `staging`?",
    );
    one(
        &problems_of_stages("  - name: a\n    job: dump\n    need: [b]\n"),
        7,
        "unknown key `need`",
        "did you mean `needs`?",
    );
    one(
        &problems_of_stages("  - {name: a, job: dump,\n     retry: {attempt: 3}}\n"),
        6,
        "unknown key `attempt`",
        "did you mean `attempts`?",
    );
}

#[test]
fn missing_and_double_keys() {
    one(
        &problems_of_stages("  - job: dump\n"),
        5,
        "key `name` is missing",
        "add `name:`",
    );
    one(
        &problems("name: w\ntask: t\nname: v\nsources: [a]\nstages: []\n"),
        3,
        "duplicate",
        "",
    );
}

#[test]
fn values_of_another_type() {
    let found = problems_of_stages("  - {name: a, job: dump, workers: many}\n");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place.unwrap().0, 5, "{}", found[0]);
    let found = problems("name: w\ntask: t\nsources: [a]\nstages:\n  - a: [\n");
    assert!(found[0].place.unwrap().0 >= 5, "{}", found[0]);
}

#[test]
fn unknown_jobs_and_stages() {
    one(
        &problems_of_stages("  - {name: a, job: dmup}\n"),
        5,
        "unknown job `dmup`",
        "did you mean `dump`?",
    );
    one(
        &problems_of_stages(
            "  - {name: dump, job: dump}\n  - {name: b, job: load, needs: [dumb]}\n",
        ),
        6,
        "unknown stage `dumb`",
        "did you mean `dump`?",
    );
}

#[test]
fn two_stages_of_one_name() {
    one(
        &problems_of_stages("  - {name: a, job: dump}\n  - {name: a, job: load}\n"),
        6,
        "two stages are named `a`",
        "the first is in line 5",
    );
}

#[test]
fn circles() {
    one(
        &problems_of_stages(
            "  - {name: a, job: precheck}\n  - {name: b, job: dump, needs: [a, c]}\n  - {name: c, job: load, needs: [b]}\n",
        ),
        6,
        "b → c → b",
        "remove one",
    );
    one(
        &problems_of_stages("  - {name: a, job: dump, needs: [a]}\n"),
        5,
        "a → a",
        "remove one",
    );
}

#[test]
fn durations_sizes_and_numbers() {
    one(
        &problems_of_stages("  - {name: a, job: dump, retry: {backoff: soon}}\n"),
        5,
        "`backoff: soon` is no duration",
        "such as 30s",
    );
    one(
        &problems_of_stages("  - {name: a, job: dump, resources: {memory: much}}\n"),
        5,
        "`memory: much` is no size",
        "such as 4GiB",
    );
    one(
        &problems_of_stages("  - {name: a, job: dump, workers: 0}\n"),
        5,
        "`workers: 0` is out of range",
        "take 1 to",
    );
    one(
        &problems_of_stages("  - {name: a, job: precheck, workers: 2}\n"),
        5,
        "job `precheck` is always one process",
        "leave out `workers`",
    );
    one(
        &problems_of_stages("  - {name: a, job: dump, resources: {vcpu: -1}}\n"),
        5,
        "`vcpu: -1` is out of range",
        "above 0",
    );
}

#[test]
fn names_and_modes() {
    one(
        &problems_of_stages("  - {name: \"a b\", job: dump}\n"),
        5,
        "`a b` cannot name a stage",
        "letters, digits",
    );
    one(
        &problems(&format!(
            "{HEAD}mode: ful\nstages:\n  - {{name: a, job: dump}}\n"
        )),
        4,
        "unknown mode `ful`",
        "did you mean `full`?",
    );
}

#[test]
fn arguments() {
    one(
        &problems_of_stages("  - {name: a, job: cdc, args: {verb: captur}}\n"),
        5,
        "unknown verb `captur`",
        "did you mean `capture`?",
    );
    one(
        &problems_of_stages("  - {name: a, job: load, args: {verb: run}}\n"),
        5,
        "unknown verb `run`",
        "has no verbs",
    );
    one(
        &problems_of_stages("  - {name: a, job: load, args: {target-password: x}}\n"),
        5,
        "`target-password` cannot stand in `args`",
        "visible to every user",
    );
    one(
        &problems_of_stages("  - {name: a, job: load, args: {staging: x}}\n"),
        5,
        "`staging` cannot stand in `args`",
        "top of the workflow file",
    );
}

#[test]
fn nothing_to_do() {
    one(
        &problems(&format!("{HEAD}stages: []\n")),
        4,
        "`stages` is empty",
        "at least one",
    );
    one(
        &problems("name: w\ntask: t\nsources: []\nstages:\n  - {name: a, job: dump}\n"),
        3,
        "`sources` is empty",
        "at least one",
    );
    one(
        &problems_of_stages("  - {name: a, job: cdc, background: true}\n"),
        5,
        "all stages are background stages",
        "foreground",
    );
}

#[test]
fn all_mistakes_are_told_at_once_in_the_files_order() {
    let found = problems_of_stages(
        "  - {name: a, job: dmup}\n  - {name: b, job: load, needs: [x]}\n  - {name: b, job: load}\n",
    );
    let lines: Vec<u64> = found
        .iter()
        .map(|problem| problem.place.unwrap().0)
        .collect();
    assert_eq!(lines, [5, 6, 7]);
}
