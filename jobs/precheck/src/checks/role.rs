//! What the server given as a source is: a writer, a reader, or one that is given twice.

use std::collections::BTreeMap;

use crate::facts::{Context, SourceFacts};
use crate::report::{Check, CheckResult};

/// `source role check`.
pub fn source(facts: &SourceFacts<'_>, context: Context) -> CheckResult {
    let desc = "check whether the source is the server to migrate from";
    let mut check = Check::new("source_role", "source role check", desc, facts.id());
    let server = &facts.server;
    let reader = server.is_on("innodb_read_only") || server.address.contains(".cluster-ro-");
    if reader && server.is_rds() {
        let what = "this is a reader of an Aurora cluster: it has no binary log of its own";
        let way_out = "name the cluster's writer endpoint (without `-ro`)";
        if context.mode.follows_binlog() {
            check.fail(what, way_out);
        } else {
            check.warn(what, "nothing, if the dump is to be read from the reader");
        }
    } else if server.info.read_only || reader {
        let what = "the source is read-only: a replica?";
        check.warn(
            what,
            "make sure that it has caught up and writes what it replicates to its log",
        );
    }
    check.finish()
}

/// Two sources that are one server.
pub fn twice(all: &[SourceFacts<'_>]) -> Option<CheckResult> {
    let desc = "check whether two sources are one server";
    let mut check = Check::new("source_role", "source identity check", desc, "");
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for facts in all {
        let uuid = facts.server.info.uuid.as_str();
        if let Some(other) = seen.insert(uuid, facts.id()) {
            let what = format!(
                "the sources {other} and {} are one server ({uuid})",
                facts.id()
            );
            check.warn(what, "make sure that their filters let no table in twice");
        }
    }
    (all.len() > 1).then(|| check.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fake;
    use crate::report::State;
    use tideway_config::TaskMode;
    use tideway_mysql::info::Flavor;

    #[test]
    fn a_reader_endpoint_is_seen() {
        let config = fake::source("");
        let mut server = fake::server(Flavor::Aurora, (8, 0, 36));
        server.address = "x.cluster-ro-abc.us-east-2.rds.amazonaws.com:3306".into();
        let facts = fake::facts(&config, server);
        assert_eq!(
            source(&facts, fake::context(TaskMode::All)).state,
            State::Fail
        );
        assert_eq!(
            source(&facts, fake::context(TaskMode::Full)).state,
            State::Warn
        );
    }

    #[test]
    fn a_replica_is_a_warning() {
        let config = fake::source("");
        let mut server = fake::server(Flavor::MySql, (8, 0, 36));
        assert_eq!(
            source(
                &fake::facts(&config, fake::server(Flavor::MySql, (8, 0, 36))),
                fake::context(TaskMode::All)
            )
            .state,
            State::Success
        );
        server.info.read_only = true;
        let facts = fake::facts(&config, server);
        assert_eq!(
            source(&facts, fake::context(TaskMode::All)).state,
            State::Warn
        );
        let both = [
            facts,
            fake::facts(&config, fake::server(Flavor::MySql, (8, 0, 36))),
        ];
        assert_eq!(twice(&both).unwrap().state, State::Warn);
    }
}
