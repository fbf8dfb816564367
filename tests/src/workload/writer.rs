//! Random transactions of one connection.

use rand::Rng;
use rand::rngs::StdRng;

use super::Options;
use super::schema::{KEYS, MADE};
use super::values;
use crate::servers::Server;

/// Draws the transactions of one connection.
#[derive(Debug)]
pub struct Writer {
    random: StdRng,
    prefix: String,
    other: String,
    number: u64,
    mysql: bool,
}

impl Writer {
    /// A connection's writer; `number` tells the connections of a workload apart.
    #[must_use]
    pub fn new(random: StdRng, options: &Options, number: u64) -> Self {
        Self {
            random,
            prefix: options.prefix.clone(),
            other: format!("`{}_other`.aside", options.database),
            number,
            mysql: options.server != Server::MariaDb,
        }
    }

    /// Settings of its session: each connection writes its binlog in another way.
    #[must_use]
    pub fn session(&self) -> Vec<String> {
        let mut statements = Vec::new();
        if self.number % 2 == 1 {
            statements.push("SET time_zone = '-07:30'".to_owned());
        }
        if self.mysql && self.number % 4 == 1 {
            statements.push("SET SESSION binlog_transaction_compression = ON".to_owned());
        }
        if self.mysql && self.number % 4 == 2 {
            statements.push("SET SESSION binlog_row_value_options = PARTIAL_JSON".to_owned());
        }
        statements
    }

    /// The statements of the next transaction; one alone commits by itself.
    pub fn transaction(&mut self) -> Vec<String> {
        if self.random.random_bool(0.4) {
            // What is more than one statement belongs together.
            let statements = self.change();
            if statements.len() == 1 {
                return statements;
            }
            return Self::within(statements, "COMMIT");
        }
        let mut statements = Vec::new();
        for _ in 0..self.random.random_range(1..5) {
            statements.extend(self.change());
        }
        if self.random.random_bool(0.2) {
            statements.push("SAVEPOINT here".to_owned());
            statements.extend(self.change());
            statements.push("SAVEPOINT `further on`".to_owned());
            statements.extend(self.change());
            let back = ["here", "`further on`"][self.random.random_range(0..2)];
            statements.push(format!("ROLLBACK TO SAVEPOINT {back}"));
            statements.extend(self.change());
        }
        let end = if self.random.random_bool(0.12) {
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        Self::within(statements, end)
    }

    fn within(mut statements: Vec<String>, end: &str) -> Vec<String> {
        statements.insert(0, "BEGIN".to_owned());
        statements.push(end.to_owned());
        statements
    }

    fn key(&mut self) -> u32 {
        self.random.random_range(1..=KEYS)
    }

    /// One change, of one or a few statements.
    fn change(&mut self) -> Vec<String> {
        match self.random.random_range(0..100) {
            0..=19 => vec![self.accounts()],
            20..=29 => vec![self.pairs()],
            30..=49 => self.uniques(),
            50..=62 => self.folded(),
            63..=66 => vec![self.nokey()],
            67..=70 => vec![self.nullable()],
            71..=81 => vec![self.wide()],
            82..=97 => vec![self.plain()],
            _ => {
                let key = self.key();
                vec![format!(
                    "REPLACE INTO {} VALUES ({key}, 'aside')",
                    self.other
                )]
            }
        }
    }

    fn accounts(&mut self) -> String {
        let t = format!("{}accounts", self.prefix);
        let (key, n) = (self.key(), self.random.random_range(-50..50));
        // Keys that moved away are written, too.
        let key = if self.random.random_bool(0.2) {
            key + 10 * KEYS
        } else {
            key
        };
        match self.random.random_range(0..12) {
            0 => format!("INSERT INTO {t} (id, name, n) VALUES ({key}, 'new {n}', {n})"),
            1 => format!(
                "REPLACE INTO {t} (id, name, n, amount) VALUES ({key}, 'put 東 {n}', {n}, {n}.25), ({}, NULL, NULL, NULL)",
                key + 1
            ),
            2 => format!(
                "INSERT INTO {t} (id, name, n) VALUES ({key}, 'in', 1) ON DUPLICATE KEY UPDATE n = {n}, name = CONCAT('up', id)"
            ),
            3 => format!("INSERT IGNORE INTO {t} (id, name) VALUES ({key}, 'perhaps')"),
            4 | 5 => format!("DELETE FROM {t} WHERE id = {key}"),
            6 => format!(
                "UPDATE {t} SET id = IF(id > {base}, id - {base}, id + {base}) WHERE id = {key}",
                base = 10 * KEYS
            ),
            7 => format!(
                "UPDATE {t} SET n = n + 1 WHERE id BETWEEN {key} AND {}",
                key + 20
            ),
            // Keys of this kind are given by the server: rows of their own, removed again by others.
            8 => format!("DELETE FROM {t} WHERE id > {} LIMIT 3", 12 * KEYS),
            9 => format!("INSERT INTO {t} (name, n) VALUES ('given', {n})"),
            _ => format!("UPDATE {t} SET n = {n}, amount = amount * 1.01 + {n} WHERE id = {key}"),
        }
    }

    fn pairs(&mut self) -> String {
        let t = format!("{}pairs", self.prefix);
        let (a, b) = (
            self.random.random_range(0..30),
            self.random.random_range(0..20),
        );
        match self.random.random_range(0..6) {
            0 => format!("INSERT INTO {t} VALUES ({a}, 'b{b}', 'in', '2024-02-29 01:02:03.456')"),
            1 => format!(
                "REPLACE INTO {t} VALUES ({a}, 'b{b}', REPEAT('r', {a}), NULL), ({b}, 'b{a}', '', NOW(3))"
            ),
            2 => format!("DELETE FROM {t} WHERE a = {a} AND b = 'b{b}'"),
            3 => format!(
                "UPDATE IGNORE {t} SET a = a + 1, b = CONCAT('b', {b}) WHERE a = {a} AND b = 'b{b}'"
            ),
            4 => format!("UPDATE {t} SET b = UPPER(b) WHERE a = {a}"),
            _ => format!("UPDATE {t} SET v = CONCAT(LEFT(v, 40), '{b}') WHERE a = {a}"),
        }
    }

    fn uniques(&mut self) -> Vec<String> {
        let t = format!("{}uniques", self.prefix);
        let (x, y) = (self.key() % 200, self.key() % 200);
        let n = self.random.random_range(0..400);
        let aside = -1 - i64::try_from(self.number).unwrap_or(0);
        match self.random.random_range(0..9) {
            // Two rows change places in a unique index.
            0..=2 => {
                let column = ["a", "b"][self.random.random_range(0..2)];
                vec![
                    format!(
                        "SET @x = (SELECT {column} FROM {t} WHERE id = {x} FOR UPDATE), @y = (SELECT {column} FROM {t} \
                         WHERE id = {y} FOR UPDATE)"
                    ),
                    format!("UPDATE {t} SET {column} = {aside} WHERE id = {x}"),
                    format!("UPDATE {t} SET {column} = @x WHERE id = {y}"),
                    format!("UPDATE {t} SET {column} = @y WHERE id = {x}"),
                ]
            }
            3 => vec![format!(
                "REPLACE INTO {t} VALUES ({x}, {n}, {y}, 'C{n}', {n})"
            )],
            4 => vec![format!(
                "INSERT INTO {t} VALUES ({x}, {n}, NULL, 'c{y}', 1) ON DUPLICATE KEY UPDATE v = v + 1, b = {n}"
            )],
            5 => vec![
                format!("DELETE FROM {t} WHERE id = {x}"),
                format!("INSERT INTO {t} VALUES ({y}, {n}, {n}, 'c{x}', 2)"),
            ],
            6 => vec![format!(
                "UPDATE IGNORE {t} SET c = IF(c LIKE BINARY 'c%', UPPER(c), LOWER(c)), id = {y} WHERE id = {x}"
            )],
            7 => vec![format!(
                "UPDATE IGNORE {t} SET a = a + 1 WHERE id BETWEEN {x} AND {} ORDER BY a DESC",
                x + 10
            )],
            _ => vec![format!("DELETE FROM {t} WHERE a = {n}")],
        }
    }

    fn folded(&mut self) -> Vec<String> {
        let t = format!("{}folded", self.prefix);
        let n = self.random.random_range(0..100);
        let key = ["key", "KEY", "Key", "kéy"][self.random.random_range(0..4)];
        match self.random.random_range(0..6) {
            0 | 1 => vec![
                format!("DELETE FROM {t} WHERE k = 'key{n}'"),
                format!("INSERT INTO {t} VALUES ('{key}{n}', {n})"),
            ],
            2 => vec![format!("UPDATE {t} SET k = '{key}{n}' WHERE k = 'key{n}'")],
            3 => vec![format!("REPLACE INTO {t} VALUES ('{key}{n}', -{n})")],
            4 => vec![format!("DELETE FROM {t} WHERE k = '{key}{n}'")],
            _ => vec![format!(
                "INSERT INTO {t} VALUES ('{key}{n}', 1) ON DUPLICATE KEY UPDATE k = '{key}{n}', n = n + 1"
            )],
        }
    }

    fn nokey(&mut self) -> String {
        let t = format!("{}nokey", self.prefix);
        let (a, b) = (
            self.random.random_range(0..7),
            self.random.random_range(0..3),
        );
        match self.random.random_range(0..4) {
            0 | 1 => format!(
                "INSERT INTO {t} VALUES ({a}, 'b{b}', {a} / 3), ({a}, 'b{b}', {a} / 3), (NULL, NULL, NULL)"
            ),
            2 => format!("UPDATE {t} SET b = 'B{a}', d = d / 7 WHERE a = {a} LIMIT 2"),
            _ => format!("DELETE FROM {t} WHERE a = {a} OR a IS NULL"),
        }
    }

    fn nullable(&mut self) -> String {
        let t = format!("{}nullable", self.prefix);
        let n = self.random.random_range(0..60);
        match self.random.random_range(0..5) {
            0 => format!("INSERT INTO {t} VALUES (NULL, {n}), (NULL, {n})"),
            1 => format!("REPLACE INTO {t} VALUES ({n}, 1)"),
            2 => format!("UPDATE {t} SET a = NULL WHERE a = {n}"),
            3 => format!("DELETE FROM {t} WHERE a IS NULL AND b = {n}"),
            _ => format!("UPDATE IGNORE {t} SET a = {n}, b = b + 1 WHERE b = {n} LIMIT 1"),
        }
    }

    fn wide(&mut self) -> String {
        let t = format!("{}wide", self.prefix);
        let key = self.key() % 120;
        let mut columns: Vec<(&str, String)> = Vec::new();
        for _ in 0..self.random.random_range(1..9) {
            let (name, value) = values::column(&mut self.random);
            if !columns.iter().any(|(other, _)| *other == name) {
                columns.push((name, value));
            }
        }
        match self.random.random_range(0..6) {
            0 => format!("DELETE FROM {t} WHERE id = {key}"),
            1 | 2 => {
                columns.retain(|(name, _)| *name != "j");
                let names: String = columns
                    .iter()
                    .map(|(name, _)| format!(", {name}"))
                    .collect();
                let values: String = columns.iter().map(|(_, v)| format!(", {v}")).collect();
                format!("REPLACE INTO {t} (id{names}) VALUES ({key}{values})")
            }
            _ => {
                let sets: Vec<String> = columns
                    .iter()
                    .map(|(name, v)| format!("{name} = {v}"))
                    .collect();
                format!("UPDATE {t} SET {} WHERE id = {key}", sets.join(", "))
            }
        }
    }

    /// Tables whose definitions change meanwhile: all have `id` and `v`.
    fn plain(&mut self) -> String {
        let made = format!("made{}", self.random.random_range(0..MADE));
        let tables = [
            "shape", "shape", "shadow", "shadow", "lefty", "righty", "emptied", "indexed", &made,
            &made,
        ];
        let table = tables[self.random.random_range(0..tables.len())];
        let t = format!("{}{table}", self.prefix);
        let key = self.key();
        match self.random.random_range(0..6) {
            0 => format!("INSERT INTO {t} (id, v) VALUES ({key}, 'in')"),
            1 if !table.starts_with("made") => format!(
                "REPLACE INTO {t} (id, v) VALUES ({key}, 'put'), ({}, 'put')",
                key + 1
            ),
            2 => format!("DELETE FROM {t} WHERE id = {key}"),
            3 if table == "shape" => {
                let x = self.random.random_range(0..3);
                format!(
                    "UPDATE {t} SET x{x} = id WHERE id BETWEEN {key} AND {}",
                    key + 5
                )
            }
            4 if table == "indexed" => format!("UPDATE {t} SET n = n + 1 WHERE id = {key}"),
            5 => format!("UPDATE IGNORE {t} SET id = id + 1 WHERE id = {key}"),
            _ => format!("UPDATE {t} SET v = CONCAT('up', {key}) WHERE id = {key}"),
        }
    }
}
