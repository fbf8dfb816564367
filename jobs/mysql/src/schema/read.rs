//! Reading one table's definition.
//!
//! Columns of `information_schema` are aliased: MySQL 8 answers in upper case whatever was asked.
//! Where its comparison ignores cases (MariaDB, MySQL 5.7), two tables `T` and `t` answer as one, so
//! the answers are sorted out by their exact names here.

use mysql_async::Conn;

use super::{ColumnDef, ForeignKey, Generated, KeyDef, KeyPart, TableDef, TableName};
use crate::answer::{self, Answer};
use crate::error::{Error, Result};
use crate::info::{Flavor, ServerInfo, Version};
use crate::sql;
use crate::types::column_type::ColumnType;

/// No such table, no such database.
const ABSENT: &[u16] = &[1146, 1049, 1109];

/// Reads the definition of a table; `None` when there is none of this name.
///
/// # Errors
/// A statement fails, or the name is a view.
pub async fn read_table(
    conn: &mut Conn,
    info: &ServerInfo,
    name: &TableName,
) -> Result<Option<TableDef>> {
    let Some(create_sql) = show_create_table(conn, name).await? else {
        return Ok(None);
    };
    let what = format!("read the definition of {name}");
    let Some(table) = pick(info, name, tables(conn, &what, name).await?)
        .into_iter()
        .next()
    else {
        return Ok(None);
    };
    let columns: Vec<ColumnDef> = pick(info, name, columns(conn, &what, name).await?)
        .iter()
        .filter_map(column)
        .collect();
    if columns.is_empty() {
        let hint = "information_schema shows no column of it: grant SELECT on it";
        return Err(Error::Privilege {
            at: crate::error::label(conn),
            what,
            message: hint.to_owned(),
        });
    }
    let keys = keys(&pick(
        info,
        name,
        statistics(conn, info, &what, name).await?,
    ));
    let foreign_keys = foreign_keys(conn, info, &what, name).await?;
    let collation = table.text("table_collation");
    Ok(Some(TableDef {
        name: name.clone(),
        create_sql,
        columns,
        keys,
        engine: table.text("engine"),
        charset: collation.as_deref().map(charset_of),
        collation,
        foreign_keys,
        partitioned: table
            .text_or_empty("create_options")
            .to_ascii_lowercase()
            .contains("partitioned"),
    }))
}

/// The statement that makes a table; `None` when there is none of this name.
///
/// # Errors
/// The statement fails, or the name is a view.
pub async fn show_create_table(conn: &mut Conn, name: &TableName) -> Result<Option<String>> {
    let what = format!("show the definition of {name}");
    let sql = format!("SHOW CREATE TABLE {}", sql::qualified(name));
    let Some(row) = answer::first_unless(conn, &what, &sql, ABSENT).await? else {
        return Ok(None);
    };
    match row.text("Create Table") {
        Some(text) => Ok(Some(text)),
        None => Err(Error::unexpected(conn, what, "it is a view, not a table")),
    }
}

/// The statement that makes a database; `None` when there is none of this name.
///
/// # Errors
/// The statement fails.
pub async fn show_create_database(conn: &mut Conn, schema: &str) -> Result<Option<String>> {
    let what = format!("show the definition of database {}", sql::ident(schema));
    let sql = format!("SHOW CREATE DATABASE {}", sql::ident(schema));
    let row = answer::first_unless(conn, &what, &sql, ABSENT).await?;
    Ok(row.and_then(|row| row.text("Create Database")))
}

/// The statement that makes a view; `None` when there is none of this name.
///
/// # Errors
/// The statement fails, or the name is a table.
pub async fn show_create_view(conn: &mut Conn, name: &TableName) -> Result<Option<String>> {
    let what = format!("show the definition of view {name}");
    let sql = format!("SHOW CREATE VIEW {}", sql::qualified(name));
    let row = answer::first_unless(conn, &what, &sql, ABSENT).await?;
    Ok(row.and_then(|row| row.text("Create View")))
}

/// `utf8mb4` of `utf8mb4_0900_ai_ci`.
fn charset_of(collation: &str) -> String {
    collation.split('_').next().unwrap_or(collation).to_owned()
}

/// The rows that speak of exactly this table. Where the server folds names, all of them do.
fn pick(info: &ServerInfo, name: &TableName, rows: Vec<Answer>) -> Vec<Answer> {
    let exact = |row: &Answer| {
        row.text("table_name").as_deref() == Some(name.table.as_str())
            && row.text("table_schema").as_deref() == Some(name.schema.as_str())
    };
    let folds = info.lower_case_table_names != 0 || info.flavor == Flavor::TiDb;
    if folds && !rows.iter().any(exact) {
        return rows;
    }
    rows.into_iter().filter(exact).collect()
}

/// `TABLE_SCHEMA = … AND TABLE_NAME = …`.
fn of(name: &TableName) -> String {
    format!(
        "TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        sql::quoted(&name.schema),
        sql::quoted(&name.table)
    )
}

/// Whether foreign keys of other tables change their rows when rows of this one change: `CASCADE`, `SET
/// NULL`.
///
/// # Errors
/// The statement fails.
pub async fn acts_on_others(conn: &mut Conn, name: &TableName) -> Result<bool> {
    let what = format!("look for foreign keys that refer to {name}");
    let sql = format!(
        "SELECT r.CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS r \
         WHERE r.UNIQUE_CONSTRAINT_SCHEMA = {} AND r.REFERENCED_TABLE_NAME = {} \
         AND (r.DELETE_RULE IN ('CASCADE', 'SET NULL') OR r.UPDATE_RULE IN ('CASCADE', 'SET NULL')) \
         LIMIT 1",
        sql::quoted(&name.schema),
        sql::quoted(&name.table)
    );
    Ok(answer::first(conn, &what, &sql).await?.is_some())
}

async fn tables(conn: &mut Conn, what: &str, name: &TableName) -> Result<Vec<Answer>> {
    let sql = format!(
        "SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, ENGINE AS engine, \
         TABLE_COLLATION AS table_collation, CREATE_OPTIONS AS create_options \
         FROM information_schema.TABLES WHERE {}",
        of(name)
    );
    answer::all(conn, what, &sql).await
}

async fn columns(conn: &mut Conn, what: &str, name: &TableName) -> Result<Vec<Answer>> {
    let sql = format!(
        "SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS name, \
         COLUMN_TYPE AS raw_type, IS_NULLABLE AS nullable, CHARACTER_SET_NAME AS charset, \
         COLLATION_NAME AS collation, EXTRA AS extra, COLUMN_DEFAULT AS default_value \
         FROM information_schema.COLUMNS WHERE {} ORDER BY ORDINAL_POSITION",
        of(name)
    );
    answer::all(conn, what, &sql).await
}

fn column(row: &Answer) -> Option<ColumnDef> {
    let raw_type = row.text("raw_type")?;
    let extra = row.text_or_empty("extra").to_ascii_lowercase();
    let has = |word: &str| extra.contains(word);
    Some(ColumnDef {
        name: row.text("name")?,
        ty: ColumnType::parse(&raw_type),
        raw_type,
        nullable: row.flag("nullable"),
        charset: row.text("charset"),
        collation: row.text("collation"),
        generated: if has("virtual generated") || extra == "virtual" {
            Generated::Virtual
        } else if has("stored generated") || has("persistent") {
            Generated::Stored
        } else {
            Generated::None
        },
        invisible: has("invisible"),
        auto_increment: has("auto_increment"),
        default: row.text("default_value"),
    })
}

async fn statistics(
    conn: &mut Conn,
    info: &ServerInfo,
    what: &str,
    name: &TableName,
) -> Result<Vec<Answer>> {
    let has_expressions = match info.flavor {
        Flavor::MySql | Flavor::Aurora => info.version >= Version::new(8, 0, 13),
        Flavor::TiDb => true,
        Flavor::MariaDb => false,
    };
    let expression = if has_expressions {
        "EXPRESSION"
    } else {
        "NULL"
    };
    let sql = format!(
        "SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, INDEX_NAME AS name, \
         NON_UNIQUE AS non_unique, COLUMN_NAME AS column_name, SUB_PART AS sub_part, \
         {expression} AS expression FROM information_schema.STATISTICS WHERE {} \
         ORDER BY INDEX_NAME, SEQ_IN_INDEX",
        of(name)
    );
    answer::all(conn, what, &sql).await
}

/// Keys out of their parts: PRIMARY first, then unique ones, then the rest, each by name.
fn keys(rows: &[Answer]) -> Vec<KeyDef> {
    let mut keys: Vec<KeyDef> = Vec::new();
    for row in rows {
        let Some(name) = row.text("name") else {
            continue;
        };
        let expression = row.text("expression").filter(|text| !text.is_empty());
        let part = KeyPart {
            column: row.text("column_name").filter(|_| expression.is_none()),
            prefix: row.text("sub_part").and_then(|text| text.parse().ok()),
            expression,
        };
        match keys.last_mut().filter(|key| key.name == name) {
            Some(key) => key.parts.push(part),
            None => keys.push(KeyDef {
                primary: name == "PRIMARY",
                unique: row.text("non_unique").as_deref() == Some("0"),
                name,
                parts: vec![part],
            }),
        }
    }
    keys.sort_by_key(|key| (!key.primary, !key.unique));
    keys
}

async fn foreign_keys(
    conn: &mut Conn,
    info: &ServerInfo,
    what: &str,
    name: &TableName,
) -> Result<Vec<ForeignKey>> {
    let parts = format!(
        "SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, CONSTRAINT_NAME AS name, \
         COLUMN_NAME AS column_name, REFERENCED_TABLE_SCHEMA AS to_schema, \
         REFERENCED_TABLE_NAME AS to_table, REFERENCED_COLUMN_NAME AS to_column \
         FROM information_schema.KEY_COLUMN_USAGE WHERE {} \
         AND REFERENCED_TABLE_NAME IS NOT NULL ORDER BY CONSTRAINT_NAME, ORDINAL_POSITION",
        of(name)
    );
    let parts = pick(info, name, answer::all(conn, what, &parts).await?);
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let rules = format!(
        "SELECT CONSTRAINT_SCHEMA AS table_schema, TABLE_NAME AS table_name, \
         CONSTRAINT_NAME AS name, DELETE_RULE AS on_delete, UPDATE_RULE AS on_update \
         FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE CONSTRAINT_SCHEMA = {} AND TABLE_NAME = {}",
        sql::quoted(&name.schema),
        sql::quoted(&name.table)
    );
    let rules = pick(info, name, answer::all(conn, what, &rules).await?);
    let mut found: Vec<ForeignKey> = Vec::new();
    for row in &parts {
        let (Some(constraint), Some(column), Some(to_column)) = (
            row.text("name"),
            row.text("column_name"),
            row.text("to_column"),
        ) else {
            continue;
        };
        if let Some(key) = found.last_mut().filter(|key| key.name == constraint) {
            key.columns.push(column);
            key.referenced_columns.push(to_column);
            continue;
        }
        let rule = rules
            .iter()
            .find(|rule| rule.text("name").as_ref() == Some(&constraint));
        found.push(ForeignKey {
            name: constraint,
            columns: vec![column],
            references: TableName::new(
                row.text_or_empty("to_schema"),
                row.text_or_empty("to_table"),
            ),
            referenced_columns: vec![to_column],
            on_delete: rule
                .map(|rule| rule.text_or_empty("on_delete"))
                .unwrap_or_default(),
            on_update: rule
                .map(|rule| rule.text_or_empty("on_update"))
                .unwrap_or_default(),
        });
    }
    Ok(found)
}
