//! Versions of sources and target.

use tideway_config::TaskMode;
use tideway_mysql::info::{Flavor, Version};

use crate::facts::ServerFacts;
use crate::report::{Check, CheckResult};

const MYSQL: &str = "migrate from MySQL 5.6 to 9, Aurora MySQL 2 or 3, or MariaDB 10.1.2 or newer";

/// `mysql_version`.
pub fn source(server: &ServerFacts, id: &str, mode: TaskMode) -> CheckResult {
    let mut check = Check::new(
        "version",
        "mysql_version",
        "check whether mysql version is satisfied",
        id,
    );
    check.note(server.version());
    let version = server.info.version;
    match server.info.flavor {
        Flavor::MySql | Flavor::Aurora => {
            if version < Version::new(5, 6, 0) {
                check.fail(format!("MySQL {version} is older than 5.6"), MYSQL);
            } else if version < Version::new(5, 7, 0) {
                check.warn(format!("MySQL {version} is not tested with Tideway"), MYSQL);
            } else if version >= Version::new(10, 0, 0) {
                check.warn(
                    format!("MySQL {version} is newer than what Tideway knows"),
                    MYSQL,
                );
            }
        }
        Flavor::MariaDb => {
            if version < Version::new(10, 1, 2) {
                check.fail(format!("MariaDB {version} is older than 10.1.2"), MYSQL);
            }
        }
        Flavor::TiDb => {
            if mode.follows_binlog() {
                let what = "TiDB writes no binary log that can be followed";
                check.fail(what, "migrate from TiDB with task-mode: full");
            }
        }
    }
    check.finish()
}

/// The target's version and limits.
pub fn target(server: &ServerFacts) -> CheckResult {
    let desc = "check whether the target's version is satisfied";
    let mut check = Check::new("downstream_version", "target version check", desc, "");
    check.note(server.version());
    let version = server.info.version;
    match server.info.flavor {
        Flavor::TiDb => {
            if version < Version::new(4, 0, 0) {
                check.warn(
                    format!("TiDB {version} is not tested with Tideway"),
                    "upgrade it",
                );
            }
            if version < Version::new(7, 6, 0) {
                check.note("LOAD DATA is no transaction before TiDB 7.6: rows go by INSERT");
            }
        }
        Flavor::MySql | Flavor::Aurora => {
            if version < Version::new(5, 7, 0) {
                check.fail(
                    format!("MySQL {version} is older than 5.7"),
                    "upgrade the target",
                );
            }
        }
        Flavor::MariaDb => {
            if version < Version::new(10, 1, 2) {
                check.fail(
                    format!("MariaDB {version} is older than 10.1.2"),
                    "upgrade the target",
                );
            }
        }
    }
    if server.info.read_only {
        check.fail(
            "the target is read-only",
            "switch read_only off, or name the writer's endpoint",
        );
    }
    let by_load_data = server.info.flavor != Flavor::TiDb || version >= Version::new(7, 6, 0);
    if by_load_data && server.variable("local_infile").is_some() && !server.is_on("local_infile") {
        check.warn(
            "local_infile is OFF: the load takes INSERT, which is slower",
            "SET GLOBAL local_infile = ON at the target",
        );
    }
    check.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fake;
    use crate::report::State;

    #[test]
    fn the_range_of_sources() {
        let state =
            |flavor, version| source(&fake::server(flavor, version), "a", TaskMode::All).state;
        assert_eq!(state(Flavor::MySql, (5, 5, 62)), State::Fail);
        assert_eq!(state(Flavor::MySql, (5, 6, 51)), State::Warn);
        assert_eq!(state(Flavor::Aurora, (5, 7, 12)), State::Success);
        assert_eq!(state(Flavor::MySql, (9, 7, 0)), State::Success);
        assert_eq!(state(Flavor::MySql, (10, 0, 0)), State::Warn);
        assert_eq!(state(Flavor::MariaDb, (10, 1, 1)), State::Fail);
        assert_eq!(state(Flavor::MariaDb, (10, 11, 6)), State::Success);
        assert_eq!(state(Flavor::TiDb, (8, 4, 0)), State::Fail);
        let tidb = fake::server(Flavor::TiDb, (8, 4, 0));
        assert_eq!(source(&tidb, "a", TaskMode::Full).state, State::Success);
    }

    #[test]
    fn the_target_must_take_writes() {
        let mut server = fake::server(Flavor::MySql, (9, 7, 0));
        assert_eq!(target(&server).state, State::Success);
        server.variables.insert("local_infile".into(), "OFF".into());
        assert_eq!(target(&server).state, State::Warn);
        server.info.read_only = true;
        assert_eq!(target(&server).state, State::Fail);
    }
}
