//! Statements that are known by their first words: transactions, and what is not carried over.

use super::cursor::Cursor;
use super::statement::TransactionWord;

pub(super) fn transaction(cursor: &mut Cursor<'_>) -> Option<TransactionWord> {
    let mut ahead = cursor.clone();
    let word = ahead.word()?.to_ascii_uppercase();
    ahead.step();
    match word.as_str() {
        "BEGIN" => (!ahead.is("NOT")).then_some(TransactionWord::Begin),
        "START" => ahead.is("TRANSACTION").then_some(TransactionWord::Begin),
        "COMMIT" => Some(TransactionWord::Commit),
        "ROLLBACK" => {
            ahead.eat("WORK");
            if !ahead.eat("TO") {
                return Some(TransactionWord::Rollback);
            }
            ahead.eat("SAVEPOINT");
            ahead.ident().map(TransactionWord::RollbackTo)
        }
        "SAVEPOINT" => ahead.ident().map(TransactionWord::Savepoint),
        "RELEASE" => {
            ahead.eat("SAVEPOINT");
            ahead.ident().map(TransactionWord::Release)
        }
        "XA" => xa(&mut ahead),
        _ => None,
    }
}

fn xa(cursor: &mut Cursor<'_>) -> Option<TransactionWord> {
    let verb = cursor.word()?.to_ascii_uppercase();
    cursor.step();
    let start = cursor.at();
    let mut end = start;
    let mut one_phase = false;
    while !cursor.done() && !cursor.is_punct(';') {
        if cursor.eat_all(&["ONE", "PHASE"]) {
            one_phase = true;
            break;
        }
        if cursor.is_any(&["JOIN", "RESUME", "SUSPEND"]) {
            break;
        }
        cursor.step();
        end = cursor.at();
    }
    let xid = cursor.slice(&(start..end)).to_owned();
    match verb.as_str() {
        "START" | "BEGIN" => Some(TransactionWord::XaStart(xid)),
        "END" => Some(TransactionWord::XaEnd(xid)),
        "PREPARE" => Some(TransactionWord::XaPrepare(xid)),
        "COMMIT" => Some(TransactionWord::XaCommit { xid, one_phase }),
        "ROLLBACK" => Some(TransactionWord::XaRollback(xid)),
        _ => None,
    }
}

/// What CREATE, ALTER and DROP are about beside tables, indexes and databases.
pub(super) fn object(word: &str) -> Option<&'static str> {
    let known = [
        "view",
        "procedure",
        "function",
        "trigger",
        "event",
        "user",
        "role",
        "server",
        "tablespace",
        "logfile",
        "resource",
        "instance",
        "package",
        "library",
        "sequence",
        "spatial",
        "profile",
    ];
    known
        .into_iter()
        .find(|known| word.eq_ignore_ascii_case(known))
}

/// Statements that change no row and no table's definition, by their first word.
pub(super) fn left_out_verb(verb: &str) -> Option<&'static str> {
    let known = [
        "ANALYZE",
        "OPTIMIZE",
        "REPAIR",
        "CHECK",
        "CHECKSUM",
        "FLUSH",
        "RESET",
        "GRANT",
        "REVOKE",
        "SET",
        "CACHE",
        "INSTALL",
        "UNINSTALL",
        "LOCK",
        "UNLOCK",
        "KILL",
        "SHUTDOWN",
        "SHOW",
        "EXPLAIN",
        "DESCRIBE",
        "DESC",
        "USE",
        "HELP",
        "CLONE",
        "PREPARE",
        "EXECUTE",
        "DEALLOCATE",
        "BINLOG",
        "PURGE",
        "CHANGE",
        "STOP",
        "RESTART",
        "BACKUP",
    ];
    known.into_iter().find(|known| verb == *known)
}
