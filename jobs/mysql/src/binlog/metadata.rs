//! What a table map tells beside the layout of its columns (`binlog_row_metadata`).
//!
//! MySQL 8 always sends the signs and character sets (MINIMAL); names, members, keys and visibility with
//! FULL only. MariaDB from 10.5 on has the same format, but sends nothing by default (NO_LOG). So each
//! part may be missing, and what is there is compared with the definition that is known
//! ([`super::definition`]).
//!
//! The parts are lists over the columns *of some types*, so reading them means knowing which types the
//! server counts for each (`Table_map_log_event::Optional_metadata_fields` of MySQL's `rows_event.h`).
//! Reading costs more than the map itself: keep the result as long as the next map of the table is equal.

use super::cursor::{Broken, Cursor, Read};
use super::error::Result;
use super::frame::{Event, Format};
use super::table_map::{
    BLOB, BLOB_COMPRESSED, ENUM, GEOMETRY, SET, STRING, TableMap, VAR_STRING, VARCHAR,
    VARCHAR_COMPRESSED, VECTOR,
};

/// More members than an ENUM can have are damage.
const MOST_MEMBERS: u64 = 65_535;

/// The metadata of a table map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Of each column of the map.
    pub columns: Vec<ColumnMetadata>,
    /// Columns of the primary key by their index, and how much of each, in characters; 0 for all.
    pub primary_key: Option<Vec<(usize, u32)>>,
}

/// What is told of a column; each part is `None` when it was not sent or is not of its type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnMetadata {
    /// Whether a number has no sign.
    pub unsigned: Option<bool>,
    /// Number of the collation of texts, ENUM and SET; 63 for plain bytes.
    pub collation: Option<u32>,
    /// Its name.
    pub name: Option<String>,
    /// Members of ENUM and SET, in the column's character set.
    pub members: Option<Vec<Vec<u8>>>,
    /// Which spatial type: 0 GEOMETRY, 1 POINT, … 7 GEOMETRYCOLLECTION.
    pub geometry: Option<u32>,
    /// Whether `SELECT *` shows it.
    pub visible: Option<bool>,
    /// Dimensions of a VECTOR.
    pub dimensions: Option<u32>,
}

impl Metadata {
    /// Reads the metadata of a table map, which was read from `event`.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn parse(map: &TableMap, event: &Event, format: &Format) -> Result<Self> {
        let mariadb = format.server_version.contains("MariaDB");
        read(map, mariadb).map_err(|broken| event.broken(broken.0))
    }
}

fn read(map: &TableMap, mariadb: bool) -> Read<Metadata> {
    let mut found = Metadata {
        columns: vec![ColumnMetadata::default(); map.types.len()],
        primary_key: None,
    };
    if map.metadata.is_empty() {
        return Ok(found);
    }
    let columns = &mut found.columns;
    let of = |matching: fn(u8) -> bool| -> Vec<usize> {
        let types = map.types.iter().enumerate();
        types
            .filter(|(_, number)| matching(**number))
            .map(|(index, _)| index)
            .collect()
    };
    let texts = || of(if mariadb { is_text_of_mariadb } else { is_text });
    let members = || of(|number| number == ENUM || number == SET);
    let mut cursor = Cursor::new(&map.metadata);
    while !cursor.is_empty() {
        let field = cursor.u8()?;
        let mut value = Cursor::new(cursor.packed_bytes()?);
        match field {
            1 => bits(&mut value, &of(is_number), columns, |c| &mut c.unsigned)?,
            2 => default_collation(&mut value, &texts(), columns)?,
            3 => each(&mut value, &texts(), columns, |c| &mut c.collation)?,
            4 => {
                for column in columns.iter_mut() {
                    let name = std::str::from_utf8(value.packed_bytes()?)
                        .map_err(|_| Broken::new("the name of a column is not UTF-8"))?;
                    column.name = Some(name.to_owned());
                }
            }
            5 => member_lists(&mut value, &of(|number| number == SET), columns)?,
            6 => member_lists(&mut value, &of(|number| number == ENUM), columns)?,
            7 => each(&mut value, &of(|n| n == GEOMETRY), columns, |c| {
                &mut c.geometry
            })?,
            8 | 9 => found.primary_key = Some(key(&mut value, field == 9, columns.len())?),
            10 => default_collation(&mut value, &members(), columns)?,
            11 => each(&mut value, &members(), columns, |c| &mut c.collation)?,
            12 => bits(&mut value, &of(|_| true), columns, |c| &mut c.visible)?,
            13 => each(&mut value, &of(|n| n == VECTOR), columns, |c| {
                &mut c.dimensions
            })?,
            // Of later servers.
            _ => continue,
        }
        if !value.is_empty() {
            return Err(Broken(format!(
                "its metadata {field} tells more columns than it has"
            )));
        }
    }
    Ok(found)
}

/// Types that have a bit for their sign; YEAR is among them, for both families.
fn is_number(number: u8) -> bool {
    matches!(number, 0..=5 | 8 | 9 | 13 | 246)
}

/// `is_character_type` of MySQL.
fn is_text(number: u8) -> bool {
    matches!(number, VARCHAR | VECTOR | BLOB | VAR_STRING | STRING)
}

/// `is_character_type` of MariaDB, where a spatial value is a BLOB.
fn is_text_of_mariadb(number: u8) -> bool {
    is_text(number) || matches!(number, GEOMETRY | BLOB_COMPRESSED | VARCHAR_COMPRESSED)
}

/// A column's number, which fits.
fn number(cursor: &mut Cursor<'_>) -> Read<u32> {
    let value = cursor.packed()?;
    u32::try_from(value).map_err(|_| Broken(format!("its metadata has {value}")))
}

/// A number for each of these columns.
fn each(
    value: &mut Cursor<'_>,
    of: &[usize],
    columns: &mut [ColumnMetadata],
    part: fn(&mut ColumnMetadata) -> &mut Option<u32>,
) -> Read<()> {
    for index in of {
        let number = number(value)?;
        if let Some(column) = columns.get_mut(*index) {
            *part(column) = Some(number);
        }
    }
    Ok(())
}

/// A bit for each of these columns, from the highest bit of the first byte on.
fn bits(
    value: &mut Cursor<'_>,
    of: &[usize],
    columns: &mut [ColumnMetadata],
    part: fn(&mut ColumnMetadata) -> &mut Option<bool>,
) -> Read<()> {
    let bytes = value.take(of.len().div_ceil(8))?;
    for (bit, index) in of.iter().enumerate() {
        let byte = bytes.get(bit / 8).copied().unwrap_or_default();
        if let Some(column) = columns.get_mut(*index) {
            *part(column) = Some(byte << (bit % 8) & 0x80 != 0);
        }
    }
    Ok(())
}

/// One collation for all of these columns, then those that have another.
fn default_collation(
    value: &mut Cursor<'_>,
    of: &[usize],
    columns: &mut [ColumnMetadata],
) -> Read<()> {
    let default = number(value)?;
    for index in of {
        if let Some(column) = columns.get_mut(*index) {
            column.collation = Some(default);
        }
    }
    while !value.is_empty() {
        let index = number(value)? as usize;
        let collation = number(value)?;
        let column = of.get(index).and_then(|index| columns.get_mut(*index));
        let Some(column) = column else {
            return Err(Broken(format!("its metadata tells of text column {index}")));
        };
        column.collation = Some(collation);
    }
    Ok(())
}

fn member_lists(value: &mut Cursor<'_>, of: &[usize], columns: &mut [ColumnMetadata]) -> Read<()> {
    for index in of {
        let mut members = Vec::new();
        let count = value.packed()?;
        if count > MOST_MEMBERS {
            return Err(Broken(format!("an ENUM or SET has {count} members")));
        }
        for _ in 0..count {
            members.push(value.packed_bytes()?.to_vec());
        }
        if let Some(column) = columns.get_mut(*index) {
            column.members = Some(members);
        }
    }
    Ok(())
}

fn key(value: &mut Cursor<'_>, prefixes: bool, columns: usize) -> Read<Vec<(usize, u32)>> {
    let mut parts = Vec::new();
    while !value.is_empty() {
        let index = number(value)? as usize;
        if index >= columns {
            return Err(Broken(format!("its primary key has column {index}")));
        }
        let prefix = if prefixes { number(value)? } else { 0 };
        parts.push((index, prefix));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::binlog::table_map::Layout;
    use crate::schema::TableName;

    /// The layouts do not matter here.
    fn map(types: &[u8], metadata: &[u8]) -> TableMap {
        TableMap {
            id: 1,
            name: TableName::new("a", "b"),
            columns: vec![Layout::Float; types.len()],
            types: types.to_vec(),
            nullable: vec![true; types.len()],
            metadata: metadata.to_vec(),
        }
    }

    #[test]
    fn full_metadata_of_mariadb() {
        // 10.5: id, topic, event_type ENUM, event BLOB, created.
        let types = [3, 15, ENUM, BLOB, 17];
        let sent = b"\x01\x01\x00\x03\x02\x2d\x3f\x04\x22\x02id\x05topic\x0aevent_type\x05event\x07created\
                     \x0a\x01\x2d\x06\x14\x03\x04BLOB\x04JSON\x08PROTOBUF\x08\x01\x00";
        let found = read(&map(&types, sent), true).unwrap();
        let names: Vec<_> = found
            .columns
            .iter()
            .map(|c| c.name.clone().unwrap())
            .collect();
        assert_eq!(names, ["id", "topic", "event_type", "event", "created"]);
        let collations: Vec<_> = found.columns.iter().map(|c| c.collation).collect();
        assert_eq!(collations, [None, Some(45), Some(45), Some(63), None]);
        assert_eq!(found.columns[0].unsigned, Some(false));
        assert_eq!(found.columns[1].unsigned, None);
        assert_eq!(
            found.columns[2].members,
            Some(vec![
                b"BLOB".to_vec(),
                b"JSON".to_vec(),
                b"PROTOBUF".to_vec()
            ])
        );
        assert_eq!(found.primary_key, Some(vec![(0, 0)]));
    }

    #[test]
    fn the_other_parts() {
        let types = [
            1, 2, 3, 4, 5, 8, 9, 246, 1, STRING, VARCHAR, GEOMETRY, SET, VECTOR,
        ];
        let sent = b"\x01\x02\x80\x80\x02\x03\xfc\xff\x00\x05\x05\x02\x01a\x01b\x07\x01\x01\
                     \x09\x04\x00\x00\x09\x05\x0b\x01\x08\x0c\x02\x7f\xf8\x0d\x01\x03\x63\x01\x00";
        let found = read(&map(&types, sent), false).unwrap();
        let unsigned: Vec<_> = found.columns.iter().map(|c| c.unsigned).collect();
        assert_eq!(unsigned[..2], [Some(true), Some(false)]);
        assert_eq!(unsigned[8], Some(true));
        assert_eq!(unsigned[9], None);
        assert_eq!(found.columns[9].collation, Some(255));
        assert_eq!(found.columns[12].collation, Some(8));
        assert_eq!(found.columns[11].geometry, Some(1));
        assert_eq!(found.columns[11].collation, None);
        assert_eq!(found.columns[12].members.as_ref().unwrap().len(), 2);
        assert_eq!(found.columns[13].dimensions, Some(3));
        assert_eq!(
            (
                found.columns[0].visible,
                found.columns[12].visible,
                found.columns[13].visible
            ),
            (Some(false), Some(true), Some(false))
        );
        assert_eq!(found.primary_key, Some(vec![(0, 0), (9, 5)]));
        let exceptions = b"\x02\x03\x08\x01\x2d";
        let found = read(&map(&[STRING, VARCHAR], exceptions), false).unwrap();
        assert_eq!(
            (found.columns[0].collation, found.columns[1].collation),
            (Some(8), Some(45))
        );
    }

    #[test]
    fn what_does_not_fit_the_columns_is_damage() {
        for sent in [
            &b"\x01\x02\x00\x00"[..],
            b"\x01\x00",
            b"\x02\x03\x08\x01\x2d",
            b"\x03\x02\x08\x08",
            b"\x04\x03\x01a\x05",
            b"\x08\x01\x02",
            b"\x05\x01\x01",
        ] {
            assert!(read(&map(&[3, STRING], sent), false).is_err(), "{sent:?}");
        }
        assert_eq!(read(&map(&[3], b""), false).unwrap().columns.len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_metadata_or_an_error(
            types in proptest::collection::vec(any::<u8>(), 0..20),
            parts in proptest::collection::vec((0_u8..15, proptest::collection::vec(any::<u8>(), 0..30)), 0..5),
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = read(&map(&types, &bytes), true);
            let mut sent = Vec::new();
            for (field, value) in parts {
                sent.push(field);
                sent.push(value.len().to_le_bytes()[0]);
                sent.extend(value);
            }
            let _ = read(&map(&types, &sent), false);
        }
    }
}
