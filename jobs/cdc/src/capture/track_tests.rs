//! Streams of events made by hand: what a real server does seldom.

use tideway_mysql::binlog::header::HEADER;
use tideway_mysql::gtid::GtidSet;

use super::*;

const UUID: &str = "ea2c5f47-e8d3-11f1-a3da-02fc00000001";

/// An event with its checksum, that ends at `next`.
fn event(kind: Kind, body: &[u8], next: u64, flags: u16) -> Vec<u8> {
    let size = u32::try_from(HEADER + body.len() + 4).unwrap();
    let mut bytes = 7_u32.to_le_bytes().to_vec();
    bytes.push(kind.0);
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&(next as u32).to_le_bytes());
    bytes.extend_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(body);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn rotate(file: &str, pos: u64) -> Vec<u8> {
    let mut body = pos.to_le_bytes().to_vec();
    body.extend_from_slice(file.as_bytes());
    body
}

fn description() -> Vec<u8> {
    let mut body = 4_u16.to_le_bytes().to_vec();
    let mut version = b"8.0.36".to_vec();
    version.resize(50, 0);
    body.extend_from_slice(&version);
    body.extend_from_slice(&[0; 4]);
    body.push(19);
    let mut lengths = [0_u8; 42];
    for (kind, length) in [(15, 98), (19, 8), (30, 10), (31, 10), (32, 10), (33, 42)] {
        lengths[kind - 1] = length;
    }
    body.extend_from_slice(&lengths);
    body.push(1);
    event(Kind::FORMAT_DESCRIPTION, &body, 0, FLAG_ARTIFICIAL)
}

fn gtid(number: u64) -> Vec<u8> {
    let mut body = vec![1];
    body.extend_from_slice(&hex::decode(UUID.replace('-', "")).unwrap());
    body.extend_from_slice(&number.to_le_bytes());
    body
}

fn query(text: &str) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend_from_slice(&[1, 0, 0, 0, 0]);
    body.extend_from_slice(b"d\0");
    body.extend_from_slice(text.as_bytes());
    body
}

/// Rows of table 5, of which nothing but the flags is looked at.
fn rows(last: bool) -> Vec<u8> {
    vec![5, 0, 0, 0, 0, 0, u8::from(last), 0, 2, 0, 1, 255, 0]
}

/// A stream that stands at an offset of `b.000001`.
struct Stream {
    tracker: Tracker,
    pos: u64,
}

impl Stream {
    fn at(pos: u64, gtids: Option<&str>) -> Self {
        let place = Place {
            file: "b.000001".to_owned(),
            pos,
            gtids: gtids.map(|set| GtidSet::parse(set).unwrap()),
        };
        let mut stream = Self {
            tracker: Tracker::new(place, None, 1 << 20),
            pos,
        };
        stream.begin(From::Here);
        stream
    }

    fn begin(&mut self, from: From) {
        self.tracker.begin(from);
        let file = self.tracker.place.file.clone();
        self.artificial(Kind::ROTATE, &rotate(&file, self.pos));
        let taken = self.tracker.take(description()).unwrap();
        assert!(!taken.keep);
    }

    fn artificial(&mut self, kind: Kind, body: &[u8]) -> Taken {
        self.tracker
            .take(event(kind, body, 0, FLAG_ARTIFICIAL))
            .unwrap()
    }

    fn next(&mut self, kind: Kind, body: &[u8]) -> Taken {
        self.pos += (HEADER + body.len() + 4) as u64;
        self.tracker.take(event(kind, body, self.pos, 0)).unwrap()
    }

    fn heartbeat(&mut self, file: &str, next: u64) {
        let taken = self
            .tracker
            .take(event(Kind::HEARTBEAT, file.as_bytes(), next, 0))
            .unwrap();
        assert!(!taken.keep);
    }

    fn place(&self) -> (String, u64) {
        let place = &self.tracker.place;
        (place.file.clone(), place.pos)
    }

    fn gtids(&self) -> String {
        let set = self.tracker.place.gtids.as_ref();
        set.map(ToString::to_string).unwrap_or_default()
    }
}

#[test]
fn a_transaction_counts_when_it_ends() {
    let mut stream = Stream::at(1000, Some(""));
    let taken = stream.next(Kind::GTID, &gtid(1));
    assert!(taken.keep && !taken.transaction_ended && stream.tracker.in_transaction());
    stream.next(Kind::QUERY, &query("BEGIN"));
    stream.next(Kind::TABLE_MAP, &[5, 0, 0, 0, 0, 0]);
    assert_eq!(stream.gtids(), "");
    stream.next(Kind::WRITE_ROWS, &rows(true));
    stream.next(Kind::QUERY, &query("SAVEPOINT a"));
    assert!(stream.tracker.in_transaction());
    let taken = stream.next(Kind::XID, &[0; 8]);
    assert!(taken.keep && taken.transaction_ended && !stream.tracker.in_transaction());
    assert_eq!(stream.gtids(), format!("{UUID}:1"));
    // DDL is a transaction by itself.
    stream.next(Kind::GTID, &gtid(2));
    assert!(
        stream
            .next(Kind::QUERY, &query("DROP TABLE t"))
            .transaction_ended
    );
    assert_eq!(stream.gtids(), format!("{UUID}:1-2"));
    // Of two phases: the prepare ends one, the commit is one.
    stream.next(Kind::GTID, &gtid(3));
    stream.next(Kind::QUERY, &query("XA START X'61',X'',1"));
    assert!(
        !stream
            .next(Kind::QUERY, &query("XA END X'61',X'',1"))
            .transaction_ended
    );
    assert!(stream.next(Kind::XA_PREPARE, &[0; 13]).transaction_ended);
    stream.next(Kind::GTID, &gtid(4));
    assert!(
        stream
            .next(Kind::QUERY, &query("XA COMMIT X'61',X'',1"))
            .transaction_ended
    );
    assert_eq!(stream.gtids(), format!("{UUID}:1-4"));
    // Without GTIDs, of old servers.
    let mut old = Stream::at(1000, None);
    old.next(Kind::QUERY, &query("BEGIN"));
    assert!(old.tracker.in_transaction());
    assert!(old.next(Kind::XID, &[0; 8]).transaction_ended);
    old.next(Kind::INTVAR, &[2, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert!(old.tracker.in_transaction());
    assert!(
        old.next(Kind::QUERY, &query("INSERT INTO t VALUES (1)"))
            .transaction_ended
    );
}

#[test]
fn what_is_known_already_is_passed_over() {
    let known = format!("{UUID}:1-5");
    let mut stream = Stream::at(4, Some(&known));
    assert!(!stream.next(Kind::GTID, &gtid(5)).keep);
    assert!(!stream.next(Kind::QUERY, &query("BEGIN")).keep);
    let taken = stream.next(Kind::XID, &[0; 8]);
    assert!(!taken.keep && taken.transaction_ended);
    assert!(stream.next(Kind::GTID, &gtid(6)).keep);
}

#[test]
fn maps_of_the_open_statement_are_kept_until_it_ends() {
    let mut stream = Stream::at(1000, None);
    stream.next(Kind::QUERY, &query("BEGIN"));
    let taken = stream.next(Kind::TABLE_MAP, &[5, 0, 0, 0, 0, 0]);
    assert_eq!(
        stream.tracker.maps().len(),
        0,
        "a segment may begin with it"
    );
    let copy = artificial_copy(&taken.event);
    stream.next(Kind::WRITE_ROWS, &rows(false));
    assert_eq!(stream.tracker.maps(), std::slice::from_ref(&copy));
    stream.next(Kind::WRITE_ROWS, &rows(true));
    assert_eq!(
        stream.tracker.maps().len(),
        1,
        "a segment may begin with it"
    );
    stream.next(Kind::QUERY, &query("SAVEPOINT a"));
    assert_eq!(stream.tracker.maps().len(), 0);
    // Another process learns the same from the segment.
    stream.next(Kind::TABLE_MAP, &[6, 0, 0, 0, 0, 0]);
    let open = stream.tracker.open().unwrap();
    assert_eq!((open.maps.len(), open.gtid), (1, None));
    let mut checker = Checker::new(1 << 20);
    checker.check(description(), 0).unwrap();
    let copy = checker.check(copy, 0).unwrap();
    assert_eq!((copy.header.next, copy.header.flags), (0, FLAG_ARTIFICIAL));
}

#[test]
fn offsets_have_more_than_32_bits() {
    let start = (1_u64 << 32) - 100;
    let mut stream = Stream::at(start, None);
    stream.next(Kind::QUERY, &query("BEGIN"));
    stream.next(Kind::WRITE_ROWS, &[0; 200]);
    assert_eq!(stream.place(), ("b.000001".to_owned(), stream.pos));
    assert!(stream.pos > 1 << 32);
    assert_eq!(widened(5, 5), 5);
    assert_eq!(widened(6, 5), (1 << 32) + 5);
}

#[test]
fn heartbeats_move_the_place_forwards_only() {
    let mut stream = Stream::at(1000, None);
    stream.heartbeat("b.000001", 1500);
    assert_eq!(stream.place().1, 1500);
    stream.heartbeat("b.000001", 1400);
    stream.heartbeat("b.000009", 1900);
    assert_eq!(stream.place().1, 1500);
    stream.pos = 1500;
    stream.next(Kind::QUERY, &query("BEGIN"));
    let pos = stream.pos;
    stream.heartbeat("b.000001", pos + 900);
    assert_eq!(stream.place().1, pos, "a transaction is open");
}

#[test]
fn files_end_by_an_event_or_by_a_crash() {
    let mut stream = Stream::at(1000, None);
    let taken = stream.next(Kind::ROTATE, &rotate("b.000002", 4));
    assert!(taken.keep && taken.file_ended);
    assert_eq!(stream.place(), ("b.000002".to_owned(), 4));
    let taken = stream.artificial(Kind::ROTATE, &rotate("b.000002", 4));
    assert!(!taken.file_ended);
    stream.pos = 4;
    stream.next(Kind::QUERY, &query("BEGIN"));
    let taken = stream.artificial(Kind::ROTATE, &rotate("b.000003", 4));
    assert!(!taken.keep && taken.file_ended && !stream.tracker.in_transaction());
    assert_eq!(stream.place(), ("b.000003".to_owned(), 4));
}

#[test]
fn what_comes_again_is_passed_over() {
    let mut stream = Stream::at(1000, None);
    stream.next(Kind::QUERY, &query("DROP TABLE a"));
    let place = stream.place();
    stream.tracker.begin(From::Behind);
    stream.artificial(Kind::ROTATE, &rotate("b.000000", 4));
    stream.tracker.take(description()).unwrap();
    stream.pos = 4;
    assert!(!stream.next(Kind::QUERY, &query("DROP TABLE a")).keep);
    let taken = stream.next(Kind::ROTATE, &rotate("b.000001", 4));
    assert!(!taken.keep && !taken.file_ended);
    let size = stream.pos;
    stream.pos = place.1 - 60;
    assert!(!stream.next(Kind::QUERY, &query("DROP TABLE a")).keep || stream.pos > place.1);
    assert!(size > 4 && stream.place() >= place);
    assert!(stream.next(Kind::QUERY, &query("DROP TABLE b")).keep);
}

#[test]
fn by_gtid_the_place_is_known_from_the_first_transaction_on() {
    let set = format!("{UUID}:1-5");
    let mut stream = Stream::at(1000, Some(&set));
    stream.tracker.begin(From::FirstTransaction);
    stream.artificial(Kind::ROTATE, &rotate("other.000007", 4));
    stream.tracker.take(description()).unwrap();
    stream.pos = 100;
    assert!(!stream.next(Kind::PREVIOUS_GTIDS, &[0; 8]).keep);
    assert_eq!(stream.place(), ("b.000001".to_owned(), 1000));
    stream.pos = 5000;
    assert!(stream.next(Kind::GTID, &gtid(6)).keep);
    assert_eq!(stream.place(), ("other.000007".to_owned(), stream.pos));
}

#[test]
fn damage_is_told_with_its_file() {
    let mut stream = Stream::at(1000, None);
    let mut bytes = event(Kind::QUERY, &query("BEGIN"), 1100, 0);
    bytes[25] ^= 1;
    let error = stream.tracker.take(bytes).unwrap_err().to_string();
    assert!(
        error.contains("b.000001") && error.contains("CRC32"),
        "{error}"
    );
    assert!(stream.tracker.take(vec![0; 10]).is_err());
    let mut cut = event(Kind::QUERY, &query("BEGIN"), 1100, 0);
    cut.pop();
    assert!(stream.tracker.take(cut).is_err());
}
