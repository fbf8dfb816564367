//! The seed's files to the letter, and what people write.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use secrecy::ExposeSecret as _;
use tideway_config::*;

const SOURCE1: &str = r#"# Aurora-1
source-id: "aurora-replica-01"

# To migrate data based on GTID, you need to set this item to true.
enable-gtid: false

from:
  host: "test-dm-2-0.cluster-czrtqco96yc6.us-east-2.rds.amazonaws.com"
  user: "root"
  password: "12345678"
  port: 3306
"#;

const SOURCE2: &str = r#"# Aurora-2
source-id: "aurora-replica-02"

enable-gtid: false

from:
  host: "test-dm-2-0-2.cluster-czrtqco96yc6.us-east-2.rds.amazonaws.com"
  user: "root"
  password: "12345678"
  port: 3306
"#;

const TASK: &str = r#"# The task name. You need to use a different name for each of the multiple tasks that run simultaneously.
name: "test"
# The full data migration plus incremental replication task mode.
task-mode: "all"
# The downstream TiDB configuration information.
target-database:
  host: "tidb.6657c286.23110bc6.us-east-1.prod.aws.tidbcloud.com"
  port: 4000
  user: "root"
  password: "87654321"

# Configuration of all the upstream MySQL instances required by the current data migration task.
mysql-instances:
- source-id: "aurora-replica-01"
  # The configuration items of the block and allow lists of the schema or table to be migrated, used to quote the global block and allow lists configuration. For global configuration, see the `block-allow-list` below.
  block-allow-list: "global"
  mydumper-config-name: "global"

- source-id: "aurora-replica-02"
  block-allow-list: "global"
  mydumper-config-name: "global"

# The configuration of block and allow lists.
block-allow-list:
  global:                             # Quoted by block-allow-list: "global" above
    do-dbs: ["migrate_me"]            # The allow list of the upstream table to be migrated. Database tables that are not in the allow list will not be migrated.

# The configuration of the dump unit.
mydumpers:
   global:                            # Quoted by mydumper-config-name: "global" above
    extra-args: "--consistency none"  # Aurora does not support FTWRL, you need to configure this option to bypass FTWRL.
"#;

fn sources() -> Vec<SourceFile> {
    let read = |text, file| {
        let (source, warnings) = parse_source(text, file).unwrap();
        assert_eq!(warnings, []);
        source
    };
    vec![read(SOURCE1, "source1.yaml"), read(SOURCE2, "source2.yaml")]
}

fn task(text: &str) -> TaskFile {
    parse_task(text, "task.yaml").unwrap().0
}

fn resolved(text: &str) -> (ResolvedTask, Vec<String>) {
    let (task, mut warnings) = parse_task(text, "task.yaml").unwrap();
    let (resolved, more) = resolve(&task, &sources(), &Options::default()).unwrap();
    warnings.extend(more);
    (resolved, warnings.iter().map(ToString::to_string).collect())
}

fn fails(text: &str) -> String {
    match parse_task(text, "task.yaml") {
        Err(error) => error,
        Ok((task, _)) => resolve(&task, &sources(), &Options::default()).unwrap_err(),
    }
    .to_string()
}

#[test]
fn the_seed_reads_to_the_letter() {
    let (task, warnings) = resolved(TASK);
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(task.name, "test");
    assert_eq!(task.mode, TaskMode::All);
    assert_eq!(task.meta_schema, "dm_meta");
    assert_eq!(
        task.target.host,
        "tidb.6657c286.23110bc6.us-east-1.prod.aws.tidbcloud.com"
    );
    assert_eq!(task.target.port, 4000);
    assert_eq!(task.target.password.expose_secret(), "87654321");
    assert_eq!(task.sources.len(), 2);
    for (source, id) in task
        .sources
        .iter()
        .zip(["aurora-replica-01", "aurora-replica-02"])
    {
        assert_eq!(source.id, id);
        assert_eq!(source.from.user, "root");
        assert_eq!(source.from.port, 3306);
        assert_eq!(source.from.password.expose_secret(), "12345678");
        assert!(!source.enable_gtid);
        assert!(source.filter.includes("migrate_me", "t1"));
        assert!(!source.filter.includes("ignore_me", "ignore_table"));
        assert_eq!(source.dump.consistency, Consistency::None);
        assert_eq!(
            (source.dump.threads, source.dump.chunk_bytes),
            (4, 64 << 20)
        );
        assert!(source.dump.no_views && !source.dump.no_data);
        assert_eq!(source.load.pool_size, 16);
        assert_eq!(source.load.import_mode, ImportMode::Logical);
        assert_eq!(source.load.on_duplicate, OnDuplicateLogical::Replace);
        assert_eq!(source.sync.worker_count, 16);
        assert_eq!(source.validator.mode, ValidatorMode::None);
        assert_eq!(
            source.router.route("migrate_me", "t1").unwrap().0,
            "migrate_me"
        );
    }
}

#[test]
fn the_step_5_addition_of_the_seed_reads() {
    let text =
        format!("ignore-checking-items: [\"replication_privilege\",\"dump_privilege\"]\n{TASK}");
    let (task, _) = resolved(&text);
    assert_eq!(
        task.ignore_checking_items,
        ["replication_privilege", "dump_privilege"]
    );
}

#[test]
fn an_unknown_key_is_an_error_with_its_place_and_the_nearest_key() {
    let error = fails("name: x\ntask-mod: all\n");
    assert!(
        error.starts_with("task.yaml:2:1: unknown key `task-mod` in the task file"),
        "{error}"
    );
    assert!(error.contains("did you mean `task-mode`?"), "{error}");
    assert!(error.ends_with("2 | task-mod: all\n  | ^"), "{error}");
    let error = fails("mysql-instances:\n  - source-id: a\n    block-alow-list: g\n");
    assert!(error.starts_with("task.yaml:3:5: unknown key `block-alow-list` in mysql-instances"));
    assert!(
        error.contains("did you mean `block-allow-list`?"),
        "{error}"
    );
    let error = fails("qqqqqq: 1");
    assert!(error.contains("known are: name, task-mode"), "{error}");
    let error = parse_source("source-id: a\nfrom:\n  hots: x\n", "s.yaml")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("s.yaml:3:3: unknown key `hots` in the database; did you mean `host`")
    );
}

#[test]
fn what_people_write_for_gos_yaml_reads() {
    let (task, warnings) = parse_task(
        "name: 123\ntask-mode: full\ncase-sensitive: yes\nroutes:\nfilters:\nmydumpers:\n  global:\n\
         block-allow-list:\n  global: {do-dbs: &dbs [a, b]}\n  other:\n    do-dbs: *dbs\n\
         target-database:\n  host: h\n  port: '4000'\n  max-allowed-packet: \"67108864\"\n  \
         session: {sql_mode: '', foreign_key_checks: off, tidb_skip_utf8_check: 1}\n\
         mysql-instances:\n- &one\n  source-id: a\n  mydumper-thread: '8'\n- <<: *one\n  source-id: b\n",
        "t.yaml",
    )
    .unwrap();
    assert_eq!(warnings, []);
    assert_eq!(task.name, "123");
    assert!(task.case_sensitive);
    assert!(task.routes.is_empty());
    assert_eq!(task.mydumpers["global"], MydumperConfig::default());
    assert_eq!(task.block_allow_list["other"].do_dbs, ["a", "b"]);
    assert_eq!(task.target_database.port, Some(4000));
    assert_eq!(task.target_database.session["foreign_key_checks"], "off");
    assert_eq!(task.target_database.session["tidb_skip_utf8_check"], "1");
    assert_eq!(task.mysql_instances[1].source_id, "b");
    assert_eq!(task.mysql_instances[1].mydumper_thread, 8);
    // A password stays the text that was written.
    let (source, _) = parse_source("from: {password: 0123}", "s").unwrap();
    assert_eq!(source.from.password.0.expose_secret(), "0123");
    let (source, _) = parse_source("from: {password: yes}", "s").unwrap();
    assert_eq!(source.from.password.0.expose_secret(), "yes");
}

#[test]
fn duplicate_keys_and_second_documents_are_errors_with_a_place() {
    let error = fails("name: a\ntask-mode: all\nname: b\n");
    assert!(
        error.starts_with("task.yaml:3:1: the key `name` is given twice"),
        "{error}"
    );
    let error = fails("name: a\n---\nname: b\n");
    assert!(error.contains("a second document begins here"), "{error}");
    assert!(error.starts_with("task.yaml:"), "{error}");
}

#[test]
fn a_wrong_value_has_a_place_and_a_nearest_word() {
    let error = fails("name: a\ntask-mode: incremntal\n");
    assert!(
        error.starts_with("task.yaml:2:1: `incremntal` is none of full, "),
        "{error}"
    );
    assert!(error.contains("did you mean `incremental`?"), "{error}");
    let error = fails("mydumpers:\n  g:\n    threads: many\n");
    assert!(error.starts_with("task.yaml:3:14: "), "{error}");
    let error = fails("mysql-instances: 5\n");
    assert!(error.starts_with("task.yaml:1:18: "), "{error}");
}

#[test]
fn no_secret_is_shown() {
    for text in [
        "from:\n  password: [hunter2]\n",
        "from:\n  password:\n    - hunter2\n",
        "from:\n  password: {a: hunter2}\n",
        "from: {pasword: hunter2, password: hunter2}\n",
        "from:\n  password: hunter2\n  password: hunter2\n",
        "from:\n  password: \"hunter2\n",
    ] {
        let error = parse_source(text, "s.yaml").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    let (source, _) = parse_source("from: {password: hunter2}", "s.yaml").unwrap();
    assert!(!format!("{source:?}").contains("hunter2"));
    let (task, _) = resolved(TASK);
    let shown = format!("{task:?} {}", task.resolved_json());
    assert!(
        !shown.contains("12345678") && !shown.contains("87654321"),
        "{shown}"
    );
}

#[test]
fn a_key_without_effect_is_one_warning() {
    let text = TASK.replace(
        "name: \"test\"",
        "name: test\nonline-ddl: true\nheartbeat-update-interval: 1",
    );
    let (_, warnings) = resolved(&text);
    assert_eq!(
        warnings,
        ["task.yaml:3:1: `online-ddl` in the task file has no effect yet"],
        "a default that is written out is no warning"
    );
    let twice = TASK.replace(
        "  mydumper-config-name: \"global\"",
        "  mydumper-config-name: global\n  column-mapping-rules: [x]",
    );
    let (_, warnings) = resolved(&twice);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let (_, warnings) = parse_source("enable-relay: true\npurge: {expires: 3}", "s").unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn instances_and_source_files_must_meet() {
    let error = fails(&TASK.replace("aurora-replica-02", "aurora-replica-03"));
    assert!(
        error.contains("no source file has the source-id `aurora-replica-03`"),
        "{error}"
    );
    assert!(
        error.contains("aurora-replica-01, aurora-replica-02"),
        "{error}"
    );
    let second = TASK.find("- source-id: \"aurora-replica-02\"").unwrap();
    let rest = TASK.find("# The configuration of block").unwrap();
    let one = format!("{}{}", &TASK[..second], &TASK[rest..]);
    let (_, warnings) = resolved(&one);
    assert_eq!(
        warnings,
        ["source2.yaml:2:1: the source `aurora-replica-02` is not used by any entry of the task"]
    );
    let error = fails(&TASK.replace("aurora-replica-02", "aurora-replica-01"));
    assert!(
        error.contains("names the source `aurora-replica-01` twice"),
        "{error}"
    );
    let twice = [sources(), sources()].concat();
    let error = resolve(&task(TASK), &twice, &Options::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("has the same source-id"), "{error}");
}

#[test]
fn names_must_be_found() {
    let error = fails(&TASK.replace(
        "mydumper-config-name: \"global\"",
        "mydumper-config-name: globl",
    ));
    assert!(
        error.contains("`mydumper-config-name` names `globl`"),
        "{error}"
    );
    assert!(error.contains("did you mean `global`?"), "{error}");
    let both = TASK.replace(
        "  mydumper-config-name: \"global\"\n",
        "  mydumper-config-name: global\n  mydumper: {threads: 2}\n",
    );
    assert!(fails(&both).contains("both `mydumper-config-name` and an inline `mydumper`"));
}

#[test]
fn inline_sections_and_thread_overrides() {
    let text = TASK.replace(
        "  mydumper-config-name: \"global\"\n",
        "  mydumper: {threads: 2, chunk-filesize: 128, extra-args: '-t 3'}\n  mydumper-thread: 9\n  loader-thread: 5\n",
    );
    let (task, warnings) = resolved(&text);
    assert_eq!(task.sources[0].dump.threads, 9);
    assert_eq!(task.sources[0].dump.chunk_bytes, 128 << 20);
    assert_eq!(task.sources[0].load.pool_size, 5);
    assert_eq!(
        warnings.len(),
        1,
        "the named section is not used: {warnings:?}"
    );
}

#[test]
fn extra_args_that_cannot_be_honoured_are_errors_with_a_place() {
    let error = fails(&TASK.replace("--consistency none", "--sql 'select 1'"));
    assert!(error.starts_with("task.yaml:"), "{error}");
    assert!(
        error.contains("`extra-args`: `--sql` cannot be honoured; choose rows by"),
        "{error}"
    );
}

#[test]
fn the_old_name_of_the_block_allow_list() {
    let text = TASK.replace("block-allow-list:", "black-white-list:");
    let (task, warnings) = resolved(&text);
    assert_eq!(warnings, Vec::<String>::new());
    assert!(!task.sources[0].filter.includes("ignore_me", "t"));
}

#[test]
fn routes_are_checked() {
    let with = |rule: &str| {
        let names = TASK.replace(
            "  block-allow-list: \"global\"",
            "  block-allow-list: global\n  route-rules: [r]",
        );
        format!("{names}\nroutes:\n  r: {{{rule}}}\n")
    };
    let (task, _) = resolved(&with("schema-pattern: 'mig*', target-schema: shop"));
    assert_eq!(
        task.sources[0].router.route("migrate_me", "t").unwrap().0,
        "shop"
    );
    assert!(fails(&with("target-schema: shop")).contains("route `r` has no `schema-pattern`"));
    let extract = "schema-pattern: a, table-pattern: b, target-schema: c, target-table: d, \
                   extract-table: {table-regexp: 'x', target-column: y}";
    let error = fails(&with(extract));
    assert!(
        error.contains("`extract-table` in route `r` is not supported yet"),
        "{error}"
    );
}

#[test]
fn security_in_both_forms() {
    use base64::Engine as _;
    let pem = base64::engine::general_purpose::STANDARD.encode("-----BEGIN CERTIFICATE-----");
    let with = |security: &str| {
        let text =
            format!("source-id: aurora-replica-01\nfrom:\n  host: h\n  security: {{{security}}}\n");
        let one = parse_source(&text, "s.yaml").unwrap().0;
        let two = sources().remove(1);
        resolve(&task(TASK), &[one, two], &Options::default())
            .map(|(task, _)| task.sources[0].from.security.clone())
    };
    assert_eq!(with("ssl-ca: ''").unwrap(), None, "DM's template");
    let security = with("ssl-ca: /ca.pem, cert-allowed-cn: [db]")
        .unwrap()
        .unwrap();
    assert_eq!(security.ca.unwrap().to_str(), Some("/ca.pem"));
    assert_eq!(security.allowed_cn, ["db"]);
    let security = with(&format!("ssl-ca-base64: {pem}")).unwrap().unwrap();
    assert_eq!(security.ca_pem.unwrap(), b"-----BEGIN CERTIFICATE-----");
    assert!(
        with("ssl-ca-base64: '*'")
            .unwrap_err()
            .to_string()
            .contains("is not base64")
    );
    assert!(
        with("ssl-cert: /c")
            .unwrap_err()
            .to_string()
            .contains("without `ssl-key`")
    );
    let both = with(&format!("ssl-ca: /ca.pem, ssl-ca-base64: {pem}"))
        .unwrap_err()
        .to_string();
    assert!(both.contains("both `ssl-ca` and `ssl-ca-base64`"), "{both}");
}

#[test]
fn meta_needs_a_place() {
    let text = TASK.replace("\"all\"", "incremental").replace(
        "  block-allow-list: \"global\"",
        "  block-allow-list: global\n  meta: {binlog-pos: 4}",
    );
    assert!(fails(&text).contains("`meta` gives neither `binlog-name` nor `binlog-gtid`"));
    let (task, _) = resolved(&text.replace("binlog-pos: 4", "binlog-name: b.1, binlog-pos: 7"));
    let meta = task.sources[0].meta.clone().unwrap();
    assert_eq!(
        (meta.binlog_name.as_deref(), meta.binlog_pos),
        (Some("b.1"), 7)
    );
}

#[test]
fn unknown_check_items_list_the_known() {
    let error = fails(&format!("ignore-checking-items: [dump_priv]\n{TASK}"));
    assert!(error.contains("unknown check item `dump_priv`"), "{error}");
    assert!(
        error.contains("did you mean `dump_privilege`? Known are: all, "),
        "{error}"
    );
}

#[test]
fn the_fingerprint_follows_what_is_migrated() {
    let print = |text: &str| resolved(text).0.fingerprint();
    let base = print(TASK);
    assert_eq!(base.len(), 64);
    assert_eq!(
        base,
        print(&TASK.replace("87654321", "other")),
        "no password in it"
    );
    assert_eq!(
        base,
        print(&TASK.replace("none\"", "none -t 9\"")),
        "nor speed"
    );
    assert_eq!(base, print(&format!("# a comment\n{TASK}")));
    for (from, to) in [
        ("\"all\"", "full"),
        ("[\"migrate_me\"]", "[migrate_me, more]"),
        ("none\"", "none --where 'id > 5'\""),
        ("--consistency none", "--consistency flush"),
    ] {
        let changed = TASK.replace(from, to);
        assert_ne!(base, print(&changed), "{to}");
        let lines = differences(
            &resolved(TASK).0.resolved_json(),
            &resolved(&changed).0.resolved_json(),
        );
        assert!(!lines.is_empty(), "{to}");
    }
    let full = resolved(&TASK.replace("\"all\"", "full")).0.resolved_json();
    assert_eq!(
        differences(&resolved(TASK).0.resolved_json(), &full),
        ["task-mode: \"all\" -> \"full\""]
    );
}

#[test]
fn every_error_is_exit_code_2() {
    let error = parse_task("nam: x", "t").unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(!error.retryable());
}
