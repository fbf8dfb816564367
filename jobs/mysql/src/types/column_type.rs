//! A column's type, parsed from `COLUMN_TYPE` of `information_schema`.
//!
//! Parsing never fails: what no arm knows is [`ColumnType::Other`], carried as text, so that a type
//! of tomorrow's server is shown by its name where it cannot be handled.

use serde::{Deserialize, Serialize};

/// The type of a column. Lengths are those of the definition: characters for text, bytes for
/// binary; `fsp` are the digits of fractional seconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The fields are explained above.
pub enum ColumnType {
    TinyInt {
        unsigned: bool,
    },
    SmallInt {
        unsigned: bool,
    },
    MediumInt {
        unsigned: bool,
    },
    Int {
        unsigned: bool,
    },
    BigInt {
        unsigned: bool,
    },
    Decimal {
        precision: u8,
        scale: u8,
        unsigned: bool,
    },
    Float {
        unsigned: bool,
    },
    Double {
        unsigned: bool,
    },
    Bit {
        width: u8,
    },
    Year,
    Date,
    Time {
        fsp: u8,
    },
    DateTime {
        fsp: u8,
    },
    Timestamp {
        fsp: u8,
    },
    Char {
        len: u32,
    },
    Varchar {
        len: u32,
    },
    /// TINYTEXT to LONGTEXT, by how many bytes fit.
    Text {
        max_bytes: u64,
    },
    Binary {
        len: u32,
    },
    Varbinary {
        len: u32,
    },
    /// TINYBLOB to LONGBLOB, by how many bytes fit.
    Blob {
        max_bytes: u64,
    },
    Enum {
        members: Vec<String>,
    },
    Set {
        members: Vec<String>,
    },
    Json,
    /// Any of the spatial types, by its name.
    Geometry {
        kind: String,
    },
    /// VECTOR of MySQL 9, MariaDB 11.7 and TiDB; `None` where the definition gives no dimension.
    Vector {
        dimensions: Option<u32>,
    },
    /// A type that no arm knows, as the server wrote it.
    Other(String),
}

impl ColumnType {
    /// Parses `COLUMN_TYPE`, as in `decimal(10,2) unsigned` or `enum('a','it''s')`.
    #[must_use]
    pub fn parse(raw: &str) -> Self {
        let text = raw.trim();
        let name_end = text
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(name_end);
        let name = name.to_ascii_lowercase();
        let rest = rest.trim_start();
        if name == "enum" || name == "set" {
            return match members(rest) {
                Some(members) if name == "enum" => Self::Enum { members },
                Some(members) => Self::Set { members },
                None => Self::Other(text.to_owned()),
            };
        }
        let (arguments, attributes) = match rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
            Some((inside, after)) => (inside, after),
            None => ("", rest),
        };
        let attributes = attributes.to_ascii_lowercase();
        let has = |word: &str| attributes.split_whitespace().any(|w| w == word);
        // ZEROFILL makes a column unsigned, also where the word is not repeated.
        let unsigned = has("unsigned") || has("zerofill");
        let numbers: Vec<Option<u32>> = arguments
            .split(',')
            .map(|n| n.trim().parse().ok())
            .collect();
        let number = |index: usize| numbers.get(index).copied().flatten();
        let small = |index: usize| number(index).and_then(|n| u8::try_from(n).ok());
        let fsp = small(0).unwrap_or(0);
        match name.as_str() {
            "tinyint" | "bool" | "boolean" => Self::TinyInt { unsigned },
            "smallint" => Self::SmallInt { unsigned },
            "mediumint" => Self::MediumInt { unsigned },
            "int" | "integer" => Self::Int { unsigned },
            "bigint" => Self::BigInt { unsigned },
            "decimal" | "numeric" | "dec" | "fixed" => Self::Decimal {
                precision: small(0).unwrap_or(10),
                scale: small(1).unwrap_or(0),
                unsigned,
            },
            "float" => Self::Float { unsigned },
            "double" | "real" => Self::Double { unsigned },
            "bit" => Self::Bit {
                width: small(0).unwrap_or(1),
            },
            "year" => Self::Year,
            "date" => Self::Date,
            "time" => Self::Time { fsp },
            "datetime" => Self::DateTime { fsp },
            "timestamp" => Self::Timestamp { fsp },
            "char" | "character" | "nchar" => Self::Char {
                len: number(0).unwrap_or(1),
            },
            "varchar" | "nvarchar" => Self::Varchar {
                len: number(0).unwrap_or(0),
            },
            "tinytext" => Self::Text { max_bytes: 255 },
            "text" => Self::Text { max_bytes: 65_535 },
            "mediumtext" => Self::Text {
                max_bytes: 16_777_215,
            },
            "longtext" => Self::Text {
                max_bytes: 4_294_967_295,
            },
            "binary" => Self::Binary {
                len: number(0).unwrap_or(1),
            },
            "varbinary" => Self::Varbinary {
                len: number(0).unwrap_or(0),
            },
            "tinyblob" => Self::Blob { max_bytes: 255 },
            "blob" => Self::Blob { max_bytes: 65_535 },
            "mediumblob" => Self::Blob {
                max_bytes: 16_777_215,
            },
            "longblob" => Self::Blob {
                max_bytes: 4_294_967_295,
            },
            "json" => Self::Json,
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
            | "multipolygon" | "geometrycollection" | "geomcollection" => {
                Self::Geometry { kind: name }
            }
            "vector" => Self::Vector {
                dimensions: number(0),
            },
            _ => Self::Other(text.to_owned()),
        }
    }

    /// Whether values are text with a character set and a collation.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(
            self,
            Self::Char { .. }
                | Self::Varchar { .. }
                | Self::Text { .. }
                | Self::Enum { .. }
                | Self::Set { .. }
        )
    }

    /// Whether values are plain bytes.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        matches!(
            self,
            Self::Binary { .. } | Self::Varbinary { .. } | Self::Blob { .. }
        )
    }

    /// Whether values are whole numbers (YEAR and BIT are not counted among them).
    #[must_use]
    pub fn is_integer(&self) -> bool {
        matches!(
            self,
            Self::TinyInt { .. }
                | Self::SmallInt { .. }
                | Self::MediumInt { .. }
                | Self::Int { .. }
                | Self::BigInt { .. }
        )
    }
}

/// The members within `('a','b')`, with quotes and escapes undone.
///
/// MySQL and MariaDB double quotes and write backslash, line feed, carriage return and zero byte as
/// `\\`, `\n`, `\r` and `\0`. TiDB leaves a backslash alone but not a line feed, so a member with
/// `\n` in it cannot be told from one with a line feed there; and MySQL shows characters beyond
/// three bytes as `?`. Nothing moves by what is read here: members travel as text.
fn members(text: &str) -> Option<Vec<String>> {
    let mut rest = text.strip_prefix('(')?.trim_start();
    let mut found = Vec::new();
    loop {
        let mut member = String::new();
        let body = rest.strip_prefix('\'')?;
        let mut chars = body.char_indices().peekable();
        let end = loop {
            let (at, c) = chars.next()?;
            match c {
                '\\' => {
                    let next = chars.peek().map(|&(_, next)| next);
                    let undone = match next {
                        Some('n') => '\n',
                        Some('r') => '\r',
                        Some('0') => '\0',
                        Some('\\') => '\\',
                        _ => {
                            member.push(c);
                            continue;
                        }
                    };
                    chars.next();
                    member.push(undone);
                }
                '\'' if chars.next_if(|&(_, next)| next == '\'').is_some() => member.push(c),
                '\'' => break at,
                c => member.push(c),
            }
        };
        found.push(member);
        rest = body[end + 1..].trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start();
        } else {
            return rest.starts_with(')').then_some(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_and_without_display_width() {
        for (raw, unsigned) in [
            ("int", false),
            ("int(11)", false),
            ("int(10) unsigned", true),
        ] {
            assert_eq!(
                ColumnType::parse(raw),
                ColumnType::Int { unsigned },
                "{raw}"
            );
        }
        assert_eq!(
            ColumnType::parse("bigint(20) unsigned zerofill"),
            ColumnType::BigInt { unsigned: true }
        );
        assert_eq!(
            ColumnType::parse("tinyint(1)"),
            ColumnType::TinyInt { unsigned: false }
        );
        assert_eq!(
            ColumnType::parse("decimal(65,30) unsigned"),
            ColumnType::Decimal {
                precision: 65,
                scale: 30,
                unsigned: true
            }
        );
        assert_eq!(
            ColumnType::parse("float(7,4)"),
            ColumnType::Float { unsigned: false }
        );
        assert_eq!(ColumnType::parse("bit(64)"), ColumnType::Bit { width: 64 });
        assert_eq!(ColumnType::parse("year(4)"), ColumnType::Year);
    }

    #[test]
    fn dates_with_fractions() {
        assert_eq!(
            ColumnType::parse("datetime(6)"),
            ColumnType::DateTime { fsp: 6 }
        );
        assert_eq!(
            ColumnType::parse("timestamp"),
            ColumnType::Timestamp { fsp: 0 }
        );
        assert_eq!(
            ColumnType::parse("timestamp /* mariadb-5.3 */"),
            ColumnType::Timestamp { fsp: 0 }
        );
        assert_eq!(ColumnType::parse("TIME(3)"), ColumnType::Time { fsp: 3 });
    }

    #[test]
    fn members_keep_quotes_commas_brackets_and_backslashes() {
        assert_eq!(
            ColumnType::parse(r"enum('it''s','a,b',')','','back\\slash','é','\x','\n')"),
            ColumnType::Enum {
                members: ["it's", "a,b", ")", "", r"back\slash", "é", r"\x", "\n"]
                    .map(String::from)
                    .to_vec()
            }
        );
        assert_eq!(
            ColumnType::parse("set('x', 'y')"),
            ColumnType::Set {
                members: vec!["x".into(), "y".into()]
            }
        );
        assert_eq!(
            ColumnType::parse("enum('open"),
            ColumnType::Other("enum('open".into())
        );
    }

    #[test]
    fn what_is_not_known_keeps_its_name() {
        assert_eq!(ColumnType::parse("uuid"), ColumnType::Other("uuid".into()));
        assert_eq!(
            ColumnType::parse("inet6"),
            ColumnType::Other("inet6".into())
        );
        assert_eq!(
            ColumnType::parse("vector(3)"),
            ColumnType::Vector {
                dimensions: Some(3)
            }
        );
        assert_eq!(
            ColumnType::parse("vector"),
            ColumnType::Vector { dimensions: None }
        );
        assert_eq!(
            ColumnType::parse("geomcollection"),
            ColumnType::Geometry {
                kind: "geomcollection".into()
            }
        );
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(raw in "\\PC*") {
            let _ = ColumnType::parse(&raw);
        }

        #[test]
        fn any_members_come_back(members in proptest::collection::vec("\\PC{0,8}", 1..5)) {
            let list: Vec<String> =
                members.iter().map(|m| format!("'{}'", m.replace('\\', r"\\").replace('\'', "''"))).collect();
            let raw = format!("enum({})", list.join(","));
            proptest::prop_assert_eq!(ColumnType::parse(&raw), ColumnType::Enum { members });
        }
    }
}
