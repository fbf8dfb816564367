//! Tests of grants: lines of real servers.

use super::*;

#[test]
fn everything() {
    let grants =
        Grants::parse(["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"]);
    assert!(grants.has("SELECT", Some("a"), Some("b")));
    assert!(grants.has("RELOAD", None, None));
    assert!(grants.has("GRANT OPTION", None, None));
    let plain = Grants::parse(["GRANT ALL PRIVILEGES ON *.* TO 'root'@'%'"]);
    assert!(!plain.has("GRANT OPTION", None, None));
}

#[test]
fn an_aurora_master_user() {
    let grants = Grants::parse([
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, \
         ALTER, SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, \
         REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, \
         EVENT, TRIGGER, LOAD FROM S3, SELECT INTO S3, INVOKE LAMBDA, INVOKE SAGEMAKER, \
         INVOKE COMPREHEND ON *.* TO `admin`@`%` WITH GRANT OPTION",
        "GRANT APPLICATION_PASSWORD_ADMIN,ROLE_ADMIN,SET_USER_ID,XA_RECOVER_ADMIN ON *.* TO \
         `rds_superuser_role`@`%` WITH GRANT OPTION",
        "GRANT `rds_superuser_role`@`%` TO `admin`@`%`",
    ]);
    assert!(grants.has("INVOKE LAMBDA", None, None));
    assert!(grants.has("invoke lambda", Some("x"), None));
    assert!(grants.has("XA_RECOVER_ADMIN", None, None));
    assert!(!grants.has("SUPER", None, None));
    assert!(!grants.has("BACKUP_ADMIN", None, None));
    assert_eq!(
        grants.roles().iter().collect::<Vec<_>>(),
        ["`rds_superuser_role`@`%`"]
    );
    assert!(grants.unknown().is_empty());
}

#[test]
fn databases_by_pattern_and_tables_by_name() {
    let grants = Grants::parse([
        "GRANT USAGE ON *.* TO `u`@`%`",
        r"GRANT SELECT, LOCK TABLES ON `migrate\_%`.* TO `u`@`%`",
        "GRANT INSERT ON `my_app`.* TO `u`@`%`",
        "GRANT UPDATE, DELETE ON `a``b`.`t.x` TO `u`@`%`",
    ]);
    assert!(grants.has("SELECT", Some("migrate_me"), Some("t1")));
    assert!(grants.has("LOCK TABLES", Some("migrate_me"), None));
    assert!(!grants.has("SELECT", Some("migrateXme"), None));
    assert!(!grants.has("SELECT", None, None));
    assert!(grants.has("INSERT", Some("my_app"), None));
    assert!(
        grants.has("INSERT", Some("myXapp"), None),
        "an underscore is a wildcard"
    );
    assert!(grants.has("DELETE", Some("a`b"), Some("t.x")));
    assert!(!grants.has("DELETE", Some("a`b"), None));
}

#[test]
fn columns_are_not_the_table() {
    let grants = Grants::parse([
        "GRANT SELECT (`id`, `on`, `b`), INSERT (`id`), DELETE ON `s`.`t` TO `u`@`localhost`",
    ]);
    assert!(!grants.has("SELECT", Some("s"), Some("t")));
    assert!(grants.has_on_columns("SELECT", "s", "t"));
    assert!(!grants.has_on_columns("DELETE", "s", "t"));
    assert!(grants.has("DELETE", Some("s"), Some("t")));
}

#[test]
fn partial_revokes_take_away_from_everything_only() {
    let grants = Grants::parse([
        "GRANT SELECT, INSERT ON *.* TO `u`@`%`",
        "GRANT SELECT ON `both`.* TO `u`@`%`",
        "REVOKE SELECT ON `secret`.* FROM `u`@`%`",
        "REVOKE SELECT ON `both`.* FROM `u`@`%`",
    ]);
    assert!(grants.has("SELECT", Some("open"), None));
    assert!(!grants.has("SELECT", Some("secret"), Some("t")));
    assert!(grants.has("INSERT", Some("secret"), None));
    assert!(grants.has("SELECT", Some("both"), None));
}

#[test]
fn mariadb_and_tidb() {
    let grants = Grants::parse([
        "GRANT SELECT, RELOAD, BINLOG MONITOR ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD \
         '*6BB4837EB74329105EE4568DDA7DC67ED2CA2AD9'",
        "GRANT `reader` TO `u`@`%`",
        "SET DEFAULT ROLE `reader` FOR `u`@`%`",
    ]);
    assert!(grants.has("REPLICATION CLIENT", None, None));
    assert_eq!(grants.roles().iter().collect::<Vec<_>>(), ["`reader`"]);
    let tidb = Grants::parse([
        "GRANT SELECT,INSERT ON *.* TO 'u'@'%'",
        "GRANT BACKUP_ADMIN,RESTRICTED_TABLES_ADMIN ON *.* TO 'u'@'%'",
        "GRANT 'r1'@'%', 'r2'@'%' TO 'u'@'%'",
    ]);
    assert!(tidb.has("INSERT", Some("x"), Some("y")) && tidb.has("BACKUP_ADMIN", None, None));
    assert_eq!(tidb.roles().len(), 2);
}

#[test]
fn what_we_do_not_know_is_kept() {
    let grants = Grants::parse([
        "GRANT TOMORROWS_ADMIN ON *.* TO `u`@`%`",
        "GRANT EXECUTE ON PROCEDURE `mysql`.`rds_kill` TO `u`@`%`",
        "GRANT PROXY ON ``@`` TO `root`@`localhost` WITH GRANT OPTION",
        "DENY SELECT ON a.b",
        "",
    ]);
    assert!(grants.has("TOMORROWS_ADMIN", None, None));
    assert!(!grants.has("EXECUTE", Some("mysql"), Some("rds_kill")));
    assert!(!grants.has("GRANT OPTION", None, None));
    assert_eq!(grants.unknown(), ["DENY SELECT ON a.b", ""]);
    assert_eq!(grants.lines().len(), 5);
}

#[test]
fn a_user_called_like_a_keyword() {
    let grants = Grants::parse(["GRANT SELECT ON `on`.* TO `to`@`%`"]);
    assert!(grants.has("SELECT", Some("on"), None));
}

proptest::proptest! {
    #[test]
    fn no_line_panics(line in "(GRANT |REVOKE )?[A-Z `@%.*,()'\\\\]{0,60}( ON | TO )?\\PC{0,20}") {
        let grants = Grants::parse([line]);
        let _ = grants.has("SELECT", Some("a"), Some("b"));
    }
}
