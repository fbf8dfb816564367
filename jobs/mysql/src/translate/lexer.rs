//! A lexer for what `SHOW CREATE` prints: it cuts the text into tokens whose concatenation is the
//! text again, so that an edit of some tokens leaves every other byte as it was. What stands in
//! quotes or in plain comments is one token, and nothing here looks into it.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// White space.
    Space,
    /// A comment that no server reads: `/* … */`, `-- …`, `# …`, and those of TiDB (`/*T! … */`).
    Comment,
    /// The opening of a comment that MySQL reads from a version on: `/*!80023`, `/*!`.
    VersionOpen,
    /// The opening of a comment that MariaDB alone reads: `/*M!100301`.
    MariaOpen,
    /// The end of either.
    VersionClose,
    /// A string in single or double quotes.
    Text,
    /// A name in backquotes.
    Ident,
    /// A keyword, a bare name, or an introducer such as `_latin1`.
    Word,
    /// A number.
    Number,
    /// Any other character.
    Punct,
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its text; an edit replaces it, an empty one removes it.
    pub(crate) text: String,
}

impl Token {
    /// Whether it is this keyword, whatever its case.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is this character.
    pub(crate) fn is_punct(&self, c: char) -> bool {
        self.kind == Kind::Punct && self.text.starts_with(c)
    }

    /// Whether it says something to the parser (comments and spaces do not).
    pub(crate) fn significant(&self) -> bool {
        !matches!(self.kind, Kind::Space | Kind::Comment) && !self.text.is_empty()
    }

    /// The name or text without its quotes, doubled quotes undone.
    pub(crate) fn unquoted(&self) -> String {
        let Some(quote) = self.text.chars().next().filter(|c| "`'\"".contains(*c)) else {
            return self.text.clone();
        };
        let inner = &self.text[1..self.text.len().saturating_sub(1).max(1)];
        inner.replace(&format!("{quote}{quote}"), &quote.to_string())
    }
}

/// Cuts `sql` into tokens.
pub(crate) fn tokens(sql: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = sql;
    let mut open = 0usize;
    while !rest.is_empty() {
        let (kind, length) = next(rest, open > 0);
        match kind {
            Kind::VersionOpen | Kind::MariaOpen => open += 1,
            Kind::VersionClose => open = open.saturating_sub(1),
            _ => {}
        }
        let (text, after) = rest.split_at(length);
        out.push(Token {
            kind,
            text: text.to_owned(),
        });
        rest = after;
    }
    out
}

/// Puts tokens together again.
pub(crate) fn join(tokens: &[Token]) -> String {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

/// Kind and length (at least one character) of the first token.
fn next(text: &str, in_version_comment: bool) -> (Kind, usize) {
    let bytes = text.as_bytes();
    let first = bytes[0];
    match first {
        b'\'' | b'"' => (Kind::Text, quoted(bytes, first, true)),
        b'`' => (Kind::Ident, quoted(bytes, first, false)),
        b'*' if in_version_comment && bytes.get(1) == Some(&b'/') => (Kind::VersionClose, 2),
        b'/' if text.starts_with("/*!") => (Kind::VersionOpen, 3 + digits(&bytes[3..])),
        b'/' if text.starts_with("/*M!") => (Kind::MariaOpen, 4 + digits(&bytes[4..])),
        b'/' if text.starts_with("/*") => (
            Kind::Comment,
            text[2..].find("*/").map_or(text.len(), |at| at + 4),
        ),
        b'#' => (Kind::Comment, line(text)),
        b'-' if text.starts_with("--") && bytes.get(2).is_none_or(u8::is_ascii_whitespace) => {
            (Kind::Comment, line(text))
        }
        _ if first.is_ascii_whitespace() => (
            Kind::Space,
            bytes.iter().take_while(|b| b.is_ascii_whitespace()).count(),
        ),
        b'0'..=b'9' => {
            let all = bytes
                .iter()
                .take_while(|b| word_byte(**b) || **b == b'.')
                .count();
            (Kind::Number, all)
        }
        _ if word_byte(first) => (
            Kind::Word,
            bytes.iter().take_while(|b| word_byte(**b)).count(),
        ),
        _ => (Kind::Punct, text.chars().next().map_or(1, char::len_utf8)),
    }
}

fn word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_digit()).count()
}

fn line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// Length of a quoted token; an unclosed one goes to the end.
fn quoted(bytes: &[u8], quote: u8, backslash: bool) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        if bytes[at] == b'\\' && backslash {
            at += 2;
        } else if bytes[at] == quote {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_hide_what_they_hold() {
        let sql =
            r#"`a``,b` varchar(9) DEFAULT 'it''s \' ENGINE=MyISAM' COMMENT "x/*!1*/" /* , */"#;
        let tokens = tokens(sql);
        let words: Vec<_> = tokens
            .iter()
            .filter(|t| t.kind == Kind::Word)
            .map(|t| t.text.as_str())
            .collect();
        assert_eq!(words, ["varchar", "DEFAULT", "COMMENT"]);
        assert_eq!(tokens[0].unquoted(), "a`,b");
        assert_eq!(join(&tokens), sql);
    }

    #[test]
    fn version_comments_are_opened_and_closed() {
        let kinds: Vec<_> = tokens("/*!80023 INVISIBLE */ /*M!100301 COMPRESSED*/ /*T![x] y */")
            .into_iter()
            .filter(|t| t.kind != Kind::Space)
            .map(|t| t.kind)
            .collect();
        assert_eq!(
            kinds,
            [
                Kind::VersionOpen,
                Kind::Word,
                Kind::VersionClose,
                Kind::MariaOpen,
                Kind::Word,
                Kind::VersionClose,
                Kind::Comment
            ]
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost(sql in "[-a-z0-9 `'\"\\\\/*!,().#\n😀é]{0,60}") {
            prop_assert_eq!(join(&tokens(&sql)), sql);
        }
    }
}
