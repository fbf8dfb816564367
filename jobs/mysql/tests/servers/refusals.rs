//! TLS, and connections that are refused: each says who, why and what to do.

use std::path::PathBuf;

use secrecy::SecretString;
use tideway_mysql::{Error, Role, Server, Tls};

use crate::server::{On, one, run, variable};

fn verified(ca: Option<&str>) -> Option<Tls> {
    Some(Tls::Verified {
        ca: match ca {
            Some(name) => Some(PathBuf::from(variable(name)?)),
            None => None,
        },
        cert: None,
        key: None,
        allowed_cn: vec![],
        ca_pem: None,
        cert_pem: None,
        key_pem: None,
    })
}

async fn connect(on: On, tls: Tls) -> Option<Result<Server, Error>> {
    let mut endpoint = on.endpoint()?;
    endpoint.tls = tls;
    Some(Server::connect(&endpoint, Role::Source, 1).await)
}

async fn cipher(server: &Server) -> String {
    let mut conn = server.conn().await.unwrap();
    one(
        &mut conn,
        "SELECT VARIABLE_VALUE FROM performance_schema.session_status \
         WHERE VARIABLE_NAME = 'Ssl_cipher'",
    )
    .await
}

#[tokio::test]
async fn encrypted_where_the_server_offers_it() {
    let Some(mysql) = connect(On::MySql, Tls::Preferred).await else {
        return;
    };
    let mysql = mysql.unwrap();
    assert!(mysql.encrypted() && mysql.info().has_tls);
    assert!(cipher(&mysql).await.contains("AES") || cipher(&mysql).await.contains("CHACHA"));
    let tidb = connect(On::TiDb, Tls::Preferred).await.unwrap().unwrap();
    assert!(!tidb.encrypted() && !tidb.info().has_tls);
    let plain = connect(On::MySql, Tls::Disabled).await.unwrap().unwrap();
    assert!(!plain.encrypted());
    assert_eq!(cipher(&plain).await, "");
}

#[tokio::test]
async fn the_right_authority_is_taken_the_wrong_one_refused() {
    for on in [On::MySql, On::MariaDb] {
        let Some(tls) = verified(Some("TIDEWAY_TEST_CA_FILE")) else {
            return;
        };
        assert!(connect(on, tls).await.unwrap().unwrap().encrypted());
        for ca in [Some("TIDEWAY_TEST_OTHER_CA_FILE"), None] {
            let error = connect(on, verified(ca).unwrap())
                .await
                .unwrap()
                .err()
                .unwrap();
            assert!(matches!(error, Error::TlsRefused { .. }), "{error:?}");
            assert!(error.is_configuration() && !error.retryable());
            assert!(error.to_string().contains("ssl-ca"), "{error}");
        }
    }
    let tls = verified(Some("TIDEWAY_TEST_CA_FILE")).unwrap();
    let error = connect(On::TiDb, tls).await.unwrap().err().unwrap();
    assert!(matches!(error, Error::TlsNotOffered { .. }), "{error:?}");
}

#[tokio::test]
async fn certificates_inline_and_of_our_own() {
    let Some(ca) = variable("TIDEWAY_TEST_CA_FILE") else {
        return;
    };
    let read = |name: &str| std::fs::read(variable(name).unwrap()).unwrap();
    let tls = Tls::Verified {
        ca: None,
        cert: None,
        key: None,
        allowed_cn: vec![],
        ca_pem: Some(std::fs::read(&ca).unwrap()),
        cert_pem: Some(read("TIDEWAY_TEST_CLIENT_CERT_FILE")),
        key_pem: Some(read("TIDEWAY_TEST_CLIENT_KEY_FILE")),
    };
    assert!(connect(On::MySql, tls).await.unwrap().unwrap().encrypted());
}

#[tokio::test]
async fn files_that_are_none_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    for path in [directory.path().join("absent.pem"), empty] {
        let Some(mut tls) = verified(None) else {
            return;
        };
        let Tls::Verified { ca, .. } = &mut tls else {
            unreachable!()
        };
        *ca = Some(path);
        let Some(result) = connect(On::MySql, tls).await else {
            return;
        };
        let error = result.err().unwrap();
        assert!(
            matches!(&error, Error::TlsFile { key, .. } if key == "ssl-ca"),
            "{error:?}"
        );
        assert!(error.is_configuration());
    }
}

#[tokio::test]
async fn only_allowed_common_names() {
    let Some(ca) = variable("TIDEWAY_TEST_CA_FILE") else {
        return;
    };
    let tls = |allowed: &[&str]| Tls::Verified {
        ca: Some(PathBuf::from(&ca)),
        cert: None,
        key: None,
        allowed_cn: allowed.iter().map(|n| (*n).to_owned()).collect(),
        ca_pem: None,
        cert_pem: None,
        key_pem: None,
    };
    let error = connect(On::MySql, tls(&["nobody", "no one"]))
        .await
        .unwrap()
        .err()
        .unwrap();
    let Error::CommonName { found, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(!found.is_empty());
    assert!(
        error.is_configuration() && error.to_string().contains("nobody, no one"),
        "{error}"
    );
    assert!(
        connect(On::MySql, tls(&["nobody", found]))
            .await
            .unwrap()
            .unwrap()
            .encrypted()
    );
    // Chain and name count as before, and a server without TLS is told.
    let mut wrong = tls(&[found]);
    let Tls::Verified { ca, .. } = &mut wrong else {
        unreachable!()
    };
    *ca = Some(PathBuf::from(
        variable("TIDEWAY_TEST_OTHER_CA_FILE").unwrap(),
    ));
    let error = connect(On::MySql, wrong).await.unwrap().err().unwrap();
    assert!(matches!(error, Error::TlsRefused { .. }), "{error:?}");
    let error = connect(On::TiDb, tls(&[found]))
        .await
        .unwrap()
        .err()
        .unwrap();
    assert!(matches!(error, Error::TlsNotOffered { .. }), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it() {
    for on in [On::MySql, On::MariaDb, On::TiDb] {
        let Some(mut endpoint) = on.endpoint() else {
            return;
        };
        endpoint.password = SecretString::from("hunter2-wrong");
        let error = Server::connect(&endpoint, Role::Source, 1)
            .await
            .err()
            .unwrap();
        assert!(matches!(error, Error::AccessDenied { .. }), "{error:?}");
        assert!(error.is_configuration() && !error.retryable());
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(
            text.starts_with(&format!("test {on:?} (root@127.0.0.1:")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn hosts_that_are_unknown_and_ports_where_nobody_listens() {
    let Some(mut endpoint) = On::MySql.endpoint() else {
        return;
    };
    endpoint.host = "no-such-host.invalid".into();
    let error = Server::connect(&endpoint, Role::Source, 1)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, Error::UnknownHost { .. }), "{error:?}");
    assert!(error.is_configuration() && error.to_string().contains("no-such-host.invalid"));

    endpoint.host = "127.0.0.1".into();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    endpoint.port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = Server::connect(&endpoint, Role::Source, 1)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(
        error.retryable() && error.to_string().contains("port"),
        "{error}"
    );
}

#[tokio::test]
async fn a_variable_that_the_server_refuses_is_told_at_once() {
    for on in [On::MySql, On::MariaDb, On::TiDb] {
        let Some(mut endpoint) = on.endpoint() else {
            return;
        };
        endpoint
            .session
            .insert("no_such_variable".into(), "1".into());
        let error = Server::connect(&endpoint, Role::Source, 1)
            .await
            .err()
            .unwrap();
        assert!(matches!(error, Error::Session { .. }), "{error:?}");
        assert!(error.is_configuration() && error.to_string().contains("no_such_variable"));
    }
}

#[tokio::test]
async fn no_connection_left() {
    let Some(server) = On::MySql.server(Role::Source).await else {
        return;
    };
    let mut conn = server.conn().await.unwrap();
    run(
        &mut conn,
        &[
            "DROP USER IF EXISTS mysql_crate_few",
            "CREATE USER mysql_crate_few IDENTIFIED BY 'few' WITH MAX_USER_CONNECTIONS 1",
        ],
    )
    .await;
    let mut endpoint = On::MySql.endpoint().unwrap();
    endpoint.user = "mysql_crate_few".into();
    endpoint.password = SecretString::from("few");
    let first = Server::connect(&endpoint, Role::Source, 1).await.unwrap();
    let held = first.conn().await.unwrap();
    let error = Server::connect(&endpoint, Role::Source, 1)
        .await
        .err()
        .unwrap();
    assert!(
        matches!(error, Error::TooManyConnections { .. }),
        "{error:?}"
    );
    assert!(
        error.retryable() && error.to_string().contains("max_connections"),
        "{error}"
    );
    drop(held);
    first.close().await;
    run(&mut conn, &["DROP USER mysql_crate_few"]).await;
}
