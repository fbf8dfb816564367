//! The binary log of a source: whether it is on, complete, and kept long enough.
//!
//! What only cdc needs fails in task modes that follow the binary log and is a fact worth knowing
//! in the others.

use std::collections::BTreeSet;
use std::time::Duration;

use tideway_mysql::info::Flavor;

use crate::facts::{Context, Retention, SourceFacts};
use crate::report::{Check, CheckResult};

/// Below this retention a pause of cdc loses the source's log soon.
const SHORT: u64 = 24 * 3600;

/// All checks but retention, which needs the estimate.
pub fn all(
    facts: &SourceFacts<'_>,
    schemas: &BTreeSet<String>,
    context: Context,
) -> Vec<CheckResult> {
    vec![
        server_id(facts, context),
        enable(facts, context),
        format(facts, context),
        row_image(facts, context),
        databases(facts, schemas, context),
    ]
}

fn new(facts: &SourceFacts<'_>, item: &str, name: &str, desc: &str) -> Check {
    Check::new(item, name, desc, facts.id())
}

fn server_id(facts: &SourceFacts<'_>, context: Context) -> CheckResult {
    let desc = "check whether mysql server_id has been greater than 0";
    let mut check = new(facts, "server_id", "mysql_server_id", desc);
    if facts.server.info.server_id == 0 {
        let way_out = "give the source a server_id of its own and restart it";
        check.need(context.mode.follows_binlog(), "server_id is 0", way_out);
    } else {
        check.note(format!("server_id {}", facts.server.info.server_id));
        if facts.source.server_id == u32::try_from(facts.server.info.server_id).ok() {
            let what = "the source file's server-id is the source's own";
            let way_out = "give another server-id in the source file, or none";
            check.need(context.mode.follows_binlog(), what, way_out);
        }
    }
    check.finish()
}

fn enable(facts: &SourceFacts<'_>, context: Context) -> CheckResult {
    let desc = "check whether mysql binlog is enabled";
    let mut check = new(facts, "binlog_enable", "mysql_binlog_enable", desc);
    let follows = context.mode.follows_binlog();
    if !facts.server.info.log_bin {
        let way_out = if facts.server.is_rds() {
            "set binlog_format = ROW in the cluster parameter group and reboot the writer"
        } else {
            "start the source with --log-bin"
        };
        check.need(follows, "the binary log is off (log_bin is OFF)", way_out);
    }
    let gtid_off = facts.server.info.flavor != Flavor::MariaDb && !facts.server.info.gtid;
    if facts.source.enable_gtid && gtid_off {
        let way_out = "set gtid_mode = ON at the source, or enable-gtid: false";
        check.need(
            follows,
            "enable-gtid is true, but gtid_mode is not ON",
            way_out,
        );
    }
    if facts
        .binlog
        .as_ref()
        .is_some_and(|scope| scope.tagged_gtids)
    {
        check.note("gtid_executed holds tagged GTIDs");
    }
    if facts.server.is_on("binlog_transaction_compression") {
        check.note("transactions are compressed (binlog_transaction_compression)");
    }
    check.finish()
}

fn format(facts: &SourceFacts<'_>, context: Context) -> CheckResult {
    let desc = "check whether mysql binlog_format is ROW";
    let mut check = new(facts, "binlog_format", "mysql_binlog_format", desc);
    // A server that has the variable no more writes rows.
    let format = facts.server.variable("binlog_format").unwrap_or("ROW");
    if !format.eq_ignore_ascii_case("row") {
        let way_out = "set binlog_format = ROW (on Aurora in the cluster parameter group)";
        check.need(
            context.mode.follows_binlog(),
            format!("binlog_format is {format}"),
            way_out,
        );
    }
    check.finish()
}

fn row_image(facts: &SourceFacts<'_>, context: Context) -> CheckResult {
    let desc = "check whether mysql binlog_row_image is FULL";
    let mut check = new(facts, "binlog_row_image", "mysql_binlog_row_image", desc);
    let follows = context.mode.follows_binlog();
    let image = facts.server.variable("binlog_row_image").unwrap_or("FULL");
    if !image.eq_ignore_ascii_case("full") {
        let way_out = "SET GLOBAL binlog_row_image = FULL, and end the sessions that are open";
        check.need(follows, format!("binlog_row_image is {image}"), way_out);
    }
    let options = facts
        .server
        .variable("binlog_row_value_options")
        .unwrap_or_default();
    if options.to_ascii_uppercase().contains("PARTIAL_JSON") {
        // The image before the change is whole, and the new document is made of it.
        check.note("changes of JSON are logged in part (binlog_row_value_options)");
    }
    check.finish()
}

fn databases(facts: &SourceFacts<'_>, schemas: &BTreeSet<String>, context: Context) -> CheckResult {
    let name = "binlog_do_db/binlog_ignore_db check";
    let desc = "check whether the schemas of the task are in the binary log";
    let mut check = new(facts, "binlog_db", name, desc);
    let Some(scope) = &facts.binlog else {
        return check.finish();
    };
    let out: Vec<&str> = schemas
        .iter()
        .map(String::as_str)
        .filter(|schema| {
            let named = |list: &[String]| list.iter().any(|s| s.eq_ignore_ascii_case(schema));
            if scope.do_db.is_empty() {
                named(&scope.ignore_db)
            } else {
                !named(&scope.do_db)
            }
        })
        .collect();
    if !out.is_empty() {
        let what = format!("not written to the binary log: {}", out.join(", "));
        let way_out = "change binlog_do_db or binlog_ignore_db at the source and restart it";
        check.need(context.mode.follows_binlog(), what, way_out);
    }
    check.finish()
}

/// How long the binary log is kept, against how long dump and load will take.
pub fn retention(facts: &SourceFacts<'_>, expected: Duration, context: Context) -> CheckResult {
    let name = "binlog retention check";
    let desc = "check whether binary logs are kept long enough";
    let mut check = new(facts, "binlog_retention", name, desc);
    if !facts.server.info.log_bin || !context.mode.follows_binlog() {
        return check.finish();
    }
    let rds = "CALL mysql.rds_set_configuration('binlog retention hours', 168)";
    let own = "raise binlog_expire_logs_seconds (or expire_logs_days) at the source";
    match facts.retention {
        Retention::Forever => check.note("never purged"),
        Retention::Unknown => {
            check.warn(
                "the retention of binary logs could not be read",
                "look it up by hand",
            );
        }
        Retention::AsSoonAsPossible => {
            let what = "`binlog retention hours` is NULL: logs are purged as soon as possible";
            check.warn(what, rds);
        }
        Retention::Seconds(seconds) => {
            let kept = Duration::from_secs(seconds);
            let way_out = if facts.server.is_rds() { rds } else { own };
            if kept < expected * 2 || seconds < SHORT {
                let what = format!(
                    "binary logs are kept for {}, dump and load may take {}",
                    humantime::format_duration(kept),
                    humantime::format_duration(expected)
                );
                check.warn(what, way_out);
            } else {
                check.note(format!("kept for {}", humantime::format_duration(kept)));
            }
        }
    }
    check.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{BinlogScope, fake};
    use crate::report::State;
    use tideway_config::TaskMode;

    fn states(change: impl FnOnce(&mut SourceFacts<'_>), mode: TaskMode) -> Vec<State> {
        let source = fake::source("");
        let mut facts = fake::facts(&source, fake::server(Flavor::MySql, (9, 7, 0)));
        change(&mut facts);
        let schemas = BTreeSet::from(["shop".to_owned()]);
        all(&facts, &schemas, fake::context(mode))
            .iter()
            .map(|r| r.state)
            .collect()
    }

    #[test]
    fn a_good_source_passes() {
        assert_eq!(states(|_| {}, TaskMode::All), [State::Success; 5]);
    }

    #[test]
    fn what_cdc_needs_fails_only_when_cdc_runs() {
        let break_all = |facts: &mut SourceFacts<'_>| {
            facts.server.info.server_id = 0;
            facts.server.info.log_bin = false;
            let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            facts.server.variables.extend([
                set("binlog_format", "STATEMENT"),
                set("binlog_row_image", "MINIMAL"),
                set("binlog_row_value_options", "PARTIAL_JSON"),
            ]);
            facts.binlog = Some(BinlogScope {
                do_db: vec!["x".into()],
                ..BinlogScope::default()
            });
        };
        assert_eq!(states(break_all, TaskMode::All), [State::Fail; 5]);
        assert_eq!(states(break_all, TaskMode::Full), [State::Success; 5]);
    }

    #[test]
    fn json_in_part_is_no_fault() {
        let partial = |facts: &mut SourceFacts<'_>| {
            let name = "binlog_row_value_options".to_owned();
            facts
                .server
                .variables
                .insert(name, "PARTIAL_JSON".to_owned());
        };
        assert_eq!(states(partial, TaskMode::All)[3], State::Success);
    }

    #[test]
    fn ignored_schemas_are_named() {
        let ignore = |facts: &mut SourceFacts<'_>| {
            facts.binlog = Some(BinlogScope {
                ignore_db: vec!["SHOP".into()],
                ..BinlogScope::default()
            });
        };
        assert_eq!(states(ignore, TaskMode::All)[4], State::Fail);
    }

    #[test]
    fn retention_is_compared_with_the_time_to_expect() {
        let source = fake::source("");
        let mut facts = fake::facts(&source, fake::server(Flavor::MySql, (9, 7, 0)));
        let context = fake::context(TaskMode::All);
        let hour = Duration::from_secs(3600);
        let mut state = |kept| {
            facts.retention = kept;
            retention(&facts, hour, context).state
        };
        assert_eq!(state(Retention::Forever), State::Success);
        assert_eq!(state(Retention::Seconds(30 * 86400)), State::Success);
        assert_eq!(state(Retention::Seconds(3600)), State::Warn);
        assert_eq!(state(Retention::AsSoonAsPossible), State::Warn);
        assert_eq!(state(Retention::Unknown), State::Warn);
    }
}
