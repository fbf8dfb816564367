use proptest::prelude::*;

use super::*;

const LIMIT: u32 = 1 << 20;

fn event(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[4] = kind.0;
    bytes.extend_from_slice(body);
    let size = u32::try_from(bytes.len()).unwrap();
    bytes[9..13].copy_from_slice(&size.to_le_bytes());
    bytes
}

fn outer(body: &[u8]) -> Event {
    let bytes = event(Kind::TRANSACTION_PAYLOAD, body);
    let header = Header::parse(bytes.first_chunk().unwrap());
    Event::bare(77, header, bytes)
}

/// A payload that says these sizes.
fn payload(compression: u8, packed: &[u8], size: u32) -> Event {
    let mut body = vec![2, 3, 252, compression, 0, 3, 9, 254];
    body.extend_from_slice(&u64::from(size).to_le_bytes());
    body.extend_from_slice(&[9, 1, 1]);
    body.extend_from_slice(&[1, 9, 254]);
    body.extend_from_slice(&(packed.len() as u64).to_le_bytes());
    body.push(0);
    body.extend_from_slice(packed);
    outer(&body)
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn all(payload: &Event) -> Result<Vec<Event>> {
    let mut inner = Payload::parse(payload)?.events(LIMIT)?;
    let mut events = Vec::new();
    while let Some(event) = inner.next()? {
        events.push(event);
    }
    Ok(events)
}

fn size(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

#[test]
fn events_come_out_whole() {
    let events = [
        event(Kind::QUERY, b"BEGIN"),
        event(Kind::WRITE_ROWS, &[7; 100_000]),
        event(Kind::XID, &[1; 8]),
    ];
    let plain = events.concat();
    for packed in [
        payload(0, &zstd(&plain), size(&plain)),
        payload(255, &plain, size(&plain)),
    ] {
        let found = all(&packed).unwrap();
        let bytes: Vec<&[u8]> = found.iter().map(|event| &event.bytes[..]).collect();
        assert_eq!(bytes, events);
        assert_eq!(found[1].body(), [7; 100_000]);
        assert!(found.iter().all(|event| event.offset == 77));
    }
    assert!(all(&payload(0, &zstd(&[]), 0)).unwrap().is_empty());
}

#[test]
fn one_of_mysql() {
    // MySQL 8.0.32: an INSERT.
    let body = "0201000301b301017c0028b52ffd0058840300e2861520a029ad01ffff5c55f1aa623375b985c76d89e33d9f\
                37ecfc5a83b699bd894c01ff4d08826fbb0ae267584b52efeeb98a073be8754cfcd25a926a3018b5c89ac5b6\
                c1b66d08c29a03782579b885d1c840e6a7ac25a90a00a004c43deae2a09a2d291920e0022ae03e30f200bc01\
                0000";
    let event = outer(&hex::decode(body).unwrap());
    let parsed = Payload::parse(&event).unwrap();
    assert_eq!((parsed.compression, parsed.size), (Compression::Zstd, 0xb3));
    let kinds: Vec<Kind> = all(&event)
        .unwrap()
        .iter()
        .map(|event| event.header.kind)
        .collect();
    assert_eq!(
        kinds,
        [Kind::QUERY, Kind::TABLE_MAP, Kind::WRITE_ROWS, Kind::XID]
    );
}

#[test]
fn what_is_wrong_is_said() {
    let plain = [event(Kind::QUERY, b"BEGIN"), event(Kind::XID, &[1; 8])].concat();
    let full = size(&plain);
    let mut short = plain.clone();
    short[9] = 18;
    let mut long = plain.clone();
    long[12] = 1;
    let cut = &plain[..plain.len() - 3];
    for (packed, what) in [
        (
            payload(0, &zstd(&plain), full - 1),
            "ends at 51, and 50 bytes",
        ),
        (
            payload(0, &zstd(&plain), full + 1),
            "ends here, and 52 bytes",
        ),
        (payload(0, &zstd(cut), full), "is cut off behind 24"),
        (payload(0, &zstd(&plain[..10]), full), "within a header"),
        (payload(0, &zstd(&short), full), "shorter than its header"),
        (payload(0, &zstd(&long), full), "raise --memory"),
        (payload(0, b"no zstd at all", full), "does not unpack"),
        (payload(1, &plain, full), "compression 1 is not known"),
        (
            payload(0, &zstd(&event(Kind::TRANSACTION_PAYLOAD, &[])), 19),
            "within a payload",
        ),
    ] {
        let error = all(&packed).unwrap_err().to_string();
        assert!(
            error.starts_with("byte 77: damaged Transaction_payload: ") && error.contains(what),
            "{error} / {what}"
        );
    }
    let mut packed = zstd(&plain);
    packed.truncate(packed.len() - 4);
    assert!(all(&payload(0, &packed, full)).is_err());
}

#[test]
fn a_window_of_gigabytes_is_refused() {
    // Frame header: magic, no flags, a window of 2^41.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 1, 0, 0];
    let error = all(&payload(0, &frame, 100)).unwrap_err().to_string();
    assert!(error.contains("does not unpack"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_events_or_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        said in 0_u32..300,
    ) {
        let _ = all(&outer(&bytes));
        let _ = all(&payload(0, &bytes, said));
        let _ = all(&payload(255, &bytes, said));
        let _ = all(&payload(0, &zstd(&bytes), said));
    }
}
