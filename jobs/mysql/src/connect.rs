//! A server that we are connected to: [`Server`], a pool of sessions that keep values exact.
//!
//! Every session comes set up as [`session`] describes, also after the pool reset
//! it. Three traps of the driver are closed here:
//!
//! - it knows no time-outs: making a connection, and each statement run through [`within`], is
//!   bounded. When a time-out fires in the middle of a statement the connection must not be used
//!   again (the next statement would read this one's answer), so drop it: the pool then closes it;
//! - "TLS when the server offers it" is a second attempt without;
//! - the local socket is never preferred over the address in the file.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::{Conn, IoError, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use secrecy::ExposeSecret as _;

use crate::endpoint::{Endpoint, Tls};
use crate::error::{Error, Result};
use crate::info::{self, ServerInfo};
use crate::retry::{RetryPolicy, with_retry};
use crate::{session, tls};

/// Under this connection attribute errors find the endpoint's name.
pub const ENDPOINT_ATTRIBUTE: &str = "tideway_endpoint";

/// How long making one connection may take, log-in and session set-up included.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// How long reading metadata may take.
pub const METADATA_LIMIT: Duration = Duration::from_secs(120);

/// How long a connection of the pool may take: all may be busy with a chunk, or one is being made.
const POOL_LIMIT: Duration = Duration::from_secs(600);

/// How long ending the sessions may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// After this much silence the system asks whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What a connection is for: it decides how its sessions are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Values are read from it.
    Source,
    /// Values are written to it.
    Target,
}

/// A server, and a pool of connections to it. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    role: Role,
    info: ServerInfo,
    opts: Opts,
    pool: Pool,
    encrypted: bool,
}

impl Server {
    /// Connects, and learns what kind of server it is. At most `max_connections` are open at once.
    ///
    /// # Errors
    /// The host is unknown or does not answer, log-in or TLS are refused, or a session variable of
    /// the file is. What may pass by itself is tried again for a while.
    pub async fn connect(endpoint: &Endpoint, role: Role, max_connections: usize) -> Result<Self> {
        let what = format!("connect to {endpoint}");
        let first = with_retry(&RetryPolicy::CONNECT, &what, || Self::first(endpoint, role));
        let (mut conn, opts, encrypted) = Box::pin(first).await?;
        let info = info::read(&mut conn).await?;
        conn.disconnect().await.ok();
        if encrypted && endpoint.tls == Tls::Preferred {
            tracing::warn!(
                "{endpoint}: encrypted, but nobody verified that this is the right server: give \
                 `security.ssl-ca` to verify it"
            );
        } else if !encrypted && endpoint.tls == Tls::Preferred {
            tracing::warn!("{endpoint}: the server offers no TLS that we speak, not encrypted");
        }
        let opts = session::apply(OptsBuilder::from_opts(opts), endpoint, role, &info);
        let opts = Opts::from(opts.pool_opts(pool_opts(max_connections)));
        let server = Self {
            inner: Arc::new(Inner {
                endpoint: endpoint.clone(),
                role,
                info,
                pool: Pool::new(opts.clone()),
                opts,
                encrypted,
            }),
        };
        // A session variable that the server refuses shows here, not in the middle of the work.
        drop(server.conn().await?);
        Ok(server)
    }

    /// The first connection, with TLS as the endpoint wants it.
    async fn first(endpoint: &Endpoint, role: Role) -> Result<(Conn, Opts, bool)> {
        resolve(endpoint).await?;
        let base = base_opts(endpoint, role);
        match &endpoint.tls {
            Tls::Disabled => {
                let opts = Opts::from(base);
                Ok((open(endpoint, &opts).await?, opts, false))
            }
            Tls::Preferred => {
                let opts = Opts::from(base.clone().ssl_opts(Some(tls::unverified())));
                match open(endpoint, &opts).await {
                    Ok(conn) => Ok((conn, opts, true)),
                    Err(Error::TlsNotOffered { .. }) => {
                        let opts = Opts::from(base);
                        Ok((open(endpoint, &opts).await?, opts, false))
                    }
                    // An old server whose TLS nobody speaks any more. The file cannot turn TLS off,
                    // and unverified TLS would not have kept out anyone who can cut it.
                    Err(refused @ Error::TlsRefused { .. }) => {
                        let opts = Opts::from(base);
                        let conn = open(endpoint, &opts).await?;
                        tracing::warn!("{refused}; going on without encryption");
                        Ok((conn, opts, false))
                    }
                    Err(error) => Err(error),
                }
            }
            Tls::Verified { .. } => {
                let opts = Opts::from(base.ssl_opts(Some(tls::verified(endpoint).await?)));
                Ok((open(endpoint, &opts).await?, opts, true))
            }
        }
    }

    /// What kind of server it is.
    #[must_use]
    pub fn info(&self) -> &ServerInfo {
        &self.inner.info
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    /// What it is used for.
    #[must_use]
    pub fn role(&self) -> Role {
        self.inner.role
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub fn encrypted(&self) -> bool {
        self.inner.encrypted
    }

    /// The options of its connections, for those who make connections of another kind (a binlog
    /// stream).
    #[must_use]
    pub fn opts(&self) -> &Opts {
        &self.inner.opts
    }

    /// A connection from the pool, its session set up. Waits for one when all are taken; tries
    /// again while the server fails over.
    ///
    /// # Errors
    /// As [`Server::connect`].
    pub async fn conn(&self) -> Result<Conn> {
        let inner = &self.inner;
        let what = format!("connect to {}", inner.endpoint);
        let at = inner.endpoint.label();
        let get = || {
            within(&at, POOL_LIMIT, "wait for a connection", async {
                inner
                    .pool
                    .get_conn()
                    .await
                    .map_err(|e| connect_error(&inner.endpoint, e))
            })
        };
        Box::pin(with_retry(&RetryPolicy::DEFAULT, &what, get)).await
    }

    /// An error of this server while doing `what`.
    #[must_use]
    pub fn error(&self, what: impl Into<String>, source: mysql_async::Error) -> Error {
        Error::classify(self.inner.endpoint.label(), what, source)
    }

    /// Ends all sessions. Clones of this server cannot connect any more.
    pub async fn close(self) {
        // The driver waits for ever for a connection whose query was dropped in the middle.
        let closed = tokio::time::timeout(CLOSE_LIMIT, self.inner.pool.clone().disconnect()).await;
        match closed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("{}: closing: {error}", self.inner.endpoint),
            Err(_) => tracing::debug!("{}: not closed in time", self.inner.endpoint),
        }
    }
}

/// Waits for `op` at most `limit`; `at` is the server's label.
///
/// After a time-out the connection that `op` used is out of step: the next statement on it would
/// read this one's answer. Drop it.
///
/// # Errors
/// That of `op`, or [`Error::Timeout`].
pub async fn within<T>(
    at: &str,
    limit: Duration,
    what: &str,
    op: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(limit, op).await.unwrap_or_else(|_| {
        Err(Error::Timeout {
            at: at.to_owned(),
            what: what.to_owned(),
            limit,
        })
    })
}

/// Resolves the host once by ourselves, so that a wrong name is told from a server that is down.
async fn resolve(endpoint: &Endpoint) -> Result<()> {
    let lookup = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port));
    let failed = |message: String| Error::UnknownHost {
        at: endpoint.label(),
        message,
    };
    match tokio::time::timeout(CONNECT_LIMIT, lookup).await {
        Ok(Ok(mut addresses)) => match addresses.next() {
            Some(_) => Ok(()),
            None => Err(failed("no address".to_owned())),
        },
        // The resolver itself was out of reach, which passes; there is no kind for it to ask by.
        Ok(Err(source)) if source.to_string().contains("emporary failure") => {
            Err(Error::Unreachable {
                at: endpoint.label(),
                source,
            })
        }
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(Error::Timeout {
            at: endpoint.label(),
            what: "resolve the host name".to_owned(),
            limit: CONNECT_LIMIT,
        }),
    }
}

/// Opens one connection in bounded time.
async fn open(endpoint: &Endpoint, opts: &Opts) -> Result<Conn> {
    let at = endpoint.label();
    within(&at, CONNECT_LIMIT, "connect", async {
        Conn::new(opts.clone())
            .await
            .map_err(|error| connect_error(endpoint, error))
    })
    .await
}

/// An error while a connection is made: what is no answer of the server means that it cannot be
/// reached, and a variable that it refuses was in the file.
fn connect_error(endpoint: &Endpoint, error: mysql_async::Error) -> Error {
    let at = endpoint.label();
    match error {
        mysql_async::Error::Io(IoError::Io(source))
            if source.kind() != io::ErrorKind::InvalidData
                && source.kind() != io::ErrorKind::InvalidInput =>
        {
            Error::Unreachable { at, source }
        }
        // Unknown variable, read-only variable, wrong value, wrong type, privilege for SET.
        mysql_async::Error::Server(ref server)
            if matches!(server.code, 1193 | 1231 | 1232 | 1229 | 1238)
                || (server.code == 1227 && !endpoint.session.is_empty()) =>
        {
            Error::Session {
                at,
                message: server.to_string(),
            }
        }
        error => Error::classify(at, "connect", error),
    }
}

/// Options that all connections share.
fn base_opts(endpoint: &Endpoint, role: Role) -> OptsBuilder {
    let password = endpoint.password.expose_secret();
    let purpose = match role {
        Role::Source => "source",
        Role::Target => "target",
    };
    OptsBuilder::default()
        .ip_or_hostname(endpoint.host.clone())
        .tcp_port(endpoint.port)
        .user(Some(endpoint.user.clone()))
        .pass((!password.is_empty()).then(|| password.to_owned()))
        .prefer_socket(false)
        .tcp_keepalive(Some(KEEPALIVE))
        .tcp_nodelay(true)
        .max_allowed_packet(endpoint.max_allowed_packet)
        .connect_attribute("program_name", "tideway")
        .connect_attribute("tideway_role", purpose)
        .connect_attribute(ENDPOINT_ATTRIBUTE, endpoint.name.clone())
        .setup(vec!["SET NAMES utf8mb4"])
}

fn pool_opts(max_connections: usize) -> PoolOpts {
    let constraints = PoolConstraints::new(0, max_connections.max(1)).unwrap_or_default();
    PoolOpts::default()
        .with_constraints(constraints)
        .with_inactive_connection_ttl(Duration::from_secs(60))
        .with_reset_connection(true)
}
