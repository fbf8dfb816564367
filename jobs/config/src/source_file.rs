//! `source.yaml`: one MySQL or MariaDB server to migrate from.

use std::collections::BTreeMap;

use secrecy::SecretString;

use crate::error::{Result, Warning};
use crate::event_filter::EventFilterRule;
use crate::scalar::{Anything, GoDuration};
use crate::yaml::{self, section};

section! {
    /// TLS towards a server.
    "security" SecurityConfig {
        /// File of the certificate authorities.
        "ssl-ca" => ssl_ca: String = String::new();
        /// File of the client's certificate.
        "ssl-cert" => ssl_cert: String = String::new();
        /// File of the client's key.
        "ssl-key" => ssl_key: String = String::new();
        /// Common names that the server may carry.
        "cert-allowed-cn" => cert_allowed_cn: Vec<String> = Vec::new();
        /// Certificate authorities, PEM in base64.
        "ssl-ca-base64" => ssl_ca_base64: String = String::new();
        /// Client certificate, PEM in base64.
        "ssl-cert-base64" => ssl_cert_base64: String = String::new();
        /// Client key, PEM in base64.
        "ssl-key-base64" => ssl_key_base64: Secret = Secret::default();
    }
}

/// Text that is never printed.
#[derive(Clone, Default)]
pub struct Secret(pub SecretString);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        use secrecy::ExposeSecret;
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl yaml::Notes for Secret {}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(d).map(|text| Self(text.into()))
    }
}

section! {
    /// A server to connect to.
    "the database" DatabaseConfig {
        /// Host.
        "host" => host: String = String::new();
        /// Port; 3306 for a source, 4000 for a target when not given.
        "port" => port: Option<u16> = None;
        /// User.
        "user" => user: String = "root".into();
        /// Password, in one of the forms named above.
        "password" => password: Secret = Secret::default();
        /// Largest packet to send.
        "max-allowed-packet" => max_allowed_packet: Option<u64> = None;
        /// Session variables.
        "session" => session: BTreeMap<String, String> = BTreeMap::new();
        /// TLS.
        "security" => security: Option<SecurityConfig> = None;
    }
}

section! {
    /// When DM purges its relay log.
    "purge" PurgeConfig {
        /// Seconds between looks.
        "interval" => interval: i64 = 3600;
        /// Hours after which a file goes.
        "expires" => expires: i64 = 0;
        /// GiB that must stay free.
        "remain-space" => remain_space: i64 = 15;
    }
}

section! {
    /// How DM resumes a paused task.
    "checker" CheckerConfig {
        /// Whether it does.
        "check-enable" => check_enable: bool = true;
        /// When the wait becomes shorter again.
        "backoff-rollback" => backoff_rollback: GoDuration = GoDuration::seconds(300);
        /// The longest wait.
        "backoff-max" => backoff_max: GoDuration = GoDuration::seconds(300);
        /// How the wait grows.
        "check-interval" => check_interval: GoDuration = GoDuration::seconds(5);
        /// The shortest wait.
        "backoff-min" => backoff_min: GoDuration = GoDuration::seconds(1);
        /// Whether waits are varied.
        "backoff-jitter" => backoff_jitter: bool = true;
        /// By which factor the wait grows.
        "backoff-factor" => backoff_factor: u64 = 2;
    }
}

section! {
    /// A source file.
    "the source file" SourceFile {
        /// Name of the source.
        "source-id" => source_id: String = String::new();
        /// Whether DM pulls this source at all.
        "enable" => enable: bool = true, no effect "has no effect: leave the source out by --source-id";
        /// Follow the binlog by GTID sets.
        "enable-gtid" => enable_gtid: bool = false;
        /// Mend GTIDs when the source changed.
        "auto-fix-gtid" => auto_fix_gtid: bool = false, no effect "has no effect yet";
        /// Pull a relay log.
        "enable-relay" => enable_relay: bool = false, no effect "has no effect: staged binlog segments play the relay log's part";
        /// Where DM keeps its own state.
        "meta-dir" => meta_dir: String = String::new(), no effect "has no effect: state lies in staging and in the target";
        /// Where the relay log lies.
        "relay-dir" => relay_dir: String = String::new(), no effect "has no effect: staged binlog segments play the relay log's part";
        /// Where the relay log begins.
        "relay-binlog-name" => relay_binlog_name: String = String::new(), no effect "has no effect: give `meta` in the task file";
        /// Where the relay log begins, as GTID set.
        "relay-binlog-gtid" => relay_binlog_gtid: String = String::new(), no effect "has no effect: give `meta` in the task file";
        /// When the relay log is purged.
        "purge" => purge: PurgeConfig = PurgeConfig::default(), no effect "has no effect yet";
        /// The server.
        "from" => from: DatabaseConfig = DatabaseConfig::default();
        /// `mysql` or `mariadb`.
        "flavor" => flavor: String = String::new();
        /// Id that a replica announces.
        "server-id" => server_id: u32 = 0;
        /// Character set of the connection in very old DM.
        "charset" => charset: String = String::new(), no effect "has no effect: connections speak utf8mb4";
        /// Whether names are compared with regard to case.
        "case-sensitive" => case_sensitive: bool = false;
        /// Binlog events to leave out.
        "filters" => filters: Vec<EventFilterRule> = Vec::new();
        /// How DM resumes a paused task.
        "checker" => checker: CheckerConfig = CheckerConfig::default(), no effect "has no effect: the workflow's retry governs";
        /// Tracing of very old DM.
        "tracer" => tracer: Anything = Anything::default(), no effect "has no effect";
    }
}

/// Longest `source-id` that DM takes, in characters.
pub const MAX_SOURCE_ID: usize = 32;

/// Reads a source file. `file` is its name in messages.
pub fn parse_source(text: &str, file: &str) -> Result<(SourceFile, Vec<Warning>)> {
    let mut source: SourceFile = yaml::parse(text, file, crate::SECTIONS)?;
    source.given.set_file(file);
    let warnings = yaml::warnings(&source, file);
    Ok((source, warnings))
}
