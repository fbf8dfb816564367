//! Differences of JSON documents (`binlog_row_value_options=PARTIAL_JSON`).
//!
//! The after-image of such an update holds, for a JSON column, a list of differences to the
//! before-image instead of the document: for each an operation, a path and, unless something is
//! removed, a value in binary JSON (MySQL's `sql-common/json_diff.h`). They are applied one after the
//! other; the result is a document in binary JSON again, so that whoever reads the row after it need
//! not know of differences.
//!
//! Only what lies on the way of a path is taken apart; everything else is copied as it is. Written are
//! the large forms, whose offsets reach everything.

use super::cursor::{Broken, Cursor, Read};
use super::json::{Container, LARGE_ARRAY, LARGE_OBJECT, LITERAL, Raw, own_bytes};

/// Deepest document that MySQL stores.
const MAX_DEPTH: usize = 100;

const REPLACE: u8 = 0;
const INSERT: u8 = 1;
const REMOVE: u8 = 2;

/// The document that `differences` make of `before`, both as the event has them.
///
/// # Errors
/// In words, when either is damaged, or a path leads nowhere: the before-image is then not the
/// document that the differences were made from.
pub fn apply(before: &[u8], differences: &[u8]) -> Result<Vec<u8>, String> {
    changed(before, differences).map_err(|broken| format!("a difference of JSON: {}", broken.0))
}

fn changed(before: &[u8], differences: &[u8]) -> Read<Vec<u8>> {
    let mut root = Node::of(before)?;
    let mut cursor = Cursor::new(differences);
    while !cursor.is_empty() {
        let operation = cursor.u8()?;
        let path = path(cursor.packed_bytes()?)?;
        let value = match operation {
            REPLACE | INSERT => Some(Node::of(cursor.packed_bytes()?)?),
            REMOVE => None,
            other => return Err(Broken(format!("an operation {other}"))),
        };
        change(&mut root, &path, value, operation)?;
    }
    let mut out = Vec::with_capacity(before.len() + differences.len());
    let ty = root.ty();
    out.push(ty);
    root.write(&mut out, 1)?;
    Ok(out)
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(Vec<u8>),
    Cell(usize),
}

/// Reads `$.a[3]."b c"`.
fn path(text: &[u8]) -> Read<Vec<Step>> {
    let wrong = || Broken(format!("a path {}", String::from_utf8_lossy(text)));
    let mut rest = text.strip_prefix(b"$").ok_or_else(wrong)?;
    let mut steps = Vec::new();
    while let Some((&first, after)) = rest.split_first() {
        if steps.len() > MAX_DEPTH {
            return Err(wrong());
        }
        match first {
            b'[' => {
                let end = memchr::memchr(b']', after).ok_or_else(wrong)?;
                let (digits, behind) = after.split_at(end);
                let number = std::str::from_utf8(digits).map_err(|_| wrong())?;
                steps.push(Step::Cell(number.trim().parse().map_err(|_| wrong())?));
                rest = behind.get(1..).unwrap_or_default();
            }
            b'.' if after.first() == Some(&b'"') => {
                let inside = after.get(1..).unwrap_or_default();
                let mut end = 0;
                // To the quote that no backslash stands before.
                loop {
                    match inside.get(end) {
                        Some(b'"') => break,
                        Some(b'\\') => end += 2,
                        Some(_) => end += 1,
                        None => return Err(wrong()),
                    }
                }
                let quoted = after.get(..end + 2).ok_or_else(wrong)?;
                let name: String = serde_json::from_slice(quoted).map_err(|_| wrong())?;
                steps.push(Step::Member(name.into_bytes()));
                rest = inside.get(end + 1..).unwrap_or_default();
            }
            b'.' => {
                let end = after
                    .iter()
                    .position(|&byte| byte == b'.' || byte == b'[')
                    .unwrap_or(after.len());
                let (name, behind) = after.split_at(end);
                steps.push(Step::Member(name.to_vec()));
                rest = behind;
            }
            _ => return Err(wrong()),
        }
    }
    Ok(steps)
}

/// A value: as it lies somewhere, or taken apart.
#[derive(Debug)]
enum Node<'a> {
    Raw(Raw<'a>),
    Array(Vec<Node<'a>>),
    Object(Vec<(std::borrow::Cow<'a, [u8]>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// The value of these bytes, its type first; no bytes are `null`.
    fn of(bytes: &'a [u8]) -> Read<Self> {
        let Some((&ty, data)) = bytes.split_first() else {
            return Ok(Self::Raw(Raw {
                ty: LITERAL,
                data: &[0],
            }));
        };
        Ok(Self::Raw(own_bytes(Raw { ty, data })?))
    }

    /// Takes it apart by one level.
    fn open(&mut self) -> Read<()> {
        let Self::Raw(raw) = *self else {
            return Ok(());
        };
        let Some(container) = Container::open(raw)? else {
            return Ok(());
        };
        let values =
            (0..container.count).map(|index| Ok(Self::Raw(own_bytes(container.value(index)?)?)));
        *self = if container.is_object() {
            let mut members = Vec::with_capacity(container.count);
            for (index, value) in values.enumerate() {
                members.push((container.name(index)?.into(), value?));
            }
            Self::Object(members)
        } else {
            Self::Array(values.collect::<Read<_>>()?)
        };
        Ok(())
    }

    fn ty(&self) -> u8 {
        match self {
            Self::Raw(raw) => raw.ty,
            Self::Array(_) => LARGE_ARRAY,
            Self::Object(_) => LARGE_OBJECT,
        }
    }

    /// Appends the value without its type.
    fn write(&self, out: &mut Vec<u8>, depth: usize) -> Read<()> {
        if depth > MAX_DEPTH {
            return Err(Broken(format!("deeper than {MAX_DEPTH} levels")));
        }
        let begin = out.len();
        match self {
            Self::Raw(raw) => out.extend_from_slice(raw.data),
            Self::Array(values) => {
                let table = header(values.len(), 5, out)?;
                for (index, value) in values.iter().enumerate() {
                    value.write_member(begin, table + 5 * index, out, depth)?;
                }
                here(out, begin + 4, begin)?;
            }
            Self::Object(members) => {
                let table = header(members.len(), 6 + 5, out)?;
                for (index, (name, _)) in members.iter().enumerate() {
                    let at = table + 6 * index;
                    here(out, at, begin)?;
                    let length = u16::try_from(name.len())
                        .map_err(|_| Broken::new("a name of more than 65535 bytes"))?;
                    put(out, at + 4, &length.to_le_bytes());
                    out.extend_from_slice(name);
                }
                let table = table + 6 * members.len();
                for (index, (_, value)) in members.iter().enumerate() {
                    value.write_member(begin, table + 5 * index, out, depth)?;
                }
                here(out, begin + 4, begin)?;
            }
        }
        Ok(())
    }

    /// Appends the value of a member and fills its entry in the table.
    fn write_member(
        &self,
        begin: usize,
        entry: usize,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Read<()> {
        put(out, entry, &[self.ty()]);
        match self {
            // Literals and numbers of up to four bytes stand in the table.
            Self::Raw(raw) if raw.is_short() => {
                let mut four = [0; 4];
                // The sign of a short number is its own type's; readers take just its bytes.
                for (to, from) in four.iter_mut().zip(raw.data) {
                    *to = *from;
                }
                put(out, entry + 1, &four);
                Ok(())
            }
            _ => {
                here(out, entry + 1, begin)?;
                self.write(out, depth + 1)
            }
        }
    }
}

/// Appends count, size and so many bytes of table for each member; gives where the table is.
fn header(count: usize, entry: usize, out: &mut Vec<u8>) -> Read<usize> {
    let begin = out.len();
    out.resize(begin + 8 + count * entry, 0);
    number(out, begin, count)?;
    Ok(begin + 8)
}

fn number(out: &mut [u8], at: usize, number: usize) -> Read<()> {
    let number = u32::try_from(number).map_err(|_| Broken::new("a document of more than 4 GiB"))?;
    put(out, at, &number.to_le_bytes());
    Ok(())
}

/// Puts at `at` how far from `begin` the end is.
fn here(out: &mut [u8], at: usize, begin: usize) -> Read<()> {
    let far = out.len() - begin;
    number(out, at, far)
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(to) = out.get_mut(at..at + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}

/// Names of an object stand in this order: shorter ones first.
fn order(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn change<'a>(
    node: &mut Node<'a>,
    path: &[Step],
    value: Option<Node<'a>>,
    operation: u8,
) -> Read<()> {
    let nowhere = || Broken::new("its path leads nowhere in the document before");
    let Some((step, rest)) = path.split_first() else {
        let (REPLACE, Some(value)) = (operation, value) else {
            return Err(Broken::new("the whole document is inserted or removed"));
        };
        *node = value;
        return Ok(());
    };
    node.open()?;
    match (node, step) {
        (Node::Array(values), Step::Cell(at)) => {
            if !rest.is_empty() {
                return change(
                    values.get_mut(*at).ok_or_else(nowhere)?,
                    rest,
                    value,
                    operation,
                );
            }
            match (operation, value) {
                (INSERT, Some(value)) => values.insert((*at).min(values.len()), value),
                (REPLACE, Some(value)) => *values.get_mut(*at).ok_or_else(nowhere)? = value,
                _ if *at < values.len() => drop(values.remove(*at)),
                _ => return Err(nowhere()),
            }
        }
        (Node::Object(members), Step::Member(name)) => {
            let found = members.binary_search_by(|member| order(&member.0, name));
            if !rest.is_empty() {
                let member = found.ok().and_then(|at| members.get_mut(at));
                return change(&mut member.ok_or_else(nowhere)?.1, rest, value, operation);
            }
            match (found, value) {
                (Ok(at), Some(value)) => {
                    if let Some(member) = members.get_mut(at) {
                        member.1 = value;
                    }
                }
                (Ok(at), None) => drop(members.remove(at)),
                (Err(at), Some(value)) if operation == INSERT => {
                    members.insert(at, (name.clone().into(), value));
                }
                (Err(_), _) => return Err(nowhere()),
            }
        }
        // `$[0]` of what is no array is the value itself.
        (node, Step::Cell(0)) if operation == REPLACE => {
            return change(node, rest, value, operation);
        }
        _ => return Err(nowhere()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    /// `{"a": -1}` as the server keeps it.
    const OBJECT: &[u8] = b"\x00\x01\x00\x0c\x00\x0b\x00\x01\x00\x05\xff\xffa";

    fn after(differences: &[u8]) -> Result<String, String> {
        let whole = apply(OBJECT, differences)?;
        let mut out = Vec::new();
        json::write_text(&whole, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn differences_are_applied_in_their_order() {
        assert_eq!(after(b"").unwrap(), r#"{"a": -1}"#);
        // $.a becomes "x"; $.b is inserted as true; $.a goes.
        let replace = b"\x00\x03$.a\x03\x0c\x01x";
        let insert = b"\x01\x03$.b\x02\x04\x01";
        let remove = b"\x02\x03$.a";
        assert_eq!(after(replace).unwrap(), r#"{"a": "x"}"#);
        let all = [&replace[..], insert, remove].concat();
        assert_eq!(after(&all).unwrap(), r#"{"b": true}"#);
    }

    #[test]
    fn a_path_that_leads_nowhere_is_an_error() {
        assert!(after(b"\x02\x03$.z").unwrap_err().contains("nowhere"));
        assert!(after(b"\x02\x01$").is_err());
        assert!(after(b"\x07\x03$.a").is_err());
        assert!(after(b"\x00\x02$[\x02\x04\x01").is_err());
    }

    #[test]
    fn paths_are_read() {
        let member = |name: &str| Step::Member(name.as_bytes().to_vec());
        assert_eq!(
            path(br#"$.a[3]."b \"c"[0]"#),
            Ok(vec![
                member("a"),
                Step::Cell(3),
                member("b \"c"),
                Step::Cell(0)
            ])
        );
        assert!(path(b"a").is_err() && path(br#"$."a"#).is_err() && path(b"$x").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(before in proptest::collection::vec(0_u8.., 0..60), differences in proptest::collection::vec(0_u8.., 0..60)) {
            let _ = apply(&before, &differences);
            let _ = apply(OBJECT, &differences);
        }
    }
}
