//! What kind of server we talk to.

use std::fmt;

use mysql_async::Conn;
use serde::{Deserialize, Serialize};

use crate::answer::{self, Answer};
use crate::error::{Error, Result};

/// Family of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavor {
    /// MySQL, Percona Server, RDS for MySQL.
    MySql,
    /// Amazon Aurora MySQL.
    Aurora,
    /// MariaDB.
    MariaDb,
    /// TiDB.
    TiDb,
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MySql => "MySQL",
            Self::Aurora => "Aurora MySQL",
            Self::MariaDb => "MariaDB",
            Self::TiDb => "TiDB",
        })
    }
}

/// A version of three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// First number.
    pub major: u16,
    /// Second number.
    pub minor: u16,
    /// Third number.
    pub patch: u16,
}

impl Version {
    /// `major.minor.patch`.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// The first run of numbers with dots in `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let mut numbers = text[start..].split('.').map(|part| {
            let end = part
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(part.len());
            (part[..end].parse::<u16>().ok(), end == part.len())
        });
        let (major, mut more) = numbers.next()?;
        let mut next = || {
            if !more {
                return 0;
            }
            let (number, goes_on) = numbers.next().unwrap_or((None, false));
            more = goes_on;
            number.unwrap_or(0)
        };
        let minor = next();
        Some(Self {
            major: major?,
            minor,
            patch: next(),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What we know of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// Its family.
    pub flavor: Flavor,
    /// Its version within the family: TiDB's own, MariaDB's own, of MySQL that it is or speaks.
    pub version: Version,
    /// `@@version` as it is, for people.
    pub version_text: String,
    /// Aurora's own version.
    pub aurora_version: Option<String>,
    /// What tells this server from all others: `@@server_uuid`, or what comes nearest to it.
    pub uuid: String,
    /// `@@server_id`.
    pub server_id: u64,
    /// `@@max_allowed_packet`.
    pub max_allowed_packet: u64,
    /// `@@lower_case_table_names`: 0 names keep and distinguish cases, 1 stored in lower case,
    /// 2 kept but compared in lower case.
    pub lower_case_table_names: u8,
    /// Whether the session that asked was encrypted.
    pub has_tls: bool,
    /// `@@max_connections`, 0 when there is no limit.
    pub max_connections: u64,
    /// Whether it writes a binary log.
    pub log_bin: bool,
    /// Whether transactions have GTIDs.
    pub gtid: bool,
    /// Whether the server refuses writes from us.
    pub read_only: bool,
    /// The server's own time zone.
    pub time_zone: String,
    /// `@@global.sql_mode`.
    pub sql_mode: String,
}

/// No such variable, table or column.
const NOT_THERE: &[u16] = &[1193, 1146, 1054];

/// Asks a server what it is.
///
/// # Errors
/// The connection fails, or the version cannot be read.
pub async fn read(conn: &mut Conn) -> Result<ServerInfo> {
    let what = "read the server's version and variables";
    let sql = "SELECT @@version AS version, @@version_comment AS version_comment, \
               @@server_id AS server_id, @@max_allowed_packet AS max_allowed_packet, \
               @@lower_case_table_names AS lower_case_table_names, \
               @@max_connections AS max_connections, \
               @@global.time_zone AS time_zone, @@global.sql_mode AS sql_mode, \
               @@global.read_only AS read_only, @@hostname AS hostname, @@port AS port, \
               @@datadir AS datadir";
    let Some(main) = answer::first(conn, what, sql).await? else {
        return Err(Error::unexpected(conn, what, "no row came"));
    };
    let version_text = main.text_or_empty("version");
    let aurora = variable(conn, "@@aurora_version").await?;
    let flavor = flavor(
        &version_text,
        &main.text_or_empty("version_comment"),
        aurora.is_some(),
    );
    let Some(version) = family_version(flavor, &version_text) else {
        return Err(Error::unexpected(
            conn,
            what,
            format!("no version in `{version_text}`"),
        ));
    };
    let gtid = match flavor {
        Flavor::MySql | Flavor::Aurora => variable(conn, "@@global.gtid_mode")
            .await?
            .is_some_and(|mode| mode.eq_ignore_ascii_case("ON")),
        // MariaDB numbers every transaction.
        Flavor::MariaDb => true,
        Flavor::TiDb => false,
    };
    let log_bin = match flavor {
        // Its SHOW MASTER STATUS gives a timestamp, and nothing to stream.
        Flavor::TiDb => None,
        Flavor::MySql | Flavor::Aurora | Flavor::MariaDb => variable(conn, "@@log_bin").await?,
    };
    let cipher = answer::first(conn, what, "SHOW SESSION STATUS LIKE 'Ssl_cipher'").await?;
    let has_tls = cipher
        .and_then(|row| row.text_at(1))
        .is_some_and(|cipher| !cipher.is_empty());
    let super_read_only = variable(conn, "@@global.innodb_read_only")
        .await?
        .is_some_and(|value| value == "1");
    Ok(ServerInfo {
        flavor,
        version,
        uuid: identity(conn, flavor, &main).await?,
        version_text,
        aurora_version: aurora,
        server_id: main.number("server_id"),
        max_allowed_packet: main.number("max_allowed_packet"),
        lower_case_table_names: u8::try_from(main.number("lower_case_table_names")).unwrap_or(0),
        has_tls,
        max_connections: main.number("max_connections"),
        log_bin: log_bin.is_some_and(|value| value == "1"),
        gtid,
        read_only: main.flag("read_only") || super_read_only,
        time_zone: main.text_or_empty("time_zone"),
        sql_mode: main.text_or_empty("sql_mode"),
    })
}

/// A variable that not every server has.
async fn variable(conn: &mut Conn, name: &str) -> Result<Option<String>> {
    let what = format!("read {name}");
    let row = answer::first_unless(conn, &what, &format!("SELECT {name}"), NOT_THERE).await?;
    Ok(row.and_then(|row| row.text_at(0)))
}

fn flavor(version: &str, comment: &str, aurora: bool) -> Flavor {
    let lower = version.to_ascii_lowercase();
    if lower.contains("tidb") || comment.to_ascii_lowercase().contains("tidb server") {
        Flavor::TiDb
    } else if lower.contains("mariadb") {
        Flavor::MariaDb
    } else if aurora {
        Flavor::Aurora
    } else {
        Flavor::MySql
    }
}

/// The version within the family: `8.0.11-TiDB-v8.4.0` is TiDB 8.4.0, and an old MariaDB's
/// `5.5.5-10.11.6-MariaDB` is 10.11.6.
fn family_version(flavor: Flavor, text: &str) -> Option<Version> {
    match flavor {
        Flavor::TiDb => {
            let lower = text.to_ascii_lowercase();
            let own = lower.find("tidb").map_or(text, |at| &text[at..]);
            Version::parse(own).or_else(|| Version::parse(text))
        }
        Flavor::MariaDb => Version::parse(text.strip_prefix("5.5.5-").unwrap_or(text)),
        Flavor::MySql | Flavor::Aurora => Version::parse(text),
    }
}

/// What tells this server from all others.
///
/// MySQL has `@@server_uuid`, MariaDB `@@server_uid` (not in all versions). TiDB has nothing that
/// every user may read: a cluster answers under one address by many servers, so the address that the
/// file gives stands for it. For an old MariaDB host name, port, server id and data directory stand
/// in: when it moves the user is asked, never the other way.
async fn identity(conn: &mut Conn, flavor: Flavor, main: &Answer) -> Result<String> {
    let own = match flavor {
        Flavor::MySql | Flavor::Aurora => variable(conn, "@@server_uuid").await?,
        Flavor::MariaDb => variable(conn, "@@server_uid").await?,
        Flavor::TiDb => Some(format!(
            "tidb-{}:{}",
            conn.opts().ip_or_hostname(),
            conn.opts().tcp_port()
        )),
    };
    if let Some(own) = own.filter(|own| !own.is_empty()) {
        return Ok(own);
    }
    let parts = ["hostname", "port", "server_id", "datadir"].map(|name| main.text_or_empty(name));
    Ok(format!(
        "{}-{}",
        flavor.to_string().to_ascii_lowercase(),
        parts.join(":")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flavours_and_versions() {
        let cases = [
            (
                "9.7.4",
                "MySQL Community Server",
                false,
                Flavor::MySql,
                "9.7.4",
            ),
            ("8.0.39", "", true, Flavor::Aurora, "8.0.39"),
            ("5.7.44-log", "", false, Flavor::MySql, "5.7.44"),
            (
                "10.11.14-MariaDB-0+deb12u2",
                "Debian 12",
                false,
                Flavor::MariaDb,
                "10.11.14",
            ),
            (
                "5.5.5-10.4.34-MariaDB-log",
                "",
                false,
                Flavor::MariaDb,
                "10.4.34",
            ),
            (
                "8.0.11-TiDB-v8.4.0",
                "TiDB Server",
                false,
                Flavor::TiDb,
                "8.4.0",
            ),
            (
                "8.0.11-TiDB-v7.5.1-serverless",
                "TiDB Server",
                false,
                Flavor::TiDb,
                "7.5.1",
            ),
            (
                "8.0.11-TiDB-None",
                "TiDB Server",
                false,
                Flavor::TiDb,
                "8.0.11",
            ),
        ];
        for (text, comment, aurora, expected, version) in cases {
            let found = flavor(text, comment, aurora);
            assert_eq!(found, expected, "{text}");
            let parsed = family_version(found, text).map(|v| v.to_string());
            assert_eq!(parsed.as_deref(), Some(version), "{text}");
        }
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(Version::parse("8.0.9") < Version::parse("8.0.30"));
        assert_eq!(Version::parse("v7.6"), Some(Version::new(7, 6, 0)));
        assert_eq!(Version::parse("none"), None);
        assert_eq!(Version::parse("99999.1.1"), None);
    }
}
