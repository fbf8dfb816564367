//! Connections that dump and load open, against what the servers allow.

use crate::facts::{ServerFacts, SourceFacts};
use crate::report::{Check, CheckResult};

/// Connections of a job beside its workers: planning, locks, positions, control.
const BESIDE: u64 = 2;

/// `dumper_conn_number_checker`.
pub fn dump(facts: &SourceFacts<'_>, workers: Option<usize>) -> CheckResult {
    let desc = "check if connection concurrency exceeds database's maximum connection limit";
    let mut check = Check::new(
        "conn_number",
        "dumper_conn_number_checker",
        desc,
        facts.id(),
    );
    let threads = workers.unwrap_or(facts.source.dump.threads) as u64;
    judge(
        &mut check,
        &facts.server,
        threads + BESIDE,
        "lower `threads` of the mydumpers section",
    );
    check.finish()
}

/// `loader_conn_number_checker`: `pools` are the pool sizes of all sources, which load at once.
pub fn load(target: &ServerFacts, pools: &[usize], workers: Option<usize>) -> CheckResult {
    let desc = "check if connection concurrency exceeds database's maximum connection limit";
    let mut check = Check::new("conn_number", "loader_conn_number_checker", desc, "");
    let needed: u64 = pools
        .iter()
        .map(|pool| workers.unwrap_or(*pool) as u64 + BESIDE)
        .sum();
    judge(
        &mut check,
        target,
        needed,
        "lower `pool-size` of the loaders section",
    );
    check.finish()
}

fn judge(check: &mut Check, server: &ServerFacts, needed: u64, way_out: &str) {
    // Zero means no limit, as on TiDB.
    let limits = [
        ("max_connections", Some(server.info.max_connections)),
        (
            "max_user_connections",
            server.number("max_user_connections"),
        ),
    ];
    check.note(format!("{needed} connections"));
    for (name, limit) in limits {
        let Some(limit) = limit.filter(|limit| *limit > 0) else {
            continue;
        };
        if needed > limit {
            check.fail(
                format!("{needed} connections are needed, {name} is {limit}"),
                way_out,
            );
        } else if name == "max_connections" && needed + server.connected > limit {
            check.warn(
                format!(
                    "{needed} connections are needed beside {} that are open, {name} is {limit}",
                    server.connected
                ),
                way_out,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fake;
    use crate::report::State;
    use tideway_mysql::info::Flavor;

    #[test]
    fn needs_are_compared_with_limits() {
        let source = fake::source("mydumper: {threads: 20}");
        let mut facts = fake::facts(&source, fake::server(Flavor::MySql, (9, 7, 0)));
        assert_eq!(dump(&facts, None).state, State::Success);
        facts.server.connected = 140;
        assert_eq!(dump(&facts, None).state, State::Warn);
        facts.server.info.max_connections = 10;
        assert_eq!(dump(&facts, None).state, State::Fail);
        assert_eq!(dump(&facts, Some(2)).state, State::Warn);
        facts.server.info.max_connections = 0;
        assert_eq!(dump(&facts, None).state, State::Success);
        facts
            .server
            .variables
            .insert("max_user_connections".into(), "5".into());
        assert_eq!(dump(&facts, None).state, State::Fail);
        let target = fake::server(Flavor::MySql, (9, 7, 0));
        assert_eq!(load(&target, &[16, 16], None).state, State::Success);
        assert_eq!(load(&target, &[100, 100], None).state, State::Fail);
    }
}
