//! Text in quotes.

/// Appends `text`, which is UTF-8, in quotes. Backslash, quote and zero byte are escaped; all else
/// may stand in a literal as it is.
#[inline]
pub(super) fn write_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'\'');
    write_escaped(text, out);
    out.push(b'\'');
}

/// The inside of a quoted literal.
#[inline]
pub(super) fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut written = 0;
    for at in memchr::memchr3_iter(b'\'', b'\\', 0, text) {
        out.extend_from_slice(text.get(written..at).unwrap_or_default());
        out.push(b'\\');
        out.push(match text.get(at) {
            Some(0) | None => b'0',
            Some(&byte) => byte,
        });
        written = at + 1;
    }
    out.extend_from_slice(text.get(written..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_literal() {
        let mut out = Vec::new();
        write_quoted(b"it's \\ \0 \n\"%_\xc3\xa9", &mut out);
        assert_eq!(out, b"'it\\'s \\\\ \\0 \n\"%_\xc3\xa9'");
    }
}
