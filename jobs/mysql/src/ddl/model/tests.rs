//! What no server of the tests can show: older servers, other settings, errors.

use super::*;
use crate::info::{Flavor, Version};

fn old() -> Context {
    Context::new(Flavor::MySql, Version::new(5, 7, 44)).with_schema("d")
}

fn catalog(lower_case_table_names: u8) -> Catalog {
    let mut catalog = Catalog::new(lower_case_table_names);
    catalog.insert_database(
        "d",
        Database {
            charset: "latin1".to_owned(),
            collation: "latin1_swedish_ci".to_owned(),
        },
    );
    catalog
}

fn run_all(context: &Context, catalog: &mut Catalog, statements: &[&str]) -> Vec<Change> {
    statements
        .iter()
        .flat_map(|sql| apply(&Statement::parse(sql, context), catalog).expect(sql))
        .collect()
}

fn columns(catalog: &Catalog, table: &str) -> Vec<String> {
    let table = catalog.table(&TableName::new("d", table)).expect(table);
    table
        .columns
        .iter()
        .map(|c| {
            let null = if c.nullable { "" } else { " not null" };
            let collation = c.collation.as_deref().map(|c| format!(" {c}"));
            format!(
                "{} {}{}{null}",
                c.name,
                c.raw_type,
                collation.unwrap_or_default()
            )
        })
        .collect()
}

#[test]
fn mysql_5_7_prints_widths_and_utf8() {
    let mut catalog = catalog(0);
    let sql = "CREATE TABLE t (a int, b bigint unsigned, c tinyint, d year, e char(2) CHARSET utf8, \
               f timestamp, g timestamp NULL, h serial, i geometrycollection, j text CHARSET utf8mb4)";
    run_all(&old(), &mut catalog, &[sql]);
    assert_eq!(
        columns(&catalog, "t"),
        [
            "a int(11)",
            "b bigint(20) unsigned",
            "c tinyint(4)",
            "d year(4)",
            "e char(2) utf8_general_ci",
            "f timestamp not null",
            "g timestamp",
            "h bigint(20) unsigned not null",
            "i geometrycollection",
            "j text utf8mb4_general_ci",
        ]
    );
}

#[test]
fn settings_of_the_session_count() {
    let mut context = old();
    context.explicit_defaults_for_timestamp = true;
    context.sql_mode.0 = super::super::SqlMode::REAL_AS_FLOAT;
    context
        .default_collations
        .insert("utf8mb4".to_owned(), "utf8mb4_bin".to_owned());
    context.default_engine = "myisam".to_owned();
    context.server_collation = "utf8_bin".to_owned();
    let mut catalog = catalog(0);
    let sql = "CREATE TABLE t (a timestamp, b real, c char(1) CHARSET utf8mb4)";
    run_all(&context, &mut catalog, &[sql, "CREATE DATABASE e"]);
    let expected = ["a timestamp", "b float", "c char(1) utf8mb4_bin"];
    assert_eq!(columns(&catalog, "t"), expected);
    let table = catalog.table(&TableName::new("d", "t")).expect("t");
    assert_eq!(table.engine.as_deref(), Some("MyISAM"));
    let made = catalog.database("e").expect("e");
    assert_eq!(
        (&made.charset[..], &made.collation[..]),
        ("utf8", "utf8_bin")
    );
}

#[test]
fn names_fold_as_the_server_folds_them() {
    let statements = [
        "CREATE TABLE T (a int)",
        "ALTER TABLE t ADD b int",
        "RENAME TABLE T TO U",
    ];
    for (setting, kept) in [(1, "u"), (2, "U")] {
        let mut catalog = catalog(setting);
        run_all(&old(), &mut catalog, &statements);
        let name = &catalog.table(&TableName::new("D", "u")).expect("u").name;
        assert_eq!(name.table, kept);
    }
    let mut exact = catalog(0);
    run_all(&old(), &mut exact, &statements[..1]);
    apply(&Statement::parse(statements[1], &old()), &mut exact).expect_err("another table");
}

#[test]
fn changes_say_what_happened() {
    let mut catalog = catalog(0);
    let name = |table: &str| TableName::new("d", table);
    let changes = run_all(
        &old(),
        &mut catalog,
        &[
            "CREATE TABLE a (i int)",
            "CREATE TABLE IF NOT EXISTS a (j int)",
            "CREATE INDEX k ON a (i)",
            "TRUNCATE a",
            "ALTER TABLE a RENAME b, ADD j int",
            "RENAME TABLE b TO c, c TO b",
            "DROP TABLE IF EXISTS nope, b",
            "CREATE TEMPORARY TABLE x (i int)",
            "INSERT INTO a VALUES (1)",
            "GRANT ALL ON *.* TO a",
            "CREATE TABLE z (i int)",
            "DROP DATABASE d",
        ],
    );
    let renamed = |from: &str, to: &str| Change::Renamed {
        from: name(from),
        to: name(to),
    };
    assert_eq!(
        changes,
        [
            Change::Created(name("a")),
            Change::Altered(name("a")),
            Change::Truncated(name("a")),
            Change::Altered(name("a")),
            renamed("a", "b"),
            renamed("b", "c"),
            renamed("c", "b"),
            Change::Dropped(name("b")),
            Change::Created(name("z")),
            Change::DatabaseDropped("d".to_owned()),
        ]
    );
    assert_eq!(catalog.tables().count(), 0);
}

#[test]
fn a_table_that_names_its_charset_needs_no_database() {
    let mut catalog = Catalog::new(0);
    let parse = |sql: &str| Statement::parse(sql, &old());
    let error = apply(&parse("CREATE TABLE t (a char(1))"), &mut catalog).expect_err("d");
    assert!(error.to_string().contains("`d`"), "{error}");
    apply(
        &parse("CREATE TABLE t (a char(1)) CHARSET utf8"),
        &mut catalog,
    )
    .expect("named");
    assert_eq!(columns(&catalog, "t"), ["a char(1) utf8_general_ci"]);
}

proptest::proptest! {
    #[test]
    fn nothing_panics_and_errors_change_nothing(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "ADD", "DROP", "MODIFY", "CHANGE", "a", "b", "int", "varchar", "(", ")", ",", "3", "KEY",
            "PRIMARY", "UNIQUE", "INDEX", "DEFAULT", "NULL", "NOT", "FIRST", "AFTER", "CONVERT", "TO",
            "CHARACTER SET", "utf8", "COLLATE", "enum", "'x'", "RENAME", "COLUMN", "REFERENCES", "t",
            "FOREIGN", "CHECK", "AS", "CONSTRAINT", "text", "SET", "ALTER", "-", "+", "=", "99999999999",
        ]), 0..14),
        create: bool,
    ) {
        let mut catalog = catalog(0);
        run_all(&old(), &mut catalog, &["CREATE TABLE t (a int, b varchar(9), KEY (b(3)))"]);
        let words = words.join(" ");
        let sql = if create {
            format!("CREATE TABLE u ({words}) {words}")
        } else {
            format!("ALTER TABLE t {words}")
        };
        let before = catalog.clone();
        if apply(&Statement::parse(&sql, &old()), &mut catalog).is_err() {
            proptest::prop_assert_eq!(before, catalog);
        }
    }
}
