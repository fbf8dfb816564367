//! MariaDB's UUID, INET6 and INET4, which rows hold as bytes and the dump as the server's text.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::types::load_text::write_hex;

/// Whether a type is one of these.
pub(super) fn is(ty: &str) -> bool {
    matches!(ty, "uuid" | "inet6" | "inet4")
}

/// Appends the text of a value; its trailing zero bytes may have been cut.
pub(super) fn write(ty: &str, bytes: &[u8], out: &mut Vec<u8>) {
    let mut whole = [0_u8; 16];
    for (to, from) in whole.iter_mut().zip(bytes) {
        *to = *from;
    }
    match ty {
        "uuid" => write_uuid(whole, out),
        "inet6" => {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{}", Ipv6Addr::from(whole));
        }
        _ => {
            let [a, b, c, d, ..] = whole;
            let _ = write!(out, "{}", Ipv4Addr::new(a, b, c, d));
        }
    }
}

/// Lower-case text of a UUID. MariaDB keeps most (those whose seventh byte is 01 to 5f and whose ninth
/// has its highest bit set: versions 1 to 5 and some more) with their groups turned round, so that
/// those made one after the other lie together; the others as they are written. The same two bytes,
/// in the other order, tell which of the two a row holds.
fn write_uuid(kept: [u8; 16], out: &mut Vec<u8>) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = kept;
    let turned = g & 0x80 != 0 && (1..0x60).contains(&i);
    let bytes = if turned {
        [m, n, o, p, k, l, i, j, g, h, a, b, c, d, e, f]
    } else {
        kept
    };
    let start = out.len();
    let mut rest = &bytes[..];
    for (at, length) in [4, 2, 2, 2, 6].into_iter().enumerate() {
        if at > 0 {
            out.push(b'-');
        }
        let (group, after) = rest.split_at(length);
        write_hex(group, out);
        rest = after;
    }
    if let Some(text) = out.get_mut(start..) {
        text.make_ascii_lowercase();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kept: &str) -> String {
        let mut out = Vec::new();
        write("uuid", &hex::decode(kept).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn groups_are_turned_back() {
        let written = "00112233-4455-1677-8899-aabbccddeeff";
        assert_eq!(text("aabbccddeeff88991677445500112233"), written);
        assert_eq!(
            text("00112233445576778899aabbccddeeff"),
            "00112233-4455-7677-8899-aabbccddeeff"
        );
    }
}
