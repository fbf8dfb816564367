//! A definition that stops apply, and what a person orders.

use tideway_tests::command::{Ended, run};
use tideway_tests::servers::Server;
use tideway_tests::trap::{BOTH, Trap};

#[tokio::test]
async fn a_refused_definition_stops_and_goes_on_as_told() {
    for target in BOTH {
        let mut trap = Trap::new("refused", Server::MySql1, target).await;
        trap.source(&[
            "CREATE TABLE t (id INT PRIMARY KEY, a INT)",
            "INSERT INTO t VALUES (1, 1)",
        ])
        .await;
        trap.sync();
        // The target has rows of its own, so that it refuses what the source accepts.
        trap.target(&["INSERT INTO `DB`.t VALUES (101, 50), (102, 50)"])
            .await;
        trap.source(&[
            "ALTER TABLE t ADD UNIQUE KEY once (a)",
            "INSERT INTO t VALUES (2, 2)",
        ])
        .await;
        let stopped = trap.scenario.sync().says(&[
            "ADD UNIQUE KEY once (a)",
            "tideway binlog skip",
            "binlog.",
            "uplicate",
        ]);
        assert_ne!(stopped.code, Some(0));
        assert!(
            trap.find("SELECT id FROM `DB`.t WHERE id = 2")
                .await
                .is_empty()
        );
        tell(&trap, &stopped, "skip", None);
        trap.sync();
        trap.source(&[
            "ALTER TABLE t ADD UNIQUE KEY twice (a)",
            "INSERT INTO t VALUES (3, 3)",
        ])
        .await;
        let stopped = trap
            .scenario
            .sync()
            .says(&["twice", "tideway binlog replace"]);
        tell(
            &trap,
            &stopped,
            "replace",
            Some("ALTER TABLE `DB`.t ADD KEY twice (a)"),
        );
        trap.sync();
        let found = trap
            .find("SELECT CONCAT_WS(',', id, a) FROM `DB`.t ORDER BY id")
            .await;
        assert_eq!(
            found,
            ["1,1", "2,2", "3,3", "101,50", "102,50"],
            "{target:?}"
        );
        let keys = trap
            .find("SELECT CONCAT(INDEX_NAME, NON_UNIQUE) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'DB' AND INDEX_NAME <> 'PRIMARY'")
            .await;
        assert_eq!(keys, ["twice1"], "{target:?}");
        trap.clean().await;
    }
}

/// Gives the order that the error offers, at the place that it names.
pub fn tell(trap: &Trap, stopped: &Ended, verb: &str, sql: Option<&str>) {
    let line = stopped
        .stderr
        .split(&format!("tideway binlog {verb} "))
        .nth(1)
        .and_then(|rest| rest.split("--binlog-pos ").nth(1))
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_else(|| panic!("no place in {stopped:?}"))
        .trim_matches(['\\', 'n']);
    let name = &trap.scenario.name;
    let mut command = trap.scenario.tideway(&[
        "binlog",
        verb,
        "--source-id",
        "replica-01",
        "--binlog-pos",
        line,
    ]);
    command.args([name, "--staging", &trap.scenario.staging]);
    if let Some(sql) = sql {
        command.arg(sql.replace("DB", name));
    }
    run(&mut command).expect(0);
}

#[tokio::test]
async fn a_filter_stops_and_a_person_lets_it_pass() {
    let mut trap = Trap::with("stops", Server::MySql1, Server::TiDb, |text| {
        text.replace(
            "  block-allow-list: \"global\"\n",
            "  block-allow-list: \"global\"\n  filter-rules: [\"no-drop\"]\n",
        ) + "filters:\n  no-drop:\n    schema-pattern: \"*\"\n    table-pattern: \"*\"\n    \
             events: [\"drop table\"]\n    action: Error\n"
    })
    .await;
    trap.source(&[
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "CREATE TABLE u (id INT PRIMARY KEY)",
        "DROP TABLE t",
        "INSERT INTO u VALUES (1)",
    ])
    .await;
    let stopped =
        trap.scenario
            .sync()
            .says(&["DROP TABLE", "a filter stops the task here", "binlog skip"]);
    tell(&trap, &stopped, "skip", None);
    trap.sync();
    assert_eq!(trap.find("SELECT id FROM `DB`.u").await, ["1"]);
    assert!(trap.find("SELECT id FROM `DB`.t").await.is_empty());
    trap.clean().await;
}
