use proptest::prelude::*;

use super::*;

const LIMIT: u32 = 1 << 20;

/// An event with its checksum.
fn event(kind: Kind, flags: u16, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(HEADER + body.len() + CHECKSUM).unwrap();
    let mut bytes = vec![1, 0, 0, 0, kind.0, 7, 0, 0, 0];
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(flags & !FLAG_IN_USE).to_le_bytes());
    bytes.extend_from_slice(body);
    let crc = crc32fast::hash(&bytes);
    bytes[FLAGS..HEADER].copy_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn description(version: &str, flags: u16, algorithm: u8) -> Vec<u8> {
    let mut body = 4_u16.to_le_bytes().to_vec();
    let mut name = [0; 50];
    name[..version.len()].copy_from_slice(version.as_bytes());
    body.extend_from_slice(&name);
    body.extend_from_slice(&[0; 4]);
    body.push(19);
    body.extend_from_slice(&[56, 13, 0, 8]);
    if !version.starts_with("5.1") {
        body.extend_from_slice(&[0; 36]);
    }
    body.push(algorithm);
    event(Kind::FORMAT_DESCRIPTION, flags, &body)
}

fn file(events: &[Vec<u8>]) -> Vec<u8> {
    [&MAGIC[..], &events.concat()].concat()
}

fn read(bytes: &[u8]) -> Result<Vec<Event>> {
    let mut frames = Frames::open(bytes, LIMIT)?;
    let mut events = Vec::new();
    while let Some(event) = frames.next()? {
        events.push(event);
    }
    Ok(events)
}

#[test]
fn events_come_out_whole_and_in_order() {
    // A file in use: its flag is not in the checksum.
    let first = description("9.7.4", FLAG_IN_USE, 1);
    let second = event(Kind::XID, 0, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let bytes = file(&[first.clone(), second.clone()]);
    let events = read(&bytes).unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].bytes, first);
    assert_eq!(
        (events[1].offset, &events[1].bytes),
        (4 + first.len() as u64, &second)
    );
    assert_eq!(events[1].body(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(events[1].header.server_id, 7);
    let mut frames = Frames::open(&bytes[..], LIMIT).unwrap();
    frames.next().unwrap();
    let format = frames.format();
    assert_eq!(format.server_version, "9.7.4");
    assert_eq!(format.post_header(Kind(2)), Some(13));
    assert_eq!(format.post_header(Kind(60)), None);
}

#[test]
fn without_checksums_the_body_goes_to_the_end() {
    let bytes = file(&[description("8.0.1", 0, 0), event(Kind::STOP, 0, &[9])]);
    let events = read(&bytes).unwrap();
    assert_eq!(events[1].body().len(), 5);
    // Before 5.6.1 there is no algorithm: what stands there are lengths.
    let bytes = file(&[description("5.1.23", 0, 99)]);
    assert_eq!(read(&bytes).unwrap()[0].body().len(), 57 + 4 + 1 + 4);
    let unknown = read(&file(&[description("8.0.1", 0, 2)]));
    assert!(matches!(
        unknown,
        Err(Error::UnknownChecksum { algorithm: 2, .. })
    ));
}

#[test]
fn every_flipped_byte_and_every_cut_is_noticed() {
    let bytes = file(&[
        description("9.7.4", 0, 1),
        event(Kind::QUERY, 0, b"INSERT INTO t VALUES (1)"),
    ]);
    let ends = [4, 4 + description("9.7.4", 0, 1).len(), bytes.len()];
    for at in 0..bytes.len() {
        if !ends.contains(&at) {
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        }
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        assert!(read(&damaged).is_err(), "flipped at {at}");
    }
}

/// As a stream has it: flagged, or with a place.
fn streamed(kind: Kind, flags: u16, next: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = event(kind, flags, body);
    let covered = bytes.len() - CHECKSUM;
    bytes[13..17].copy_from_slice(&next.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..covered]);
    bytes[covered..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn a_stream_is_checked_event_by_event() {
    let rotate = streamed(
        Kind::ROTATE,
        FLAG_ARTIFICIAL,
        0,
        b"\x04\0\0\0\0\0\0\0b.000001",
    );
    let xid = streamed(Kind::XID, 0, 300, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let mut checker = Checker::new(LIMIT);
    assert!(matches!(
        checker.check(xid.clone(), 4),
        Err(Error::NoDescription { .. })
    ));
    // With a checksum that nobody announced, and without.
    let event = checker.check(rotate.clone(), 4).unwrap();
    assert_eq!(&event.body()[8..], b"b.000001");
    let mut plain = rotate[..rotate.len() - CHECKSUM].to_vec();
    let size = u32::try_from(plain.len()).unwrap();
    plain[9..13].copy_from_slice(&size.to_le_bytes());
    let event = checker.check(plain, 4).unwrap();
    assert_eq!(&event.body()[8..], b"b.000001");

    checker.check(description("9.7.4", 0, 1), 4).unwrap();
    assert!(checker.format().checksums);
    let event = checker.check(xid.clone(), 4).unwrap();
    assert_eq!((event.bytes.clone(), event.header.next), (xid.clone(), 300));
    for at in 0..xid.len() {
        let mut damaged = xid.clone();
        damaged[at] ^= 0x40;
        assert!(checker.check(damaged, 4).is_err(), "flipped at {at}");
        assert!(checker.check(xid[..at].to_vec(), 4).is_err(), "cut at {at}");
    }
    assert!(matches!(
        Checker::new(20).check(xid, 4),
        Err(Error::TooLarge { .. })
    ));
    // A copy is a right event, flagged, without a place.
    let copy = checker.check(artificial_copy(&event), 4).unwrap();
    assert_eq!((copy.header.next, copy.header.flags), (0, FLAG_ARTIFICIAL));
    assert_eq!(copy.body(), event.body());
}

#[test]
fn what_is_no_binlog_is_named() {
    assert!(matches!(read(b"PK\x03\x04"), Err(Error::NoBinlog { .. })));
    assert!(matches!(read(b"\xfe"), Err(Error::NoBinlog { .. })));
    assert!(matches!(read(b"\xfdbin...."), Err(Error::Encrypted)));
    assert!(read(&MAGIC).unwrap().is_empty());
    let mut large = event(Kind::QUERY, 0, &[]);
    large[9..13].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = read(&file(&[large])).unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLarge {
                offset: 4,
                size: u32::MAX,
                ..
            }
        ),
        "{error}"
    );
    let mut short = event(Kind::QUERY, 0, &[]);
    short[9..13].copy_from_slice(&18_u32.to_le_bytes());
    assert!(matches!(read(&file(&[short])), Err(Error::TooShort { .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_events_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&[&MAGIC[..], &bytes].concat());
        let _ = read(&[&file(&[description("9.7.4", 0, 0)]), &bytes[..]].concat());
    }
}
