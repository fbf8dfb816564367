//! Options of tables and databases.

use super::super::cursor::Cursor;
use super::Why;
use super::charset::{self, Wanted};

/// What a table's options say, as far as definitions go.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) wanted: Wanted,
    pub(super) engine: Option<String>,
    pub(super) partitioned: bool,
}

/// Reads options to the end.
pub(super) fn read(cursor: &mut Cursor<'_>, options: &mut Options) -> Result<(), Why> {
    while !cursor.done() {
        if cursor.are(&["PARTITION", "BY"]) {
            options.partitioned = true;
            return Ok(());
        }
        if cursor.are(&["WITH", "SYSTEM"]) {
            return Err(Why::new("WITH SYSTEM VERSIONING"));
        }
        if charset::option(cursor, &mut options.wanted)
            .ok_or_else(|| Why::new("a character set without a name"))?
        {
            continue;
        }
        if cursor.eat_any(&["ENGINE", "TYPE"]) {
            cursor.eat_punct('=');
            let name = charset::value(cursor).ok_or_else(|| Why::new("ENGINE without a name"))?;
            options.engine = Some(engine(&name));
        } else if cursor.eat("COMMENT") || cursor.eat("CONNECTION") || cursor.eat("PASSWORD") {
            cursor.eat_punct('=');
            cursor.string();
        } else {
            cursor.step();
        }
    }
    Ok(())
}

/// An engine's name as servers print it.
pub(super) fn engine(name: &str) -> String {
    let known = [
        "InnoDB",
        "MyISAM",
        "MEMORY",
        "CSV",
        "ARCHIVE",
        "BLACKHOLE",
        "MRG_MyISAM",
        "FEDERATED",
        "Aria",
        "ROCKSDB",
        "TokuDB",
        "ndbcluster",
        "Spider",
        "Columnstore",
    ];
    let name = match name.to_ascii_lowercase().as_str() {
        "heap" => "MEMORY".to_owned(),
        "merge" | "mrg_myisam" => "MRG_MYISAM".to_owned(),
        "ndb" => "ndbcluster".to_owned(),
        _ => name.to_owned(),
    };
    known
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(&name))
        .map_or(name, str::to_owned)
}
