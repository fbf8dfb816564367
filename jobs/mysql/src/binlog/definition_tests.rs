use super::*;
use crate::schema::{KeyDef, KeyPart};

fn def(columns: &[(&str, &str)]) -> TableDef {
    TableDef {
        name: TableName::new("a", "b"),
        create_sql: String::new(),
        columns: columns
            .iter()
            .map(|(name, ty)| ColumnDef::new(*name, *ty))
            .collect(),
        keys: Vec::new(),
        engine: None,
        charset: None,
        collation: None,
        foreign_keys: Vec::new(),
        partitioned: false,
    }
}

fn map(columns: &[(u8, Layout)]) -> TableMap {
    TableMap {
        id: 1,
        name: TableName::new("a", "b"),
        columns: columns.iter().map(|(_, layout)| *layout).collect(),
        types: columns.iter().map(|(number, _)| *number).collect(),
        nullable: vec![true; columns.len()],
        metadata: Vec::new(),
    }
}

fn check(map: &TableMap, def: &TableDef) -> Result<(), Mismatch> {
    matches(map, &Metadata::default(), def)
}

const TEXT: Layout = Layout::Text { length: 1 };

#[test]
fn types_on_the_wire() {
    let long = Layout::Text { length: 2 };
    for (ty, number, layout, good) in [
        ("int unsigned", 3, Layout::Int(4), true),
        ("int", 8, Layout::Int(8), false),
        (
            "decimal(10,2)",
            246,
            Layout::Decimal {
                precision: 10,
                scale: 2,
            },
            true,
        ),
        (
            "decimal(10,3)",
            246,
            Layout::Decimal {
                precision: 10,
                scale: 2,
            },
            false,
        ),
        ("datetime(3)", 18, Layout::DateTime(3), true),
        ("datetime", 12, Layout::OldDateTime, true),
        ("datetime(3)", 12, Layout::OldDateTime, false),
        ("timestamp(6)", 17, Layout::Timestamp(0), false),
        ("char(10)", STRING, TEXT, true),
        ("char(10)", VARCHAR, TEXT, false),
        ("varchar(80)", VARCHAR, long, true),
        ("varchar(300)", VARCHAR, TEXT, false),
        ("varbinary(300)", VARCHAR, long, true),
        ("binary(3)", STRING, long, false),
        ("mediumtext", 252, Layout::Blob { length: 3 }, true),
        ("blob", 252, Layout::Blob { length: 3 }, false),
        ("point", GEOMETRY, Layout::Blob { length: 4 }, true),
        ("longblob", GEOMETRY, Layout::Blob { length: 4 }, false),
        ("json", 245, Layout::Json { length: 4 }, true),
        ("json", 252, Layout::Blob { length: 4 }, true),
        ("enum('a','b')", 247, Layout::Enum(1), true),
        ("set('a','b')", 247, Layout::Enum(1), false),
        ("bit(9)", 16, Layout::Bit(9), true),
        ("uuid", STRING, TEXT, true),
        ("varchar(10)", 141, Layout::Compressed { length: 1 }, false),
    ] {
        let found = check(&map(&[(number, layout)]), &def(&[("c", ty)]));
        assert_eq!(found.is_ok(), good, "{ty}: {found:?}");
    }
    let error = check(&map(&[(8, Layout::Int(8))]), &def(&[("c", "int")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column c of table `a`.`b` is BIGINT (type 8) in the binlog and int in the definition known \
         for this position: a change of the definition was missed"
    );
}

#[test]
fn what_was_sent_beside() {
    let map = map(&[(3, Layout::Int(4)), (VARCHAR, TEXT), (247, Layout::Enum(1))]);
    let mut def = def(&[
        ("i", "int unsigned"),
        ("v", "varchar(9)"),
        ("e", "enum('a','b')"),
    ]);
    def.columns[1].charset = Some("utf8".into());
    let sent = |unsigned: bool, collation: u32, name: &str, members: usize| Metadata {
        columns: vec![
            ColumnMetadata {
                unsigned: Some(unsigned),
                ..ColumnMetadata::default()
            },
            ColumnMetadata {
                collation: Some(collation),
                name: Some(name.into()),
                ..ColumnMetadata::default()
            },
            ColumnMetadata {
                members: Some(vec![Vec::new(); members]),
                ..ColumnMetadata::default()
            },
        ],
        primary_key: None,
    };
    for (metadata, column) in [
        (sent(true, 33, "V", 2), None),
        // utf8mb3_bin, and one that nobody knows.
        (sent(true, 83, "v", 2), None),
        (sent(true, 60_000, "v", 2), None),
        (sent(false, 33, "v", 2), Some("i")),
        (sent(true, 45, "v", 2), Some("v")),
        (sent(true, 63, "v", 2), Some("v")),
        (sent(true, 33, "w", 2), Some("v")),
        (sent(true, 33, "v", 3), Some("e")),
    ] {
        let found = match matches(&map, &metadata, &def) {
            Ok(()) => None,
            Err(Mismatch::Column { column, .. }) => Some(column),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found.as_deref(), column);
    }
}

#[test]
fn columns_that_mariadb_hides() {
    let mut def = def(&[("i", "int"), ("t", "text")]);
    let shown = [(3, Layout::Int(4)), (252, Layout::Blob { length: 2 })];
    let with = |more: &[(u8, Layout)]| map(&[&shown[..], more].concat());
    let (time, hash) = ((17, Layout::Timestamp(6)), (8, Layout::Int(8)));
    let passes = |map: &TableMap, def: &TableDef| check(map, def).is_ok();
    assert!(passes(&with(&[]), &def));
    assert!(!passes(&map(&shown[..1]), &def));
    assert!(!passes(&with(&[time, time]), &def) && !passes(&with(&[hash]), &def));
    def.create_sql = "CREATE TABLE … WITH SYSTEM VERSIONING".into();
    assert!(passes(&with(&[time, time]), &def));
    assert_eq!(history_column(&with(&[time, time]), &def), Some(3));
    assert_eq!(history_column(&with(&[]), &def), None);
    assert!(!passes(&with(&[time, time, hash]), &def));
    def.keys.push(KeyDef {
        name: "t".into(),
        primary: false,
        unique: true,
        parts: vec![KeyPart {
            column: Some("t".into()),
            prefix: None,
            expression: None,
        }],
    });
    assert!(passes(&with(&[time, time, hash]), &def) && passes(&with(&[hash]), &def));
    assert!(!passes(&with(&[hash, hash]), &def));
    let mut metadata = Metadata {
        columns: vec![ColumnMetadata::default(); 3],
        primary_key: None,
    };
    metadata.columns[2].name = Some("DB_ROW_HASH_1".into());
    assert!(matches(&with(&[hash]), &metadata, &def).is_ok());
    metadata.columns[2].name = Some("more".into());
    assert!(matches(&with(&[hash]), &metadata, &def).is_err());
}
