//! Connections that dump and load open, against what the servers allow.

use crate::facts::{ServerFacts, SourceFacts};
use crate::report::{Check, CheckResult};

/// Connections of a job beside its workers: planning, locks, positions, control.
const BESIDE: u64 = 2;

/// How many processes of one source dump and load, and how many connections each opens when the
/// configuration does not govern.
#[derive(Debug, Clone, Copy)]
pub struct Processes {
    /// `--workers`.
    pub connections: Option<usize>,
    /// Processes that dump a source.
    pub dump: u32,
    /// Processes that load a source.
    pub load: u32,
}

impl Processes {
    fn needed(self, processes: u32, configured: usize) -> u64 {
        u64::from(processes) * (self.connections.unwrap_or(configured) as u64 + BESIDE)
    }
}

/// `dumper_conn_number_checker`.
pub fn dump(facts: &SourceFacts<'_>, processes: Processes) -> CheckResult {
    let desc = "check if connection concurrency exceeds database's maximum connection limit";
    let mut check = Check::new(
        "conn_number",
        "dumper_conn_number_checker",
        desc,
        facts.id(),
    );
    judge(
        &mut check,
        &facts.server,
        processes.needed(processes.dump, facts.source.dump.threads),
        "lower `threads` of the mydumpers section, or `workers` of the dump stage",
    );
    check.finish()
}

/// `loader_conn_number_checker`: `pools` are the pool sizes of all sources, which load at once.
pub fn load(target: &ServerFacts, pools: &[usize], processes: Processes) -> CheckResult {
    let desc = "check if connection concurrency exceeds database's maximum connection limit";
    let mut check = Check::new("conn_number", "loader_conn_number_checker", desc, "");
    let needed: u64 = pools
        .iter()
        .map(|pool| processes.needed(processes.load, *pool))
        .sum();
    judge(
        &mut check,
        target,
        needed,
        "lower `pool-size` of the loaders section, or `workers` of the load stage",
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
        let one = |connections| Processes {
            connections,
            dump: 1,
            load: 1,
        };
        let source = fake::source("mydumper: {threads: 20}");
        let mut facts = fake::facts(&source, fake::server(Flavor::MySql, (9, 7, 0)));
        assert_eq!(dump(&facts, one(None)).state, State::Success);
        facts.server.connected = 140;
        assert_eq!(dump(&facts, one(None)).state, State::Warn);
        facts.server.info.max_connections = 10;
        assert_eq!(dump(&facts, one(None)).state, State::Fail);
        assert_eq!(dump(&facts, one(Some(2))).state, State::Warn);
        facts.server.info.max_connections = 0;
        assert_eq!(dump(&facts, one(None)).state, State::Success);
        facts
            .server
            .variables
            .insert("max_user_connections".into(), "5".into());
        assert_eq!(dump(&facts, one(None)).state, State::Fail);
        let target = fake::server(Flavor::MySql, (9, 7, 0));
        assert_eq!(load(&target, &[16, 16], one(None)).state, State::Success);
        assert_eq!(load(&target, &[100, 100], one(None)).state, State::Fail);
    }

    #[test]
    fn every_process_of_a_stage_opens_its_own() {
        let four = Processes {
            connections: None,
            dump: 4,
            load: 4,
        };
        let source = fake::source("mydumper: {threads: 40}");
        let facts = fake::facts(&source, fake::server(Flavor::MySql, (9, 7, 0)));
        // 151 are allowed.
        let result = dump(&facts, four);
        assert_eq!(result.state, State::Fail);
        assert!(result.extra.contains("168 connections"), "{result:?}");
        let target = fake::server(Flavor::MySql, (9, 7, 0));
        assert_eq!(load(&target, &[16], four).state, State::Success);
        assert_eq!(load(&target, &[16, 16, 16], four).state, State::Fail);
    }
}
