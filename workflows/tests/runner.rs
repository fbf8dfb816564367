//! `tideway run` over real processes: order, retry, exit codes, going on, output.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stand_in;

use stand_in::Stand;

const FOUR: &str = "
  - {name: precheck, job: precheck}
  - {name: dump, job: dump, needs: [precheck], retry: {attempts: 3, backoff: 10ms}}
  - {name: load, job: load, needs: [dump]}
  - {name: validate, job: validate, needs: [load]}
";

fn position(events: &[String], text: &str) -> usize {
    events
        .iter()
        .position(|event| event.starts_with(text))
        .unwrap_or_else(|| panic!("no `{text}` among {events:#?}"))
}

#[test]
fn stages_run_in_order_one_process_per_source() {
    let stand = Stand::new(FOUR);
    for job in ["precheck", "dump", "load", "validate"] {
        stand.job(job, "sleep 0.1; note \"end $me\"");
    }
    let ended = stand.run(&[]).expect(0).says("no differences");
    assert!(ended.stdout.contains("validate"), "{}", ended.stdout);
    let events = stand.events();
    let starts: Vec<&String> = events.iter().filter(|e| e.starts_with("start")).collect();
    assert_eq!(starts.len(), 6, "{events:#?}");
    let chain = [
        "precheck - all 0",
        "dump - aurora-replica-01 0",
        "load - aurora-replica-01 0",
    ];
    for pair in chain.windows(2) {
        let end = position(&events, &format!("end {}", pair[0]));
        let start = position(&events, &format!("start {}", pair[1]));
        assert!(end < start, "{pair:?} in {events:#?}");
    }
    // A stage waits for all sources of the stage before.
    let other = position(&events, "end dump - aurora-replica-02");
    assert!(other < position(&events, "start load - aurora-replica-01"));
}

#[test]
fn a_second_run_does_nothing_and_rerun_does_all() {
    let stand = Stand::new(FOUR);
    stand.run(&[]).expect(0);
    assert_eq!(stand.events().len(), 6);
    stand.run(&[]).expect(0).says("nothing to do");
    assert_eq!(stand.events().len(), 6);
    assert_eq!(stand.runs().len(), 1);
    stand.run(&["--rerun"]).expect(0);
    assert_eq!(stand.events().len(), 12);
    let runs = stand.runs();
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run["state"] == "done"), "{runs:#?}");
}

#[test]
fn parts_can_be_run() {
    let stand = Stand::new(FOUR);
    stand.run(&["--stage", "precheck"]).expect(0);
    assert_eq!(stand.events(), ["start precheck - all 0 try 1"]);
    stand.run(&["--from", "load"]).expect(0);
    assert_eq!(stand.events().len(), 4);
    assert_eq!(stand.stage_state("dump"), "pending");
    stand
        .run(&["--stage", "laod"])
        .expect(2)
        .says("did you mean `load`?");
}

#[test]
fn a_failure_that_passes_is_tried_again() {
    let stand = Stand::new(FOUR);
    stand.job("dump", "[ $TIDEWAY_ATTEMPT = 3 ] || exit 1");
    stand.run(&[]).expect(0).says("try 3 of 3");
    let tries = |stand: &Stand| {
        let events = stand.events();
        events
            .iter()
            .filter(|e| e.contains("dump - aurora-replica-01"))
            .count()
    };
    assert_eq!(tries(&stand), 3);
    // A process that dies by a signal was interrupted.
    let stand = Stand::new(FOUR);
    stand.job("dump", "[ $TIDEWAY_ATTEMPT = 2 ] || kill -9 $$");
    stand.run(&[]).expect(0).says("killed by signal 9");
    assert_eq!(tries(&stand), 2);
}

#[test]
fn tries_are_limited_and_the_last_words_are_told() {
    let stand = Stand::new(FOUR);
    stand.job(
        "dump",
        "[ $source = aurora-replica-02 ] && exit 0
         echo '{\"level\":\"INFO\",\"message\":\"reading\"}' >&2
         echo '{\"level\":\"ERROR\",\"message\":\"no route to host\",\"table\":\"a.b\"}' >&2
         exit 1",
    );
    let ended = stand
        .run(&[])
        .expect(1)
        .says("at the last of 3 tries")
        .says("no route to host table=a.b");
    assert!(
        ended.stdout.contains("dump aurora-replica-01"),
        "{}",
        ended.stdout
    );
    let events = stand.events();
    let of = |name: &str| events.iter().filter(|e| e.contains(name)).count();
    assert_eq!(of("dump - aurora-replica-01"), 3);
    assert_eq!(
        of("dump - aurora-replica-02"),
        1,
        "the other source goes to its end"
    );
    assert_eq!(of("start load"), 0);
    assert_eq!(stand.stage_state("dump"), "failed");
    assert_eq!(stand.stage_state("load"), "pending");

    // Mended, the next run goes on with what is left, under the same name.
    stand.forget();
    stand.job("dump", "");
    stand.run(&[]).expect(0).says("going on with run");
    let events = stand.events();
    // Also the source that was done: the job itself finds whether something is left there.
    let dumps = events.iter().filter(|e| e.contains("start dump"));
    assert_eq!(dumps.count(), 2, "{events:#?}");
    assert!(
        !events.iter().any(|e| e.contains("precheck")),
        "{events:#?}"
    );
    assert_eq!(stand.runs().len(), 1);
}

#[test]
fn codes_that_say_that_a_rerun_is_no_use_end_the_run_with_that_code() {
    for (job, code) in [("precheck", 3), ("dump", 2), ("validate", 4), ("load", 5)] {
        let stand = Stand::new(FOUR);
        stand.job(job, &format!("exit {code}"));
        stand.run(&[]).expect(code);
        let events = stand.events();
        let tries = events.iter().filter(|e| e.contains(job)).count();
        let all_sources = matches!(job, "precheck" | "validate");
        assert_eq!(tries, if all_sources { 1 } else { 2 }, "{events:#?}");
        let state = stand.runs()[0]["state"].clone();
        assert_eq!(state, if code == 5 { "stopped" } else { "failed" }, "{job}");
    }
}

#[test]
fn a_code_of_nobody_is_a_failure() {
    let stand = Stand::new(FOUR);
    stand.job("load", "echo 'thread main panicked' >&2; exit 101");
    stand.run(&[]).expect(1).says("thread main panicked");
}

#[test]
fn workers_share_one_plan() {
    let stand = Stand::new(
        "
  - {name: dump, job: dump, workers: 3}
  - {name: load, job: load, needs: [dump], workers: 2}
",
    );
    stand.job("dump", "sleep 0.1; note \"end $me\"");
    stand.run(&[]).expect(0);
    let events = stand.events();
    let source = "aurora-replica-01";
    let plan = position(&events, &format!("end dump plan {source} 0"));
    let finish = position(&events, &format!("start dump finish {source} 0"));
    for worker in 0..3 {
        let start = position(&events, &format!("start dump run {source} {worker}"));
        let end = position(&events, &format!("end dump run {source} {worker}"));
        assert!(plan < start && end < finish, "{events:#?}");
    }
    for worker in 0..2 {
        position(&events, &format!("start load - {source} {worker}"));
    }
}

#[test]
fn a_job_is_told_what_to_do_by_flags() {
    let stand = Stand::new(
        "
  - {name: dump, job: dump, args: {rate: 5MiB, allow-inexact: true, settle: 1s}}
",
    );
    stand.job(
        "dump",
        "note \"$line\"; note \"env ${TIDEWAY_SOURCE_ID-none}\"",
    );
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tideway"));
    let output = command
        .current_dir(stand.path(""))
        .env("EVENTS", stand.path("events"))
        .env("TIDEWAY_SOURCE_ID", "wrong-for-the-jobs")
        .args(["run", "workflow.yaml", "--jobs", "jobs", "--accept-changes"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let events = stand.events();
    let line = &events[position(&events, "--task")];
    for flag in [
        "--task task.yaml",
        "--source source1.yaml --source source2.yaml",
        "--staging ./tideway-staging",
        "--source-id aurora-replica-0",
        "--worker-index 0 --worker-count 1",
        "--task-mode full",
        "--run-id 2",
        "--log-format json",
        "--accept-changes",
        "--allow-inexact --rate=5MiB --settle=1s",
    ] {
        assert!(line.contains(flag), "{flag} in {line}");
    }
    // The seed's passwords.
    assert!(
        !line.contains("12345678") && !line.contains("87654321"),
        "{line}"
    );
    position(&events, "env none");
}

#[test]
fn output_off_a_terminal_is_plain() {
    let stand = Stand::new(FOUR);
    stand.job(
        "dump",
        "echo '{\"timestamp\":\"x\",\"level\":\"INFO\",\"message\":\"planning\",\"tables\":3}' >&2
         echo '{\"level\":\"WARN\",\"message\":\"the same for both\"}' >&2
         echo '{\"level\":\"INFO\",\"message\":\"tick\",\"state\":\"running\",\"chunks_total\":1}' >&2
         echo 'a table of results'",
    );
    let ended = stand.run(&[]).expect(0);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let with = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        with("INFO  dump aurora-replica-01: planning tables=3"),
        1,
        "{lines:#?}"
    );
    assert_eq!(
        with("the same for both"),
        1,
        "a warning is told once: {lines:#?}"
    );
    assert_eq!(with("tick"), 0, "{lines:#?}");
    assert_eq!(ended.stdout.matches("a table of results").count(), 2);
    // Everything is in the logs.
    let run = stand.runs().pop().unwrap();
    let logs = std::path::PathBuf::from(run["logs"].as_str().unwrap());
    let log = std::fs::read_to_string(logs.join("dump.aurora-replica-02.log")).unwrap();
    assert!(
        log.contains("the same for both") && log.contains("tick"),
        "{log}"
    );
}

#[test]
fn the_result_as_json() {
    let stand = Stand::new(FOUR);
    stand.job("precheck", "echo a report");
    let ended = stand.run(&["--output", "json"]).expect(0);
    let value: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(value["exit_code"], 0);
    assert_eq!(value["run"]["state"], "done");
    let status = stand
        .tideway(&["status", "workflow.yaml", "--output", "json"])
        .expect(0);
    let value: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(value["run"]["stages"][0]["name"], "precheck");
    stand
        .tideway(&["status", "workflow.yaml"])
        .expect(0)
        .says("of stand: done");
}

#[test]
fn nothing_starts_when_an_executable_is_missing() {
    let stand = Stand::new(FOUR);
    std::fs::remove_file(stand.path("jobs/tideway-load")).unwrap();
    stand.run(&[]).expect(2).says("tideway-load not in jobs");
    assert!(stand.events().is_empty());
    // What does not need it runs.
    stand.run(&["--stage", "dump"]).expect(0);
}

#[test]
fn a_changed_task_is_not_taken_for_done() {
    let stand = Stand::new(FOUR);
    stand.run(&[]).expect(0);
    stand.forget();
    let task = std::fs::read_to_string(stand.path("task.yaml")).unwrap();
    std::fs::write(stand.path("task.yaml"), task.replace("migrate_me", "other")).unwrap();
    stand.run(&[]).expect(0);
    assert_eq!(stand.events().len(), 6, "the jobs see it and decide");
}
