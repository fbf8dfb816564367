//! From tokens to a kind of statement and its names.

use super::Context;
use super::alter;
use super::cursor::{Cursor, Name};
use super::lexer;
use super::names::{NameRef, NameRole};
use super::statement::{CreateTable, DmlKind, Kind, Statement};
use super::words::{left_out_verb, object, transaction};

/// What is gathered while a statement is read.
pub(super) struct Parser<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) names: Vec<NameRef>,
}

pub(super) fn statement(text: &str, context: &Context) -> Statement {
    let mut text = text;
    let mut tokens = lexer::significant(text, context);
    let inner = behind_set_statement(&Cursor::new(text, &tokens, context));
    if let Some(rest) = inner.and_then(|start| text.get(start..)) {
        text = rest;
        tokens = lexer::significant(text, context);
    }
    let mut parser = Parser {
        cursor: Cursor::new(text, &tokens, context),
        names: Vec::new(),
    };
    let kind = parser.kind();
    let mut names = parser.names;
    names.sort_by_key(|name| name.range.start);
    Statement {
        kind,
        text: text.to_owned(),
        names,
        tokens,
        context: context.clone(),
    }
}

/// Where the statement behind MariaDB's `SET STATEMENT a=1, b=2 FOR` begins.
fn behind_set_statement(cursor: &Cursor<'_>) -> Option<usize> {
    let mut ahead = cursor.clone();
    if !ahead.eat_all(&["SET", "STATEMENT"]) {
        return None;
    }
    while !ahead.done() {
        if ahead.skip_parens() {
            continue;
        }
        if ahead.eat("FOR") {
            return ahead.peek().map(|token| token.range.start);
        }
        ahead.step();
    }
    None
}

impl Parser<'_> {
    /// Notes a name; its database is the session's where none was written.
    pub(super) fn note(&mut self, role: NameRole, name: Name) -> NameRef {
        let fallback = self.cursor.context.default_schema.clone();
        self.note_in(role, name, fallback)
    }

    fn note_in(&mut self, role: NameRole, name: Name, fallback: Option<String>) -> NameRef {
        let schema = if role == NameRole::Database {
            None
        } else {
            name.schema.or(fallback)
        };
        let name = NameRef {
            role,
            schema,
            name: name.name,
            range: name.range,
        };
        self.names.push(name.clone());
        name
    }

    /// Reads a name here and notes it.
    pub(super) fn name(&mut self, role: NameRole) -> Option<NameRef> {
        let name = self.cursor.name()?;
        Some(self.note(role, name))
    }

    /// Names with commas between them.
    fn list(&mut self, role: NameRole) {
        while self.name(role).is_some() && self.cursor.eat_punct(',') {}
    }

    /// The tables that foreign keys from here to the end refer to. REFERENCES is a reserved word,
    /// so it is nobody's bare name. Where no database is written it is the child table's own.
    pub(super) fn references(&mut self, child: Option<&NameRef>) {
        let mut ahead = self.cursor.clone();
        while !ahead.done() {
            if ahead.eat("REFERENCES") {
                if let Some(name) = ahead.name() {
                    let own = child.and_then(|child| child.schema.clone());
                    self.note_in(NameRole::Reference, name, own);
                }
            } else {
                ahead.step();
            }
        }
    }

    /// The tables of `UNION = (a, b)`, an option of MERGE tables.
    pub(super) fn union(&mut self) {
        let mut ahead = self.cursor.clone();
        while !ahead.done() {
            if ahead.skip_parens() {
                continue;
            }
            if ahead.eat("UNION") {
                ahead.eat_punct('=');
                if let Some(inside) = ahead.parens() {
                    let back = std::mem::replace(&mut self.cursor, ahead.within(inside));
                    self.list(NameRole::Union);
                    self.cursor = back;
                }
            } else {
                ahead.step();
            }
        }
    }

    fn kind(&mut self) -> Kind {
        let cursor = &mut self.cursor;
        if cursor.done() {
            return Kind::LeftOut("comment");
        }
        if let Some(word) = transaction(cursor) {
            return Kind::Transaction(word);
        }
        if let Some(kind) = self.dml() {
            return kind;
        }
        let cursor = &mut self.cursor;
        let Some(verb) = cursor.word() else {
            return Kind::Unknown;
        };
        cursor.step();
        match verb.to_ascii_uppercase().as_str() {
            "CREATE" => self.create(),
            "ALTER" => self.alter(),
            "DROP" => self.drop(),
            "RENAME" => self.rename(),
            "TRUNCATE" => {
                self.cursor.eat("TABLE");
                self.name(NameRole::Table);
                Kind::Truncate
            }
            verb => left_out_verb(verb).map_or(Kind::Unknown, Kind::LeftOut),
        }
    }

    fn create(&mut self) -> Kind {
        let cursor = &mut self.cursor;
        let or_replace = cursor.eat_all(&["OR", "REPLACE"]);
        let temporary = cursor.eat("TEMPORARY");
        cursor.eat("EXTERNAL");
        if cursor.eat("TABLE") {
            return self.create_table(or_replace, temporary);
        }
        if cursor.eat_any(&["DATABASE", "SCHEMA"]) {
            let if_not_exists = cursor.eat_all(&["IF", "NOT", "EXISTS"]);
            self.name(NameRole::Database);
            return Kind::CreateDatabase {
                if_not_exists,
                or_replace,
            };
        }
        if cursor.are(&["SPATIAL", "REFERENCE"]) {
            return Kind::LeftOut("spatial reference system");
        }
        let mut ahead = cursor.clone();
        ahead.eat_any(&["ONLINE", "OFFLINE"]);
        ahead.eat_any(&["UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR"]);
        if ahead.eat("INDEX") {
            *cursor = ahead;
            cursor.eat_all(&["IF", "NOT", "EXISTS"]);
            return self.index(Kind::CreateIndex);
        }
        self.object(Some(NameRole::View))
    }

    /// `… name … ON table`.
    fn index(&mut self, kind: Kind) -> Kind {
        if !self.cursor.is("ON") {
            self.cursor.ident();
        }
        while !self.cursor.done() && !self.cursor.eat("ON") {
            self.cursor.step();
        }
        if self.name(NameRole::Table).is_none() {
            return Kind::Unknown;
        }
        kind
    }

    /// Anything but tables, databases and indexes, behind CREATE, ALTER or DROP.
    fn object(&mut self, role: Option<NameRole>) -> Kind {
        let cursor = &mut self.cursor;
        // ALGORITHM = x, DEFINER = a@b, SQL SECURITY x, AGGREGATE, UNDO: up to the object's word.
        for _ in 0..24 {
            if let Some(what) = cursor.word().and_then(object) {
                cursor.step();
                if what == "view" {
                    let _ = cursor.eat_all(&["IF", "NOT", "EXISTS"])
                        || cursor.eat_all(&["IF", "EXISTS"]);
                    if let Some(role) = role {
                        self.list(role);
                    }
                }
                return Kind::LeftOut(what);
            }
            if cursor.done() {
                break;
            }
            // A definer's name may be any word, so what follows `=` or `@` is no object's word.
            let value = cursor.is_punct('=') || cursor.is_punct('@');
            cursor.step();
            if value {
                cursor.step();
            }
        }
        Kind::Unknown
    }

    fn create_table(&mut self, or_replace: bool, temporary: bool) -> Kind {
        let mut create = CreateTable {
            temporary,
            or_replace,
            if_not_exists: self.cursor.eat_all(&["IF", "NOT", "EXISTS"]),
            ..CreateTable::default()
        };
        let Some(table) = self.name(NameRole::Table) else {
            return Kind::Unknown;
        };
        let mut inside = self.cursor.clone();
        if self.cursor.eat("LIKE") || {
            inside.step();
            self.cursor.is_punct('(') && inside.eat("LIKE")
        } {
            if inside.at() > self.cursor.at() {
                self.cursor = inside;
            }
            create.like = true;
            return match self.name(NameRole::Like) {
                Some(_) => Kind::CreateTable(create),
                None => Kind::Unknown,
            };
        }
        self.references(Some(&table));
        self.union();
        let cursor = &mut self.cursor;
        if cursor.is_punct('(') && !opens_query(cursor) {
            create.body = cursor.parens().unwrap_or_default();
        }
        let start = cursor.at();
        while !cursor.done() {
            if opens_query(cursor)
                || cursor.is_any(&["SELECT", "AS", "VALUES"])
                || cursor.is("WITH") && !cursor.is_at(1, "SYSTEM")
                || cursor.is("TABLE")
            {
                create.select = true;
                break;
            }
            if cursor.eat_all(&["START", "TRANSACTION"]) {
                create.start_transaction = true;
            } else if !cursor.skip_parens() {
                cursor.step();
            }
        }
        create.options = start..cursor.at();
        if create.select && !temporary {
            return Kind::Dml(DmlKind::CreateSelect);
        }
        Kind::CreateTable(create)
    }

    fn alter(&mut self) -> Kind {
        let cursor = &mut self.cursor;
        if cursor.eat_any(&["DATABASE", "SCHEMA"]) {
            if !option_of_database(cursor) {
                self.name(NameRole::Database);
            }
            return Kind::AlterDatabase;
        }
        let mut ahead = cursor.clone();
        while ahead.eat_any(&["ONLINE", "OFFLINE", "IGNORE"]) {}
        if ahead.eat("TABLE") {
            *cursor = ahead;
            cursor.eat_all(&["IF", "EXISTS"]);
            let Some(table) = self.name(NameRole::Table) else {
                return Kind::Unknown;
            };
            self.references(Some(&table));
            return Kind::AlterTable(alter::specs(self));
        }
        self.object(None)
    }

    fn drop(&mut self) -> Kind {
        let cursor = &mut self.cursor;
        if cursor.eat_any(&["DATABASE", "SCHEMA"]) {
            let if_exists = cursor.eat_all(&["IF", "EXISTS"]);
            self.name(NameRole::Database);
            return Kind::DropDatabase { if_exists };
        }
        let mut ahead = cursor.clone();
        let temporary = ahead.eat("TEMPORARY");
        if ahead.eat_any(&["TABLE", "TABLES"]) {
            *cursor = ahead;
            let if_exists = cursor.eat_all(&["IF", "EXISTS"]);
            self.list(NameRole::Table);
            return Kind::DropTable {
                if_exists,
                temporary,
            };
        }
        let mut ahead = cursor.clone();
        ahead.eat_any(&["ONLINE", "OFFLINE"]);
        if ahead.eat("INDEX") {
            *cursor = ahead;
            cursor.eat_all(&["IF", "EXISTS"]);
            return self.index(Kind::DropIndex);
        }
        if cursor.eat("PREPARE") {
            return Kind::LeftOut("PREPARE");
        }
        self.object(Some(NameRole::View))
    }

    fn rename(&mut self) -> Kind {
        let cursor = &mut self.cursor;
        if !cursor.eat_any(&["TABLE", "TABLES"]) {
            return if cursor.eat("USER") {
                Kind::LeftOut("user")
            } else {
                Kind::Unknown
            };
        }
        cursor.eat_all(&["IF", "EXISTS"]);
        let mut pairs = Vec::new();
        loop {
            let Some(from) = self.name(NameRole::Table) else {
                return Kind::Unknown;
            };
            // MariaDB: WAIT n | NOWAIT behind the first name.
            if self.cursor.eat("WAIT") {
                self.cursor.step();
            }
            self.cursor.eat("NOWAIT");
            if !self.cursor.eat("TO") {
                return Kind::Unknown;
            }
            let Some(to) = self.name(NameRole::NewName) else {
                return Kind::Unknown;
            };
            pairs.push((from, to));
            if !self.cursor.eat_punct(',') {
                return Kind::RenameTable(pairs);
            }
        }
    }

    fn dml(&mut self) -> Option<Kind> {
        let cursor = &mut self.cursor;
        let kind = match cursor.word()?.to_ascii_uppercase().as_str() {
            "INSERT" => DmlKind::Insert,
            "REPLACE" => DmlKind::Replace,
            "UPDATE" => DmlKind::Update,
            "DELETE" => DmlKind::Delete,
            "LOAD" => DmlKind::LoadData,
            "SELECT" | "CALL" | "DO" | "WITH" | "VALUES" => DmlKind::Call,
            _ => return None,
        };
        cursor.step();
        while cursor.eat_any(&[
            "LOW_PRIORITY",
            "DELAYED",
            "HIGH_PRIORITY",
            "QUICK",
            "IGNORE",
        ]) {}
        match kind {
            DmlKind::Insert | DmlKind::Replace => {
                cursor.eat("INTO");
            }
            DmlKind::Update => {}
            DmlKind::Delete => {
                cursor.eat("FROM");
            }
            DmlKind::LoadData => {
                while !cursor.done() && !cursor.are(&["INTO", "TABLE"]) {
                    cursor.step();
                }
                cursor.eat_all(&["INTO", "TABLE"]);
            }
            DmlKind::CreateSelect | DmlKind::Call => return Some(Kind::Dml(kind)),
        }
        self.name(NameRole::Table);
        Some(Kind::Dml(kind))
    }
}

/// Whether a parenthesis here begins a query.
fn opens_query(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    if !ahead.eat_punct('(') {
        return false;
    }
    while ahead.eat_punct('(') {}
    ahead.is_any(&["SELECT", "WITH", "VALUES", "TABLE"])
}

/// Whether an option of a database begins here, and not its name: in `ALTER DATABASE CHARSET utf8`
/// the name is left out. A database may bear one of these names, so what follows counts.
fn option_of_database(cursor: &Cursor<'_>) -> bool {
    cursor.are(&["DEFAULT", "CHARACTER"])
        || cursor.are(&["DEFAULT", "CHARSET"])
        || cursor.are(&["DEFAULT", "COLLATE"])
        || cursor.are(&["DEFAULT", "ENCRYPTION"])
        || cursor.are(&["CHARACTER", "SET"])
        || cursor.is("COLLATE")
        || cursor.are(&["READ", "ONLY"])
        || cursor.is_any(&["CHARSET", "ENCRYPTION", "COMMENT"])
            && !cursor.is_at(1, "CHARACTER")
            && !cursor.is_at(1, "CHARSET")
            && !cursor.is_at(1, "COLLATE")
            && !cursor.is_at(1, "DEFAULT")
            && !cursor.is_at(1, "READ")
}
