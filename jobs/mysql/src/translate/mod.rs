//! Definitions of the source as the target can hold them.
//!
//! The work is done on the text that `SHOW CREATE` printed, cut into tokens (`lexer`); what needs
//! no change stays byte for byte, and what stands in quotes or comments of users is never looked
//! into. Each change that means something is a note, which is logged and stands in the report of the
//! load. What no rule here knows goes to the target as it is: its refusal names the statement, which
//! is better than a guess.

pub mod collation;
mod column;
mod default;
mod key;
mod lexer;
mod options;
mod table;

use crate::Error;
use crate::info::Flavor;
use crate::schema::TableDef;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

pub use collation::Collations;
pub use table::translate_table;

/// The target that definitions are translated for.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is.
    pub flavor: Flavor,
    /// Character sets and collations that it has.
    pub collations: Collations,
    /// Whether it keeps CHECK constraints. TiDB reads over them, and says nothing, unless
    /// `tidb_enable_check_constraint` is on.
    pub checks: bool,
}

impl Target {
    /// Asks the target.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn read(conn: &mut Conn, flavor: Flavor) -> Result<Self, Error> {
        let collations = Collations::read(conn, flavor)
            .await
            .map_err(|error| Error::query(conn, "list the collations", error))?;
        let checks = if flavor == Flavor::TiDb {
            let on: Option<(String, String)> = conn
                .query_first("SHOW GLOBAL VARIABLES LIKE 'tidb_enable_check_constraint'")
                .await
                .map_err(|error| Error::query(conn, "read tidb_enable_check_constraint", error))?;
            on.is_some_and(|(_, value)| value.eq_ignore_ascii_case("on") || value == "1")
        } else {
            true
        };
        Ok(Self {
            flavor,
            collations,
            checks,
        })
    }

    fn is_tidb(&self) -> bool {
        self.flavor == Flavor::TiDb
    }

    fn is_mariadb(&self) -> bool {
        self.flavor == Flavor::MariaDb
    }

    /// Its name in notes.
    fn name(&self) -> &'static str {
        match self.flavor {
            Flavor::TiDb => "TiDB",
            Flavor::MariaDb => "MariaDB",
            Flavor::MySql | Flavor::Aurora => "MySQL",
        }
    }
}

/// A statement for the target, and what was changed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// The statement.
    pub sql: String,
    /// What a person should know about it, a sentence each.
    pub notes: Vec<String>,
    /// Whether the statement has a `PARTITION BY` that may be left out when the target refuses it.
    pub partitioned: bool,
}

/// `CREATE DATABASE IF NOT EXISTS` for a database whose definition at the source was `create_sql`.
#[must_use]
pub fn translate_database(create_sql: &str, name: &str, target: &Target) -> Translated {
    let tokens = lexer::tokens(create_sql);
    let significant: Vec<&lexer::Token> = tokens.iter().filter(|t| t.significant()).collect();
    let mut charset = None;
    let mut collation = None;
    for (index, token) in significant.iter().enumerate() {
        let value = |offset: usize| {
            significant[index + offset..]
                .iter()
                .find(|t| !t.is_punct('='))
                .map(|t| t.unquoted())
        };
        if token.is("SET") && index > 0 && significant[index - 1].is("CHARACTER")
            || token.is("CHARSET")
        {
            charset = value(1);
        } else if token.is("COLLATE") {
            collation = value(1);
        }
    }
    let mut sql = format!("CREATE DATABASE IF NOT EXISTS {}", crate::sql::ident(name));
    let mut notes = Vec::new();
    if let Some(charset) = charset {
        let from = collation.unwrap_or_else(|| default_collation(&charset));
        let mapped = target.collations.map(&charset, &from);
        if mapped.collation != from && !same_utf8(&mapped.collation, &from) {
            notes.push(format!(
                "database {name}: {charset} {from} → {} {}, which {} has",
                mapped.charset,
                mapped.collation,
                target.name()
            ));
        }
        sql.push_str(&format!(
            " DEFAULT CHARACTER SET {} COLLATE {}",
            mapped.charset, mapped.collation
        ));
    }
    Translated {
        sql,
        notes,
        partitioned: false,
    }
}

/// The collation that MySQL means when it prints a character set alone.
fn default_collation(charset: &str) -> String {
    match charset {
        "latin1" => "latin1_swedish_ci".to_owned(),
        "binary" => "binary".to_owned(),
        "gbk" => "gbk_chinese_ci".to_owned(),
        "big5" => "big5_chinese_ci".to_owned(),
        "sjis" => "sjis_japanese_ci".to_owned(),
        "cp932" => "cp932_japanese_ci".to_owned(),
        "ujis" => "ujis_japanese_ci".to_owned(),
        "euckr" => "euckr_korean_ci".to_owned(),
        _ => format!("{charset}_general_ci"),
    }
}

/// Whether two collations differ only in the name of `utf8mb3`.
fn same_utf8(a: &str, b: &str) -> bool {
    let plain = |name: &str| match name.strip_prefix("utf8mb3_") {
        Some(rest) => format!("utf8_{rest}"),
        None => name.to_owned(),
    };
    plain(a) == plain(b)
}

/// What the rules of one table work on.
struct Context<'a> {
    definition: &'a TableDef,
    target: &'a Target,
    /// Where a table that a foreign key names is at the target.
    route: &'a dyn Fn(&str, &str) -> (String, String),
    notes: Vec<String>,
}

impl Context<'_> {
    fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}
