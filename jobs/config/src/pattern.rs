//! Patterns of schema and table names, as DM's filters and routes write them.
//!
//! Without a leading `~` a pattern is matched against the whole name: `*` stands for any run of
//! characters (DM takes one only at the end; here it may stand anywhere), `?` for exactly one,
//! `[abc]`, `[a-z]` for one of a set and `[!a-z]` (also `[^a-z]`) for one outside it. With a
//! leading `~` the rest is a Go regular expression that may match anywhere in the name.
//!
//! Both forms become one [`regex::Regex`], which runs in time linear in the name whatever the
//! pattern, so a hostile pattern cannot stall a job.

use regex::{Regex, RegexBuilder};

/// A compiled pattern of names.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// A pattern that does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` is not valid: {reason}")]
pub struct PatternError {
    /// The pattern as written.
    pub pattern: String,
    /// Why it is refused.
    pub reason: String,
}

impl Pattern {
    /// Compiles `text`; names are compared without regard to case unless `case_sensitive`.
    pub fn new(text: &str, case_sensitive: bool) -> Result<Self, PatternError> {
        let error = |reason: String| PatternError {
            pattern: text.to_owned(),
            reason,
        };
        let source = match text.strip_prefix('~') {
            Some(go) => go_regex(go),
            None => wildcard_regex(text).map_err(|reason| error(reason.to_owned()))?,
        };
        let regex = RegexBuilder::new(&source)
            .case_insensitive(!case_sensitive)
            // Names hold any character, a line feed too.
            .dot_matches_new_line(!text.starts_with('~'))
            .build()
            .map_err(|e| error(e.to_string()))?;
        Ok(Self {
            text: text.to_owned(),
            regex,
        })
    }

    /// Whether `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Translates wildcards to an anchored regular expression.
fn wildcard_regex(text: &str) -> Result<String, &'static str> {
    let mut out = String::from(r"\A");
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => {
                out.push('[');
                if rest.next_if(|c| matches!(c, '!' | '^')).is_some() {
                    out.push('^');
                }
                let mut members = 0;
                loop {
                    let c = rest.next().ok_or("`[` without `]`")?;
                    match c {
                        ']' if members > 0 => break,
                        ']' => return Err("`[]` holds no character"),
                        // A range only between two members; elsewhere the dash means itself.
                        '-' if members > 0 && rest.peek().is_some_and(|c| *c != ']') => {
                            out.push('-');
                        }
                        c => out.push_str(&class_member(c)),
                    }
                    members += 1;
                }
                out.push(']');
            }
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push_str(r"\z");
    Ok(out)
}

/// One character inside a class, escaped where the class syntax gives it a meaning.
fn class_member(c: char) -> String {
    if matches!(c, '[' | ']' | '\\' | '^' | '-' | '&' | '~') {
        format!("\\{c}")
    } else {
        c.to_string()
    }
}

/// Go's regular expressions are this crate's but for `\Q…\E`, which it lacks, and `\d \w \s`,
/// which are ASCII in Go.
fn go_regex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let Some(escaped) = rest.chars().next() else {
                    out.push('\\');
                    break;
                };
                rest = &rest[escaped.len_utf8()..];
                match (escaped, in_class) {
                    ('Q', false) => {
                        let (literal, after) =
                            rest.split_once(r"\E").map_or((rest, ""), |halves| halves);
                        out.push_str(&regex::escape(literal));
                        rest = after;
                    }
                    ('d', _) => out.push_str("[0-9]"),
                    ('w', _) => out.push_str("[0-9A-Za-z_]"),
                    ('s', _) => out.push_str(r"[\t\n\x0C\r ]"),
                    ('D', _) => out.push_str("[^0-9]"),
                    ('W', _) => out.push_str("[^0-9A-Za-z_]"),
                    ('S', _) => out.push_str(r"[^\t\n\x0C\r ]"),
                    (c, _) => {
                        out.push('\\');
                        out.push(c);
                    }
                }
                continue;
            }
            '[' if !in_class => in_class = true,
            ']' if in_class => in_class = false,
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern, false).unwrap().matches(name)
    }

    #[test]
    fn wildcards_match_the_whole_name() {
        assert!(hit("t*", "t1"));
        assert!(hit("*_log", "user_log"));
        assert!(!hit("t", "t1"));
        assert!(hit("t?", "t1"));
        assert!(!hit("t?", "t"));
        assert!(hit("t[1-3]", "t2"));
        assert!(!hit("t[1-3]", "t4"));
        assert!(hit("t[!1-3]", "t4"));
        assert!(!hit("t[!1-3]", "t2"));
        assert!(hit("a.b", "a.b"));
        assert!(!hit("a.b", "axb"));
        assert!(hit("t[a-]", "t-"));
        assert!(hit("*", "with\nline feed"));
    }

    #[test]
    fn case_counts_only_when_asked() {
        assert!(hit("Shop", "shop"));
        assert!(!Pattern::new("Shop", true).unwrap().matches("shop"));
        assert!(Pattern::new("~^Shop$", false).unwrap().matches("shop"));
    }

    #[test]
    fn a_tilde_begins_a_go_regular_expression() {
        assert!(hit(r"~^test\d+$", "test12"));
        assert!(!hit(r"~^test\d+$", "test\u{0661}"), "Go's \\d is ASCII");
        assert!(hit("~es", "test"), "not anchored");
        assert!(hit(r"~^\Qa.b\E$", "a.b"));
        assert!(!hit(r"~^\Qa.b\E$", "axb"));
        assert!(hit(r"~^[\d_]+$", "1_2"));
    }

    #[test]
    fn what_does_not_compile_says_why() {
        let error = Pattern::new("t[1", false).unwrap_err().to_string();
        assert_eq!(error, "the pattern `t[1` is not valid: `[` without `]`");
        assert!(Pattern::new("~(", false).is_err());
    }
}
