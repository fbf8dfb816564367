//! What a user may do, read from SHOW GRANTS.
//!
//! SHOW GRANTS is the only source that managed servers fill truthfully: `information_schema` does
//! not show what a master user of RDS or Aurora has, least of all by the role
//! `rds_superuser_role`. Its lines are parsed leniently: a privilege that we have never heard of
//! (Aurora's `INVOKE LAMBDA`, tomorrow's dynamic one) is kept by its name, a line of a shape that we
//! do not know is kept as it is, and neither is an error.

use std::collections::BTreeSet;

use mysql_async::Conn;

use crate::answer;
use crate::error::{Error, Result};
use crate::sql;

mod line;

use line::{Line, Object};

/// A privilege on something.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    /// In upper case, `ALL PRIVILEGES` among them.
    privilege: String,
    /// Columns, when it is on some of them only.
    columns: Vec<String>,
    object: Object,
}

/// What a user may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    grants: Vec<Grant>,
    /// What partial revokes take away again: privilege and database.
    revoked: Vec<Grant>,
    roles: BTreeSet<String>,
    unknown: Vec<String>,
    lines: Vec<String>,
}

/// Privileges of the server's administration that `ALL PRIVILEGES ON *.*` does not name one by one.
const ALL: &[&str] = &["ALL PRIVILEGES", "ALL"];

impl Grants {
    /// Parses lines of SHOW GRANTS.
    pub fn parse<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> Self {
        let mut grants = Self::default();
        for text in lines {
            grants.add(text.as_ref());
        }
        grants
    }

    fn add(&mut self, text: &str) {
        if self.lines.iter().any(|line| line == text) {
            return;
        }
        self.lines.push(text.to_owned());
        match line::parse(text) {
            Line::Grant { privileges, object } => {
                for (privilege, columns) in privileges {
                    self.grants.push(Grant {
                        privilege,
                        columns,
                        object: object.clone(),
                    });
                }
            }
            Line::Revoke { privileges, object } => {
                for (privilege, columns) in privileges {
                    self.revoked.push(Grant {
                        privilege,
                        columns,
                        object: object.clone(),
                    });
                }
            }
            Line::Roles(roles) => self.roles.extend(roles),
            Line::Nothing => {}
            Line::Unknown => self.unknown.push(text.to_owned()),
        }
    }

    /// Whether `privilege` is there on a table, on a whole database (`table` is `None`), or on
    /// everything (`schema` is `None` too). `REPLICATION CLIENT` and MariaDB's names for it count
    /// as one.
    #[must_use]
    pub fn has(&self, privilege: &str, schema: Option<&str>, table: Option<&str>) -> bool {
        names(privilege).iter().any(|name| {
            self.grants.iter().any(|grant| {
                grant.columns.is_empty()
                    && grants_privilege(grant, name)
                    && grant.object.covers(schema, table)
                    && !self.is_revoked(name, &grant.object, schema)
            })
        })
    }

    /// Whether `privilege` is there on some columns of a table, though not on all of it.
    #[must_use]
    pub fn has_on_columns(&self, privilege: &str, schema: &str, table: &str) -> bool {
        self.grants.iter().any(|grant| {
            !grant.columns.is_empty()
                && grant.privilege.eq_ignore_ascii_case(privilege)
                && grant.object.covers(Some(schema), Some(table))
        })
    }

    /// Whether a partial revoke takes `privilege` away from a database: it only bears on what was
    /// granted on everything.
    fn is_revoked(&self, privilege: &str, granted_on: &Object, schema: Option<&str>) -> bool {
        let Some(schema) = schema else { return false };
        *granted_on == Object::Everything
            && self.revoked.iter().any(|revoke| {
                grants_privilege(revoke, privilege) && revoke.object.covers(Some(schema), None)
            })
    }

    /// Roles whose privileges are among these.
    #[must_use]
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.roles
    }

    /// Lines of a shape that we do not know, for people.
    #[must_use]
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// All lines as the server gave them.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

fn grants_privilege(grant: &Grant, privilege: &str) -> bool {
    if grant.privilege.eq_ignore_ascii_case(privilege) {
        return true;
    }
    let all = ALL
        .iter()
        .any(|all| grant.privilege.eq_ignore_ascii_case(all));
    // ALL never gives the right to pass privileges on.
    all && !privilege.eq_ignore_ascii_case("GRANT OPTION")
}

/// The names under which servers know a privilege, and those that include it.
fn names(privilege: &str) -> Vec<String> {
    let name = privilege.trim().to_ascii_uppercase();
    let more: &[&str] = match name.as_str() {
        "REPLICATION CLIENT" | "BINLOG MONITOR" => {
            &["REPLICATION CLIENT", "BINLOG MONITOR", "SUPER"]
        }
        "REPLICATION SLAVE" | "REPLICATION REPLICA" => {
            &["REPLICATION SLAVE", "REPLICATION REPLICA"]
        }
        "ALL" => &["ALL PRIVILEGES"],
        _ => &[],
    };
    let mut names = vec![name];
    names.extend(more.iter().map(|name| (*name).to_owned()));
    names
}

/// Roles deeper than this are in a circle.
const DEEPEST_ROLE: usize = 16;

/// Reads what the current user may do, with the roles that are active in a session of theirs.
///
/// Roles are asked for with `SHOW GRANTS … USING` (MySQL 8, TiDB) or one by one (MariaDB). A role
/// that the user may not look into is kept by its name; its privileges are then not known, and
/// [`Grants::has`] says no.
///
/// # Errors
/// The user's own grants cannot be read.
pub async fn read(conn: &mut Conn) -> Result<Grants> {
    let what = "read the user's privileges";
    let mut grants = Grants::default();
    for line in show(conn, what, "SHOW GRANTS FOR CURRENT_USER()").await? {
        grants.add(&line);
    }
    // What is active without being granted by name: mandatory and default roles.
    for role in active_roles(conn).await? {
        grants.roles.insert(role);
    }
    let mut known: BTreeSet<String> = BTreeSet::new();
    for _ in 0..DEEPEST_ROLE {
        let open: Vec<String> = grants.roles.difference(&known).cloned().collect();
        if open.is_empty() {
            break;
        }
        for role in open {
            for line in role_lines(conn, what, &role).await? {
                grants.add(&line);
            }
            known.insert(role);
        }
    }
    Ok(grants)
}

async fn show(conn: &mut Conn, what: &str, sql: &str) -> Result<Vec<String>> {
    let rows = answer::all(conn, what, sql).await?;
    Ok(rows.iter().filter_map(|row| row.text_at(0)).collect())
}

/// What the server says the session's roles are; nothing where it knows no roles.
async fn active_roles(conn: &mut Conn) -> Result<Vec<String>> {
    let what = "read the session's roles";
    match answer::first(conn, what, "SELECT CURRENT_ROLE()").await {
        Ok(row) => {
            let text = row.and_then(|row| row.text_at(0)).unwrap_or_default();
            if text.is_empty() || text.eq_ignore_ascii_case("NONE") {
                return Ok(Vec::new());
            }
            // MariaDB gives a bare name, MySQL and TiDB `name`@`host` with commas between.
            Ok(line::roles(&text))
        }
        Err(error) if skippable(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What a role gives. The first way that the server takes counts.
async fn role_lines(conn: &mut Conn, what: &str, role: &str) -> Result<Vec<String>> {
    let ways = [
        format!("SHOW GRANTS FOR CURRENT_USER() USING {role}"),
        format!("SHOW GRANTS FOR {role}"),
        format!("SHOW GRANTS FOR {}", sql::ident(&line::role_name(role))),
    ];
    for way in ways {
        match show(conn, what, &way).await {
            Ok(lines) => return Ok(lines),
            Err(error) if skippable(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Vec::new())
}

/// Whether an error means "not this way": the server refused the statement, the connection stands.
fn skippable(error: &Error) -> bool {
    matches!(error, Error::Privilege { .. } | Error::AccessDenied { .. })
        || (error.code().is_some() && !error.retryable())
}

#[cfg(test)]
mod tests;
