//! A place among the tokens of a statement.

use std::ops::Range;

use super::Context;
use super::lexer::{self, Token, TokenKind};

/// Reads tokens one after the other; copies of it look ahead.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    pub(super) text: &'a str,
    pub(super) context: &'a Context,
    tokens: &'a [Token],
    at: usize,
}

/// A name as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) schema: Option<String>,
    pub(super) name: String,
    pub(super) range: Range<usize>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, tokens: &'a [Token], context: &'a Context) -> Self {
        Self {
            text,
            context,
            tokens,
            at: 0,
        }
    }

    /// The same tokens up to `end` (by number), from `start` on.
    pub(super) fn within(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.tokens.len());
        Self {
            tokens: self.tokens.get(..end).unwrap_or_default(),
            at: range.start,
            ..*self
        }
    }

    /// The number of the current token.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// How many tokens there are.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn token(&self, ahead: usize) -> Option<&'a Token> {
        self.tokens.get(self.at + ahead)
    }

    pub(super) fn text_of(&self, token: &Token) -> &'a str {
        self.text.get(token.range.clone()).unwrap_or_default()
    }

    /// The text of the current token; empty at the end.
    pub(super) fn current(&self) -> &'a str {
        self.peek().map_or("", |token| self.text_of(token))
    }

    /// The current token, when it is a bare word.
    pub(super) fn word(&self) -> Option<&'a str> {
        self.peek()
            .filter(|token| token.kind == TokenKind::Word)
            .map(|token| self.text_of(token))
    }

    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Whether the token `ahead` of the current one is this keyword.
    pub(super) fn is_at(&self, ahead: usize, word: &str) -> bool {
        self.token(ahead).is_some_and(|token| {
            token.kind == TokenKind::Word && self.text_of(token).eq_ignore_ascii_case(word)
        })
    }

    pub(super) fn is(&self, word: &str) -> bool {
        self.is_at(0, word)
    }

    pub(super) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// Whether these keywords follow.
    pub(super) fn are(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(n, word)| self.is_at(n, word))
    }

    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn eat_all(&mut self, words: &[&str]) -> bool {
        let found = self.are(words);
        if found {
            self.at += words.len();
        }
        found
    }

    pub(super) fn eat_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.eat(word))
    }

    pub(super) fn is_punct(&self, c: char) -> bool {
        self.is_punct_at(0, c)
    }

    pub(super) fn is_punct_at(&self, ahead: usize, c: char) -> bool {
        self.token(ahead).is_some_and(|token| {
            token.kind == TokenKind::Punct && self.text_of(token).starts_with(c)
        })
    }

    pub(super) fn eat_punct(&mut self, c: char) -> bool {
        let found = self.is_punct(c);
        self.at += usize::from(found);
        found
    }

    /// A name of one part.
    pub(super) fn ident(&mut self) -> Option<String> {
        let token = self
            .peek()
            .filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::Ident))?;
        self.at += 1;
        Some(lexer::unquote_name(self.text_of(token)))
    }

    /// `a`, `a.b`, or the `.b` of old.
    pub(super) fn name(&mut self) -> Option<Name> {
        let start = self.peek()?.range.start;
        let leading_dot = self.eat_punct('.');
        let first = self.ident()?;
        let mut name = Name {
            schema: None,
            name: first,
            range: start..self.end_of_last(),
        };
        if !leading_dot && self.is_punct('.') {
            let mut ahead = self.clone();
            ahead.step();
            if let Some(second) = ahead.ident() {
                *self = ahead;
                name.schema = Some(std::mem::replace(&mut name.name, second));
                name.range.end = self.end_of_last();
            }
        }
        Some(name)
    }

    /// Where the token before the current one ends.
    pub(super) fn end_of_last(&self) -> usize {
        self.at
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last))
            .map_or(0, |token| token.range.end)
    }

    /// A string's meaning; strings that follow one another are one.
    pub(super) fn string(&mut self) -> Option<String> {
        let mut out: Option<String> = None;
        while let Some(token) = self.peek().filter(|token| token.kind == TokenKind::Text) {
            let text = self.text_of(token);
            // x'…' and b'…' are bytes, and no strings.
            let text = match text.as_bytes().first() {
                Some(b'\'' | b'"') => text,
                Some(b'n' | b'N') => text.get(1..).unwrap_or_default(),
                _ => return None,
            };
            let escapes = !self.context.sql_mode.no_backslash_escapes();
            out.get_or_insert_default()
                .push_str(&lexer::unquote_text(text, escapes));
            self.at += 1;
        }
        out
    }

    /// A whole number.
    pub(super) fn number(&mut self) -> Option<u64> {
        let token = self
            .peek()
            .filter(|token| token.kind == TokenKind::Number)?;
        let number = self.text_of(token).parse().ok()?;
        self.at += 1;
        Some(number)
    }

    /// Past the parenthesis that closes the one here, or to the end. False when here is none.
    pub(super) fn skip_parens(&mut self) -> bool {
        if !self.is_punct('(') {
            return false;
        }
        let mut depth = 0usize;
        while !self.done() {
            if self.is_punct('(') {
                depth += 1;
            } else if self.is_punct(')') {
                depth -= 1;
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        true
    }

    /// The pieces between commas of this level from here to the end, as numbers of tokens. What
    /// stands in parentheses stays together.
    pub(super) fn pieces(&self) -> Vec<Range<usize>> {
        let mut out = Vec::new();
        let mut ahead = self.clone();
        let mut start = ahead.at;
        while !ahead.done() {
            if ahead.is_punct('(') {
                ahead.skip_parens();
                continue;
            }
            if ahead.is_punct(',') {
                out.push(start..ahead.at);
                start = ahead.at + 1;
            }
            ahead.step();
        }
        if start < ahead.at || !out.is_empty() {
            out.push(start..ahead.at.min(ahead.tokens.len()));
        }
        out
    }

    /// What stands in the parentheses here, as numbers of tokens; leaves the cursor behind them.
    pub(super) fn parens(&mut self) -> Option<Range<usize>> {
        let start = self.at + 1;
        if !self.skip_parens() {
            return None;
        }
        Some(start..self.at.saturating_sub(1).max(start))
    }

    /// The bytes of these tokens.
    pub(super) fn bytes(&self, tokens: &Range<usize>) -> Range<usize> {
        let start = self.tokens.get(tokens.start);
        let end = tokens.end.checked_sub(1).and_then(|n| self.tokens.get(n));
        match (start, end) {
            (Some(start), Some(end)) if start.range.start <= end.range.end => {
                start.range.start..end.range.end
            }
            _ => 0..0,
        }
    }

    /// The text of these tokens, with what stands between them.
    pub(super) fn slice(&self, tokens: &Range<usize>) -> &'a str {
        self.text.get(self.bytes(tokens)).unwrap_or_default()
    }
}
