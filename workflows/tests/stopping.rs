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
        stand.job("cdc", OBEDIENT);
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

#[test]
fn background_stages_are_told_to_finish_when_the_others_are_done() {
    let stand = Stand::new(WITH_CAPTURE);
    stand.job("cdc", OBEDIENT);
    stand.job("load", "note \"end $me\"");
    stand.run(&[]).expect(0);
    let events = stand.events();
    let last_load = events
        .iter()
        .rposition(|e| e.starts_with("end load"))
        .unwrap();
    let term = events
        .iter()
        .position(|e| e.starts_with("term cdc"))
        .unwrap();
    assert!(last_load < term, "{events:#?}");
    assert_eq!(stand.stage_state("capture"), "done");
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
