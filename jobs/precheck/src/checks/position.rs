//! `meta_position`: whether the place where an incremental task begins is still at the source.

use mysql_async::Row;
use mysql_async::prelude::Queryable;
use tideway_config::Meta;
use tideway_job::JobError;
use tideway_mysql::connect::Server;
use tideway_mysql::gtid::GtidSet;
use tideway_mysql::info::Flavor;

use crate::facts::SourceFacts;
use crate::report::{Check, CheckResult};

/// What to do about a place that is not there.
const WAY_OUT: &str =
    "give a `meta` that lies in the source's binary logs, or dump anew with task-mode: all";

/// The source's binary logs with their sizes, in order; `None` where the user may not list them.
pub type Logs = Option<Vec<(String, u64)>>;

/// Lists the binary logs of a source.
///
/// # Errors
/// When there is no connection.
pub async fn logs(server: &Server) -> Result<Logs, JobError> {
    let mut conn = server.conn().await?;
    let Ok(rows) = conn.query::<Row, _>("SHOW BINARY LOGS").await else {
        return Ok(None);
    };
    let log = |row: &Row| Some((row.get_opt(0)?.ok()?, row.get_opt(1)?.ok()?));
    Ok(Some(rows.iter().filter_map(log).collect()))
}

/// Judges the `meta` of a source of an incremental task.
pub fn check(facts: &SourceFacts<'_>, meta: Option<&Meta>, logs: &Logs) -> CheckResult {
    let desc = "check whether the position that the task begins at is in the binary log";
    let mut check = Check::new("meta_position", "meta position check", desc, facts.id());
    let Some(meta) = meta else {
        check.note("no `meta`: the task begins at the source's present");
        return check.finish();
    };
    if let Some(name) = &meta.binlog_name {
        file(&mut check, name, meta.binlog_pos, logs);
    }
    if let Some(gtids) = &meta.binlog_gtid {
        gtid(&mut check, gtids, facts);
    }
    check.finish()
}

fn file(check: &mut Check, name: &str, pos: u64, logs: &Logs) {
    let Some(logs) = logs else {
        check.warn(
            "the source's binary logs could not be listed",
            "GRANT REPLICATION CLIENT, or look whether the position is there by hand",
        );
        return;
    };
    let Some((_, size)) = logs.iter().find(|(log, _)| log == name) else {
        let there = match (logs.first(), logs.last()) {
            (Some((first, _)), Some((last, _))) => format!("it has {first} to {last}"),
            _ => "it has none".to_owned(),
        };
        check.fail(
            format!("the source has no binary log {name}: {there}"),
            WAY_OUT,
        );
        return;
    };
    if pos > *size {
        check.fail(
            format!("position {pos} lies behind the end of {name}, which has {size} bytes"),
            WAY_OUT,
        );
    }
}

fn gtid(check: &mut Check, given: &str, facts: &SourceFacts<'_>) {
    let server = &facts.server;
    let set = |text: &str| text.parse::<GtidSet>();
    let given = match set(given) {
        Ok(given) => given,
        Err(error) => return check.fail(format!("`binlog-gtid`: {error}"), WAY_OUT),
    };
    let mariadb = server.info.flavor == Flavor::MariaDb;
    let executed = if mariadb {
        "gtid_current_pos"
    } else {
        "gtid_executed"
    };
    if let Some(Ok(executed)) = server.variable(executed).map(set)
        && !executed.contains(&given)
    {
        let ahead = given.subtract(&executed);
        check.fail(
            format!("`binlog-gtid` is ahead of the source, which never had {ahead}"),
            WAY_OUT,
        );
    }
    // MariaDB does not say what it purged.
    if let Some(Ok(purged)) = server.variable("gtid_purged").map(set)
        && !mariadb
        && !given.contains(&purged)
    {
        let lost = purged.subtract(&given);
        check.fail(
            format!("transactions behind `binlog-gtid` are purged: {lost}"),
            WAY_OUT,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fake;
    use crate::report::State;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn meta(name: Option<&str>, pos: u64, gtid: Option<&str>) -> Meta {
        Meta {
            binlog_name: name.map(str::to_owned),
            binlog_pos: pos,
            binlog_gtid: gtid.map(|range| format!("{UUID}:{range}")),
        }
    }

    #[test]
    fn a_position_must_be_in_the_logs() {
        let source = fake::source("");
        let facts = fake::facts(&source, fake::server(Flavor::MySql, (9, 7, 0)));
        let logs = Some(vec![
            ("b.000007".to_owned(), 500),
            ("b.000008".to_owned(), 90),
        ]);
        let judge =
            |name, pos, logs: &Logs| check(&facts, Some(&meta(Some(name), pos, None)), logs);
        assert_eq!(judge("b.000007", 500, &logs).state, State::Success);
        assert_eq!(judge("b.000008", 91, &logs).state, State::Fail);
        let gone = judge("b.000001", 4, &logs);
        assert_eq!(gone.state, State::Fail);
        assert!(
            gone.errors[0]
                .short_error
                .ends_with("it has b.000007 to b.000008"),
            "{gone:?}"
        );
        assert_eq!(judge("b.000007", 4, &None).state, State::Warn);
        assert_eq!(check(&facts, None, &logs).state, State::Success);
    }

    #[test]
    fn a_gtid_set_must_be_neither_purged_nor_ahead() {
        let source = fake::source("");
        let mut server = fake::server(Flavor::MySql, (9, 7, 0));
        let mut set = |name: &str, range: &str| {
            let value = format!("{UUID}:{range}");
            server.variables.insert(name.to_owned(), value);
        };
        set("gtid_executed", "1-100");
        set("gtid_purged", "1-50");
        let facts = fake::facts(&source, server);
        let judge = |range| check(&facts, Some(&meta(None, 0, Some(range))), &None).state;
        assert_eq!(judge("1-70"), State::Success);
        assert_eq!(judge("1-40"), State::Fail);
        assert_eq!(judge("1-101"), State::Fail);
        assert_eq!(judge("x"), State::Fail);
    }
}
