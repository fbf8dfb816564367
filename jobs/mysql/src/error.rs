//! Errors of this crate.
//!
//! Rules: an error names the server (its name in the task, user, host and port; never a password),
//! says what was being done, and for what a person can mend also how. Whether it is worth trying
//! again is decided here, where the cause is known, by the one list of codes in [`crate::retry`].

use std::io;
use std::time::Duration;

use mysql_async::{Conn, DriverError, IoError, ServerError};

use crate::connect::ENDPOINT_ATTRIBUTE;
use crate::retry;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a server. `at` is the server as in
/// `source aurora-replica-01 (user@host:port)`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// User, password or allowed host is wrong.
    #[error(
        "{at}: access denied: {message}. Check user and password in the file, and that the server \
         lets this user in from this machine (CREATE USER 'user'@'host')"
    )]
    AccessDenied {
        /// The server.
        at: String,
        /// What it said.
        message: String,
    },
    /// The host's name is not known.
    #[error(
        "{at}: the host name cannot be resolved: {message}. Check `host` in the file, and that this \
         machine uses the DNS server that knows it"
    )]
    UnknownHost {
        /// The server.
        at: String,
        /// What the resolver said.
        message: String,
    },
    /// No connection could be made.
    #[error(
        "{at}: cannot connect: {source}. Check that the server runs, that `host` and `port` are \
         right, and that firewalls and security groups let this machine through"
    )]
    Unreachable {
        /// The server.
        at: String,
        /// What the system said.
        source: io::Error,
    },
    /// An answer did not come in time. The connection was thrown away.
    #[error("{at}: {what}: no answer within {}", seconds(*limit))]
    Timeout {
        /// The server.
        at: String,
        /// What was being done.
        what: String,
        /// How long we waited.
        limit: Duration,
    },
    /// TLS was asked for, the server has none.
    #[error(
        "{at}: the file asks for TLS (`security`), but the server does not offer it. Turn TLS on at \
         the server, or leave the `security` block out to connect without"
    )]
    TlsNotOffered {
        /// The server.
        at: String,
    },
    /// The server's certificate or our own was refused.
    #[error(
        "{at}: TLS was refused: {message}. Check that `ssl-ca` holds the authority that signed the \
         server's certificate, and that the certificate carries the name in `host` among its \
         subject alternative names"
    )]
    TlsRefused {
        /// The server.
        at: String,
        /// What the TLS library said.
        message: String,
    },
    /// A file or block of certificates cannot be used.
    #[error("{at}: `{key}` cannot be used: {message}. It must be PEM")]
    TlsFile {
        /// The server.
        at: String,
        /// The key of the file: `ssl-ca`, …
        key: String,
        /// What is wrong.
        message: String,
    },
    /// The server's certificate carries a common name that is not allowed.
    #[error(
        "{at}: the server's certificate carries the common name `{found}`, and `cert-allowed-cn` \
         allows {}. Add it there if this is the right server",
        allowed.join(", ")
    )]
    CommonName {
        /// The server.
        at: String,
        /// The name in the certificate.
        found: String,
        /// The names that the file allows.
        allowed: Vec<String>,
    },
    /// The server has no connection left for us.
    #[error(
        "{at}: no connection left: {message}. Use fewer threads or workers, or raise \
         `max_connections` (or the user's MAX_USER_CONNECTIONS) at the server"
    )]
    TooManyConnections {
        /// The server.
        at: String,
        /// What it said.
        message: String,
    },
    /// The user lacks a privilege.
    #[error("{at}: {what}: {message}. Grant the user what is missing; `precheck` lists it all")]
    Privilege {
        /// The server.
        at: String,
        /// What was being done.
        what: String,
        /// What the server said.
        message: String,
    },
    /// A session variable of the file was refused.
    #[error("{at}: the session could not be set up: {message}. Check `session` in the file")]
    Session {
        /// The server.
        at: String,
        /// What the server said.
        message: String,
    },
    /// The server answered with something that we do not understand.
    #[error("{at}: {what}: {message}")]
    Unexpected {
        /// The server.
        at: String,
        /// What was being done.
        what: String,
        /// What is odd.
        message: String,
    },
    /// Any other failure of a statement or a connection.
    #[error("{at}: {what}: {source}")]
    Query {
        /// The server.
        at: String,
        /// What was being done.
        what: String,
        /// What failed.
        source: mysql_async::Error,
    },
}

fn seconds(limit: Duration) -> String {
    format!("{:.0} s", limit.as_secs_f64())
}

impl Error {
    /// What a statement on `conn` failed with, while doing `what`.
    #[must_use]
    pub fn query(conn: &Conn, what: impl Into<String>, source: mysql_async::Error) -> Self {
        Self::classify(label(conn), what, source)
    }

    /// An answer on `conn` that we do not understand, while doing `what`.
    #[must_use]
    pub fn unexpected(conn: &Conn, what: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unexpected {
            at: label(conn),
            what: what.into(),
            message: message.into(),
        }
    }

    /// Sorts a driver's error by its cause; `at` is the server's label.
    #[must_use]
    pub fn classify(
        at: impl Into<String>,
        what: impl Into<String>,
        source: mysql_async::Error,
    ) -> Self {
        let at = at.into();
        let what = what.into();
        match source {
            mysql_async::Error::Server(ref server) => match by_code(&at, &what, server) {
                Some(error) => error,
                None => Self::Query { at, what, source },
            },
            mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer) => {
                Self::TlsNotOffered { at }
            }
            mysql_async::Error::Io(IoError::Tls(tls)) => Self::TlsRefused {
                at,
                message: tls.to_string(),
            },
            // MySQL answers for a user that does not exist with a plugin chosen by the name, so that
            // nobody can try out names: most often this is a wrong user, not a wrong plugin.
            mysql_async::Error::Driver(DriverError::UnknownAuthPlugin { ref name }) => {
                let message = format!(
                    "there is no such user, or it logs in by the plugin `{name}`, which is not \
                     supported here (`ALTER USER … IDENTIFIED WITH caching_sha2_password BY …`)"
                );
                Self::AccessDenied { at, message }
            }
            // The handshake itself fails as an I/O error that wraps the TLS library's.
            mysql_async::Error::Io(IoError::Io(ref error))
                if error.kind() == io::ErrorKind::InvalidData
                    && error.get_ref().is_some_and(
                        <dyn std::error::Error + Send + Sync>::is::<rustls::Error>,
                    ) =>
            {
                Self::TlsRefused {
                    at,
                    message: error.to_string(),
                }
            }
            source => Self::Query { at, what, source },
        }
    }

    /// Whether the same may succeed when tried again, on a new connection and after a while.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::TooManyConnections { .. } => {
                true
            }
            Self::Query { source, .. } => retry::is_transient(source),
            Self::AccessDenied { .. }
            | Self::UnknownHost { .. }
            | Self::TlsNotOffered { .. }
            | Self::TlsRefused { .. }
            | Self::TlsFile { .. }
            | Self::CommonName { .. }
            | Self::Privilege { .. }
            | Self::Session { .. }
            | Self::Unexpected { .. } => false,
        }
    }

    /// Whether the cause lies in what the user wrote or granted: exit code 2.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::AccessDenied { .. }
            | Self::UnknownHost { .. }
            | Self::TlsNotOffered { .. }
            | Self::TlsRefused { .. }
            | Self::TlsFile { .. }
            | Self::CommonName { .. }
            | Self::Privilege { .. }
            | Self::Session { .. } => true,
            Self::Query {
                source: mysql_async::Error::Server(server),
                ..
            } => {
                matches!(server.code, ER_BAD_DB)
            }
            Self::Query { .. }
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::TooManyConnections { .. }
            | Self::Unexpected { .. } => false,
        }
    }

    /// The server's error code, when a server answered with one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Query {
                source: mysql_async::Error::Server(server),
                ..
            } => Some(server.code),
            _ => None,
        }
    }
}

const ER_BAD_DB: u16 = 1049;

/// The kinds of server error that have a way out of their own.
fn by_code(at: &str, what: &str, server: &ServerError) -> Option<Error> {
    let at = at.to_owned();
    let what = what.to_owned();
    let message = format!(
        "ERROR {} ({}): {}",
        server.code, server.state, server.message
    );
    Some(match server.code {
        // Wrong password or user; account locked; password expired; no such plugin; host refused.
        1045 | 1698 | 3118 | 1820 | 1862 | 1130 | 4151 => Error::AccessDenied { at, message },
        // Too many connections; the user's limit of them, or of queries an hour.
        1040 | 1203 | 1226 | 1129 => Error::TooManyConnections { at, message },
        // Denied on a database, table, column, routine, or for want of a named privilege; TiDB's
        // 8121 is the same.
        1044 | 1142 | 1143 | 1227 | 1370 | 8121 => Error::Privilege { at, what, message },
        _ => return None,
    })
}

/// How errors name the server at the other end of `conn`: `source s1 (user@host:port)`.
#[must_use]
pub fn label(conn: &Conn) -> String {
    let opts = conn.opts();
    let name = opts
        .connect_attributes()
        .and_then(|attributes| attributes.get(ENDPOINT_ATTRIBUTE))
        .map_or("server", String::as_str);
    let user = opts.user().unwrap_or_default();
    format!(
        "{name} ({user}@{}:{})",
        opts.ip_or_hostname(),
        opts.tcp_port()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16, message: &str) -> mysql_async::Error {
        let state = "HY000".to_owned();
        mysql_async::Error::Server(ServerError {
            code,
            message: message.to_owned(),
            state,
        })
    }

    #[test]
    fn each_kind_names_the_server_and_the_way_out() {
        let at = "source s1 (u@h:3306)";
        let denied = Error::classify(at, "connect", server(1045, "Access denied for user 'u'"));
        assert!(matches!(denied, Error::AccessDenied { .. }));
        assert!(denied.is_configuration() && !denied.retryable());
        let text = denied.to_string();
        assert!(
            text.starts_with(at) && text.contains("Check user and password"),
            "{text}"
        );

        let full = Error::classify(at, "connect", server(1040, "Too many connections"));
        assert!(full.retryable() && !full.is_configuration());
        assert!(full.to_string().contains("max_connections"));

        let grant = Error::classify(at, "lock t", server(1227, "you need RELOAD"));
        assert!(grant.is_configuration() && grant.to_string().contains("lock t"));

        let lost = Error::classify(at, "read rows", server(2013, "Lost connection"));
        assert!(lost.retryable() && !lost.is_configuration());

        let syntax = Error::classify(at, "read rows", server(1064, "near 'x'"));
        assert!(!syntax.retryable() && !syntax.is_configuration());
        assert_eq!(syntax.code(), Some(1064));
    }
}
