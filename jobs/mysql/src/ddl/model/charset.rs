//! Character sets and collations as a server resolves them.

use super::super::Context;
use super::super::cursor::Cursor;
use crate::info::Version;

/// A character set and a collation of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Charset {
    pub(super) charset: String,
    pub(super) collation: String,
}

/// What a definition says about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) charset: Option<String>,
    pub(super) collation: Option<String>,
    /// The attribute BINARY: the character set's binary collation.
    pub(super) binary: bool,
    /// `CHARACTER SET DEFAULT`: that of the database.
    pub(super) default: bool,
}

impl Wanted {
    pub(super) fn says_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// What it comes to where `inherited` is what stands above.
    pub(super) fn resolve(&self, context: &Context, inherited: &Charset) -> Charset {
        let charset = match (&self.charset, &self.collation) {
            (Some(charset), _) => charset.clone(),
            (None, Some(collation)) => {
                charset_of(collation).unwrap_or_else(|| inherited.charset.clone())
            }
            (None, None) => inherited.charset.clone(),
        };
        let collation = if let Some(collation) = &self.collation {
            // MariaDB's short names go for any character set.
            if collation.starts_with("uca1400_") {
                format!("{charset}_{collation}")
            } else {
                collation.clone()
            }
        } else if self.binary {
            binary_collation(&charset)
        } else if self.charset.is_some() || self.default && context.is_maria() {
            // MariaDB's DEFAULT takes the character set alone from above, not its collation.
            default_collation(context, &charset)
        } else {
            inherited.collation.clone()
        };
        Charset { charset, collation }
    }
}

/// Reads `[DEFAULT] CHARACTER SET [=] x`, `CHARSET [=] x` or `COLLATE [=] x` here, if one is here.
/// `None` when it is one but no name follows.
pub(super) fn option(cursor: &mut Cursor<'_>, wanted: &mut Wanted) -> Option<bool> {
    let mut ahead = cursor.clone();
    ahead.eat("DEFAULT");
    let collate = ahead.eat("COLLATE");
    if !collate
        && !ahead.eat("CHARSET")
        && !ahead.eat_all(&["CHARACTER", "SET"])
        && !ahead.eat_all(&["CHAR", "SET"])
    {
        return Some(false);
    }
    ahead.eat_punct('=');
    let context = cursor.context;
    let name = value(&mut ahead)?;
    *cursor = ahead;
    if name.eq_ignore_ascii_case("default") {
        wanted.default = true;
    } else if collate {
        wanted.collation = Some(canonical(context, &name));
    } else {
        wanted.charset = Some(canonical(context, &name));
    }
    Some(true)
}

/// A name in any of the forms that names of character sets take.
pub(super) fn value(cursor: &mut Cursor<'_>) -> Option<String> {
    let mut ahead = cursor.clone();
    let name = ahead.string().or_else(|| ahead.ident())?;
    *cursor = ahead;
    Some(name)
}

/// A name in lower case; `utf8` as the server's version prints it.
pub(super) fn canonical(context: &Context, name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let mb3 = if context.is_maria() {
        context.version >= Version::new(10, 6, 0)
    } else {
        context.version >= Version::new(8, 0, 29)
    };
    let (from, to) = if mb3 {
        ("utf8", "utf8mb3")
    } else {
        ("utf8mb3", "utf8")
    };
    if name == from {
        return to.to_owned();
    }
    match name.strip_prefix(from).filter(|rest| rest.starts_with('_')) {
        Some(rest) => format!("{to}{rest}"),
        None => name,
    }
}

/// The character set of a collation; `None` of MariaDB's short names.
pub(super) fn charset_of(collation: &str) -> Option<String> {
    let name = collation.split('_').next().unwrap_or(collation);
    (name != "uca1400").then(|| name.to_owned())
}

pub(super) fn binary_collation(charset: &str) -> String {
    if charset == "binary" {
        return "binary".to_owned();
    }
    format!("{charset}_bin")
}

/// The collation that a character set has when none is named.
pub(super) fn default_collation(context: &Context, charset: &str) -> String {
    if let Some(collation) = context.default_collations.get(charset) {
        return canonical(context, collation);
    }
    let suffix = match charset {
        "binary" => return "binary".to_owned(),
        "utf8mb4" if !context.is_maria() && context.version.major >= 8 => "0900_ai_ci",
        "utf8mb4" | "utf8mb3" | "utf8" | "ucs2" | "utf16" | "utf32"
            if context.is_maria() && context.version >= Version::new(11, 5, 0) =>
        {
            "uca1400_ai_ci"
        }
        "latin1" | "dec8" | "swe7" => "swedish_ci",
        "hp8" => "english_ci",
        "latin5" => "turkish_ci",
        "tis620" => "thai_ci",
        "gbk" | "big5" | "gb2312" | "gb18030" => "chinese_ci",
        "sjis" | "cp932" | "ujis" | "eucjpms" => "japanese_ci",
        "euckr" => "korean_ci",
        _ => "general_ci",
    };
    format!("{charset}_{suffix}")
}
