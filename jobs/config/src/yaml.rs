//! Reading a file into typed sections, with places.
//!
//! A *section* is a mapping of the file as a struct, made by [`section!`]: every key with its
//! type, DM's default and, where a key is accepted without effect, why. A section
//! - takes an empty value (`routes:`) as all defaults, as Go's reader does,
//! - refuses a key that it does not know,
//! - remembers where each key was given, so that later errors can point there.
//!
//! serde-saphyr reads what people write for Go's YAML (`<<` merges, `yes`, quoted numbers) and
//! refuses duplicate keys and second documents. Its own excerpts are switched off: they show the
//! lines around an error, and those may hold a password. [`excerpt`] shows one line, and not
//! where it could be a secret.

use serde::de::DeserializeOwned;

use crate::error::{At, Error, Place, Result, Warning};

/// Where a section's keys were given. Says nothing about the section's value, so any two are
/// equal.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The file, known at the root section only.
    file: String,
    keys: Vec<(&'static str, At)>,
}

impl PartialEq for Given {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Given {
    pub(crate) fn add(&mut self, key: &'static str, at: At) {
        self.keys.push((key, at));
    }

    /// Where `key` was given.
    pub fn at(&self, key: &str) -> Option<At> {
        self.keys
            .iter()
            .find(|(given, _)| *given == key)
            .map(|(_, at)| *at)
    }

    /// Names the file of a root section.
    pub(crate) fn set_file(&mut self, file: &str) {
        file.clone_into(&mut self.file);
    }

    /// The file of a root section.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The place of `key` in a root section, or its file.
    pub fn place(&self, key: &str) -> Place {
        Place::new(&self.file, self.at(key).unwrap_or_default())
    }
}

/// What a key means, as written beside its definition.
#[derive(Debug, Clone, Copy)]
pub struct KeyDoc {
    /// Its current name.
    pub key: &'static str,
    /// Its meaning.
    pub meaning: &'static str,
    /// Its default, as Rust writes it.
    pub default: &'static str,
    /// Why it has no effect, if it has none.
    pub no_effect: Option<&'static str>,
}

/// A key that was given and has no effect.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) section: &'static str,
    pub(crate) key: &'static str,
    pub(crate) at: At,
    pub(crate) why: &'static str,
}

/// Finds the keys without effect in a value and below it. Plain values hold none.
pub(crate) trait Notes {
    fn notes(&self, _out: &mut Vec<Note>) {}
}

impl Notes for String {}
impl Notes for bool {}
impl Notes for u16 {}
impl Notes for u32 {}
impl Notes for u64 {}
impl Notes for i64 {}
impl Notes for crate::scalar::GoDuration {}
impl Notes for crate::scalar::Anything {}

impl<T: Notes> Notes for Option<T> {
    fn notes(&self, out: &mut Vec<Note>) {
        self.iter().for_each(|value| value.notes(out));
    }
}

impl<T: Notes> Notes for Vec<T> {
    fn notes(&self, out: &mut Vec<Note>) {
        self.iter().for_each(|value| value.notes(out));
    }
}

impl<T: Notes> Notes for std::collections::BTreeMap<String, T> {
    fn notes(&self, out: &mut Vec<Note>) {
        self.values().for_each(|value| value.notes(out));
    }
}

/// Defines a section. Each key: names (the first is the current one, the others old), field,
/// type, default, and `no effect` with the reason.
macro_rules! section {
    (
        $(#[$meta:meta])*
        $what:literal $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $key:literal $(| $old:literal)* => $field:ident : $ty:ty = $default:expr
                $(, no effect $why:literal)?;
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $ty, )*
            /// Where the keys were given.
            pub given: $crate::yaml::Given,
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* given: Default::default() }
            }
        }

        impl $name {
            /// What the section is called in messages.
            pub const WHAT: &'static str = $what;
            /// All keys that the section knows.
            pub const KEYS: &'static [&'static str] = &[$( $key, $( $old, )* )*];
            /// Each key for `docs/configuration.md`.
            pub const DOCS: &'static [$crate::yaml::KeyDoc] = &[$( $crate::yaml::KeyDoc {
                key: $key,
                meaning: concat!($($doc),*),
                default: stringify!($default),
                no_effect: {
                    let why: &[&'static str] = &[$( $why )?];
                    if why.is_empty() { None } else { Some(why[0]) }
                },
            }, )*];
        }

        impl $crate::yaml::Notes for $name {
            fn notes(&self, out: &mut Vec<$crate::yaml::Note>) {
                $(
                    $crate::yaml::Notes::notes(&self.$field, out);
                    let why: Option<&'static str> = [$( $why )?].first().copied();
                    let names: &[&'static str] = &[$key $(, $old)*];
                    if let Some(why) = why {
                        // A default that is written out asks for nothing.
                        let default: $ty = $default;
                        for key in names.iter().filter(|_| self.$field != default) {
                            if let Some(at) = self.given.at(key) {
                                out.push($crate::yaml::Note { section: $what, key, at, why });
                            }
                        }
                    }
                )*
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct Reader;
                impl<'de> serde::de::Visitor<'de> for Reader {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("the keys of ", $what))
                    }

                    fn visit_none<E>(self) -> Result<$name, E> {
                        Ok($name::default())
                    }

                    fn visit_unit<E>(self) -> Result<$name, E> {
                        Ok($name::default())
                    }

                    fn visit_some<D: serde::Deserializer<'de>>(
                        self,
                        d: D,
                    ) -> Result<$name, D::Error> {
                        d.deserialize_map(self)
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<$name, A::Error> {
                        let mut out = $name::default();
                        while let Some(key) = map.next_key::<serde_saphyr::Spanned<String>>()? {
                            let at = $crate::yaml::at(&key.referenced);
                            match key.value.as_str() {
                                $(
                                    $key $(| $old)* => {
                                        let name = [$key $(, $old)*]
                                            .into_iter()
                                            .find(|name| *name == key.value)
                                            .unwrap_or($key);
                                        out.given.add(name, at);
                                        if let Some(value) = map.next_value::<Option<$ty>>()? {
                                            out.$field = value;
                                        }
                                    }
                                )*
                                other => {
                                    let known = $name::KEYS;
                                    return Err(serde::de::Error::unknown_field(other, known));
                                }
                            }
                        }
                        Ok(out)
                    }
                }
                d.deserialize_option(Reader)
            }
        }
    };
}
pub(crate) use section;

/// A place as this crate counts it.
pub(crate) fn at(location: &serde_saphyr::Location) -> At {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    At {
        line: number(location.line()),
        column: number(location.column()),
    }
}

/// Reads one document into a section; `sections` names all sections for the messages.
pub(crate) fn parse<T: DeserializeOwned + Default>(
    text: &str,
    file: &str,
    sections: &[(&'static str, &'static [&'static str])],
) -> Result<T> {
    let mut options = serde_saphyr::Options::default();
    options.with_snippet = false;
    options.null_as_string = false;
    // Go writes 0644 for octal; as a port or a count a leading zero is a slip, so it stays decimal.
    options.legacy_octal_numbers = false;
    match serde_saphyr::from_str_with_options::<Option<T>>(text, options) {
        Ok(value) => Ok(value.unwrap_or_default()),
        Err(error) => Err(translate(&error, text, file, sections)),
    }
}

fn translate(
    error: &serde_saphyr::Error,
    text: &str,
    file: &str,
    sections: &[(&'static str, &'static [&'static str])],
) -> Error {
    use serde_saphyr::Error as Yaml;
    let at = error.location().as_ref().map(at).unwrap_or_default();
    let place = Place::new(file, at);
    let excerpt = excerpt(text, at);
    match error.without_snippet() {
        Yaml::AliasError { error, .. } => translate(error, text, file, sections),
        Yaml::SerdeUnknownField {
            field, expected, ..
        } => Error::UnknownKey {
            section: sections
                .iter()
                .find(|(_, keys)| *keys == expected.as_slice())
                .map_or("this section", |(what, _)| what),
            hint: match nearest(field, expected.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are: {}", expected.join(", ")),
            },
            key: field.clone(),
            place,
            excerpt,
        },
        Yaml::SerdeUnknownVariant {
            variant, expected, ..
        } => Error::Yaml {
            message: match nearest(variant, expected.iter().copied()) {
                Some(near) => format!(
                    "`{variant}` is none of {}; did you mean `{near}`?",
                    expected.join(", ")
                ),
                None => format!("`{variant}` is none of {}", expected.join(", ")),
            },
            place,
            excerpt,
        },
        Yaml::DuplicateMappingKey { key, .. } => Error::Yaml {
            message: match key {
                Some(key) => format!("the key `{key}` is given twice; keep one of them"),
                None => "a key is given twice; keep one of them".to_owned(),
            },
            place,
            excerpt,
        },
        Yaml::MultipleDocuments { .. } => Error::Yaml {
            message: "a second document begins here; keep one document in the file".to_owned(),
            place,
            excerpt,
        },
        other => Error::Yaml {
            message: if may_hold_secret(text, at) {
                "this value cannot be read (not shown: it may be a secret)".to_owned()
            } else {
                message(other)
            },
            place,
            excerpt,
        },
    }
}

/// The reader's own message without its place, which is printed once, in front.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    match text.rfind(" at line ") {
        Some(cut) => text[..cut].trim_end_matches([',', ':']).to_owned(),
        None => text.to_owned(),
    }
}

/// Whether an excerpt at `at`, or a message about the value there, could show a secret: a secret's
/// key stands on the line or above it with the value continued below.
fn may_hold_secret(text: &str, at: At) -> bool {
    let end = (at.line as usize).min(text.lines().count());
    text.lines()
        .skip(end.saturating_sub(3))
        .take(3.min(end))
        .any(|line| {
            let line = line.to_ascii_lowercase();
            ["password", "base64", "secret"]
                .iter()
                .any(|word| line.contains(word))
        })
}

/// The line of an error with a caret below the column.
fn excerpt(text: &str, at: At) -> String {
    if !at.is_known() || may_hold_secret(text, at) {
        return String::new();
    }
    let Some(line) = text.lines().nth(at.line as usize - 1) else {
        return String::new();
    };
    if line.chars().count() > 160 {
        return String::new();
    }
    let number = at.line.to_string();
    let indent = " ".repeat(number.len());
    let before: String = line
        .chars()
        .take(at.column.saturating_sub(1) as usize)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    format!("{number} | {line}\n{indent} | {before}^")
}

/// The known name nearest to `word`, when it is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', ' '], "-");
    let word = plain(word);
    known
        .map(|name| (strsim::jaro_winkler(&word, &plain(name)), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// One warning for each key without effect, however often it is given.
pub(crate) fn warnings(section: &impl Notes, file: &str) -> Vec<Warning> {
    let mut notes = Vec::new();
    section.notes(&mut notes);
    let mut seen = std::collections::BTreeSet::new();
    notes
        .into_iter()
        .filter(|note| seen.insert((note.section, note.key)))
        .map(|note| {
            let Note {
                section,
                key,
                at,
                why,
            } = note;
            Warning::new(Place::new(file, at), format!("`{key}` in {section} {why}"))
        })
        .collect()
}
