//! One line of SHOW GRANTS.

/// What a privilege is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    /// `*.*`.
    Everything,
    /// `db.*`, where `db` is a pattern with `%` and `_`.
    Schema(String),
    /// `db.table`.
    Table(String, String),
    /// A routine, a proxied user and the like: nothing that tables need.
    Other,
}

/// A line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Privileges (in upper case, with the columns they are on) and their object.
    Grant {
        privileges: Vec<(String, Vec<String>)>,
        object: Object,
    },
    /// The same of a partial revoke.
    Revoke {
        privileges: Vec<(String, Vec<String>)>,
        object: Object,
    },
    /// Roles, each as it must be written in a statement.
    Roles(Vec<String>),
    /// A line that gives nothing (`SET DEFAULT ROLE …`, `GRANT PROXY …`).
    Nothing,
    /// A line of another shape.
    Unknown,
}

impl Object {
    /// Whether it covers a table, a whole database, or everything.
    pub(super) fn covers(&self, schema: Option<&str>, table: Option<&str>) -> bool {
        match (self, schema, table) {
            (Self::Everything, _, _) => true,
            (Self::Schema(pattern), Some(schema), _) => like(pattern, schema),
            (Self::Table(of, own), Some(schema), Some(table)) => of == schema && own == table,
            (Self::Schema(_) | Self::Table(..) | Self::Other, _, _) => false,
        }
    }
}

/// Whether `text` matches a pattern with `%`, `_` and backslashes before literal ones.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    fn matches(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
            ['_', rest @ ..] => !text.is_empty() && matches(rest, &text[1..]),
            ['\\', c, rest @ ..] => text.first() == Some(c) && matches(rest, &text[1..]),
            [c, rest @ ..] => text.first() == Some(c) && matches(rest, &text[1..]),
        }
    }
    // Doubled wildcards mean no more than one, and would make the search slow.
    let mut compact: Vec<char> = Vec::new();
    let mut escaped = false;
    for c in pattern.chars() {
        if c == '%' && !escaped && compact.last() == Some(&'%') {
            continue;
        }
        escaped = c == '\\' && !escaped;
        compact.push(c);
    }
    matches(&compact, &text.chars().collect::<Vec<char>>())
}

/// Takes a line apart.
pub(super) fn parse(text: &str) -> Line {
    let words = words(text);
    let Some(first) = words.first() else {
        return Line::Unknown;
    };
    let revoke = first.is("REVOKE");
    if !revoke && !first.is("GRANT") {
        return if first.is("SET") {
            Line::Nothing
        } else {
            Line::Unknown
        };
    }
    let between = if revoke { "FROM" } else { "TO" };
    let Some(to) = words.iter().rposition(|word| word.is(between)) else {
        return Line::Unknown;
    };
    // `ON` of the object: the last one outside brackets, for columns may be called so too.
    let Some(on) = words[..to].iter().rposition(|word| word.is("ON")) else {
        let roles = join_names(&words[1..to]);
        return if roles.is_empty() {
            Line::Unknown
        } else {
            Line::Roles(roles)
        };
    };
    let Some(privileges) = privileges(&words[1..on]) else {
        return Line::Unknown;
    };
    if privileges.iter().any(|(name, _)| name == "PROXY") {
        return Line::Nothing;
    }
    let Some(object) = object(&words[on + 1..to]) else {
        return Line::Unknown;
    };
    if revoke {
        return Line::Revoke { privileges, object };
    }
    let mut privileges = privileges;
    let tail: Vec<&Word> = words[to + 1..].iter().collect();
    if tail
        .windows(2)
        .any(|pair| pair[0].is("GRANT") && pair[1].is("OPTION"))
    {
        privileges.push(("GRANT OPTION".to_owned(), Vec::new()));
    }
    Line::Grant { privileges, object }
}

/// The roles of `CURRENT_ROLE()`.
pub(super) fn roles(text: &str) -> Vec<String> {
    join_names(&words(text))
}

/// The bare name of a role: ``reader`` of `` `reader`@`%` ``.
pub(super) fn role_name(role: &str) -> String {
    words(role)
        .first()
        .map(|word| word.text.clone())
        .unwrap_or_default()
}

/// A word, a quoted name, or one of the signs `, ( ) @ . *`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    fn is(&self, word: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(word)
    }
}

fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '`' | '\'' | '"' => {
                let mut name = String::new();
                while let Some(inner) = chars.next() {
                    if inner != c {
                        name.push(inner);
                    } else if chars.next_if_eq(&c).is_some() {
                        name.push(c);
                    } else {
                        break;
                    }
                }
                words.push(Word {
                    text: name,
                    quoted: true,
                });
            }
            ',' | '(' | ')' | '@' | '.' | '*' => {
                words.push(Word {
                    text: c.to_string(),
                    quoted: false,
                });
            }
            c if c.is_whitespace() => {}
            c => {
                let mut word = c.to_string();
                while let Some(next) = chars.next_if(|n| {
                    !n.is_whitespace() && !matches!(n, ',' | '(' | ')' | '@' | '.' | '`')
                }) {
                    word.push(next);
                }
                words.push(Word {
                    text: word,
                    quoted: false,
                });
            }
        }
    }
    words
}

/// `SELECT, INSERT (a, b), REPLICATION CLIENT`.
fn privileges(words: &[Word]) -> Option<Vec<(String, Vec<String>)>> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let mut name = String::new();
    let mut columns = Vec::new();
    let mut inside = false;
    for word in words {
        match word.text.as_str() {
            "(" if !word.quoted => inside = true,
            ")" if !word.quoted => inside = false,
            "," if !word.quoted && inside => {}
            "," if !word.quoted => {
                found.push((std::mem::take(&mut name), std::mem::take(&mut columns)));
            }
            text if inside => columns.push(text.to_owned()),
            text => {
                if !name.is_empty() {
                    name.push(' ');
                }
                name.push_str(&text.to_ascii_uppercase());
            }
        }
    }
    found.push((name, columns));
    found
        .iter()
        .all(|(name, _)| !name.is_empty())
        .then_some(found)
}

/// `*.*`, `db.*`, `db.table`, `TABLE db.table`, `PROCEDURE db.p`.
fn object(words: &[Word]) -> Option<Object> {
    let mut words = words;
    if let Some((first, rest)) = words.split_first()
        && !first.quoted
        && rest.first().is_some_and(|next| next.text != ".")
        && first.text.chars().all(|c| c.is_ascii_alphabetic())
    {
        if !first.is("TABLE") {
            return Some(Object::Other);
        }
        words = rest;
    }
    match words {
        [schema, dot, table] if dot.is(".") => Some(match (schema.is("*"), table.is("*")) {
            (true, true) => Object::Everything,
            (false, true) => Object::Schema(schema.text.clone()),
            (false, false) => Object::Table(unescaped(&schema.text), table.text.clone()),
            (true, false) => return None,
        }),
        // The user of PROXY.
        _ => words
            .iter()
            .any(|word| word.is("@"))
            .then_some(Object::Other),
    }
}

/// A database's name on a table's grant is no pattern, but may still carry its backslashes.
fn unescaped(name: &str) -> String {
    name.replace("\\_", "_").replace("\\%", "%")
}

/// Roles out of `` `a`@`%`, `b` ``, each quoted anew.
fn join_names(words: &[Word]) -> Vec<String> {
    let quote = |text: &str| format!("`{}`", text.replace('`', "``"));
    let mut names: Vec<String> = Vec::new();
    for group in words.split(|word| word.is(",")) {
        match group {
            [name] => names.push(quote(&name.text)),
            [name, at, host] if at.is("@") => {
                names.push(format!("{}@{}", quote(&name.text), quote(&host.text)));
            }
            _ => return Vec::new(),
        }
    }
    names
}
