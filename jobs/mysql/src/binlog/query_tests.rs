use proptest::prelude::*;

use super::*;

/// The body of MySQL 9.6's `BEGIN`, from a file of its own.
const BEGIN: &str = "0b0000000000000004000 01f00000000000001200 0a04500000000 0603737464 04ff00ff00ff00 0cfe \
                     12ff00 7465737400 424547494e";

fn bytes(hexadecimal: &str) -> Vec<u8> {
    hex::decode(hexadecimal.replace(' ', "")).unwrap()
}

fn query(status: &[u8], schema: &str, text: &[u8]) -> Vec<u8> {
    let mut body = vec![9, 0, 0, 0, 1, 0, 0, 0, schema.len().to_le_bytes()[0], 0, 0];
    body.extend_from_slice(&u16::try_from(status.len()).unwrap().to_le_bytes());
    body.extend_from_slice(status);
    body.extend_from_slice(schema.as_bytes());
    body.push(0);
    body.extend_from_slice(text);
    body
}

#[test]
fn a_begin_of_mysql() {
    let body = bytes(BEGIN);
    let query = read(Kind::QUERY, &body, 100).unwrap();
    assert_eq!(
        (
            query.thread_id,
            &query.schema[..],
            &query.text[..],
            query.error_code
        ),
        (11, "test", &b"BEGIN"[..], 0)
    );
    let status = query.status;
    assert_eq!(status.sql_mode, Some(0x45a0_0020));
    assert_eq!(
        (
            status.client_collation,
            status.connection_collation,
            status.server_collation
        ),
        (Some(255), Some(255), Some(255))
    );
    assert_eq!(status.utf8mb4_collation, Some(255));
    assert_eq!(
        (status.foreign_key_checks, status.unique_checks),
        (Some(true), Some(true))
    );
    assert_eq!(status.time_zone, None);
}

#[test]
fn all_variables() {
    let mut all = vec![0, 0, 0, 0, 0x0c];
    all.extend_from_slice(&[2, 3, b's', b't', b'd', 0]);
    all.extend_from_slice(&[3, 2, 0, 1, 0]);
    all.extend_from_slice(&[5, 6]);
    all.extend_from_slice(b"+02:00");
    all.extend_from_slice(&[7, 4, 0, 8, 8, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 10, 1, 0, 0, 0]);
    all.extend_from_slice(&[11, 1, b'u', 1, b'%', 12, 2, b'a', 0, b'b', 0]);
    all.extend_from_slice(&[
        13, 1, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, 0, 16, 1, 17, 7, 0, 0, 0, 0, 0, 0, 0,
    ]);
    all.extend_from_slice(&[
        18, 45, 0, 19, 1, 20, 0, 128, 2, 0, 0, 129, 8, 0, 0, 0, 0, 0, 0, 0,
    ]);
    all.extend_from_slice(&[130, 4, 1, 0, 0, 0, 0, 0, 0, 0, 131, 1, 45, 0, 224, 0]);
    // The one that nobody knows ends it.
    let known = all.len();
    all.extend_from_slice(&[77, 1, 2, 3, 16, 0]);
    let body = query(&all, "", b"x");
    let found = read(Kind::QUERY, &body, 100).unwrap().status;
    assert_eq!(found, status(&all[..known]));
    let expected = Status {
        foreign_key_checks: Some(false),
        unique_checks: Some(false),
        auto_is_null: Some(false),
        auto_increment: Some((2, 1)),
        time_zone: Some("+02:00".into()),
        lc_time_names: Some(4),
        database_collation: Some(8),
        invoker: Some(("u".into(), "%".into())),
        databases: vec!["a".into(), "b".into()],
        micros: Some(2),
        explicit_defaults_for_timestamp: Some(true),
        ddl_xid: Some(8),
        utf8mb4_collation: Some(45),
        sql_require_primary_key: Some(true),
        default_table_encryption: Some(false),
        alter_phase: 4,
        charset_collations: vec![(45, 224)],
        ..Status::default()
    };
    assert_eq!(found, expected);
}

#[test]
fn what_is_cut_is_an_error() {
    let body = query(&[16, 1], "db", b"");
    for cut in 0..body.len() {
        assert!(read(Kind::QUERY, &body[..cut], 100).is_err(), "{cut}");
    }
    assert!(read(Kind::XID, &body, 100).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_query_or_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        variables in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let _ = read(Kind::QUERY, &bytes, 1000);
        let _ = read(Kind::QUERY_COMPRESSED, &bytes, 1000);
        let _ = status(&variables);
        let _ = read(Kind::QUERY_COMPRESSED, &query(&variables, "", &bytes), 1000);
    }
}
