use proptest::prelude::*;

use super::*;

fn bytes(hexadecimal: &str) -> Vec<u8> {
    hex::decode(hexadecimal.replace(' ', "")).unwrap()
}

#[test]
fn of_mysql() {
    // MySQL 8.0.32, of a file with compressed transactions.
    let anonymous = bytes(
        "00 00000000000000000000000000000000 0000000000000000 02 0000000000000000 0100000000000000 \
         69688efcbc0506 ea a0380100",
    );
    let begin = plain(&anonymous, false).unwrap();
    assert_eq!((&begin.gtid, begin.may_have_statements), (&None, false));
    assert_eq!((begin.last_committed, begin.sequence_number), (0, 1));
    assert_eq!(begin.original_commit, Some(0x06_05bc_fc8e_6869));
    assert_eq!(
        (begin.immediate_commit, begin.length),
        (begin.original_commit, Some(0xea))
    );
    // Numbers that can be none.
    assert!(plain(&anonymous, true).is_err());
    let mut named = anonymous.clone();
    named[17] = 9;
    named[0] = 1;
    named[48] |= 0x80;
    named.splice(49..49, [1, 0, 0, 0, 0, 0, 0]);
    let begin = plain(&named, true).unwrap();
    assert_eq!(
        begin.gtid.unwrap().to_string(),
        "00000000-0000-0000-0000-000000000000:9"
    );
    assert_eq!((begin.original_commit, begin.length), (Some(1), Some(0xea)));
    assert!(begin.may_have_statements);
    // What 5.6, 5.7 and 8.0.1 wrote, and nothing between.
    let ends = [25, 42, 49, 50, 54];
    for cut in 0..anonymous.len() {
        assert_eq!(
            plain(&anonymous[..cut], false).is_ok(),
            ends.contains(&cut) || cut > 50,
            "{cut}"
        );
    }
}

#[test]
fn with_a_tag() {
    // MySQL 9.6.
    let mut body = bytes(
        "02 78 00 00 00 02 aa ee 2502 08 04 6502 22 c503 c502 e102 9c c103 1103 5502 de ad03 04 0c \
         06 0a 6d79746167 08 00 0a 04 0c 7f1cf3b814244a06 10 a104 12 430f0b",
    );
    let begin = tagged(&body).unwrap();
    assert_eq!(
        begin.gtid.unwrap().to_string(),
        "55778904-0299-11f1-b1b8-4ef0c4956feb:mytag:3"
    );
    assert_eq!((begin.last_committed, begin.sequence_number), (0, 1));
    assert_eq!(begin.length, Some(0x04a1 >> 2));
    assert_eq!(begin.immediate_commit, begin.original_commit);
    for cut in 0..body.len() {
        assert!(tagged(&body[..cut]).is_err(), "{cut}");
    }
    // A field of a later version.
    body[1] += 4;
    body.extend_from_slice(&[80, 1]);
    assert!(tagged(&body).is_ok());
    body[2] = 100;
    assert!(tagged(&body).is_err(), "it says that one must know it");
}

#[test]
fn of_mariadb() {
    let begin = mariadb(&bytes("0200000000000000 01000000 0c 000000000000"), 7).unwrap();
    assert_eq!(begin.gtid.unwrap().to_string(), "1-7-2");
    let more = begin.mariadb.unwrap();
    assert!(more.transactional && !more.standalone && !more.ddl);
    assert_eq!(
        (more.group, more.prepared, more.completed),
        (None, None, None)
    );
    let xa = bytes("0200000000000000 00000000 46 0900000000000000 01000000 02 01 616263");
    let more = mariadb(&xa, 7).unwrap().mariadb.unwrap();
    assert_eq!(more.group, Some(9));
    assert_eq!(more.prepared.unwrap().to_string(), "X'6162',X'63',1");
    let more = mariadb(
        &bytes("0200000000000000 00000000 84 01000000 02 01 616263"),
        7,
    );
    let more = more.unwrap().mariadb.unwrap();
    assert!(more.completed.is_some() && more.prepared.is_none());
    for cut in 0..xa.len() {
        assert!(mariadb(&xa[..cut], 7).is_err(), "{cut}");
    }
}

#[test]
fn sets() {
    let first = "0200000000000000 5577890402991 1f1b1b84ef0c4956feb 0200000000000000 \
                 0100000000000000 0600000000000000 0700000000000000 0800000000000000 \
                 0077890402991 1f1b1b84ef0c4956feb 0100000000000000 0200000000000000 0300000000000000";
    assert_eq!(
        GtidSet::MySql(mysql_set(&bytes(first)).unwrap()).to_string(),
        "00778904-0299-11f1-b1b8-4ef0c4956feb:2,55778904-0299-11f1-b1b8-4ef0c4956feb:1-5:7"
    );
    // MySQL 9.6.
    let tagged = "0102000000000001 5577890402991 1f1b1b84ef0c4956feb 00 0100000000000000 \
                  0100000000000000 0e00000000000000 5577890402991 1f1b1b84ef0c4956feb 0a 6d79746167 \
                  0100000000000000 0100000000000000 0300000000000000";
    assert_eq!(
        GtidSet::MySql(mysql_set(&bytes(tagged)).unwrap()).to_string(),
        "55778904-0299-11f1-b1b8-4ef0c4956feb:1-13:mytag:1-2"
    );
    for text in [first, tagged] {
        let whole = bytes(text);
        for cut in 0..whole.len() {
            assert!(mysql_set(&whole[..cut]).is_err(), "{cut}");
        }
    }
    assert!(mysql_set(&[0; 8]).unwrap().eq(&MySqlGtids::default()));
    // A count that no body has.
    assert!(mysql_set(&[255, 255, 255, 255, 255, 255, 255, 0]).is_err());
    let list = "02000010 00000000 01000000 0500000000000000 00000000 02000000 0700000000000000";
    assert_eq!(
        GtidSet::MariaDb(mariadb_set(&bytes(list)).unwrap()).to_string(),
        "0-2-7"
    );
    assert!(mariadb_set(&[255, 255, 255, 255, 0]).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_gtid_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..150)) {
        let _ = plain(&bytes, true);
        let _ = plain(&bytes, false);
        let _ = tagged(&bytes);
        let _ = tagged(&[&[2, 200, 0, 0, 0][..], &bytes].concat());
        let _ = mariadb(&bytes, 1);
        let _ = mysql_set(&bytes);
        let _ = mysql_set(&[&[1, 2, 0, 0, 0, 0, 0, 1][..], &bytes].concat());
        let _ = mariadb_set(&bytes);
    }
}
