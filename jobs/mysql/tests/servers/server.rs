//! The servers, and databases of one's own on them.

use std::collections::BTreeMap;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use secrecy::SecretString;
use tideway_mysql::{Endpoint, Role, Server, Tls};

/// A server by the name in its variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    MySql,
    MariaDb,
    TiDb,
}

pub const ALL: [On; 3] = [On::MySql, On::MariaDb, On::TiDb];

pub fn variable(name: &str) -> Option<String> {
    match std::env::var(name) {
        Ok(value) => Some(value),
        Err(_) if std::env::var("TIDEWAY_TEST_ALLOW_SKIP").as_deref() == Ok("1") => {
            eprintln!("skipped: {name} is not set");
            None
        }
        Err(_) => panic!(
            "{name} is not set: run `infra/local/servers up` and `. target/servers/env`, or set \
             TIDEWAY_TEST_ALLOW_SKIP=1 to leave these tests out"
        ),
    }
}

impl On {
    /// Its endpoint as root, or `None` when tests may be skipped.
    pub fn endpoint(self) -> Option<Endpoint> {
        let (port, password) = match self {
            Self::MySql => ("TIDEWAY_TEST_MYSQL1_PORT", "TIDEWAY_TEST_ROOT_PASSWORD"),
            Self::MariaDb => ("TIDEWAY_TEST_MARIADB_PORT", "TIDEWAY_TEST_ROOT_PASSWORD"),
            Self::TiDb => ("TIDEWAY_TEST_TIDB_PORT", "TIDEWAY_TEST_TIDB_PASSWORD"),
        };
        Some(Endpoint {
            name: format!("test {self:?}"),
            host: "127.0.0.1".into(),
            port: variable(port)?.parse().unwrap(),
            user: "root".into(),
            password: SecretString::from(variable(password)?),
            tls: Tls::Preferred,
            session: BTreeMap::new(),
            max_allowed_packet: None,
        })
    }

    pub async fn server(self, role: Role) -> Option<Server> {
        let endpoint = self.endpoint()?;
        Some(Server::connect(&endpoint, role, 4).await.unwrap())
    }
}

/// A server with an empty database of this name.
pub async fn with_database(on: On, role: Role, database: &str) -> Option<(Server, Conn)> {
    let server = on.server(role).await?;
    let mut conn = server.conn().await.unwrap();
    run(
        &mut conn,
        &[
            &format!("DROP DATABASE IF EXISTS {database}"),
            &format!("CREATE DATABASE {database} DEFAULT CHARACTER SET utf8mb4"),
            &format!("USE {database}"),
        ],
    )
    .await;
    Some((server, conn))
}

pub async fn run(conn: &mut Conn, statements: &[&str]) {
    for statement in statements {
        if let Err(error) = conn.query_drop(*statement).await {
            panic!("{statement:.300}: {error}");
        }
    }
}

pub async fn one(conn: &mut Conn, sql: &str) -> String {
    let row: Option<Option<String>> = conn
        .query_first(sql)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
    row.flatten().unwrap_or_default()
}
