//! Ranges over keys: on every server they part a table without gap or overlap, and use the index.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use tideway_mysql::key::{self, KeyValue};
use tideway_mysql::schema::{self, ColumnDef, TableName};
use tideway_mysql::{Role, sql};

use crate::server::{ALL, On, one, run, with_database};

/// A table whose key is cut: its name, its columns, values for each.
struct Case {
    name: &'static str,
    create: String,
    values: Vec<String>,
    /// Whether all servers have what it is made of.
    everywhere: bool,
}

/// All combinations of the columns' values, as `(…),(…)`.
fn combinations(columns: &[&[&str]]) -> Vec<String> {
    let mut rows = vec![String::new()];
    for values in columns {
        rows = rows
            .iter()
            .flat_map(|row| {
                values.iter().map(move |v| {
                    if row.is_empty() {
                        (*v).to_owned()
                    } else {
                        format!("{row},{v}")
                    }
                })
            })
            .collect();
    }
    rows.into_iter().map(|row| format!("({row})")).collect()
}

fn cases() -> Vec<Case> {
    let text = [
        "''",
        "'a'",
        "'B'",
        "'c'",
        "'Zz'",
        "'é'",
        "'f\\'\\\\x'",
        "'😀'",
        "'日本'",
        "'ß'",
    ];
    let mut cases = Vec::new();
    for (collation, everywhere) in [
        ("utf8mb4_bin", true),
        ("utf8mb4_general_ci", true),
        ("utf8mb4_unicode_ci", true),
        ("utf8mb4_0900_ai_ci", false),
        ("utf8mb4_0900_as_cs", false),
    ] {
        cases.push(Case {
            name: collation,
            create: format!(
                "a varchar(20) COLLATE {collation} NOT NULL, b int NOT NULL, PRIMARY KEY (a, b)"
            ),
            values: combinations(&[&text, &["-5", "0", "7"]]),
            everywhere,
        });
    }
    cases.push(Case {
        name: "latin1",
        create: "a char(9) CHARACTER SET latin1 NOT NULL, PRIMARY KEY (a)".into(),
        values: ["'a'", "'B'", "'é'", "'ü'", "''"]
            .map(|v| format!("({v})"))
            .to_vec(),
        everywhere: false,
    });
    cases.push(Case {
        name: "numbers",
        create: "a decimal(38,10) NOT NULL, b bigint unsigned NOT NULL, c bigint NOT NULL, PRIMARY KEY (a, b, c)"
            .into(),
        values: combinations(&[
            &["-1.0000000001", "0", "9999999999999999999999999999.9999999999", "0.3"],
            &["0", "18446744073709551615"],
            &["-9223372036854775808", "9223372036854775807", "0"],
        ]),
        everywhere: true,
    });
    cases.push(Case {
        name: "bytes",
        create: "a binary(4) NOT NULL, b varbinary(9) NOT NULL, PRIMARY KEY (a, b)".into(),
        values: combinations(&[
            &["x'00000000'", "x'01000000'", "x'FF27005C'", "x'61'"],
            &["x''", "x'00'", "x'0000'", "x'27'", "x'5C'", "x'FF'"],
        ]),
        everywhere: true,
    });
    cases.push(Case {
        name: "dates",
        create:
            "a date NOT NULL, b datetime(6) NOT NULL, c timestamp NULL, d timestamp(3) NOT NULL, \
                 PRIMARY KEY (a, b, d)"
                .into(),
        values: combinations(&[
            &[
                "'0000-00-00'",
                "'2024-02-29'",
                "'2023-02-31'",
                "'9999-12-31'",
            ],
            &[
                "'0000-00-00 00:00:00'",
                "'2024-03-31 02:30:00.000001'",
                "'1000-01-01'",
            ],
            &["NULL"],
            &["'1970-01-01 00:00:01'", "'2024-10-27 01:30:00.123'"],
        ]),
        everywhere: true,
    });
    cases
}

async fn rows(
    conn: &mut Conn,
    key: &[&ColumnDef],
    table: &TableName,
    rest: &str,
    text: bool,
) -> Vec<Vec<KeyValue>> {
    let list: Vec<String> = key.iter().map(|c| key::select_expr(c)).collect();
    let query = format!(
        "SELECT {} FROM {}{rest}",
        list.join(","),
        sql::qualified(table)
    );
    let rows: Vec<Row> = if text {
        conn.query(&query)
            .await
            .unwrap_or_else(|e| panic!("{query}: {e}"))
    } else {
        conn.exec(&query, ())
            .await
            .unwrap_or_else(|e| panic!("{query}: {e}"))
    };
    rows.into_iter()
        .map(|row| {
            let values = row.unwrap();
            key.iter()
                .zip(&values)
                .map(|(c, v)| KeyValue::from_value(c, v).unwrap())
                .collect()
        })
        .collect()
}

#[tokio::test]
async fn ranges_part_a_table_without_gap_or_overlap() {
    for on in ALL {
        let database = "mysql_crate_ranges";
        let Some((server, mut conn)) = with_database(on, Role::Source, database).await else {
            return;
        };
        for case in cases() {
            if on != On::MySql && !case.everywhere && !(on == On::MariaDb && case.name == "latin1")
            {
                continue;
            }
            let name = TableName::new(database, format!("t_{}", case.name));
            run(
                &mut conn,
                &[
                    &format!("CREATE TABLE {} ({})", sql::qualified(&name), case.create),
                    // IGNORE: some texts are equal in some collations.
                    &format!(
                        "INSERT IGNORE INTO {} VALUES {}",
                        sql::qualified(&name),
                        case.values.join(",")
                    ),
                ],
            )
            .await;
            let table = schema::read_table(&mut conn, server.info(), &name)
                .await
                .unwrap()
                .unwrap();
            let key = table.chunk_key().unwrap();
            let names: Vec<String> = key.iter().map(|c| sql::ident(&c.name)).collect();
            let order = format!(" ORDER BY {}", names.join(","));
            let all = rows(&mut conn, &key, &name, &order, false).await;
            assert!(all.len() > 4, "{on:?} {}", case.name);
            assert_eq!(
                all,
                rows(&mut conn, &key, &name, &order, true).await,
                "{on:?} {}",
                case.name
            );
            for columns in 1..=key.len() {
                for step in [1, 3] {
                    let bounds: Vec<&[KeyValue]> = all
                        .iter()
                        .skip(1)
                        .step_by(step)
                        .map(|row| &row[..columns])
                        .collect();
                    let mut found = Vec::new();
                    for index in 0..=bounds.len() {
                        let lower = index.checked_sub(1).map(|i| bounds[i]);
                        let upper = bounds.get(index).copied();
                        let range = key::range_predicate(&key, lower, upper)
                            .map(|p| format!(" WHERE {p}"))
                            .unwrap_or_default();
                        found.extend(
                            rows(&mut conn, &key, &name, &format!("{range}{order}"), false).await,
                        );
                    }
                    assert_eq!(found, all, "{on:?} {} by {columns} columns", case.name);
                }
            }
            for row in &all {
                let predicate = key::equals(&key, row);
                let count = one(
                    &mut conn,
                    &format!(
                        "SELECT COUNT(*) FROM {} WHERE {predicate}",
                        sql::qualified(&name)
                    ),
                )
                .await;
                assert_eq!(count, "1", "{on:?} {}: {predicate}", case.name);
            }
        }
        run(&mut conn, &[&format!("DROP DATABASE {database}")]).await;
    }
}

#[tokio::test]
async fn ranges_are_read_by_the_index() {
    for on in ALL {
        let database = "mysql_crate_index";
        let Some((server, mut conn)) = with_database(on, Role::Source, database).await else {
            return;
        };
        let charset = if on == On::TiDb { "utf8mb4" } else { "latin1" };
        run(&mut conn, &[
            &format!(
                "CREATE TABLE t (a varchar(9) CHARACTER SET {charset} NOT NULL, b int NOT NULL, \
                 c datetime NOT NULL, v varchar(200), PRIMARY KEY (a, b, c))"
            ),
            "INSERT INTO t SELECT LPAD(x.n * 10 + y.n, 5, '0'), z.n, '2024-01-01', REPEAT('v', 200) FROM \
             (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 \
              UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) x, \
             (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 \
              UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) y, \
             (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 \
              UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) z",
            "ANALYZE TABLE t",
        ])
        .await;
        let name = TableName::new(database, "t");
        let table = schema::read_table(&mut conn, server.info(), &name)
            .await
            .unwrap()
            .unwrap();
        let key = table.chunk_key().unwrap();
        assert_eq!(key.len(), 3);
        let bound = |a: &str, b: i64| {
            [
                KeyValue::Text(a.into()),
                KeyValue::Int(b),
                KeyValue::Text("2024-01-01 00:00:00".into()),
            ]
        };
        let (lower, upper) = (bound("00040", 3), bound("00042", 7));
        let range = key::range_predicate(&key, Some(&lower), Some(&upper)).unwrap();
        let format = if on == On::MySql {
            "FORMAT=TRADITIONAL"
        } else {
            ""
        };
        let plan: Vec<Row> = conn
            .query(format!("EXPLAIN {format} SELECT * FROM t WHERE {range}"))
            .await
            .unwrap();
        let text: Vec<String> = plan
            .iter()
            .flat_map(|row| {
                (0..row.len()).map(|at| {
                    row.get::<Option<String>, _>(at)
                        .flatten()
                        .unwrap_or_default()
                })
            })
            .collect();
        let text = text.join(" ");
        match on {
            On::MySql | On::MariaDb => {
                let row = &plan[0];
                assert_eq!(
                    row.get::<String, _>("type").as_deref(),
                    Some("range"),
                    "{on:?} {text}"
                );
                assert_eq!(
                    row.get::<String, _>("key").as_deref(),
                    Some("PRIMARY"),
                    "{on:?} {text}"
                );
                let read: u64 = row.get("rows").unwrap();
                assert!(read <= 60, "{on:?}: {read} rows read for 24: {text}");
            }
            On::TiDb => {
                assert!(
                    text.contains("RangeScan") && !text.contains("FullScan"),
                    "{text}"
                );
            }
        }
        run(&mut conn, &[&format!("DROP DATABASE {database}")]).await;
    }
}
