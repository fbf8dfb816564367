//! Definitions of tables, as each server tells them.

use tideway_mysql::schema::{self, Generated, Kind, TableDef, TableName};
use tideway_mysql::types::column_type::ColumnType;
use tideway_mysql::{Role, Server};

use crate::server::{ALL, On, run, with_database};

async fn read(
    server: &Server,
    conn: &mut mysql_async::Conn,
    schema: &str,
    table: &str,
) -> TableDef {
    let name = TableName::new(schema, table);
    schema::read_table(conn, server.info(), &name)
        .await
        .unwrap()
        .expect("the table")
}

fn key<'a>(table: &'a TableDef, name: &str) -> &'a schema::KeyDef {
    table
        .keys
        .iter()
        .find(|k| k.name == name)
        .unwrap_or_else(|| panic!("{name}: {:?}", table.keys))
}

#[tokio::test]
async fn columns_and_keys_on_every_server() {
    for on in ALL {
        let database = "mysql_crate_definitions";
        let Some((server, mut conn)) = with_database(on, Role::Source, database).await else {
            return;
        };
        run(&mut conn, &[
            "CREATE TABLE parent (id bigint unsigned NOT NULL AUTO_INCREMENT, PRIMARY KEY (id))",
            r"CREATE TABLE `od``d` (
                id int NOT NULL,
                code varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'x',
                kind enum('a','it''s','back\\slash','é') NOT NULL,
                flags set('x','y') DEFAULT NULL,
                price decimal(20,4) DEFAULT '1.5000',
                at datetime(6) NOT NULL,
                raw binary(16) NOT NULL,
                body longtext,
                twice int GENERATED ALWAYS AS (id * 2) VIRTUAL,
                thrice int GENERATED ALWAYS AS (id * 3) STORED,
                parent_id bigint unsigned,
                `sel``ect` int DEFAULT NULL COMMENT 'AUTO_INCREMENT=5 ''quoted''',
                PRIMARY KEY (code, id),
                UNIQUE KEY raw_at (raw, at),
                KEY body_prefix (body(10)),
                CONSTRAINT fk FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE
              )",
        ])
        .await;
        let table = read(&server, &mut conn, database, "od`d").await;
        assert_eq!(table.columns.len(), 12, "{on:?}");
        let names: Vec<&str> = table.stored_columns().map(|c| c.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "id",
                "code",
                "kind",
                "flags",
                "price",
                "at",
                "raw",
                "body",
                "parent_id",
                "sel`ect"
            ]
        );
        let column = |name: &str| table.column(name).unwrap();
        assert_eq!(column("twice").generated, Generated::Virtual, "{on:?}");
        assert_eq!(column("thrice").generated, Generated::Stored, "{on:?}");
        assert_eq!(column("id").ty, ColumnType::Int { unsigned: false });
        assert_eq!(column("code").ty, ColumnType::Varchar { len: 40 });
        assert_eq!(column("code").collation.as_deref(), Some("utf8mb4_bin"));
        assert_eq!(column("code").charset.as_deref(), Some("utf8mb4"));
        let members = ["a", "it's", r"back\slash", "é"].map(String::from).to_vec();
        assert_eq!(
            column("kind").ty,
            ColumnType::Enum { members },
            "{on:?} {}",
            column("kind").raw_type
        );
        assert_eq!(column("at").ty, ColumnType::DateTime { fsp: 6 });
        assert_eq!(column("raw").ty, ColumnType::Binary { len: 16 });
        assert_eq!(column("raw").charset, None);
        assert!(!column("at").nullable && column("flags").nullable);
        assert_eq!(
            column("price").ty,
            ColumnType::Decimal {
                precision: 20,
                scale: 4,
                unsigned: false
            }
        );
        assert!(
            column("CODE").name == "code",
            "names of columns do not distinguish cases"
        );
        assert!(table.keys[0].primary && table.keys[0].name == "PRIMARY");
        assert_eq!(
            key(&table, "body_prefix").parts[0].prefix,
            Some(10),
            "{on:?}"
        );
        assert!(key(&table, "raw_at").unique && !key(&table, "body_prefix").unique);
        let chunk: Vec<&str> = table
            .chunk_key()
            .unwrap()
            .iter()
            .map(|c| c.name.as_str())
            .collect();
        assert_eq!(chunk, ["code", "id"], "{on:?}");
        assert_eq!(table.foreign_keys.len(), 1, "{on:?}");
        let foreign = &table.foreign_keys[0];
        assert_eq!(foreign.references, TableName::new(database, "parent"));
        assert_eq!(
            (&foreign.columns[0][..], &foreign.on_delete[..]),
            ("parent_id", "CASCADE")
        );
        assert!(!table.partitioned && table.charset.as_deref() == Some("utf8mb4"));
        assert!(
            table.create_sql.starts_with("CREATE TABLE `od``d`"),
            "{}",
            table.create_sql
        );

        let document = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<TableDef>(&document).unwrap(), table);

        let parent = read(&server, &mut conn, database, "parent").await;
        assert!(parent.columns[0].auto_increment, "{on:?}");
        run(&mut conn, &["INSERT INTO parent VALUES (), (), ()"]).await;
        let grown = read(&server, &mut conn, database, "parent").await;
        assert_eq!(
            parent.hash(),
            grown.hash(),
            "{on:?}: inserts change no definition"
        );
        run(&mut conn, &["ALTER TABLE parent ADD COLUMN more int"]).await;
        assert_ne!(
            read(&server, &mut conn, database, "parent").await.hash(),
            grown.hash()
        );

        assert_eq!(
            schema::read_table(&mut conn, server.info(), &TableName::new(database, "none"))
                .await
                .unwrap(),
            None
        );
        let absent = TableName::new("mysql_crate_no_such_database", "t");
        assert_eq!(
            schema::read_table(&mut conn, server.info(), &absent)
                .await
                .unwrap(),
            None
        );
        run(&mut conn, &[&format!("DROP DATABASE {database}")]).await;
    }
}

#[tokio::test]
async fn lists_tell_tables_from_views_and_leave_the_servers_own_out() {
    for on in ALL {
        let database = "mysql_crate_lists";
        let Some((_server, mut conn)) = with_database(on, Role::Source, database).await else {
            return;
        };
        run(
            &mut conn,
            &[
                "CREATE TABLE b (id int primary key)",
                "INSERT INTO b VALUES (1),(2),(3)",
                "CREATE VIEW a AS SELECT id FROM b",
            ],
        )
        .await;
        if on == On::MariaDb {
            run(&mut conn, &["CREATE SEQUENCE c"]).await;
        }
        let all = schema::list(&mut conn).await.unwrap();
        assert!(
            all.iter()
                .all(|l| !schema::is_system_schema(&l.name.schema)),
            "{on:?}"
        );
        assert!(all.is_sorted_by(|x, y| x.name < y.name), "{on:?}");
        let own: Vec<(&str, &Kind)> = all
            .iter()
            .filter(|l| l.name.schema == database)
            .map(|l| (l.name.table.as_str(), &l.kind))
            .collect();
        let mut expected = vec![("a", &Kind::View), ("b", &Kind::BaseTable)];
        if on == On::MariaDb {
            expected.push(("c", &Kind::Sequence));
        }
        assert_eq!(own, expected, "{on:?}");
        assert!(
            schema::list_schemas(&mut conn)
                .await
                .unwrap()
                .contains(&database.to_owned())
        );
        let view = TableName::new(database, "a");
        let create = schema::show_create_view(&mut conn, &view)
            .await
            .unwrap()
            .unwrap();
        assert!(create.to_uppercase().contains("VIEW"), "{create}");
        let create = schema::show_create_database(&mut conn, database)
            .await
            .unwrap()
            .unwrap();
        assert!(
            create.contains(database) && create.contains("utf8mb4"),
            "{create}"
        );
        assert_eq!(
            schema::show_create_database(&mut conn, "mysql_crate_none")
                .await
                .unwrap(),
            None
        );
        run(&mut conn, &[&format!("DROP DATABASE {database}")]).await;
    }
}

#[tokio::test]
async fn names_that_differ_by_case_are_two_tables() {
    for on in [On::MySql, On::MariaDb] {
        let database = "mysql_crate_cases";
        let Some((server, mut conn)) = with_database(on, Role::Source, database).await else {
            return;
        };
        if server.info().lower_case_table_names != 0 {
            continue;
        }
        run(
            &mut conn,
            &[
                "CREATE TABLE T (upper_id int primary key, x int, UNIQUE KEY one (x))",
                "CREATE TABLE t (lower_id int primary key)",
            ],
        )
        .await;
        let upper = read(&server, &mut conn, database, "T").await;
        let lower = read(&server, &mut conn, database, "t").await;
        assert_eq!(
            (upper.columns.len(), upper.keys.len()),
            (2, 2),
            "{on:?} {upper:?}"
        );
        assert_eq!(
            (lower.columns.len(), lower.keys.len()),
            (1, 1),
            "{on:?} {lower:?}"
        );
        assert_eq!(lower.columns[0].name, "lower_id");
        run(&mut conn, &[&format!("DROP DATABASE {database}")]).await;
    }
}

#[tokio::test]
async fn what_only_mysql_has() {
    let database = "mysql_crate_mysql";
    let Some((server, mut conn)) = with_database(On::MySql, Role::Source, database).await else {
        return;
    };
    run(
        &mut conn,
        &[
            "CREATE TABLE e (id int NOT NULL, hidden int INVISIBLE, name varchar(20), doc json, \
         v vector(3), UNIQUE KEY fn ((lower(name))), UNIQUE KEY id_desc (id DESC))",
            "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3",
        ],
    )
    .await;
    let table = read(&server, &mut conn, database, "e").await;
    let part = &key(&table, "fn").parts[0];
    assert!(part.column.is_none(), "{part:?}");
    assert!(
        part.expression.as_deref().unwrap().contains("lower"),
        "{part:?}"
    );
    assert!(table.column("hidden").unwrap().invisible);
    assert_eq!(table.column("doc").unwrap().ty, ColumnType::Json);
    assert_eq!(
        table.column("v").unwrap().ty,
        ColumnType::Vector {
            dimensions: Some(3)
        }
    );
    assert_eq!(table.chunk_key().unwrap()[0].name, "id");
    assert!(read(&server, &mut conn, database, "p").await.partitioned);
    run(&mut conn, &[&format!("DROP DATABASE {database}")]).await;
}

#[tokio::test]
async fn generated_invisible_primary_keys_belong_to_the_definition() {
    let database = "mysql_crate_gipk";
    let Some((server, mut conn)) = with_database(On::MySql, Role::Source, database).await else {
        return;
    };
    run(
        &mut conn,
        &[
            "SET sql_generate_invisible_primary_key = 1",
            "CREATE TABLE g (a int)",
            "SET sql_generate_invisible_primary_key = 0",
        ],
    )
    .await;
    let table = read(&server, &mut conn, database, "g").await;
    assert_eq!(table.columns[0].name, "my_row_id");
    assert!(table.columns[0].invisible && table.columns[0].auto_increment);
    assert_eq!(table.chunk_key().unwrap()[0].name, "my_row_id");
    assert!(table.create_sql.contains("my_row_id"));
    run(&mut conn, &[&format!("DROP DATABASE {database}")]).await;
}

#[tokio::test]
async fn what_only_mariadb_has() {
    let database = "mysql_crate_mariadb";
    let Some((server, mut conn)) = with_database(On::MariaDb, Role::Source, database).await else {
        return;
    };
    run(
        &mut conn,
        &[
            "CREATE TABLE m (id int primary key, doc json, hidden int INVISIBLE, u uuid, \
         kept int AS (id + 1) PERSISTENT)",
        ],
    )
    .await;
    let table = read(&server, &mut conn, database, "m").await;
    let column = |name: &str| table.column(name).unwrap();
    // MariaDB's JSON is text with a check: its text is what must arrive, byte for byte.
    assert_eq!(
        column("doc").ty,
        ColumnType::Text {
            max_bytes: u64::from(u32::MAX)
        }
    );
    assert!(table.create_sql.contains("json_valid"));
    assert!(column("hidden").invisible);
    assert_eq!(column("u").ty, ColumnType::Other("uuid".into()));
    assert_eq!(column("kept").generated, Generated::Stored);
    assert_eq!(column("id").default, None);
    run(&mut conn, &[&format!("DROP DATABASE {database}")]).await;
}

#[tokio::test]
async fn what_only_tidb_has() {
    let database = "mysql_crate_tidb";
    let Some((server, mut conn)) = with_database(On::TiDb, Role::Source, database).await else {
        return;
    };
    run(&mut conn, &[
        "CREATE TABLE r (id bigint PRIMARY KEY AUTO_RANDOM, v vector(3), name varchar(9), \
         UNIQUE KEY fn ((lower(name))))",
        "CREATE TABLE n (id varchar(9) PRIMARY KEY NONCLUSTERED) PARTITION BY KEY (id) PARTITIONS 2",
    ])
    .await;
    let table = read(&server, &mut conn, database, "r").await;
    assert_eq!(
        table.column("v").unwrap().ty,
        ColumnType::Vector {
            dimensions: Some(3)
        }
    );
    let part = &key(&table, "fn").parts[0];
    assert!(
        part.column.is_none() && part.expression.is_some(),
        "{part:?}"
    );
    run(&mut conn, &["INSERT INTO r (name) VALUES ('a'), ('b')"]).await;
    assert_eq!(
        read(&server, &mut conn, database, "r").await.hash(),
        table.hash()
    );
    assert!(read(&server, &mut conn, database, "n").await.partitioned);
    run(&mut conn, &[&format!("DROP DATABASE {database}")]).await;
}
