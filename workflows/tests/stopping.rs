//! Stopping `tideway run`: in order, at once, by force; and going on afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stand_in;

use std::time::{Duration, Instant};

use rustix::process::Signal;
use stand_in::Stand;

const WITH_CAPTURE: &str = "
  - {name: precheck, job: precheck}
  - {name: capture, job: cdc, args: {verb: capture}, needs: [precheck], background: true}
  - {name: dump, job: dump, needs: [precheck, capture]}
  - {name: load, job: load, needs: [dump]}
";

/// Works until it is told to stop, then leaves with exit code 5.
const OBEDIENT: &str = "
trap 'note \"term $me\"; sleep 0.2; note \"gone $me\"; exit 5' TERM
while :; do sleep 0.05; done";

#[test]
fn a_stop_goes_against_the_order_of_starting() {
    for signal in [Signal::TERM, Signal::INT] {
        let stand = Stand::new(WITH_CAPTURE);
        stand.job("cdc", OBEDIENT);
        stand.job("dump", OBEDIENT);
        let running = stand.start(&[]);
        stand.wait_for("start dump - aurora-replica-01");
        stand.wait_for("start dump - aurora-replica-02");
        running.signal(signal);
        running
            .end()
            .expect(5)
            .says("stopped; run it again to go on");
        let events = stand.events();
        let at = |text: &str| {
            events
                .iter()
                .position(|event| event.starts_with(text))
                .unwrap_or_else(|| panic!("no `{text}` among {events:#?}"))
        };
        for source in ["aurora-replica-01", "aurora-replica-02"] {
            let gone = at(&format!("gone dump - {source}"));
            assert!(gone < at("term cdc capture"), "{events:#?}");
        }
        assert_eq!(stand.runs()[0]["state"], "stopped");
        assert_eq!(stand.stage_state("dump"), "stopped");
        assert_eq!(stand.stage_state("precheck"), "done");

        stand.forget();
        stand.job("cdc", FINISHING);
        stand.job("dump", "");
        stand.run(&[]).expect(0).says("going on with run");
        let events = stand.events();
        assert!(
            !events.iter().any(|event| event.contains("precheck")),
            "{events:#?}"
        );
        assert_eq!(stand.runs()[0]["state"], "done");
    }
}

/// Works until it is told to finish by a wish in staging that names its stage, then leaves with 0.
const FINISHING: &str = r#"
trap 'note "term $me"; exit 5' TERM
while :; do
  for wish in tideway-staging/test/control/*.json; do
    if grep -qs '"what": "finish"' "$wish" && grep -qs "\"stage\": \"$TIDEWAY_STAGE\"" "$wish"; then
      note "finish $me"; sleep 0.3; note "left $me"; exit 0
    fi
  done
  sleep 0.05
done"#;

const WITH_BOTH: &str = "
  - {name: capture, job: cdc, args: {verb: capture}, background: true}
  - {name: dump, job: dump}
  - {name: apply, job: cdc, args: {verb: apply}, needs: [dump], background: true}
  - {name: validate, job: validate, needs: [dump]}
";

#[test]
fn background_stages_are_told_to_finish_when_the_others_are_done() {
    let stand = Stand::new(WITH_BOTH);
    stand.job("cdc", FINISHING);
    stand.job("validate", "sleep 0.3; note \"end $me\"");
    stand.run(&[]).expect(0).says("stage capture is to finish");
    let events = stand.events();
    assert!(!events.iter().any(|e| e.starts_with("term")), "{events:#?}");
    let first = |text: &str| {
        let found = events.iter().position(|e| e.starts_with(text));
        found.unwrap_or_else(|| panic!("no `{text}` among {events:#?}"))
    };
    let last = |text: &str| events.iter().rposition(|e| e.starts_with(text)).unwrap();
    // What produces first; what consumes when that has left.
    assert!(
        last("end validate") < first("finish cdc capture"),
        "{events:#?}"
    );
    assert!(
        last("left cdc capture") < first("finish cdc apply"),
        "{events:#?}"
    );
    for stage in ["capture", "apply"] {
        assert_eq!(stand.stage_state(stage), "done");
    }
    stand.run(&[]).expect(0).says("nothing to do");
}

#[test]
fn one_that_dies_on_the_way_still_finishes() {
    let stand = Stand::new(
        "
  - {name: capture, job: cdc, args: {verb: capture}, background: true, retry: {attempts: 2, backoff: 10ms}}
  - {name: dump, job: dump}
",
    );
    let dying = FINISHING.replace("sleep 0.3;", "[ $TIDEWAY_ATTEMPT = 2 ] || exit 1;");
    stand.job("cdc", &dying);
    stand.run(&[]).expect(0).says("try 2 of 2");
    assert_eq!(stand.stage_state("capture"), "done");
}

#[test]
fn a_run_that_follows_stays_until_it_is_told_to_finish() {
    let stand = Stand::new(WITH_BOTH);
    stand.job("cdc", FINISHING);
    let running = stand.start(&["--follow"]);
    stand.wait_for("start validate");
    std::thread::sleep(Duration::from_secs(1));
    assert!(!stand.events().iter().any(|e| e.starts_with("finish")));
    stand
        .tideway(&["finish", "workflow.yaml"])
        .expect(0)
        .says("finish");
    running.end().expect(0);
    assert_eq!(stand.runs()[0]["state"], "done");
}

#[test]
fn a_run_is_stopped_from_elsewhere_and_goes_on() {
    let stand = Stand::new(WITH_CAPTURE);
    stand.job("cdc", OBEDIENT);
    stand.job("dump", OBEDIENT);
    let running = stand.start(&[]);
    stand.wait_for("start dump - aurora-replica-02");
    stand.tideway(&["stop", "workflow.yaml"]).expect(0);
    running.end().expect(5).says("wants it to stop");
    assert_eq!(stand.runs()[0]["state"], "stopped");
    // To run it again takes the stop back.
    stand.forget();
    stand.job("cdc", FINISHING);
    stand.job("dump", "");
    stand.run(&[]).expect(0).says("going on with run");
    let wishes = std::fs::read_dir(stand.path("tideway-staging/test/control")).unwrap();
    assert_eq!(wishes.count(), 3, "stop, resume, finish");
}

#[test]
fn a_paused_run_starts_no_stage() {
    let stand = Stand::new(
        "\n  - {name: precheck, job: precheck}\n  - {name: dump, job: dump, needs: [precheck]}\n",
    );
    stand.job("precheck", "while [ ! -e go ]; do sleep 0.05; done");
    let running = stand.start(&[]);
    stand.wait_for("start precheck");
    stand.tideway(&["pause", "workflow.yaml"]).expect(0);
    std::thread::sleep(Duration::from_millis(1500));
    std::fs::write(stand.path("go"), "").unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!stand.events().iter().any(|e| e.contains("dump")));
    stand.tideway(&["resume", "workflow.yaml"]).expect(0);
    running.end().expect(0);
}

#[test]
fn what_finished_runs_again_while_something_beside_it_is_to_be_done() {
    let stand = Stand::new(WITH_BOTH);
    stand.job("cdc", FINISHING);
    stand.run(&[]).expect(0);
    stand.forget();
    let stages = WITH_BOTH.replace("job: validate,", "job: validate, workers: 2,");
    stand.write_workflow(&stages);
    stand.run(&[]).expect(0);
    let events = stand.events();
    for started in ["start cdc capture", "start cdc apply", "start validate"] {
        assert!(events.iter().any(|e| e.starts_with(started)), "{events:#?}");
    }
    assert!(
        !events.iter().any(|e| e.starts_with("start dump")),
        "{events:#?}"
    );
}

#[test]
fn a_background_stage_that_fails_stops_the_rest() {
    let stand = Stand::new(WITH_CAPTURE);
    stand.job("cdc", "sleep 0.5; echo 'binlog gone' >&2; exit 1");
    stand.job("dump", OBEDIENT);
    stand.run(&[]).expect(1).says("binlog gone");
    assert_eq!(stand.stage_state("capture"), "failed");
    assert_eq!(stand.stage_state("dump"), "stopped");
}

#[test]
fn a_second_signal_kills() {
    let stand = Stand::new("\n  - {name: dump, job: dump}\n");
    stand.job("dump", "trap '' TERM\nwhile :; do sleep 0.05; done");
    let running = stand.start(&[]);
    stand.wait_for("start dump - aurora-replica-02");
    running.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    running.signal(Signal::TERM);
    running.end().expect(5).says("killing the jobs");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(stand.stage_state("dump"), "stopped");
}

#[test]
fn a_stop_ends_the_wait_for_another_try() {
    let stand = Stand::new("\n  - {name: dump, job: dump, retry: {attempts: 3, backoff: 1h}}\n");
    stand.job("dump", "exit 1");
    let running = stand.start(&[]);
    stand.wait_for("start dump - aurora-replica-02");
    std::thread::sleep(Duration::from_millis(300));
    running.signal(Signal::TERM);
    running.end().expect(5);
    assert_eq!(stand.events().len(), 2);
}

#[test]
fn two_runs_of_a_task_at_once_are_refused() {
    let stand = Stand::new("\n  - {name: dump, job: dump}\n");
    stand.job("dump", OBEDIENT);
    let running = stand.start(&[]);
    stand.wait_for("start dump - aurora-replica-02");
    stand
        .run(&[])
        .expect(1)
        .says("another `tideway run`")
        .says("tideway status");
    running.signal(Signal::TERM);
    running.end().expect(5);
}

#[test]
fn a_killed_runner_leaves_jobs_that_the_next_run_ends() {
    let stand = Stand::new(
        "\n  - {name: precheck, job: precheck}\n  - {name: dump, job: dump, needs: [precheck]}\n",
    );
    stand.job("dump", OBEDIENT);
    let running = stand.start(&[]);
    stand.wait_for("start dump - aurora-replica-01");
    stand.wait_for("start dump - aurora-replica-02");
    running.signal(Signal::KILL);
    assert_eq!(running.end().code, None);
    assert_eq!(stand.runs()[0]["state"], "running");
    stand.job("dump", "note \"second $me\"");
    stand
        .run(&[])
        .expect(0)
        .says("going on with run")
        .says("of a former run is still at work");
    let events = stand.events();
    let last_gone = events
        .iter()
        .rposition(|e| e.starts_with("gone dump"))
        .unwrap();
    let second = events
        .iter()
        .position(|e| e.starts_with("second dump"))
        .unwrap();
    assert!(last_gone < second, "{events:#?}");
    assert_eq!(
        events
            .iter()
            .filter(|e| e.contains("start precheck"))
            .count(),
        1
    );
}
