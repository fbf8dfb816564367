//! What users may do.

use secrecy::SecretString;
use tideway_mysql::grants::{self, Grants};
use tideway_mysql::{Role, Server};

use crate::server::{ALL, On, run, variable, with_database};

async fn grants_of(on: On, user: &str, password: &str) -> Grants {
    let mut endpoint = on.endpoint().unwrap();
    endpoint.user = user.to_owned();
    endpoint.password = SecretString::from(password.to_owned());
    let server = Server::connect(&endpoint, Role::Source, 1).await.unwrap();
    let mut conn = server.conn().await.unwrap();
    let grants = grants::read(&mut conn).await.unwrap();
    drop(conn);
    server.close().await;
    grants
}

#[tokio::test]
async fn root_may_do_everything() {
    for on in ALL {
        let Some(server) = on.server(Role::Source).await else {
            return;
        };
        let mut conn = server.conn().await.unwrap();
        let grants = grants::read(&mut conn).await.unwrap();
        for privilege in [
            "SELECT",
            "RELOAD",
            "REPLICATION SLAVE",
            "LOCK TABLES",
            "SUPER",
        ] {
            assert!(
                grants.has(privilege, Some("any"), Some("t")),
                "{on:?} {privilege} {grants:?}"
            );
        }
        assert!(grants.unknown().is_empty(), "{on:?} {:?}", grants.unknown());
    }
}

#[tokio::test]
async fn the_user_that_is_like_auroras() {
    for on in [On::MySql, On::MariaDb] {
        let Some(user) = variable("TIDEWAY_TEST_AURORA_USER") else {
            return;
        };
        let grants = grants_of(
            on,
            &user,
            &variable("TIDEWAY_TEST_AURORA_PASSWORD").unwrap(),
        )
        .await;
        for privilege in [
            "SELECT",
            "LOCK TABLES",
            "REPLICATION CLIENT",
            "REPLICATION SLAVE",
        ] {
            assert!(
                grants.has(privilege, Some("any"), Some("t")),
                "{on:?} {privilege} {grants:?}"
            );
        }
        for privilege in ["RELOAD", "SUPER", "BACKUP_ADMIN", "FLUSH_TABLES"] {
            assert!(
                !grants.has(privilege, None, None),
                "{on:?} {privilege} {grants:?}"
            );
        }
    }
}

#[tokio::test]
async fn roles_are_followed_patterns_and_columns_understood() {
    for on in ALL {
        let database = "mysql_crate_grants";
        let Some((_server, mut conn)) = with_database(on, Role::Source, database).await else {
            return;
        };
        let (user, inner, outer) = ("mysql_crate_user", "mysql_crate_inner", "mysql_crate_outer");
        run(
            &mut conn,
            &[
                "CREATE TABLE t (id int primary key, a int, b int)",
                &format!("DROP USER IF EXISTS {user}"),
                &format!("DROP ROLE IF EXISTS {inner}"),
                &format!("DROP ROLE IF EXISTS {outer}"),
                &format!("CREATE USER {user} IDENTIFIED BY 'Secret-1'"),
                &format!("CREATE ROLE {inner}"),
                &format!("CREATE ROLE {outer}"),
                &format!("GRANT INSERT ON {database}.* TO {inner}"),
                &format!("GRANT DELETE ON {database}.t TO {outer}"),
                &format!("GRANT {inner} TO {outer}"),
                &format!("GRANT {outer} TO {user}"),
                &format!("GRANT SELECT ON `mysql\\_crate\\_%`.* TO {user}"),
                &format!("GRANT UPDATE (a, b) ON {database}.t TO {user}"),
            ],
        )
        .await;
        let default = match on {
            On::MariaDb => format!("SET DEFAULT ROLE {outer} FOR {user}"),
            On::MySql | On::TiDb => format!("SET DEFAULT ROLE ALL TO {user}"),
        };
        run(&mut conn, &[&default]).await;
        let grants = grants_of(on, user, "Secret-1").await;
        let has = |privilege| grants.has(privilege, Some(database), Some("t"));
        assert!(
            has("SELECT") && !grants.has("SELECT", Some("mysqlXcrateXgrants"), None),
            "{grants:?}"
        );
        assert!(
            has("DELETE") && !grants.has("DELETE", Some(database), Some("u")),
            "{grants:?}"
        );
        assert!(has("INSERT"), "{on:?}: the inner role: {grants:?}");
        assert!(!has("UPDATE"), "{grants:?}");
        assert!(
            grants.has_on_columns("UPDATE", database, "t"),
            "{on:?} {grants:?}"
        );
        assert!(!has("ALTER") && grants.unknown().is_empty(), "{grants:?}");
        run(
            &mut conn,
            &[
                &format!("DROP USER {user}"),
                &format!("DROP ROLE {inner}"),
                &format!("DROP ROLE {outer}"),
                &format!("DROP DATABASE {database}"),
            ],
        )
        .await;
    }
}
