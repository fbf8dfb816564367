//! The servers of `infra/local/servers up`, found by the variables that it writes.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};

/// A server that a test uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// MySQL 9.7, the first source.
    MySql1,
    /// MySQL 9.7, the second source.
    MySql2,
    /// MySQL 9.7 as a target.
    MySqlTarget,
    /// MariaDB 10.11, a source.
    MariaDb,
    /// TiDB 8.4, the target.
    TiDb,
}

/// The value of a variable that `infra/local/servers up` exports.
///
/// # Panics
/// When it is not set: the servers are not there.
#[must_use]
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or `. target/servers/env` after `infra/local/servers up`")
    })
}

impl Server {
    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(self) -> u16 {
        let name = match self {
            Self::MySql1 => "TIDEWAY_TEST_MYSQL1_PORT",
            Self::MySql2 => "TIDEWAY_TEST_MYSQL2_PORT",
            Self::MySqlTarget => "TIDEWAY_TEST_MYSQL_TARGET_PORT",
            Self::MariaDb => "TIDEWAY_TEST_MARIADB_PORT",
            Self::TiDb => "TIDEWAY_TEST_TIDB_PORT",
        };
        variable(name).parse().expect("a port")
    }

    /// Name and password of its user with all rights.
    #[must_use]
    pub fn root(self) -> (String, String) {
        match self {
            Self::TiDb => ("root".into(), variable("TIDEWAY_TEST_TIDB_PASSWORD")),
            _ => ("root".into(), variable("TIDEWAY_TEST_ROOT_PASSWORD")),
        }
    }

    /// Connects as root, with a session that shows values as they are stored.
    pub async fn connect(self) -> Conn {
        self.try_connect()
            .await
            .unwrap_or_else(|error| panic!("connect to {self:?}: {error}"))
    }

    /// As [`Server::connect`], for a server that may be away.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn try_connect(self) -> mysql_async::Result<Conn> {
        let (user, password) = self.root();
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port())
            .user(Some(user))
            .pass(Some(password))
            .prefer_socket(false)
            .setup(vec![
                "SET NAMES utf8mb4".to_owned(),
                "SET time_zone = '+00:00'".to_owned(),
                "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'".to_owned(),
            ]);
        Conn::new(opts).await
    }

    /// Runs statements one after the other.
    pub async fn run(self, statements: &[&str]) {
        let mut conn = self.connect().await;
        for statement in statements {
            conn.query_drop(*statement)
                .await
                .unwrap_or_else(|error| panic!("{self:?}: {statement:.200}: {error}"));
        }
        conn.disconnect().await.expect("disconnect");
    }
}
