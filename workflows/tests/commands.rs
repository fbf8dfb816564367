//! `tideway query-status`, `pause` and `binlog`, which read and write staging alone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stand_in;

use stand_in::Stand;

const DUMP: &str = "\n  - {name: dump, job: dump}\n";

/// Leaves a heartbeat as a job does.
fn beat(stand: &Stand, job: &str, source: &str, more: &str) {
    let folder = stand.path(&format!("tideway-staging/test/status/{job}/{source}"));
    std::fs::create_dir_all(&folder).unwrap();
    let now = chrono::Utc::now().to_rfc3339();
    let text = format!(
        r#"{{"version":1,"job":"{job}","source":"{source}","worker":0,"run_id":"","attempt":1,
        "pid":1,"host":"mover","state":"running","stage":"","done_units":0,"total_units":0,
        "rows":0,"bytes":0,"total_rows":0,"total_bytes":0,"message":"","error":null,
        "started_at":"{now}","updated_at":"{now}"{more}}}"#
    );
    std::fs::write(folder.join("0.json"), text).unwrap();
}

#[test]
fn the_list_is_that_of_the_guide() {
    let stand = Stand::new(DUMP);
    stand.job("dump", "while [ ! -e go ]; do sleep 0.05; done");
    let running = stand.start(&[]);
    stand.wait_for("start dump - aurora-replica-01");
    for source in ["aurora-replica-01", "aurora-replica-02"] {
        beat(&stand, "dump", source, "");
    }
    let list = stand.tideway(&["query-status"]).expect(0).stdout;
    assert_eq!(
        list,
        r#"{
    "result": true,
    "msg": "",
    "tasks": [
        {
            "taskName": "test",
            "taskStatus": "Running",
            "sources": [
                "aurora-replica-01",
                "aurora-replica-02"
            ]
        }
    ]
}
"#
    );
    std::fs::write(stand.path("go"), "").unwrap();
    running.end().expect(0);
}

#[test]
fn a_task_is_shown_source_by_source() {
    let stand = Stand::new(DUMP);
    let sync =
        r#","sync":{"syncer_binlog":"(mysql-bin.000001, 154)","behind_ms":4200,"total_rows":7}"#;
    beat(&stand, "apply", "aurora-replica-01", sync);
    let mut shown = String::new();
    // A workflow file, a task file and a name mean the same.
    for task in ["workflow.yaml", "task.yaml", "test"] {
        let ended = stand.tideway(&["query-status", task]).expect(0);
        assert!(shown.is_empty() || shown == ended.stdout);
        shown = ended.stdout;
    }
    let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let source = &value["sources"][0];
    assert_eq!(source["sourceStatus"]["worker"], "mover");
    let task = &source["subTaskStatus"][0];
    assert_eq!(
        (&task["stage"], &task["unit"]),
        (&"Running".into(), &"Sync".into())
    );
    assert_eq!(task["sync"]["secondsBehindMaster"], "4");
    assert_eq!(task["sync"]["syncerBinlog"], "(mysql-bin.000001, 154)");
    assert_eq!(task["validation"], serde_json::Value::Null);
    let status = stand.tideway(&["status", "workflow.yaml"]).expect(0).stdout;
    assert!(
        status.contains("apply aurora-replica-01: 4.2s behind"),
        "{status}"
    );
    stand
        .tideway(&["query-status", "nothing"])
        .expect(1)
        .says("\"result\": false");
}

#[test]
fn jobs_by_hand_are_told_too() {
    let stand = Stand::new(DUMP);
    stand
        .tideway(&["pause", "workflow.yaml"])
        .expect(2)
        .says("nothing of task test runs now");
    beat(&stand, "apply", "aurora-replica-01", "");
    stand
        .tideway(&["pause", "test", "--job", "apply"])
        .expect(0)
        .says("started by hand, job apply");
    let wish = std::fs::read_to_string(stand.path("tideway-staging/test/control/00000001.json"));
    let wish: serde_json::Value = serde_json::from_str(&wish.unwrap()).unwrap();
    assert_eq!(wish["what"], "pause");
    assert_eq!(wish["run_id"], "");
    assert_eq!(wish["job"], "apply");
}

#[test]
fn orders_about_ddl_are_given_listed_and_taken_back() {
    let stand = Stand::new(DUMP);
    let at = [
        "--source-id",
        "aurora-replica-01",
        "--binlog-pos",
        "mysql-bin.000003:3270",
    ];
    let tideway = |first: &[&str], more: &[&str]| stand.tideway(&[first, more].concat());
    tideway(
        &[
            "binlog",
            "replace",
            "test",
            "ALTER TABLE a.t ADD c INT; DROP TABLE a.`;`",
        ],
        &at,
    )
    .expect(0)
    .says("replace at mysql-bin.000003:3270");
    let key = "tideway-staging/test/aurora-replica-01/ddl/mysql-bin%2E000003-3270.json";
    let order: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(stand.path(key)).unwrap()).unwrap();
    assert_eq!(
        order["statements"],
        serde_json::json!(["ALTER TABLE a.t ADD c INT", "DROP TABLE a.`;`"])
    );
    tideway(&["binlog", "skip", "test"], &at)
        .expect(2)
        .says("has an order for that place already")
        .says("binlog revert");
    tideway(&["binlog", "list", "test"], &at)
        .expect(0)
        .says("ALTER TABLE a.t ADD c INT; DROP TABLE a.`;`");
    tideway(&["binlog", "revert", "test"], &at)
        .expect(0)
        .says("taken back");
    tideway(&["binlog", "list", "test"], &at)
        .expect(0)
        .says("no orders");
    tideway(&["binlog", "revert", "test"], &at).expect(1);
    tideway(&["binlog", "replace", "test", " ; "], &at).expect(2);
    stand
        .tideway(&["binlog", "skip", "test", "--binlog-pos", "3270"])
        .expect(2)
        .says("FILE:OFFSET");

    // Without a place: the statement that holds up apply.
    stand
        .tideway(&["binlog", "skip", "test", "--source-id", "aurora-replica-01"])
        .expect(2)
        .says("--binlog-pos");
    beat(
        &stand,
        "apply",
        "aurora-replica-01",
        r#","sync":{"blocking_ddls":["ALTER TABLE t"],"blocking_file":"b.000007","blocking_pos":99}"#,
    );
    stand
        .tideway(&["binlog", "skip", "test"])
        .expect(0)
        .says("skip at b.000007:99");
}
