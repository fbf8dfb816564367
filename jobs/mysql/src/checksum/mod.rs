//! Checksums of rows that servers of every flavour compute equally.
//!
//! A column is compared in one of two ways. Either by an SQL expression that gives the same text for
//! the same value on MySQL, Aurora, MariaDB and TiDB ([`Compare::text`]): then the server hashes it and
//! only sums cross the network. Or on the client ([`digest`](Compare::digest)), where no such
//! expression exists: FLOAT and DOUBLE (servers round them when they print them; the binary protocol
//! brings their bits) and JSON (servers print it differently).
//!
//! How a column is compared is decided once for all its sides, the source's tables that meet in one
//! target table and the target itself: a DATETIME beside a DATETIME(3), a latin1 beside a utf8mb4
//! column, a VARCHAR beside a TEXT still give the same text for the same value.
//!
//! **Row hash.** `SHA2(CONCAT_WS(',', nulls…, texts…), 256)`: first one digit for each column that may
//! be NULL on any side (`CONCAT_WS` skips the NULLs themselves), then the texts. Those of numbers,
//! dates and hexadecimal digits hold no comma, text of people is preceded by its length in characters,
//! so two different rows never make the same string. CONCAT_WS evaluates each column once, which made
//! it twice as fast as `IFNULL(CONCAT(LENGTH(x), ':', x), 'N')` on MySQL 9.7 and three times on TiDB.
//! `MD5` is not used: MySQL 9.7 has it no more.
//!
//! **Sum.** `COUNT(*)` and the sum of the first 64 bits of the row hashes ([`sum_expr`]), exact as a
//! decimal. Like an exclusive or it does not depend on the order of rows; unlike one, two equal rows
//! in a table without a key do not cancel. That two different sets of rows have the same sum has the
//! probability 2⁻⁶⁴; a second, independent sum would make MySQL compute the hash twice.
//!
//! **Differences that are none.** The sign of a zero in FLOAT and DOUBLE where one of the servers
//! cannot hold it (MariaDB and TiDB store `-0` as `0`); what [`json`] lists.

pub mod json;

use mysql_async::Value;
use sha2::{Digest, Sha256};

use crate::info::Flavor;
use crate::schema::ColumnDef;
use crate::sql;
use crate::types::column_type::ColumnType;

/// SHA-256 of a value or of a row.
pub type Hash = [u8; 32];

/// One side of a comparison: a column and the flavour of the server that it lies on.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The column.
    pub column: &'a ColumnDef,
    /// The flavour of its server.
    pub flavor: Flavor,
}

/// How a column is compared, the same for all its sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// A whole number.
    Integer,
    /// A decimal number with this many digits behind the point, those of the widest side.
    Decimal {
        /// Digits behind the point.
        scale: u8,
    },
    /// A date, time or year, with this many fractional digits, those of the widest side.
    Temporal {
        /// Fractional digits.
        fsp: u8,
    },
    /// Text in utf8mb4, trailing spaces included.
    Text {
        /// By its SHA-256, not by itself: for columns whose values may be longer than a packet.
        digest: bool,
    },
    /// Bytes.
    Binary {
        /// As for [`Compare::Text`].
        digest: bool,
    },
    /// A bit field, as a number.
    Bit,
    /// FLOAT or DOUBLE by its bits, on the client.
    Float {
        /// At FLOAT's precision, for one of the sides has no more.
        single: bool,
        /// `-0` differs from `0`: every side can hold both.
        signed_zero: bool,
    },
    /// JSON by its meaning, on the client.
    Json,
}

impl Compare {
    /// How a column with these sides is compared.
    #[must_use]
    pub fn of(sides: &[Side<'_>]) -> Self {
        let signed_zero = sides
            .iter()
            .all(|side| matches!(side.flavor, Flavor::MySql | Flavor::Aurora));
        let mut all = sides
            .iter()
            .map(|side| Self::of_type(&side.column.ty, signed_zero));
        let first = all.next().unwrap_or(Self::Text { digest: true });
        all.fold(first, Self::joined)
    }

    fn of_type(ty: &ColumnType, signed_zero: bool) -> Self {
        match ty {
            ColumnType::TinyInt { .. }
            | ColumnType::SmallInt { .. }
            | ColumnType::MediumInt { .. }
            | ColumnType::Int { .. }
            | ColumnType::BigInt { .. } => Self::Integer,
            ColumnType::Decimal { scale, .. } => Self::Decimal { scale: *scale },
            ColumnType::Float { .. } => Self::Float {
                single: true,
                signed_zero,
            },
            ColumnType::Double { .. } => Self::Float {
                single: false,
                signed_zero,
            },
            ColumnType::Bit { .. } => Self::Bit,
            ColumnType::Year | ColumnType::Date => Self::Temporal { fsp: 0 },
            ColumnType::Time { fsp }
            | ColumnType::DateTime { fsp }
            | ColumnType::Timestamp { fsp } => Self::Temporal { fsp: *fsp },
            ColumnType::Char { .. }
            | ColumnType::Varchar { .. }
            | ColumnType::Enum { .. }
            | ColumnType::Set { .. } => Self::Text { digest: false },
            ColumnType::Text { .. } | ColumnType::Other(_) => Self::Text { digest: true },
            ColumnType::Binary { .. } | ColumnType::Varbinary { .. } => {
                Self::Binary { digest: false }
            }
            ColumnType::Blob { .. } | ColumnType::Geometry { .. } | ColumnType::Vector { .. } => {
                Self::Binary { digest: true }
            }
            ColumnType::Json => Self::Json,
        }
    }

    /// The comparison that two sides share: the one that both can be brought to.
    fn joined(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Decimal { scale: a }, Self::Decimal { scale: b }) => {
                Self::Decimal { scale: a.max(b) }
            }
            (Self::Decimal { scale }, Self::Integer) | (Self::Integer, Self::Decimal { scale }) => {
                Self::Decimal { scale }
            }
            (Self::Temporal { fsp: a }, Self::Temporal { fsp: b }) => {
                Self::Temporal { fsp: a.max(b) }
            }
            (Self::Integer, Self::Bit) | (Self::Bit, Self::Integer) => Self::Integer,
            (Self::Text { digest: a }, Self::Text { digest: b }) => Self::Text { digest: a || b },
            (Self::Binary { .. } | Self::Text { .. }, Self::Binary { .. })
            | (Self::Binary { .. }, Self::Text { .. }) => Self::Binary { digest: true },
            (
                Self::Float {
                    single: a,
                    signed_zero,
                },
                Self::Float { single: b, .. },
            ) => Self::Float {
                single: a && b,
                signed_zero,
            },
            // MariaDB's JSON is a LONGTEXT with a check.
            (Self::Json, Self::Text { .. }) | (Self::Text { .. }, Self::Json) => Self::Json,
            // Columns of different kinds: as the servers print them.
            _ => Self::Text { digest: true },
        }
    }

    /// Whether the value must come to the client to be compared.
    #[must_use]
    pub fn on_client(&self) -> bool {
        matches!(self, Self::Float { .. } | Self::Json)
    }

    /// The SQL expression for the text of `column`, NULL for NULL; `None` for a comparison on the
    /// client.
    #[must_use]
    pub fn text(&self, column: &ColumnDef) -> Option<String> {
        let c = sql::ident(&column.name);
        let plain = if column.raw_type.to_ascii_lowercase().contains("zerofill") {
            // MySQL prints the filling zeros, TiDB does not.
            format!("CAST({c}+0 AS CHAR)")
        } else if matches!(column.ty, ColumnType::Bit { .. }) {
            format!("CAST(CAST({c} AS UNSIGNED) AS CHAR)")
        } else {
            format!("CAST({c} AS CHAR)")
        };
        let utf8 = if column.ty.is_text() {
            format!("CONVERT({c} USING utf8mb4)")
        } else {
            plain.clone()
        };
        let is_bytes = column.ty.is_binary()
            || matches!(
                column.ty,
                ColumnType::Geometry { .. } | ColumnType::Vector { .. }
            );
        match self {
            Self::Integer | Self::Bit => Some(plain),
            Self::Decimal { scale } => {
                let own = match column.ty {
                    ColumnType::Decimal { scale, .. } => scale,
                    _ => 0,
                };
                Some(padded(plain, own, *scale))
            }
            Self::Temporal { fsp } => {
                let own = match column.ty {
                    ColumnType::Time { fsp }
                    | ColumnType::DateTime { fsp }
                    | ColumnType::Timestamp { fsp } => fsp,
                    _ => 0,
                };
                Some(padded(plain, own, *fsp))
            }
            Self::Text { digest: false } => Some(utf8),
            Self::Text { digest: true } => Some(format!("SHA2({utf8},256)")),
            Self::Binary { digest: false } => Some(format!("HEX({c})")),
            Self::Binary { digest: true } if is_bytes => Some(format!("SHA2({c},256)")),
            Self::Binary { digest: true } => Some(format!("SHA2({utf8},256)")),
            Self::Float { .. } | Self::Json => None,
        }
    }

    /// The digest of a value that came to the client by the binary protocol. `None` is NULL.
    #[must_use]
    pub fn digest(&self, flavor: Flavor, value: &Value) -> Option<Hash> {
        match (self, value) {
            (_, Value::NULL) => None,
            (
                Self::Float {
                    single,
                    signed_zero,
                },
                Value::Float(f),
            ) => Some(float_digest(f64::from(*f), *single, *signed_zero)),
            (
                Self::Float {
                    single,
                    signed_zero,
                },
                Value::Double(d),
            ) => Some(float_digest(*d, *single, *signed_zero)),
            (Self::Json, Value::Bytes(text)) => Some(json::digest(text, flavor)),
            (_, Value::Bytes(bytes)) => Some(Sha256::digest(bytes).into()),
            // No other kind of value is selected for the client; should one be, it is compared as
            // it is written in SQL.
            (_, other) => Some(Sha256::digest(other.as_sql(true)).into()),
        }
    }
}

/// Fills up fractional digits: the sides' columns have different numbers of them.
fn padded(text: String, own: u8, wanted: u8) -> String {
    if own >= wanted {
        return text;
    }
    let point = if own == 0 { "." } else { "" };
    format!(
        "CONCAT({text},'{point}{}')",
        "0".repeat(usize::from(wanted - own))
    )
}

fn float_digest(value: f64, single: bool, signed_zero: bool) -> Hash {
    let value = if value == 0.0 && !signed_zero {
        0.0
    } else {
        value
    };
    if single {
        // Of a FLOAT this gives back its own bits; of a DOUBLE beside it the nearest FLOAT.
        #[allow(clippy::cast_possible_truncation)]
        let value = value as f32;
        return Sha256::digest(value.to_bits().to_be_bytes()).into();
    }
    Sha256::digest(value.to_bits().to_be_bytes()).into()
}

/// A column as one side sees it, with the comparison that all sides share.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// The column of this side.
    pub column: &'a ColumnDef,
    /// The shared comparison.
    pub compare: Compare,
    /// Whether the column may be NULL on any side.
    pub nullable: bool,
}

/// The SQL expression of a row's hash over the columns that the server can hash, as 64 hexadecimal
/// digits. The columns must be given in the same order for every side.
#[must_use]
pub fn row_expr(columns: &[Compared<'_>]) -> String {
    let mut nulls = Vec::new();
    let mut texts = Vec::new();
    for compared in columns {
        let Some(text) = compared.compare.text(compared.column) else {
            continue;
        };
        let name = sql::ident(&compared.column.name);
        if compared.nullable {
            nulls.push(format!("ISNULL({name})"));
        }
        if compared.compare == (Compare::Text { digest: false }) {
            texts.push(if compared.column.ty.is_text() {
                format!("CHAR_LENGTH({name})")
            } else {
                format!("CHAR_LENGTH({text})")
            });
        }
        texts.push(text);
    }
    if texts.is_empty() {
        return "SHA2('',256)".to_owned();
    }
    format!(
        "SHA2(CONCAT_WS(',',{}),256)",
        nulls.into_iter().chain(texts).collect::<Vec<_>>().join(",")
    )
}

/// What a row without a hash adds to the sum: far above all that hashes can add up to.
const NO_HASH: &str = "1000000000000000000000000000000000000";

/// A sum at or above this holds a row without a hash: a tenth of what one such row adds.
const NO_HASH_LIMIT: u128 = 100_000_000_000_000_000_000_000_000_000_000_000;

/// The SQL aggregate that sums the first 64 bits of a row hash exactly.
///
/// A server gives NULL for a row that would make a string longer than its `max_allowed_packet`, and a
/// SUM passes over NULL: two such rows would be taken for equal. So they add a number that
/// [`read_sum`] refuses.
#[must_use]
pub fn sum_expr(row_expr: &str) -> String {
    format!("SUM(IFNULL(CAST(CONV(SUBSTRING({row_expr},1,16),16,10) AS UNSIGNED),{NO_HASH}))")
}

/// Reads what [`sum_expr`] gave, as text. `None` when it is no sum of hashes.
#[must_use]
pub fn read_sum(text: Option<&str>) -> Option<u128> {
    match text {
        // Of no rows.
        None => Some(0),
        Some(text) => text.parse().ok().filter(|sum| *sum < NO_HASH_LIMIT),
    }
}

/// The hash of a row of which some columns were compared on the client: `server` is the hash that
/// the server computed, `client` the digests of the others in their order.
#[must_use]
pub fn row_hash(server: &Hash, client: impl IntoIterator<Item = Option<Hash>>) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(server);
    for digest in client {
        match digest {
            Some(digest) => {
                hasher.update([1]);
                hasher.update(digest);
            }
            None => hasher.update([0]),
        }
    }
    hasher.finalize().into()
}

/// What [`sum_expr`] sums, of a hash on the client.
#[must_use]
pub fn sum_part(hash: &Hash) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests;
