//! Where everything lies. Every key of the store is made in this file.
//!
//! ```text
//! <task>/task.json
//! <task>/<source>/start.json
//! <task>/<source>/dump/<db>-schema-create.sql
//! <task>/<source>/dump/<db>.<table>-schema.sql
//! <task>/<source>/dump/<db>.<table>.<nnnnnnnnn><rrrrrr>.parquet
//! <task>/<source>/dump/_tideway/plan.json, plan-000001.json, …
//! <task>/<source>/dump/_tideway/chunks/<db>.<table>.<nnnnnnnnn>.json
//! <task>/<source>/dump/_tideway/manifest.json
//! <task>/<source>/load/…
//! <task>/<source>/binlog/<nnnnnnnnnnnn>-<attempt>.binlog[.zst]
//! <task>/<source>/binlog/<nnnnnnnnnnnn>.json
//! <task>/<source>/ddl/<file>-<offset>.json
//! <task>/<source>/validate/…
//! <task>/control/<nnnnnnnn>.json
//! <task>/leases/<name>/<nnnnnnnn>.json
//! <task>/status/<job>/<source>/<worker>.json
//! <task>/runs/<run-id>.json
//! ```
//!
//! Keys are relative to the root that [`crate::Staging::open`] was given. Names go into keys
//! percent-encoded as Dumpling does it ([`encode_name`]), so that Lightning, which decodes them,
//! reads a finished dump folder. A source whose id is `control`, `leases`, `status` or `runs` would
//! meet these folders: its folder gets a `%` escape in front that no other name can have.

use std::fmt::Write as _;

use object_store::path::Path;
use sha2::{Digest, Sha256};

/// The longest name in a key: file names may have 255 bytes, and chunk numbers and suffixes follow.
const LONGEST: usize = 200;
/// The longest half of `<db>.<table>` when the whole is longer than [`LONGEST`].
const LONGEST_HALF: usize = 99;
/// Folders of a task that no source may take.
const RESERVED: [&str; 6] = [
    "control",
    "leases",
    "precheck",
    "status",
    "runs",
    "task.json",
];

/// A name as it stands in a key.
///
/// Dumpling's rule: control characters, `% " * . / : < > ? \ |` and the dash of `-schema` become
/// `%XX`; everything else, also beyond ASCII, stays. `#` too is encoded here, for a folder store
/// hides files that end in `#` and digits. Longer than 200 bytes: cut, with 16 hex digits of the
/// real name's SHA-256 behind a `~`; the real name stands in the marker and in the Parquet metadata.
#[must_use]
pub fn encode_name(name: &str) -> String {
    shorten(encode(name), name, LONGEST)
}

/// `<db>.<table>`, each encoded; both are shortened when together they exceed 200 bytes.
#[must_use]
pub fn table_stem(db: &str, table: &str) -> String {
    let (encoded_db, encoded_table) = (encode(db), encode(table));
    if encoded_db.len() + 1 + encoded_table.len() <= LONGEST {
        return format!("{encoded_db}.{encoded_table}");
    }
    format!(
        "{}.{}",
        shorten(encoded_db, db, LONGEST_HALF),
        shorten(encoded_table, table, LONGEST_HALF)
    )
}

fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        let special = c.is_ascii_control()
            || matches!(
                c,
                '%' | '"' | '*' | '.' | '/' | ':' | '<' | '>' | '?' | '\\' | '|' | '#'
            )
            || (c == '-'
                && name
                    .as_bytes()
                    .get(at + 1..at + 7)
                    .is_some_and(|next| next.eq_ignore_ascii_case(b"schema")));
        if special {
            // All of them are ASCII. Writing to a String cannot fail.
            let _ = write!(encoded, "%{:02X}", u32::from(c));
        } else {
            encoded.push(c);
        }
    }
    encoded
}

fn shorten(encoded: String, name: &str, longest: usize) -> String {
    if encoded.len() <= longest {
        return encoded;
    }
    let hash = hex::encode(Sha256::digest(name.as_bytes()));
    let mut cut = longest - 17;
    while !encoded.is_char_boundary(cut) {
        cut -= 1;
    }
    // Not within an escape: `%` would be left with none or one of its digits.
    if let Some(percent) = encoded[..cut].rfind('%')
        && cut - percent < 3
    {
        cut = percent;
    }
    format!("{}~{}", &encoded[..cut], &hash[..16])
}

/// A key from segments that are encoded already.
fn key(text: &str) -> Path {
    // `parse` refuses empty segments, `.`, `..` and control characters: encoded names have none of
    // these, and an empty name (which the configuration refuses) only loses its segment here.
    Path::parse(text).unwrap_or_else(|_| Path::from(text))
}

/// The key that `text` (as stored in a document) names.
#[must_use]
pub fn stored_key(text: &str) -> Path {
    key(text)
}

/// Name of the lease under which a source is captured.
#[must_use]
pub fn capture_lease(source: &str) -> String {
    format!("capture/{source}")
}

/// The keys of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskKeys {
    root: String,
}

impl TaskKeys {
    /// The keys of the task of this name.
    #[must_use]
    pub fn new(task: &str) -> Self {
        Self {
            root: encode_name(task),
        }
    }

    /// The folder of the task.
    #[must_use]
    pub fn root(&self) -> Path {
        key(&self.root)
    }

    /// The resolved task and its fingerprint.
    #[must_use]
    pub fn task(&self) -> Path {
        key(&format!("{}/task.json", self.root))
    }

    /// The keys of one of the task's sources.
    #[must_use]
    pub fn source(&self, id: &str) -> SourceKeys {
        let mut name = encode_name(id);
        if RESERVED.contains(&name.as_str()) {
            name.insert_str(0, "%2F");
        }
        SourceKeys {
            root: format!("{}/{name}", self.root),
        }
    }

    /// The folder of all leases.
    #[must_use]
    pub fn leases_dir(&self) -> Path {
        key(&format!("{}/leases", self.root))
    }

    /// The folder of a lease; `name` may have parts separated by `/`, such as `dump-finish/<source>`.
    #[must_use]
    pub fn lease_dir(&self, name: &str) -> Path {
        key(&format!("{}/leases/{}", self.root, encode_name(name)))
    }

    /// The n-th record of a lease.
    #[must_use]
    pub fn lease(&self, name: &str, n: u64) -> Path {
        key(&format!(
            "{}/leases/{}/{n:08}.json",
            self.root,
            encode_name(name)
        ))
    }

    /// The heartbeat of a worker.
    #[must_use]
    pub fn status(&self, job: &str, source: &str, worker: u32) -> Path {
        key(&format!(
            "{}/status/{}/{}/{worker}.json",
            self.root,
            encode_name(job),
            encode_name(source)
        ))
    }

    /// The folder of all heartbeats.
    #[must_use]
    pub fn status_dir(&self) -> Path {
        key(&format!("{}/status", self.root))
    }

    /// The report of the precheck, which looks at all sources at once.
    #[must_use]
    pub fn precheck_report(&self) -> Path {
        key(&format!("{}/precheck/report.json", self.root))
    }

    /// The folder of the workflow runs.
    #[must_use]
    pub fn runs_dir(&self) -> Path {
        key(&format!("{}/runs", self.root))
    }

    /// The state of a workflow run.
    #[must_use]
    pub fn run(&self, run_id: &str) -> Path {
        key(&format!("{}/runs/{}.json", self.root, encode_name(run_id)))
    }

    /// The folder of what is wanted of runs.
    #[must_use]
    pub fn control_dir(&self) -> Path {
        key(&format!("{}/control", self.root))
    }

    /// The n-th wish.
    #[must_use]
    pub fn control(&self, n: u64) -> Path {
        key(&format!("{}/control/{n:08}.json", self.root))
    }
}

/// The keys of one source of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceKeys {
    root: String,
}

impl SourceKeys {
    /// The folder of the source.
    #[must_use]
    pub fn root(&self) -> Path {
        key(&self.root)
    }

    /// Where the binlog begins for this task.
    #[must_use]
    pub fn start(&self) -> Path {
        key(&format!("{}/start.json", self.root))
    }

    /// The dump folder, as Lightning reads it.
    #[must_use]
    pub fn dump_dir(&self) -> Path {
        key(&format!("{}/dump", self.root))
    }

    /// The `CREATE DATABASE` of a database.
    #[must_use]
    pub fn schema_create(&self, db: &str) -> Path {
        self.dump(&format!("{}-schema-create.sql", encode_name(db)))
    }

    /// The `CREATE TABLE` of a table.
    #[must_use]
    pub fn table_schema(&self, db: &str, table: &str) -> Path {
        self.dump(&format!("{}-schema.sql", table_stem(db, table)))
    }

    /// The `CREATE VIEW` of a view.
    #[must_use]
    pub fn view_schema(&self, db: &str, view: &str) -> Path {
        self.dump(&format!("{}-schema-view.sql", table_stem(db, view)))
    }

    /// The data of one attempt at a chunk; `attempt` has up to six digits.
    #[must_use]
    pub fn chunk_data(&self, db: &str, table: &str, number: u32, attempt: u32) -> Path {
        let stem = table_stem(db, table);
        self.dump(&format!("{stem}.{number:09}{attempt:06}.parquet"))
    }

    /// A generation of the plan: 0 is `plan.json`, later ones are numbered.
    #[must_use]
    pub fn plan(&self, generation: u32) -> Path {
        if generation == 0 {
            self.dump("_tideway/plan.json")
        } else {
            self.dump(&format!("_tideway/plan-{generation:06}.json"))
        }
    }

    /// The folder of the commit markers of chunks.
    #[must_use]
    pub fn chunk_markers_dir(&self) -> Path {
        self.dump("_tideway/chunks")
    }

    /// The commit marker of a chunk.
    #[must_use]
    pub fn chunk_marker(&self, db: &str, table: &str, number: u32) -> Path {
        self.dump(&format!(
            "_tideway/chunks/{}.{number:09}.json",
            table_stem(db, table)
        ))
    }

    /// The dump is complete.
    #[must_use]
    pub fn manifest(&self) -> Path {
        self.dump("_tideway/manifest.json")
    }

    /// The folder of load's reports.
    #[must_use]
    pub fn load_dir(&self) -> Path {
        key(&format!("{}/load", self.root))
    }

    /// The report of one load worker.
    #[must_use]
    pub fn load_report(&self, worker: u32) -> Path {
        key(&format!("{}/load/report-{worker:04}.json", self.root))
    }

    /// The folder of binlog segments.
    #[must_use]
    pub fn binlog_dir(&self) -> Path {
        key(&format!("{}/binlog", self.root))
    }

    /// The data of one attempt at a segment; `attempt` is plain.
    #[must_use]
    pub fn segment_data(&self, number: u64, attempt: &str, zstd: bool) -> Path {
        let suffix = if zstd { ".zst" } else { "" };
        key(&format!(
            "{}/binlog/{number:012}-{attempt}.binlog{suffix}",
            self.root
        ))
    }

    /// The commit marker of a segment.
    #[must_use]
    pub fn segment_marker(&self, number: u64) -> Path {
        key(&format!("{}/binlog/{number:012}.json", self.root))
    }

    /// The folder of orders about DDL statements.
    #[must_use]
    pub fn ddl_orders_dir(&self) -> Path {
        key(&format!("{}/ddl", self.root))
    }

    /// The order about the DDL statement that ends at `pos` of the source's log `file`.
    #[must_use]
    pub fn ddl_order(&self, file: &str, pos: u64) -> Path {
        key(&format!(
            "{}/ddl/{}-{pos}.json",
            self.root,
            encode_name(file)
        ))
    }

    /// The folder of validate's reports.
    #[must_use]
    pub fn validate_dir(&self) -> Path {
        key(&format!("{}/validate", self.root))
    }

    /// validate's report with this extension: `json`, `html`, `sql` (the repair).
    #[must_use]
    pub fn validate_report(&self, extension: &str) -> Path {
        self.validate_file(&format!("report.{extension}"))
    }

    /// A file of validate beside its report; `name` must be plain.
    #[must_use]
    pub fn validate_file(&self, name: &str) -> Path {
        key(&format!("{}/validate/{name}", self.root))
    }

    fn dump(&self, rest: &str) -> Path {
        key(&format!("{}/dump/{rest}", self.root))
    }
}

/// What the file name of a chunk's data says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkFile {
    /// `<db>.<table>` as [`table_stem`] makes it.
    pub stem: String,
    /// Number of the chunk.
    pub number: u32,
    /// Digits of the attempt.
    pub attempt: u32,
}

impl ChunkFile {
    /// Reads a key that [`SourceKeys::chunk_data`] made; `None` for any other.
    #[must_use]
    pub fn parse(key: &Path) -> Option<Self> {
        let (stem, digits) = key.filename()?.strip_suffix(".parquet")?.rsplit_once('.')?;
        if digits.len() < 15 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (number, attempt) = digits.split_at(digits.len() - 6);
        Some(Self {
            stem: stem.to_owned(),
            number: number.parse().ok()?,
            attempt: attempt.parse().ok()?,
        })
    }
}

/// What the file name of a chunk's marker says: stem and number.
#[must_use]
pub fn parse_chunk_marker(key: &Path) -> Option<(String, u32)> {
    let (stem, number) = key.filename()?.strip_suffix(".json")?.rsplit_once('.')?;
    Some((stem.to_owned(), number.parse().ok()?))
}

/// What the file name of a segment's data says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// Number of the segment.
    pub number: u64,
    /// The attempt.
    pub attempt: String,
}

impl SegmentFile {
    /// Reads a key that [`SourceKeys::segment_data`] made; `None` for any other.
    #[must_use]
    pub fn parse(key: &Path) -> Option<Self> {
        let name = key.filename()?;
        let stem = name.strip_suffix(".zst").unwrap_or(name);
        let (number, attempt) = stem.strip_suffix(".binlog")?.split_once('-')?;
        Some(Self {
            number: twelve_digits(number)?,
            attempt: attempt.to_owned(),
        })
    }
}

/// The number in the name of a segment's marker.
#[must_use]
pub fn parse_segment_marker(key: &Path) -> Option<u64> {
    twelve_digits(key.filename()?.strip_suffix(".json")?)
}

fn twelve_digits(text: &str) -> Option<u64> {
    let plain = text.len() >= 12 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// The number in the name of a numbered document (`00000012.json`).
#[must_use]
pub fn parse_number(key: &Path) -> Option<u64> {
    key.filename()?.strip_suffix(".json")?.parse().ok()
}

/// Six random digits that tell one attempt at a chunk from another.
#[must_use]
pub fn random_attempt() -> u32 {
    rand::random_range(0..1_000_000)
}

#[cfg(test)]
mod tests;
