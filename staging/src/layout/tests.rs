//! Names must come back from their keys, must not meet, and must fit a file name.

use proptest::prelude::*;

use super::*;

/// What Lightning does to a file name (Go's url.PathUnescape).
fn decode(encoded: &str) -> String {
    let bytes = encoded.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            decoded.push(u8::from_str_radix(&encoded[at + 1..at + 3], 16).unwrap());
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(decoded).unwrap()
}

#[test]
fn names_are_encoded_as_dumpling_does_it() {
    for (name, encoded) in [
        ("plain_name$1", "plain_name$1"),
        ("a.b", "a%2Eb"),
        ("100%", "100%25"),
        (r#"""*/:<>?\|"#, "%22%22%2A%2F%3A%3C%3E%3F%5C%7C"),
        ("t-schema", "t%2Dschema"),
        ("t-Schema-x", "t%2DSchema-x"),
        ("t-sch", "t-sch"),
        ("tab\there", "tab%09here"),
        ("日本語 ü", "日本語 ü"),
        ("..", "%2E%2E"),
        ("x#1", "x%231"),
    ] {
        assert_eq!(encode_name(name), encoded, "{name}");
    }
}

#[test]
fn keys_are_where_the_design_says() {
    let task = TaskKeys::new("task");
    let source = task.source("mysql-01");
    for (found, expected) in [
        (task.task(), "task/task.json"),
        (task.lease("finish", 7), "task/leases/finish/00000007.json"),
        (
            task.status("dump", "mysql-01", 3),
            "task/status/dump/mysql-01/3.json",
        ),
        (task.run("r1"), "task/runs/r1.json"),
        (task.control(12), "task/control/00000012.json"),
        (source.start(), "task/mysql-01/start.json"),
        (
            source.schema_create("d"),
            "task/mysql-01/dump/d-schema-create.sql",
        ),
        (
            source.table_schema("d", "t"),
            "task/mysql-01/dump/d.t-schema.sql",
        ),
        (
            source.view_schema("d", "v"),
            "task/mysql-01/dump/d.v-schema-view.sql",
        ),
        (
            source.chunk_data("d", "t", 12, 345),
            "task/mysql-01/dump/d.t.000000012000345.parquet",
        ),
        (source.plan(0), "task/mysql-01/dump/_tideway/plan.json"),
        (
            source.plan(1),
            "task/mysql-01/dump/_tideway/plan-000001.json",
        ),
        (
            source.chunk_marker("d", "t.u", 12),
            "task/mysql-01/dump/_tideway/chunks/d.t%2Eu.000000012.json",
        ),
        (
            source.manifest(),
            "task/mysql-01/dump/_tideway/manifest.json",
        ),
    ] {
        assert_eq!(found.as_ref(), expected);
    }
}

#[test]
fn a_source_cannot_take_a_folder_of_the_task() {
    let task = TaskKeys::new("task");
    for name in RESERVED {
        let root = task.source(name).root();
        assert!(!root.as_ref().ends_with(&format!("/{name}")), "{root}");
        assert_ne!(root, task.source(&format!("{name}x")).root());
    }
}

#[test]
fn long_names_differ_by_their_hash_alone() {
    let name = "ü".repeat(64) + &".".repeat(64);
    let other = format!("{}!", &name[..name.len() - 1]);
    let (a, b) = (encode_name(&name), encode_name(&other));
    assert!(a.len() <= 200 && b.len() <= 200, "{a} {b}");
    assert_ne!(a, b);
    assert_eq!(a[..150], b[..150]);
}

#[test]
fn segments_parse_back() {
    let keys = TaskKeys::new("t").source("s");
    for (zstd, name) in [
        (true, "t/s/binlog/000000000012-0af3.binlog.zst"),
        (false, "t/s/binlog/000000000012-0af3.binlog"),
    ] {
        let data = keys.segment_data(12, "0af3", zstd);
        assert_eq!(data.as_ref(), name);
        let file = SegmentFile::parse(&data).unwrap();
        assert_eq!((file.number, file.attempt.as_str()), (12, "0af3"));
        assert_eq!(parse_segment_marker(&data), None);
    }
    let marker = keys.segment_marker(12);
    assert_eq!(marker.as_ref(), "t/s/binlog/000000000012.json");
    assert_eq!(parse_segment_marker(&marker), Some(12));
    assert_eq!(SegmentFile::parse(&marker), None);
}

proptest! {
    #[test]
    fn every_name_comes_back(name in any::<String>().prop_filter("not empty", |n| !n.is_empty())) {
        let encoded = encode_name(&name);
        prop_assert!(encoded.len() <= 200);
        prop_assert!(!encoded.contains(['/', '.', '#']));
        if encode(&name).len() <= 200 {
            prop_assert_eq!(decode(&encoded), name);
        } else {
            // Cut outside an escape.
            decode(encoded.rsplit_once('~').unwrap().0);
        }
    }

    #[test]
    fn chunk_files_parse_back(
        db in "\\PC{1,64}", table in "\\PC{1,64}",
        number in any::<u32>(), attempt in 0u32..1_000_000,
    ) {
        let keys = TaskKeys::new("t").source("s");
        let data = keys.chunk_data(&db, &table, number, attempt);
        prop_assert!(data.filename().unwrap().len() <= 255);
        let stem = table_stem(&db, &table);
        prop_assert_eq!(stem.matches('.').count(), 1);
        prop_assert_eq!(ChunkFile::parse(&data), Some(ChunkFile { stem: stem.clone(), number, attempt }));
        let marker = keys.chunk_marker(&db, &table, number);
        prop_assert!(marker.filename().unwrap().len() <= 255);
        prop_assert_eq!(parse_chunk_marker(&marker), Some((stem, number)));
    }
}
