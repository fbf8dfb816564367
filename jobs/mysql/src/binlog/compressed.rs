//! MariaDB's compressed events (`log_bin_compress`): statements and rows, each packed for itself.
//!
//! What is packed begins with a byte that holds the algorithm (0 for zlib) and how many bytes the
//! unpacked size has, big-endian, before the packed bytes (`binlog_buf_compress` of MariaDB's
//! `log_event.cc`). The size is held against a limit before anything is unpacked, and nothing beyond
//! it is kept, whatever the stream goes on to say.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

use super::cursor::{Broken, Cursor, Read};
use super::error::Result;
use super::frame::{Event, Format};
use super::header::{HEADER, Kind};
use super::table_map::table_id_bytes;

/// Set in the first byte of what is packed.
const MARK: u8 = 0x80;
/// The only algorithm there is.
const ZLIB: u8 = 0;

/// The same event unpacked, of the kind that [`super::rows::RowsEvent`] reads: `None` for events that
/// are no compressed rows. It may have `limit` bytes.
///
/// # Errors
/// When it is damaged, or larger than the limit.
pub fn unpack_rows(event: &Event, format: &Format, limit: u32) -> Result<Option<Event>> {
    let kind = match event.header.kind {
        Kind::WRITE_ROWS_COMPRESSED => Kind::WRITE_ROWS_V1,
        Kind::UPDATE_ROWS_COMPRESSED => Kind::UPDATE_ROWS_V1,
        Kind::DELETE_ROWS_COMPRESSED => Kind::DELETE_ROWS_V1,
        _ => return Ok(None),
    };
    let id_bytes = table_id_bytes(format, event.header.kind);
    let bytes = unpacked(event, kind, id_bytes, limit).map_err(|broken| event.broken(broken.0))?;
    let mut header = event.header;
    header.kind = kind;
    // Not larger than the limit, which has 32 bits.
    header.size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    Ok(Some(Event::bare(event.offset, header, bytes)))
}

/// The bytes of the event whose rows are unpacked; its header is still the old one.
fn unpacked(event: &Event, kind: Kind, id_bytes: usize, limit: u32) -> Read<Vec<u8>> {
    let body = event.body();
    let mut cursor = Cursor::new(body);
    // Number and flags.
    cursor.take(id_bytes + 2)?;
    let columns = usize::try_from(cursor.packed()?).unwrap_or(usize::MAX);
    let images = if kind == Kind::UPDATE_ROWS_V1 { 2 } else { 1 };
    for _ in 0..images {
        cursor.take(columns.div_ceil(8))?;
    }
    let plain = body.len() - cursor.left();
    let head = event.bytes.get(..HEADER + plain).unwrap_or_default();
    let left = u64::from(limit).saturating_sub(head.len() as u64);
    let left = u32::try_from(left).unwrap_or(u32::MAX);
    inflate(cursor.rest(), left, head.to_vec())
}

/// Unpacks behind what is already in `out`.
pub(super) fn inflate(packed: &[u8], limit: u32, mut out: Vec<u8>) -> Read<Vec<u8>> {
    let mut cursor = Cursor::new(packed);
    let first = cursor.u8()?;
    let algorithm = first >> 4 & 0x7;
    if first & MARK == 0 || algorithm != ZLIB {
        return Err(Broken(format!(
            "{first:02x} begins nothing that MariaDB packs"
        )));
    }
    let size_bytes = usize::from(first & 0x7);
    if !(1..=4).contains(&size_bytes) {
        return Err(Broken(format!("its unpacked size has {size_bytes} bytes")));
    }
    let size = cursor.uint_be(size_bytes)?;
    if size > u64::from(limit) {
        return Err(Broken(format!(
            "it has {size} bytes unpacked, and {limit} are allowed: raise --memory"
        )));
    }
    let before = out.len() as u64;
    // One byte more than it says shows that there is more.
    let found = ZlibDecoder::new(cursor.rest())
        .take(size + 1)
        .read_to_end(&mut out)
        .map_err(|error| Broken(format!("it does not unpack: {error}")))?;
    if found as u64 != size {
        let found = out.len() as u64 - before;
        let than = if found > size {
            "more than"
        } else {
            "fewer than"
        };
        return Err(Broken(format!(
            "it unpacks to {than} the {size} bytes it says"
        )));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::binlog::header::Header;
    use crate::binlog::query::Query;

    fn pack(bytes: &[u8], said: u32) -> Vec<u8> {
        let mut out = vec![MARK | 4];
        out.extend_from_slice(&said.to_be_bytes());
        let mut encoder = ZlibEncoder::new(&mut out, Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap();
        out
    }

    fn event(kind: Kind, body: &[u8]) -> Event {
        let mut bytes = vec![0; HEADER];
        bytes[4] = kind.0;
        bytes.extend_from_slice(body);
        let size = u32::try_from(bytes.len()).unwrap();
        bytes[9..13].copy_from_slice(&size.to_le_bytes());
        let header = Header::parse(bytes.first_chunk().unwrap());
        Event::bare(4, header, bytes)
    }

    #[test]
    fn sizes_are_held_against_the_limit_and_the_bytes() {
        let zeros = vec![0; 100_000];
        let size = 100_000;
        assert_eq!(
            inflate(&pack(&zeros, size), size, Vec::new()).unwrap(),
            zeros
        );
        for (said, limit, what) in [
            (size, size - 1, "are allowed"),
            (10, size, "more than"),
            (size + 1, 1 << 20, "fewer than"),
        ] {
            let error = inflate(&pack(&zeros, said), limit, Vec::new()).unwrap_err();
            assert!(error.0.contains(what), "{error:?}");
        }
        assert!(
            inflate(&[0x90, 1], 9, Vec::new()).is_err(),
            "another algorithm"
        );
        assert!(inflate(&[0x85, 1], 9, Vec::new()).is_err());
        let packed = pack(b"text", 4);
        for cut in 0..packed.len() - 4 {
            assert!(inflate(&packed[..cut], 9, Vec::new()).is_err(), "{cut}");
        }
    }

    #[test]
    fn rows_become_plain_rows() {
        let plain = [9, 0, 0, 0, 0, 0, 1, 0, 2, 3, 3];
        let rows = b"\xfc\x01\x02\x03";
        let body = [&plain[..], &pack(rows, 4)].concat();
        let packed = event(Kind::UPDATE_ROWS_COMPRESSED, &body);
        let format = Format::unknown();
        let unpacked = unpack_rows(&packed, &format, 100).unwrap().unwrap();
        assert_eq!(unpacked.header.kind, Kind::UPDATE_ROWS_V1);
        assert_eq!(unpacked.body(), [&plain[..], rows].concat());
        assert_eq!(unpacked.header.size as usize, unpacked.bytes.len());
        assert!(
            unpack_rows(&packed, &format, 33).is_err(),
            "the head counts"
        );
        assert_eq!(unpack_rows(&unpacked, &format, 100).unwrap(), None);
    }

    #[test]
    fn statements_too() {
        let head = [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, b'd', 0];
        let body = [&head[..], &pack(b"CREATE TABLE t (i INT)", 22)].concat();
        let event = event(Kind::QUERY_COMPRESSED, &body);
        let query = Query::parse(&event, 100).unwrap();
        assert_eq!(
            (&query.schema[..], &query.text[..]),
            ("d", &b"CREATE TABLE t (i INT)"[..])
        );
    }

    proptest! {
        #[test]
        fn any_bytes_unpack_or_are_an_error(
            kind in 166_u8..=168,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = inflate(&bytes, 1000, Vec::new());
            let _ = unpack_rows(&event(Kind(kind), &bytes), &Format::unknown(), 1000);
            let body = [&[9, 0, 0, 0, 0, 0, 1, 0, 2, 3, 3][..], &pack(&bytes, 100)].concat();
            let _ = unpack_rows(&event(Kind(kind), &body), &Format::unknown(), 1000);
        }
    }
}
