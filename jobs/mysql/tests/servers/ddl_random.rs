//! Random statements that a server mostly takes.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};
use tideway_mysql::schema::{Generated, TableDef};

pub struct Generator {
    rng: StdRng,
    maria: bool,
    next: u32,
}

const TABLES: [&str; 6] = ["t1", "t2", "t3", "T4", "`t 5`", "té"];

impl Generator {
    pub fn new(seed: u64, maria: bool) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            maria,
            next: 0,
        }
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.choose(&mut self.rng).copied().unwrap()
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn number(&mut self, from: u32, to: u32) -> u32 {
        self.rng.random_range(from..=to)
    }

    /// A statement for a database with these tables.
    pub fn statement(&mut self, tables: &[TableDef]) -> String {
        let Some(table) = tables.choose(&mut self.rng).cloned() else {
            return self.create();
        };
        let name = format!("`{}`", table.name.table);
        match self.number(0, 99) {
            0..=11 => self.create(),
            12..=14 => format!("DROP TABLE {name}"),
            15..=18 => {
                let to = self.one(&TABLES);
                format!("RENAME TABLE {name} TO {to}")
            }
            19..=20 => format!("TRUNCATE TABLE {name}"),
            21..=23 => {
                let to = self.one(&TABLES);
                format!("CREATE TABLE {to} LIKE {name}")
            }
            24..=30 => {
                let kind = self.one(&["", "", "UNIQUE "]);
                let key = self.fresh("k");
                let parts = self.parts(&table);
                format!("CREATE {kind}INDEX {key} ON {name} ({parts})")
            }
            31..=35 => match table.keys.iter().find(|k| !k.primary) {
                Some(key) => format!("DROP INDEX `{}` ON {name}", key.name),
                None => self.create(),
            },
            _ => {
                let count = self.one(&["1", "1", "2", "3", "5"]).parse::<u32>().unwrap();
                let mut specs: Vec<String> = (0..count).map(|_| self.spec(&table)).collect();
                if self.maria && specs.len() > 1 {
                    // MariaDB 10.11 now and then leaves the old table beside the renamed one.
                    specs.retain(|spec| !spec.starts_with("RENAME TO"));
                }
                format!("ALTER TABLE {name} {}", specs.join(", "))
            }
        }
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{}", self.next)
    }

    fn create(&mut self) -> String {
        let name = self.one(&TABLES);
        let count = self.number(1, 7);
        let mut elements = Vec::new();
        let mut columns = Vec::new();
        let mut primary = self.chance(50);
        for _ in 0..count {
            let column = self.fresh("c");
            let mut definition = self.definition(true);
            if primary && self.chance(30) {
                primary = false;
                let key = self.one(&["PRIMARY KEY", "KEY", "UNIQUE", "UNIQUE KEY"]);
                definition = format!(
                    "int {} {key}",
                    self.one(&["", "NOT NULL", "AUTO_INCREMENT"])
                );
            }
            elements.push(format!("{column} {definition}"));
            columns.push(column);
        }
        for _ in 0..self.number(0, 3) {
            let column = columns.choose(&mut self.rng).cloned().unwrap();
            let other = columns.choose(&mut self.rng).cloned().unwrap();
            let prefix = if self.chance(30) {
                format!("({})", self.number(1, 30))
            } else {
                String::new()
            };
            let name = if self.chance(30) {
                self.fresh("k")
            } else {
                String::new()
            };
            let tail = if self.chance(40) && column != other {
                format!(", {other}")
            } else {
                String::new()
            };
            elements.push(match self.number(0, 6) {
                0 if primary => {
                    primary = false;
                    format!("PRIMARY KEY ({column}{tail})")
                }
                1 | 2 => format!(
                    "UNIQUE {} {name} ({column}{prefix}{tail})",
                    self.one(&["", "KEY", "INDEX"])
                ),
                3 => format!("CONSTRAINT {} UNIQUE ({column}{prefix})", self.fresh("s")),
                4 if !self.maria => format!("KEY {name} ((lower({column})), {other})"),
                _ => format!(
                    "{} {name} ({column}{prefix}{tail})",
                    self.one(&["KEY", "INDEX"])
                ),
            });
        }
        if self.chance(60) {
            elements.shuffle(&mut self.rng);
        }
        let options = self.one(&[
            "",
            "",
            "",
            "CHARSET=latin1",
            "DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            "COLLATE latin1_bin",
            "ENGINE=MyISAM CHARSET=utf8",
            "COMMENT 'ENGINE=x'",
            "CHARSET ascii",
            "ROW_FORMAT=DYNAMIC, CHARSET=ucs2",
            "CHARSET=binary",
        ]);
        format!("CREATE TABLE {name} ({}) {options}", elements.join(", "))
    }

    fn definition(&mut self, attributes: bool) -> String {
        let n = self.number(1, 60);
        let ty = match self.number(0, 46) {
            0 => "tinyint(1)".to_owned(),
            1 => format!("tinyint({})", self.number(1, 4)),
            2 => "BOOLEAN".to_owned(),
            3 => "smallint unsigned".to_owned(),
            4 => "MEDIUMINT ZEROFILL".to_owned(),
            5 => "integer".to_owned(),
            6 => format!("int({}) zerofill", self.number(1, 12)),
            7 => "bigint unsigned".to_owned(),
            8 => "int8".to_owned(),
            9 => "decimal".to_owned(),
            10 => format!("numeric({})", self.number(1, 30)),
            11 => format!(
                "dec({},{}) unsigned",
                self.number(10, 30),
                self.number(0, 9)
            ),
            12 => format!("float({})", self.number(0, 53)),
            13 => "float(8,3) unsigned".to_owned(),
            14 => "double precision".to_owned(),
            15 => "real(10,2)".to_owned(),
            16 => format!("bit({})", self.number(0, 64)),
            17 => "year".to_owned(),
            18 => "date".to_owned(),
            19 => format!("time({})", self.number(0, 6)),
            20 => format!("datetime({})", self.number(0, 6)),
            21 => format!("timestamp({})", self.number(0, 6)),
            22 => "char".to_owned(),
            23 => format!("char({n}) binary"),
            24 => format!("varchar({n}) character set latin1"),
            25 => format!("varchar({n}) charset utf8mb4 collate utf8mb4_bin"),
            26 => format!("character varying({n}) collate latin1_general_ci"),
            27 => format!("national varchar({n})"),
            28 => format!("nchar({n})"),
            29 => format!("varchar({n}) charset binary"),
            30 => format!("char({n}) ascii"),
            31 => format!("varchar({n}) unicode"),
            32 => format!("binary({n})"),
            33 => format!("varbinary({n})"),
            34 => format!("text({})", self.number(1, 100_000)),
            35 => format!("blob({})", self.number(1, 100_000)),
            36 => "tinytext charset latin1".to_owned(),
            37 => "mediumtext collate utf8mb4_general_ci".to_owned(),
            38 => self
                .one(&["longtext", "tinytext", "text", "long", "long varchar"])
                .to_owned(),
            39 => self
                .one(&["longblob", "tinyblob", "mediumblob", "long varbinary"])
                .to_owned(),
            40 => r"enum('a ', 'b\\c', 'it''s', 'x,y')".to_owned(),
            41 => "set('a','b') charset utf8".to_owned(),
            42 => "json".to_owned(),
            43 => self
                .one(&["geometry", "point", "geometrycollection", "multipolygon"])
                .to_owned(),
            _ => format!("varchar({n})"),
        };
        if !attributes {
            return ty;
        }
        let mut out = ty;
        match self.number(0, 9) {
            0..=2 => out.push_str(" NOT NULL"),
            3 => out.push_str(" NULL"),
            4 => out.push_str(" DEFAULT NULL"),
            5 if !self.maria => out.push_str(" INVISIBLE"),
            6 => out.push_str(" COMMENT 'UNIQUE, KEY (x)'"),
            7 => out = format!("int AS (1 + {n}) {}", self.one(&["", "VIRTUAL", "STORED"])),
            8 => out.push_str(" /*!50606 COLUMN_FORMAT DEFAULT */ -- x\n"),
            _ => {}
        }
        out
    }

    fn column(&mut self, table: &TableDef) -> String {
        let column = table.columns.choose(&mut self.rng);
        column.map_or_else(|| "c1".to_owned(), |c| format!("`{}`", c.name))
    }

    fn parts(&mut self, table: &TableDef) -> String {
        let mut names: Vec<String> = Vec::new();
        for _ in 0..self.number(1, 3) {
            let column = self.column(table);
            if !names.iter().any(|n| n.starts_with(&column)) {
                let prefix = if self.chance(20) {
                    format!("({})", self.number(1, 40))
                } else {
                    String::new()
                };
                let order = if self.chance(10) { " DESC" } else { "" };
                names.push(format!("{column}{prefix}{order}"));
            }
        }
        names.join(", ")
    }

    fn place(&mut self, table: &TableDef) -> String {
        match self.number(0, 3) {
            0 => " FIRST".to_owned(),
            1 => format!(" AFTER {}", self.column(table)),
            _ => String::new(),
        }
    }

    fn spec(&mut self, table: &TableDef) -> String {
        let column = self.column(table);
        let key = table.keys.choose(&mut self.rng).map(|k| k.name.clone());
        match self.number(0, 30) {
            0..=4 => {
                let (new, place) = (self.fresh("c"), self.place(table));
                let word = self.one(&["ADD", "ADD COLUMN"]);
                format!("{word} {new} {}{place}", self.definition(true))
            }
            5 => {
                let (a, b) = (self.fresh("c"), self.fresh("c"));
                format!(
                    "ADD ({a} {}, {b} {}, KEY ({a}))",
                    self.definition(true),
                    self.definition(true)
                )
            }
            6..=8 => format!("{} {column}", self.one(&["DROP", "DROP COLUMN"])),
            9..=11 => {
                let place = self.place(table);
                format!("MODIFY {column} {}{place}", self.definition(true))
            }
            12 | 13 => {
                let (new, place) = (self.fresh("c"), self.place(table));
                format!("CHANGE {column} {new} {}{place}", self.definition(true))
            }
            14 | 15 => format!("RENAME COLUMN {column} TO {}", self.fresh("c")),
            16 => {
                let other = self.column(table);
                format!("RENAME COLUMN {column} TO {other}, RENAME COLUMN {other} TO {column}")
            }
            17 if !self.maria => format!(
                "ALTER COLUMN {column} SET {}",
                self.one(&["VISIBLE", "INVISIBLE"])
            ),
            17 | 18 => format!(
                "ALTER {column} {}",
                self.one(&["DROP DEFAULT", "SET DEFAULT 1"])
            ),
            19 => format!("ADD UNIQUE ({})", self.parts(table)),
            20 => format!(
                "ADD {} ({})",
                self.one(&["INDEX", "KEY"]),
                self.parts(table)
            ),
            21 => format!("ADD PRIMARY KEY ({})", self.parts(table)),
            22 => self
                .one(&["DROP PRIMARY KEY", "FORCE", "ENGINE=InnoDB"])
                .to_owned(),
            23 | 24 => match key {
                Some(key) => format!("DROP {} `{key}`", self.one(&["INDEX", "KEY"])),
                None => "FORCE".to_owned(),
            },
            25 => match key {
                Some(key) => format!("RENAME INDEX `{key}` TO {}", self.fresh("k")),
                None => "FORCE".to_owned(),
            },
            26 => format!(
                "CONVERT TO CHARACTER SET {}",
                self.one(&[
                    "latin1",
                    "utf8mb4",
                    "utf8",
                    "utf8mb4 COLLATE utf8mb4_bin",
                    "ucs2",
                    "DEFAULT"
                ])
            ),
            27 => self
                .one(&[
                    "CHARSET latin1",
                    "DEFAULT CHARACTER SET = utf8mb4",
                    "COLLATE utf8mb4_bin",
                    "CHARSET ascii",
                ])
                .to_owned(),
            28 => format!("RENAME TO {}", self.one(&TABLES)),
            29 if !table.columns.iter().any(|c| c.generated != Generated::None) => {
                let new = self.fresh("g");
                format!(
                    "ADD {new} varchar(40) GENERATED ALWAYS AS (concat({column}, 'x')) VIRTUAL UNIQUE"
                )
            }
            _ => format!("ADD {} INT UNIQUE, COMMENT = 'a, DROP b'", self.fresh("c")),
        }
    }
}
