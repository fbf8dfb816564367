use std::sync::Arc;

use tideway_mysql::schema::{ColumnDef, KeyDef, KeyPart, TableDef, TableName};

use super::*;
use crate::apply::checkpoint::Keyless;

const PLAIN: Style = Style {
    multiple_rows: true,
    compact: false,
    safe: false,
};

fn key(name: &str, column: &str) -> KeyDef {
    KeyDef {
        name: name.to_owned(),
        primary: name == "PRIMARY",
        unique: true,
        parts: vec![KeyPart {
            column: Some(column.to_owned()),
            prefix: None,
            expression: None,
        }],
    }
}

/// `t (id, u)` with a primary key, and a unique key over `u` when asked for.
fn table(unique: bool, extra: bool) -> Arc<Table> {
    let mut id = ColumnDef::new("id", "int");
    id.nullable = false;
    let mut keys = vec![key("PRIMARY", "id")];
    if unique {
        keys.push(key("u", "u"));
    }
    let def = TableDef {
        name: TableName::new("d", "t"),
        create_sql: String::new(),
        columns: vec![id, ColumnDef::new("u", "int")],
        keys,
        engine: None,
        charset: None,
        collation: None,
        foreign_keys: vec![],
        partitioned: false,
    };
    let mut at_target = def.clone();
    if extra {
        at_target.columns.push(ColumnDef::new("more", "int"));
    }
    let def = Arc::new(def);
    let images: Vec<&ColumnDef> = def.columns.iter().collect();
    Arc::new(Table::plan(1, &def, &at_target, &images, false).unwrap())
}

fn change(table: &Arc<Table>, op: Op, keys: &[u64]) -> Change {
    Change {
        table: Arc::clone(table),
        op,
        keys: keys.to_vec(),
        safe: false,
        lenient: false,
        at: Keyless::default(),
        permit: None,
    }
}

fn insert(table: &Arc<Table>, row: &str, keys: &[u64]) -> Change {
    change(table, Op::Insert(row.into()), keys)
}

fn texts(changes: &[Change], style: Style) -> Vec<String> {
    statements(changes, style)
        .into_iter()
        .map(|statement| String::from_utf8(statement.sql).unwrap())
        .collect()
}

#[test]
fn changes_without_a_common_key_share_a_statement() {
    let t = table(false, false);
    let changes = [
        insert(&t, "(1,1)", &[1]),
        change(&t, Op::Delete("7".into()), &[7]),
        insert(&t, "(2,2)", &[2]),
        change(&t, Op::Delete("8".into()), &[8]),
    ];
    assert_eq!(
        texts(&changes, PLAIN),
        [
            "DELETE FROM `d`.`t` WHERE `id` IN (7,8)",
            "INSERT INTO `d`.`t` (`id`,`u`) VALUES (1,1),(2,2)",
        ]
    );
    let single = Style {
        multiple_rows: false,
        ..PLAIN
    };
    assert_eq!(texts(&changes, single).len(), 4);
}

#[test]
fn changes_of_one_row_keep_their_order() {
    let t = table(false, false);
    let changes = [
        insert(&t, "(1,1)", &[1]),
        change(&t, Op::Delete("1".into()), &[1]),
        insert(&t, "(1,2)", &[1]),
        change(&t, Op::Update("(1,3)".into()), &[1]),
    ];
    assert_eq!(
        texts(&changes, PLAIN),
        [
            "INSERT INTO `d`.`t` (`id`,`u`) VALUES (1,1)",
            "DELETE FROM `d`.`t` WHERE `id` IN (1)",
            "INSERT INTO `d`.`t` (`id`,`u`) VALUES (1,2)",
            "INSERT INTO `d`.`t` (`id`,`u`) VALUES (1,3) ON DUPLICATE KEY UPDATE \
             `id`=VALUES(`id`),`u`=VALUES(`u`)",
        ]
    );
    // Folded, the last one stands for all.
    let compact = Style {
        compact: true,
        ..PLAIN
    };
    assert_eq!(
        texts(&changes, compact),
        [
            "INSERT INTO `d`.`t` (`id`,`u`) VALUES (1,3) ON DUPLICATE KEY UPDATE \
             `id`=VALUES(`id`),`u`=VALUES(`u`)"
        ]
    );
}

#[test]
fn a_value_that_goes_from_row_to_row_keeps_its_order() {
    // Row 1 gives up u = 5 (key 105), row 2 takes it.
    let t = table(true, false);
    let changes = [
        change(&t, Op::Update("(1,6)".into()), &[1, 105, 106]),
        change(&t, Op::Update("(2,5)".into()), &[2, 104, 105]),
    ];
    assert_eq!(
        texts(&changes, PLAIN),
        [
            "REPLACE INTO `d`.`t` (`id`,`u`) VALUES (1,6)",
            "REPLACE INTO `d`.`t` (`id`,`u`) VALUES (2,5)",
        ]
    );
}

#[test]
fn in_safe_mode_all_is_written_over() {
    let changes = |t: &Arc<Table>| {
        [
            insert(t, "(1,1)", &[1]),
            change(
                t,
                Op::Move {
                    key: "2".into(),
                    tuple: "(3,3)".into(),
                    ends: vec![2, 4],
                },
                &[2, 3],
            ),
        ]
    };
    let safe = Style {
        safe: true,
        ..PLAIN
    };
    assert_eq!(
        texts(&changes(&table(true, false)), safe),
        [
            "DELETE FROM `d`.`t` WHERE `id` IN (2)",
            "REPLACE INTO `d`.`t` (`id`,`u`) VALUES (1,1),(3,3)",
        ]
    );
    // A column of the target alone is kept.
    let kept = texts(&changes(&table(false, true)), safe);
    assert!(kept[0].starts_with("INSERT INTO"), "{kept:?}");
    assert_eq!(
        kept[1],
        "UPDATE IGNORE `d`.`t` SET `id`=3,`u`=3 WHERE `id` = 2"
    );
    assert_eq!(kept[2], "DELETE FROM `d`.`t` WHERE `id` IN (2)");
    assert!(kept[3].contains("ON DUPLICATE KEY UPDATE"), "{kept:?}");
}
