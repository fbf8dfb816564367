//! Random changes of definitions: each drawn as one or a few statements, which may fail.

use rand::Rng;
use rand::rngs::StdRng;

use super::Options;
use super::schema::{MADE, SUFFIX};

/// The next change.
pub fn next(random: &mut StdRng, options: &Options) -> Vec<String> {
    let p = &options.prefix;
    let number = random.random_range(0..3);
    let column = format!("x{number}");
    // Never the same: TiDB refuses an ALTER that adds and drops columns of one name.
    let other = format!("x{}", (number + random.random_range(1..3)) % 3);
    let made = format!("{p}made{}", random.random_range(0..MADE));
    let index = random.random_range(0..2);
    match random.random_range(0..19) {
        0..=2 => vec![format!(
            "ALTER TABLE {p}shape ADD COLUMN {column} {}{}",
            kind(random),
            ["", " FIRST", " AFTER id"][random.random_range(0..3)]
        )],
        3 | 4 => vec![format!("ALTER TABLE {p}shape DROP COLUMN {column}")],
        5 => vec![format!(
            "ALTER TABLE {p}shape ADD COLUMN {column} {}, DROP COLUMN {other}",
            kind(random)
        )],
        6 => vec![format!(
            "ALTER TABLE {p}shape RENAME COLUMN {column} TO {other}"
        )],
        7 => vec![format!(
            "ALTER TABLE {p}shape MODIFY COLUMN v VARCHAR({})",
            random.random_range(60..90)
        )],
        8 | 9 => replaced(random, p),
        10 | 11 => vec![format!(
            "RENAME TABLE {p}lefty TO {p}between, {p}righty TO {p}lefty, {p}between TO {p}righty"
        )],
        12 => vec![format!("TRUNCATE TABLE {p}emptied")],
        13 => vec![
            format!("DROP TABLE IF EXISTS {made}"),
            format!(
                "CREATE TABLE {made} (id INT PRIMARY KEY, v VARCHAR(60), w {}) {SUFFIX}",
                kind(random)
            ),
        ],
        14 => vec![
            format!("DROP TABLE IF EXISTS {made}"),
            format!(
                "CREATE TABLE {made} (PRIMARY KEY (id)) {SUFFIX} AS SELECT id, v FROM {p}shadow WHERE id % 5 = {}",
                random.random_range(0..5)
            ),
        ],
        15 => vec![
            format!("DROP TABLE IF EXISTS {made}"),
            format!(
                "CREATE TABLE {made} {SUFFIX} AS SELECT id, v FROM {p}shadow WHERE id < {}",
                random.random_range(5..50)
            ),
        ],
        16 => vec![format!(
            "ALTER TABLE {p}indexed ADD INDEX i{index} (n, v(10))"
        )],
        17 => vec![format!("DROP INDEX i{index} ON {p}indexed")],
        _ => vec![
            format!("DROP INDEX u{index} ON {p}indexed"),
            format!("CREATE UNIQUE INDEX u{index} ON {p}indexed (n, id)"),
            format!("CREATE OR REPLACE VIEW {p}seen AS SELECT id FROM {p}accounts"),
            format!("ANALYZE TABLE {p}accounts"),
        ],
    }
}

fn kind(random: &mut StdRng) -> &'static str {
    [
        "INT NULL DEFAULT 5",
        "VARCHAR(20) NOT NULL DEFAULT 'd''x'",
        "DATETIME NULL",
        "DECIMAL(10,2) NOT NULL DEFAULT 1.50",
        "BIGINT UNSIGNED NULL",
    ][random.random_range(0..5)]
}

/// As tools for online schema changes do: a new table under another name takes the old one's place.
fn replaced(random: &mut StdRng, p: &str) -> Vec<String> {
    let kind = kind(random);
    let mut statements = vec![
        format!("DROP TABLE IF EXISTS {p}shadow_new"),
        format!(
            "CREATE TABLE {p}shadow_new (id INT PRIMARY KEY, v VARCHAR(60), w {kind}) {SUFFIX}"
        ),
        format!("INSERT INTO {p}shadow_new (id, v) SELECT id, v FROM {p}shadow"),
    ];
    if random.random_bool(0.5) {
        statements.push(format!("DROP TABLE {p}shadow"));
        statements.push(format!("RENAME TABLE {p}shadow_new TO {p}shadow"));
    } else {
        statements.push(format!(
            "RENAME TABLE {p}shadow TO {p}shadow_old, {p}shadow_new TO {p}shadow"
        ));
        statements.push(format!("DROP TABLE {p}shadow_old"));
    }
    statements
}
