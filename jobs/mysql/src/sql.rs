//! Quoting: names and strings that cannot break out of their statement.

use crate::schema::TableName;

/// A name in backquotes, with backquotes inside doubled.
#[must_use]
pub fn ident(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    out.push('`');
    for c in name.chars() {
        if c == '`' {
            out.push('`');
        }
        out.push(c);
    }
    out.push('`');
    out
}

/// A text literal that means the same whatever `sql_mode` and whatever the session's character
/// set: utf8mb4 bytes in hexadecimal behind an introducer. Nothing in it can end the literal,
/// neither with `NO_BACKSLASH_ESCAPES` nor without.
///
/// Where a reader should see the text, in a log or a report, print the text itself.
#[must_use]
pub fn literal(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    format!("_utf8mb4 0x{}", hex::encode(text.as_bytes()))
}

/// A binary literal, `x'00ff'`.
#[must_use]
pub fn binary(bytes: &[u8]) -> String {
    format!("x'{}'", hex::encode(bytes))
}

/// A text literal in quotes, for the few places where the grammar takes no introducer (`SET`,
/// `SHOW … LIKE`, comments). Backslashes are doubled, so `NO_BACKSLASH_ESCAPES` must be off, as it
/// is in every session that this crate sets up.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            _ => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// `` `schema`.`table` ``.
#[must_use]
pub fn qualified(name: &TableName) -> String {
    format!("{}.{}", ident(&name.schema), ident(&name.table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_backquotes() {
        assert_eq!(ident("a`b"), "`a``b`");
        assert_eq!(ident(""), "``");
        let name = TableName::new("s`1", "täble");
        assert_eq!(qualified(&name), "`s``1`.`täble`");
    }

    #[test]
    fn literals_hold_nothing_that_could_end_them() {
        assert_eq!(literal("a'\\"), "_utf8mb4 0x61275c");
        assert_eq!(literal(""), "''");
        assert_eq!(binary(&[0, 255]), "x'00ff'");
        assert_eq!(quoted("it's \\ \0"), r"'it''s \\ \0'");
    }
}
