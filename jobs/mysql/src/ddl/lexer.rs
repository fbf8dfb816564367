//! Tokens of a statement, as the server that ran it cut them.
//!
//! The ranges of [`Lexer`]'s tokens follow each other without a gap, so that an edit of some leaves
//! every other byte as it was. Whether `"` quotes a name, whether a backslash escapes, and whether
//! a version comment (`/*!80023 … */`, `/*M!100301 … */`) is code or comment depends on the
//! [`Context`]. Nothing here fails: what is not closed goes to the end of the text.

use std::ops::Range;

use super::Context;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// White space.
    Space,
    /// A comment that the server did not read, a version comment of a later version too.
    Comment,
    /// The opening of a version comment that it did read: `/*!80023`.
    VersionOpen,
    /// The end of one.
    VersionClose,
    /// A string.
    Text,
    /// A quoted name.
    Ident,
    /// A keyword, a bare name, or an introducer such as `_latin1`.
    Word,
    /// A number.
    Number,
    /// Any other character.
    Punct,
}

/// A token: what it is, and the bytes of the text that it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its bytes, in the statement's text.
    pub range: Range<usize>,
}

/// The tokens of a text, one by one.
#[derive(Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    context: &'a Context,
    at: usize,
    open: usize,
    after_dot: bool,
}

impl<'a> Lexer<'a> {
    /// Cuts `text` as a server under `context` does.
    #[must_use]
    pub fn new(text: &'a str, context: &'a Context) -> Self {
        Self {
            text,
            context,
            at: 0,
            open: 0,
            after_dot: false,
        }
    }

    /// Kind and length of the first token of `rest`, which is not empty.
    fn first(&self, rest: &str) -> (TokenKind, usize) {
        let bytes = rest.as_bytes();
        let first = bytes.first().copied().unwrap_or_default();
        let escapes = !self.context.sql_mode.no_backslash_escapes();
        match first {
            b'"' if self.context.sql_mode.ansi_quotes() => {
                (TokenKind::Ident, quoted(bytes, first, false))
            }
            b'\'' | b'"' => (TokenKind::Text, quoted(bytes, first, escapes)),
            b'`' => (TokenKind::Ident, quoted(bytes, first, false)),
            b'*' if self.open > 0 && rest.starts_with("*/") => (TokenKind::VersionClose, 2),
            b'/' if rest.starts_with("/*") => self.comment(rest),
            b'#' => (TokenKind::Comment, line(rest)),
            b'-' if rest.starts_with("--")
                && bytes
                    .get(2)
                    .is_none_or(|b| b.is_ascii_whitespace() || b.is_ascii_control()) =>
            {
                (TokenKind::Comment, line(rest))
            }
            // The scanner of MySQL takes control characters of latin1 for space only when they are
            // white; 0x0b is, and Rust's ASCII white space lacks it.
            _ if space(first) => (TokenKind::Space, run(bytes, space)),
            b'0'..=b'9' => self.digits(bytes),
            b'x' | b'X' | b'b' | b'B' | b'n' | b'N' if bytes.get(1) == Some(&b'\'') => {
                let length = quoted(bytes.get(1..).unwrap_or_default(), b'\'', escapes);
                (TokenKind::Text, length + 1)
            }
            _ if word_byte(first) => (TokenKind::Word, run(bytes, word_byte)),
            _ => (
                TokenKind::Punct,
                rest.chars().next().map_or(1, char::len_utf8),
            ),
        }
    }

    /// A token that begins with a digit: a number, or a name such as `2nd`, or what follows the dot
    /// of `db.2`.
    fn digits(&self, bytes: &[u8]) -> (TokenKind, usize) {
        let all = run(bytes, word_byte);
        if self.after_dot {
            return (TokenKind::Word, all);
        }
        let word = bytes.get(..all).unwrap_or_default();
        let digits = run(bytes, |b| b.is_ascii_digit());
        let hex = word.starts_with(b"0x") && all > 2 && run(tail(word, 2), hex_digit) == all - 2;
        let bits = word.starts_with(b"0b")
            && all > 2
            && run(tail(word, 2), |b| b == b'0' || b == b'1') == all - 2;
        if hex || bits {
            return (TokenKind::Number, all);
        }
        let mut end = digits;
        if bytes.get(end) == Some(&b'.') {
            end += 1 + run(tail(bytes, end + 1), |b| b.is_ascii_digit());
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = run(tail(bytes, end + 1 + sign), |b| b.is_ascii_digit());
            if exponent > 0 {
                end += 1 + sign + exponent;
            }
        }
        if end < all {
            (TokenKind::Word, all)
        } else {
            (TokenKind::Number, end)
        }
    }

    /// A comment, or the opening of one that the server reads.
    fn comment(&self, rest: &str) -> (TokenKind, usize) {
        let maria = self.context.is_maria();
        let marker = if rest.starts_with("/*!") {
            3
        } else if maria && rest.starts_with("/*M!") {
            4
        } else {
            let end = rest.get(2..).and_then(|inner| inner.find("*/"));
            return (TokenKind::Comment, end.map_or(rest.len(), |at| at + 4));
        };
        let body = tail(rest.as_bytes(), marker);
        // Five or six digits are a version; fewer belong to the code.
        let count = run(body, |b| b.is_ascii_digit());
        let six = maria || self.context.version.major >= 8;
        let count = match count {
            0..=4 => 0,
            5 => 5,
            _ if six => 6,
            _ => 5,
        };
        let wanted = rest
            .get(marker..marker + count)
            .and_then(|digits| digits.parse::<u32>().ok());
        let version = self.context.version;
        let own = u32::from(version.major) * 10_000
            + u32::from(version.minor) * 100
            + u32::from(version.patch);
        let reads = match wanted {
            None => true,
            // What MySQL 5.7 to 9 brought is not what MariaDB has under these numbers.
            Some(n) if maria && marker == 3 => n <= own && !(50_700..=99_999).contains(&n),
            Some(n) => n <= own,
        };
        if reads {
            return (TokenKind::VersionOpen, marker + count);
        }
        (TokenKind::Comment, skipped(rest, marker + count))
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let (kind, length) = self.first(rest);
        let end = (self.at + length.max(1)).min(self.text.len());
        match kind {
            TokenKind::VersionOpen => self.open += 1,
            TokenKind::VersionClose => self.open = self.open.saturating_sub(1),
            _ => {}
        }
        self.after_dot = kind == TokenKind::Punct && rest.starts_with('.');
        let range = self.at..end;
        self.at = end;
        Some(Token { kind, range })
    }
}

/// The tokens that say something to the parser: no space, no comment, no marks of version comments.
#[must_use]
pub fn significant(text: &str, context: &Context) -> Vec<Token> {
    Lexer::new(text, context)
        .filter(|token| {
            !matches!(
                token.kind,
                TokenKind::Space
                    | TokenKind::Comment
                    | TokenKind::VersionOpen
                    | TokenKind::VersionClose
            )
        })
        .collect()
}

/// A quoted name without its quotes; a bare one as it is.
#[must_use]
pub fn unquote_name(text: &str) -> String {
    let Some(quote) = text.chars().next().filter(|c| "`\"".contains(*c)) else {
        return text.to_owned();
    };
    let inner = text.get(1..).unwrap_or_default();
    let inner = inner.strip_suffix(quote).unwrap_or(inner);
    inner.replace(&format!("{quote}{quote}"), &quote.to_string())
}

/// What a string literal in quotes means; `escapes` unless the mode is `NO_BACKSLASH_ESCAPES`.
#[must_use]
pub fn unquote_text(text: &str, escapes: bool) -> String {
    let mut chars = text.chars();
    let Some(quote) = chars.next() else {
        return String::new();
    };
    let mut out = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        if c == quote {
            if chars.next() != Some(quote) {
                break;
            }
            out.push(quote);
        } else if c == '\\' && escapes {
            match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('b') => out.push('\u{8}'),
                Some('0') => out.push('\0'),
                Some('Z') => out.push('\u{1a}'),
                // These two keep their backslash outside of LIKE, too.
                Some(c @ ('%' | '_')) => out.extend(['\\', c]),
                Some(c) => out.push(c),
                None => break,
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

fn hex_digit(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn tail(bytes: &[u8], from: usize) -> &[u8] {
    bytes.get(from..).unwrap_or_default()
}

fn run(bytes: &[u8], takes: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|b| takes(**b)).count()
}

fn line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// Length of a version comment that is not read: comments inside it are skipped with it, one deep.
fn skipped(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    let mut inner = false;
    while at < bytes.len() {
        match tail(bytes, at) {
            [b'*', b'/', ..] if inner => {
                inner = false;
                at += 2;
            }
            [b'*', b'/', ..] => return at + 2,
            [b'/', b'*', ..] => {
                inner = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Length of a quoted token.
fn quoted(bytes: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        if *byte == b'\\' && escapes {
            at += 2;
        } else if *byte == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    bytes.len()
}
