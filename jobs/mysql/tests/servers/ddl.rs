//! The model of definitions against real servers: after each statement, what the model says and what
//! `information_schema` says must be the same.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tideway_mysql::ddl::model::{self, Catalog, Database};
use tideway_mysql::ddl::{Context, Statement};
use tideway_mysql::schema::{self, KeyDef, TableDef, TableName};
use tideway_mysql::{Role, Server};

use crate::ddl_corpus::{BOTH, MARIA, MYSQL, NOT_UNDERSTOOD};
use crate::ddl_random::Generator;
use crate::server::{On, one, run, with_database};

/// A database on a server, and the model of it.
struct Oracle {
    server: Server,
    conn: Conn,
    catalog: Catalog,
    context: Context,
    database: &'static str,
}

impl Oracle {
    async fn new(on: On, database: &'static str) -> Option<Self> {
        let (server, mut conn) = with_database(on, Role::Source, database).await?;
        let info = server.info();
        let mut context = Context::new(info.flavor, info.version).with_schema(database);
        context.server_collation = one(&mut conn, "SELECT @@collation_server").await;
        let mut oracle = Self {
            catalog: Catalog::new(info.lower_case_table_names),
            server,
            conn,
            context,
            database,
        };
        let collation = one(&mut oracle.conn, "SELECT @@collation_database").await;
        let charset = one(&mut oracle.conn, "SELECT @@character_set_database").await;
        let defaults = Database { charset, collation };
        oracle.catalog.insert_database(database, defaults);
        Some(oracle)
    }

    /// Runs a statement on the server and, when the server takes it, in the model. False when it is
    /// refused.
    async fn step(&mut self, sql: &str) -> Result<bool, String> {
        if let Err(error) = self.conn.query_drop(sql).await {
            assert!(
                matches!(error, mysql_async::Error::Server(_)),
                "{sql}: {error}"
            );
            return Ok(false);
        }
        let statement = Statement::parse(sql, &self.context);
        model::apply(&statement, &mut self.catalog).map_err(|error| error.to_string())?;
        Ok(true)
    }

    /// What differs between the model and the server.
    async fn differences(&mut self) -> Vec<String> {
        let sql = format!(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{}' \
             AND TABLE_TYPE = 'BASE TABLE'",
            self.database
        );
        let mut there: Vec<String> = self.conn.query(sql).await.unwrap();
        there.sort();
        let here: Vec<String> = self
            .catalog
            .tables()
            .map(|t| t.name.table.clone())
            .collect();
        if there != here {
            return vec![format!("tables: {there:?} there, {here:?} here")];
        }
        let mut out = Vec::new();
        for table in there {
            let name = TableName::new(self.database, table);
            let real = schema::read_table(&mut self.conn, self.server.info(), &name)
                .await
                .unwrap()
                .unwrap();
            let own = self.catalog.table(&name).unwrap();
            out.extend(compare(&real, own));
        }
        out
    }

    /// Takes all definitions from the server, as its user does after what the model does not
    /// understand.
    async fn read_again(&mut self) {
        let names: Vec<TableName> = self.catalog.tables().map(|t| t.name.clone()).collect();
        for name in names {
            self.catalog.remove(&name);
        }
        let listed = schema::list(&mut self.conn).await.unwrap();
        for item in listed.iter().filter(|l| l.name.schema == self.database) {
            let table = schema::read_table(&mut self.conn, self.server.info(), &item.name).await;
            self.catalog.insert(table.unwrap().unwrap());
        }
    }

    async fn clear(&mut self) {
        let mut names: Vec<TableName> = self.catalog.tables().map(|t| t.name.clone()).collect();
        let listed = schema::list(&mut self.conn).await.unwrap();
        let own = listed.into_iter().map(|l| l.name);
        names.extend(own.filter(|name| name.schema == self.database));
        run(&mut self.conn, &["SET foreign_key_checks = 0"]).await;
        for name in names {
            run(&mut self.conn, &[&format!("DROP TABLE IF EXISTS {name}")]).await;
            self.catalog.remove(&name);
        }
        run(&mut self.conn, &["SET foreign_key_checks = 1"]).await;
    }
}

/// A key with its expressions left out: servers write these in their own way.
fn plain(key: &KeyDef) -> String {
    let parts: Vec<String> = key
        .parts
        .iter()
        .map(|p| match (&p.column, p.prefix) {
            (Some(column), Some(prefix)) => format!("{column}({prefix})"),
            (Some(column), None) => column.clone(),
            (None, _) => "(expression)".to_owned(),
        })
        .collect();
    let kind = match (key.primary, key.unique) {
        (true, _) => "primary",
        (false, true) => "unique",
        (false, false) => "key",
    };
    format!("{kind} {} ({})", key.name, parts.join(", "))
}

fn compare(real: &TableDef, own: &TableDef) -> Vec<String> {
    let columns = |table: &TableDef| {
        let lines = table.columns.iter().map(|c| {
            format!(
                "{} {} {:?} null={} {:?} {:?} {:?} invisible={} auto={}",
                c.name,
                c.raw_type,
                c.ty,
                c.nullable,
                c.charset,
                c.collation,
                c.generated,
                c.invisible,
                c.auto_increment
            )
        });
        lines.collect::<Vec<_>>()
    };
    // A key that the server made for a foreign key may be left in the model (see its documentation).
    let for_foreign = |key: &KeyDef| {
        let names: Vec<_> = key.parts.iter().filter_map(|p| p.column.clone()).collect();
        !key.unique
            && own.foreign_keys.iter().any(|f| f.columns == names)
            && !real.keys.iter().any(|k| k.name == key.name)
    };
    let mut keys = [
        real.keys.iter().map(plain).collect::<Vec<_>>(),
        own.keys
            .iter()
            .filter(|k| !for_foreign(k))
            .map(plain)
            .collect(),
    ];
    keys.iter_mut().for_each(|k| k.sort());
    let foreign = |table: &TableDef| {
        let mut lines: Vec<String> = table
            .foreign_keys
            .iter()
            .map(|f| {
                format!(
                    "{} {:?} {} {:?} {} {}",
                    f.name, f.columns, f.references, f.referenced_columns, f.on_delete, f.on_update
                )
            })
            .collect();
        lines.sort();
        lines
    };
    let rest = |table: &TableDef| {
        vec![format!(
            "{:?} {:?} {:?} {}",
            table.engine, table.charset, table.collation, table.partitioned
        )]
    };
    let [real_keys, own_keys] = keys;
    let mut out = Vec::new();
    for (what, there, here) in [
        ("columns", columns(real), columns(own)),
        ("keys", real_keys, own_keys),
        ("foreign keys", foreign(real), foreign(own)),
        ("table", rest(real), rest(own)),
    ] {
        for line in there.iter().filter(|line| !here.contains(line)) {
            out.push(format!("{} {what}, server: {line}", real.name));
        }
        for line in here.iter().filter(|line| !there.contains(line)) {
            out.push(format!("{} {what}, model:  {line}", real.name));
        }
        if out.is_empty() && there != here {
            out.push(format!("{} {what}: another order", real.name));
        }
    }
    out
}

/// Runs scripts, each on empty ground; gives what went wrong, all of it.
async fn scripts(oracle: &mut Oracle, scripts: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for script in scripts {
        oracle.clear().await;
        for sql in script.split(";\n").map(str::trim).filter(|s| !s.is_empty()) {
            match oracle.step(sql).await {
                Ok(true) => {}
                Ok(false) => {
                    let error = oracle
                        .conn
                        .query_drop(sql)
                        .await
                        .err()
                        .map(|e| e.to_string());
                    wrong.push(format!("refused: {sql}\n    {}", error.unwrap_or_default()));
                    break;
                }
                Err(error) => {
                    wrong.push(error);
                    break;
                }
            }
            if sql.ends_with("START TRANSACTION") {
                // Nothing can be read before the COMMIT.
                continue;
            }
            let differences = oracle.differences().await;
            if !differences.is_empty() {
                wrong.push(format!(
                    "{script}\n  after {sql}\n    {}",
                    differences.join("\n    ")
                ));
                break;
            }
        }
    }
    oracle.clear().await;
    wrong
}

#[tokio::test]
async fn tricky_statements_do_what_the_model_says() {
    let mut wrong = Vec::new();
    for (on, own) in [(On::MySql, MYSQL), (On::MariaDb, MARIA)] {
        let Some(mut oracle) = Oracle::new(on, "ddl_corpus").await else {
            return;
        };
        for list in [BOTH, own] {
            let found = scripts(&mut oracle, list).await;
            wrong.extend(found.into_iter().map(|text| format!("{on:?}: {text}")));
        }
        run(&mut oracle.conn, &["DROP DATABASE ddl_corpus"]).await;
    }
    assert!(
        wrong.is_empty(),
        "{} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn what_the_model_does_not_understand_changes_nothing() {
    let Some(oracle) = Oracle::new(On::MariaDb, "ddl_not").await else {
        return;
    };
    let mut catalog = oracle.catalog.clone();
    let create = Statement::parse("CREATE TABLE t (a int, b int)", &oracle.context);
    model::apply(&create, &mut catalog).unwrap();
    for sql in NOT_UNDERSTOOD {
        let before = catalog.clone();
        let statement = Statement::parse(sql, &oracle.context);
        let error = model::apply(&statement, &mut catalog).expect_err(sql);
        assert!(error.to_string().contains(sql), "{error}");
        assert_eq!(catalog, before, "{sql}");
    }
}

#[tokio::test]
async fn random_statements_do_what_the_model_says() {
    let number = |name: &str, default: u64| {
        let value = std::env::var(name).ok();
        value.and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    let steps = number("TIDEWAY_TEST_DDL_STEPS", 150);
    // Always the same statements, lest a rare one stops what has nothing to do with it; another seed
    // (`TIDEWAY_TEST_SEED`) and more steps look for what is not known yet.
    let seed = number("TIDEWAY_TEST_SEED", 5);
    for (on, database) in [
        (On::MySql, "ddl_random_mysql"),
        (On::MariaDb, "ddl_random_maria"),
    ] {
        println!("TIDEWAY_TEST_SEED={seed} TIDEWAY_TEST_DDL_STEPS={steps} ({on:?})");
        let Some(mut oracle) = Oracle::new(on, database).await else {
            return;
        };
        let mut generator = Generator::new(seed, on == On::MariaDb);
        let (mut taken, mut not_understood) = (0, 0);
        let mut history = Vec::new();
        for _ in 0..steps {
            let tables: Vec<TableDef> = oracle.catalog.tables().cloned().collect();
            let sql = generator.statement(&tables);
            let before = oracle.catalog.clone();
            match oracle.step(&sql).await {
                Ok(true) => {}
                Ok(false) => {
                    assert_eq!(oracle.catalog, before);
                    continue;
                }
                Err(error) => {
                    println!("{on:?}: {error}");
                    assert_eq!(oracle.catalog, before, "{error}");
                    not_understood += 1;
                    oracle.read_again().await;
                }
            }
            taken += 1;
            history.push(sql);
            let differences = oracle.differences().await;
            assert!(
                differences.is_empty(),
                "seed {seed}, {on:?}:\n{};\n    {}",
                history.join(";\n"),
                differences.join("\n    ")
            );
        }
        println!(
            "{on:?}: {taken} of {steps} statements were taken, {not_understood} not understood"
        );
        assert!(
            not_understood * 20 <= steps,
            "{on:?}: {not_understood} not understood"
        );
        assert!(
            taken * 4 > steps,
            "{on:?}: the server took {taken} of {steps} statements"
        );
        run(&mut oracle.conn, &[&format!("DROP DATABASE {database}")]).await;
    }
}
