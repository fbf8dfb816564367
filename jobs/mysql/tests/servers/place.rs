//! Positions and GTID sets, with the servers as oracle.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tideway_mysql::gtid::GtidSet;
use tideway_mysql::{Role, position};

use crate::server::{On, one, run, with_database};

#[tokio::test]
async fn positions_move_with_what_is_written() {
    for on in [On::MySql, On::MariaDb] {
        let Some((server, mut conn)) = with_database(on, Role::Source, "mysql_crate_place").await
        else {
            return;
        };
        let info = server.info();
        let before = position::current(&mut conn, info).await.unwrap().unwrap();
        run(
            &mut conn,
            &[
                "CREATE TABLE t (id int primary key)",
                "INSERT INTO t VALUES (1)",
            ],
        )
        .await;
        let after = position::current(&mut conn, info).await.unwrap().unwrap();
        assert!(
            after.reached(&before) && !before.reached(&after),
            "{before} {after}"
        );
        let gtids =
            |p: &position::BinlogPosition| GtidSet::parse(p.gtid_set.as_deref().unwrap()).unwrap();
        let (old, new) = (gtids(&before), gtids(&after));
        assert!(new.contains(&old) && !old.contains(&new), "{old} {new}");
        assert!(!new.subtract(&old).is_empty());
        run(&mut conn, &["DROP DATABASE mysql_crate_place"]).await;
    }
}

#[tokio::test]
async fn tidb_answers_with_a_timestamp() {
    let Some(server) = On::TiDb.server(Role::Source).await else {
        return;
    };
    let mut conn = server.conn().await.unwrap();
    let position = position::current(&mut conn, server.info())
        .await
        .unwrap()
        .unwrap();
    assert!(position.pos > 400_000_000_000_000_000, "{position}");
    assert_eq!(position.gtid_set, None);
}

fn sets() -> impl Strategy<Value = String> {
    let uuid = prop_oneof![
        Just("3e11fa47-71ca-11e1-9e33-c80aa9429562"),
        Just("4e11fa47-71ca-11e1-9e33-c80aa9429562")
    ];
    let range = (1_u64..40, 0_u64..6, any::<bool>()).prop_map(|(from, more, tagged)| {
        let tag = if tagged { "tag:" } else { "" };
        format!("{tag}{from}-{}", from + more)
    });
    proptest::collection::vec((uuid, range), 0..6).prop_map(|groups| {
        let groups: Vec<String> = groups
            .iter()
            .map(|(uuid, range)| format!("{uuid}:{range}"))
            .collect();
        groups.join(",")
    })
}

#[tokio::test]
async fn the_server_reckons_with_sets_as_we_do() {
    let Some(server) = On::MySql.server(Role::Source).await else {
        return;
    };
    let mut conn = server.conn().await.unwrap();
    let mut runner = TestRunner::default();
    let plain = |text: String| text.replace(['\n', ' '], "");
    for _ in 0..100 {
        let (a, b) = (
            sets().new_tree(&mut runner).unwrap().current(),
            sets().new_tree(&mut runner).unwrap().current(),
        );
        let (x, y) = (GtidSet::parse(&a).unwrap(), GtidSet::parse(&b).unwrap());
        let left = plain(one(&mut conn, &format!("SELECT GTID_SUBTRACT('{a}', '{b}')")).await);
        assert_eq!(x.subtract(&y).to_string(), left, "{a} minus {b}");
        let inside = one(&mut conn, &format!("SELECT GTID_SUBSET('{a}', '{b}')")).await;
        assert_eq!(y.contains(&x), inside == "1", "{a} in {b}");
        let both = [a.as_str(), b.as_str()]
            .iter()
            .filter(|s| !s.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(",");
        let both = plain(one(&mut conn, &format!("SELECT GTID_SUBTRACT('{both}', '')")).await);
        assert_eq!(x.union(&y).to_string(), both, "{a} and {b}");
    }
}
