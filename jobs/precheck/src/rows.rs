//! What the rows themselves may hold that the target does not take: rows too large, zero dates.
//!
//! This reads the tables, so only those up to `--scan-limit` are looked into, each for at most ten
//! seconds; for larger ones that could hold such rows, a remark says that nobody looked.

use std::time::Duration;

use bytesize::ByteSize;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tideway_config::Database;
use tideway_mysql::connect::Server;
use tideway_mysql::info::Flavor;
use tideway_mysql::schema::TableDef;
use tideway_mysql::sql;
use tideway_mysql::types::column_type::ColumnType;

use crate::checks::structure::Remark;
use crate::facts::ServerFacts;
use crate::report::State;
use crate::survey::Table;

/// TiDB's `txn-entry-size-limit` where nothing else is set.
const TIDB_ENTRY: u64 = 6 << 20;

/// How long the source may look into one table.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the target takes.
#[derive(Debug, Clone, Default)]
pub struct RowLimits {
    /// Largest row in bytes, and what sets it.
    pub largest: Option<(u64, &'static str)>,
    /// Larger rows fail; otherwise they may (one statement holds them).
    pub strict: bool,
    /// The session that the task file asks for refuses zero dates.
    pub refuses_zero_dates: bool,
    /// Tables up to this size are looked into.
    pub scan_limit: u64,
}

impl RowLimits {
    /// The limits of a target.
    pub fn of(server: &ServerFacts, target: &Database, scan_limit: u64) -> Self {
        let mode = target
            .session
            .get("sql_mode")
            .map(|m| m.to_ascii_uppercase());
        let refuses = mode.is_some_and(|mode| {
            ["NO_ZERO_DATE", "NO_ZERO_IN_DATE", "TRADITIONAL"]
                .iter()
                .any(|m| mode.contains(m))
        });
        let tidb = server.info.flavor == Flavor::TiDb;
        let largest = if tidb {
            let set = server
                .number("tidb_txn_entry_size_limit")
                .filter(|n| *n > 0);
            (set.unwrap_or(TIDB_ENTRY), "TiDB's txn-entry-size-limit")
        } else {
            (
                server.info.max_allowed_packet,
                "the target's max_allowed_packet",
            )
        };
        Self {
            largest: Some(largest).filter(|(n, _)| *n > 0),
            strict: tidb,
            refuses_zero_dates: refuses,
            scan_limit,
        }
    }
}

/// What is asked of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    /// Columns whose lengths add up.
    long: Vec<String>,
    /// Columns that may hold zero dates.
    dates: Vec<String>,
}

impl Question {
    fn of(def: &TableDef, limits: &RowLimits) -> Self {
        let stored = || def.stored_columns();
        // Four bytes a character at most; what is short adds too little to matter.
        let most = |ty: &ColumnType| match ty {
            ColumnType::Char { len } | ColumnType::Varchar { len } => u64::from(*len) * 4,
            ColumnType::Binary { len } | ColumnType::Varbinary { len } => u64::from(*len),
            ColumnType::Text { max_bytes } | ColumnType::Blob { max_bytes } => *max_bytes,
            ColumnType::Json | ColumnType::Geometry { .. } => u64::from(u32::MAX),
            _ => 0,
        };
        let total = stored().fold(0u64, |sum, c| sum.saturating_add(most(&c.ty)));
        let long = match limits.largest {
            Some((limit, _)) if total > limit => stored()
                .filter(|c| most(&c.ty) > 255)
                .map(|c| c.name.clone())
                .collect(),
            _ => Vec::new(),
        };
        let is_date = |ty: &ColumnType| {
            matches!(
                ty,
                ColumnType::Date | ColumnType::DateTime { .. } | ColumnType::Timestamp { .. }
            )
        };
        let dates = stored()
            .filter(|c| is_date(&c.ty))
            .map(|c| c.name.clone())
            .collect();
        Self { long, dates }
    }

    fn is_empty(&self) -> bool {
        self.long.is_empty() && self.dates.is_empty()
    }

    /// One query for both answers: longest row, rows with zero dates.
    fn sql(&self, table: &Table, flavor: Flavor) -> String {
        let long = self
            .long
            .iter()
            .map(|c| format!("IFNULL(LENGTH({}), 0)", sql::ident(c)));
        let dates = self.dates.iter().map(|c| {
            let c = sql::ident(c);
            format!("IFNULL(YEAR({c}) = 0 OR MONTH({c}) = 0 OR DAY({c}) = 0, 0)")
        });
        let sum = |parts: Vec<String>, with: &str| {
            if parts.is_empty() {
                "0".to_owned()
            } else {
                parts.join(with)
            }
        };
        let long = sum(long.collect(), " + ");
        let dates = sum(dates.collect(), " OR ");
        let (before, hint) = match flavor {
            Flavor::MariaDb => (
                format!(
                    "SET STATEMENT max_statement_time = {} FOR ",
                    PATIENCE.as_secs()
                ),
                "".into(),
            ),
            _ => (
                String::new(),
                format!("/*+ MAX_EXECUTION_TIME({}) */ ", PATIENCE.as_millis()),
            ),
        };
        format!(
            "{before}SELECT {hint}CAST(IFNULL(MAX({long}), 0) AS UNSIGNED), \
             CAST(IFNULL(SUM({dates}), 0) AS UNSIGNED) FROM {}",
            table.name
        )
    }
}

/// Looks into a table. That a look is refused or takes too long is a remark, never an error.
pub(crate) async fn look(
    server: &Server,
    conn: &mut Conn,
    def: &TableDef,
    table: &Table,
    limits: &RowLimits,
) -> Vec<Remark> {
    let question = Question::of(def, limits);
    if question.is_empty() || limits.scan_limit == 0 {
        return Vec::new();
    }
    if table.bytes > limits.scan_limit {
        return unseen(&question, limits);
    }
    let sql = question.sql(table, server.info().flavor);
    match conn.query_first::<(u64, u64), _>(sql).await {
        Ok(Some((longest, zero_dates))) => judge(longest, zero_dates, limits),
        Ok(None) => Vec::new(),
        Err(error) => {
            tracing::debug!("{}: not looked into: {error}", table.name);
            unseen(&question, limits)
        }
    }
}

/// Only long rows are worth a remark: zero dates are kept unless the task's session refuses them.
fn unseen(question: &Question, limits: &RowLimits) -> Vec<Remark> {
    let Some((limit, name)) = limits.largest.filter(|_| !question.long.is_empty()) else {
        return Vec::new();
    };
    vec![Remark {
        severity: State::Warn,
        what: format!(
            "may hold rows above {name} of {}; nobody looked",
            ByteSize(limit).display().iec()
        ),
        way_out: "raise --scan-limit to have it looked into",
    }]
}

fn judge(longest: u64, zero_dates: u64, limits: &RowLimits) -> Vec<Remark> {
    let mut out = Vec::new();
    if let Some((limit, name)) = limits.largest
        && longest > limit
    {
        out.push(Remark {
            severity: if limits.strict {
                State::Fail
            } else {
                State::Warn
            },
            what: format!(
                "holds a row of {}, {name} is {}",
                ByteSize(longest).display().iec(),
                ByteSize(limit).display().iec()
            ),
            way_out: "raise that limit at the target, or leave the rows out by --where",
        });
    }
    if zero_dates > 0 {
        let severity = if limits.refuses_zero_dates {
            State::Fail
        } else {
            State::Warn
        };
        let way_out = if limits.refuses_zero_dates {
            "take NO_ZERO_DATE and NO_ZERO_IN_DATE out of target-database's session sql_mode"
        } else {
            "nothing: they are kept as they are"
        };
        out.push(Remark {
            severity,
            what: format!("{zero_dates} rows hold zero dates"),
            way_out,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use tideway_mysql::schema::TableName;

    #[test]
    fn rows_and_dates_are_judged_by_the_target() {
        let tidb = RowLimits {
            largest: Some((6 << 20, "TiDB's txn-entry-size-limit")),
            strict: true,
            refuses_zero_dates: false,
            scan_limit: 1,
        };
        assert_eq!(judge(100, 0, &tidb), []);
        assert_eq!(judge(7 << 20, 0, &tidb)[0].severity, State::Fail);
        assert_eq!(judge(0, 3, &tidb)[0].severity, State::Warn);
        let strict = RowLimits {
            refuses_zero_dates: true,
            strict: false,
            ..tidb
        };
        assert_eq!(judge(7 << 20, 0, &strict)[0].severity, State::Warn);
        assert_eq!(judge(0, 3, &strict)[0].severity, State::Fail);
    }

    #[test]
    fn one_query_asks_for_both() {
        let question = Question {
            long: vec!["b`c".into()],
            dates: vec!["d".into()],
        };
        let table = Table {
            name: TableName::new("s", "t"),
            target: TableName::new("s", "t"),
            rule: None,
            rows: 0,
            bytes: 0,
            keyless: false,
        };
        let sql = question.sql(&table, Flavor::MySql);
        assert!(sql.contains("MAX(IFNULL(LENGTH(`b``c`), 0))"), "{sql}");
        assert!(sql.contains("YEAR(`d`) = 0"), "{sql}");
        assert!(
            question
                .sql(&table, Flavor::MariaDb)
                .starts_with("SET STATEMENT")
        );
    }
}
