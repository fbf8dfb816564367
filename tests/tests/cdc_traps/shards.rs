//! Tables that meet in one table of the target.

use tideway_tests::servers::Server;
use tideway_tests::trap::Trap;

use crate::orders::tell;

/// Tables `part_1`, `part_2` of the source go to `whole`.
async fn trap(what: &str, target: Server, shard_mode: &str) -> Trap {
    let mut trap = Trap::with(what, Server::MySql1, target, |text| {
        let text = text.replace(
            "  block-allow-list: \"global\"\n",
            "  block-allow-list: \"global\"\n  route-rules: [\"whole\"]\n",
        );
        let route = "routes:\n  whole:\n    schema-pattern: \"tw_*\"\n    table-pattern: \"part_*\"\n    \
             target-schema: \"tw_whole\"\n    target-table: \"whole\"\n";
        let name = text
            .lines()
            .find_map(|line| line.strip_prefix("name: "))
            .unwrap()
            .trim_matches('"')
            .to_owned();
        let route = route.replace("tw_whole", &name);
        format!("shard-mode: \"{shard_mode}\"\n{text}{route}")
    })
    .await;
    trap.source(&[
        "CREATE TABLE part_1 (id INT PRIMARY KEY)",
        "CREATE TABLE part_2 (id INT PRIMARY KEY)",
        "INSERT INTO part_1 VALUES (1)",
        "INSERT INTO part_2 VALUES (2)",
    ])
    .await;
    trap.sync();
    trap
}

const ALL: &str = "SELECT id FROM `DB`.whole ORDER BY id";

#[tokio::test]
async fn one_of_them_goes_and_a_person_decides() {
    for target in [Server::TiDb, Server::MySqlTarget] {
        let mut trap = trap("shards", target, "").await;
        assert_eq!(trap.find(ALL).await, ["1", "2"]);
        trap.source(&["TRUNCATE TABLE part_2", "INSERT INTO part_2 VALUES (3)"])
            .await;
        let stopped =
            trap.scenario
                .sync()
                .says(&["TRUNCATE TABLE part_2", "part_1", "binlog skip"]);
        assert_ne!(stopped.code, Some(0));
        assert_eq!(trap.find(ALL).await, ["1", "2"], "{target:?}");
        tell(
            &trap,
            &stopped,
            "replace",
            Some("DELETE FROM `DB`.whole WHERE id = 2"),
        );
        trap.sync();
        assert_eq!(trap.find(ALL).await, ["1", "3"], "{target:?}");

        trap.source(&["DROP TABLE part_1", "INSERT INTO part_2 VALUES (4)"])
            .await;
        let stopped = trap.scenario.sync().says(&["part_2", "binlog skip"]);
        tell(&trap, &stopped, "skip", None);
        trap.sync();
        assert_eq!(trap.find(ALL).await, ["1", "3", "4"], "{target:?}");

        // The last one takes the table with it.
        trap.source(&["DROP TABLE part_2"]).await;
        trap.sync();
        let tables = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'DB'";
        assert!(trap.find(tables).await.is_empty(), "{target:?}");
        trap.clean().await;
    }
}

#[tokio::test]
async fn in_a_shard_mode_they_are_left_out() {
    let mut trap = trap("sharded", Server::TiDb, "pessimistic").await;
    trap.source(&[
        "TRUNCATE TABLE part_2",
        "DROP TABLE part_1",
        "INSERT INTO part_2 VALUES (3)",
    ])
    .await;
    trap.sync();
    assert_eq!(trap.find(ALL).await, ["1", "2", "3"]);
    trap.clean().await;
}
