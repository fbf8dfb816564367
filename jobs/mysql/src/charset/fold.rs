//! A normal form of texts, coarser than any collation's: texts that a collation calls equal have the
//! same.
//!
//! Two changes of rows must not overtake one another when the target takes their keys for equal. That is
//! decided by its collations, in which `é` may be `e`, `ß` be `ss`, a full-width digit a digit, and
//! some characters nothing at all. Erring is safe in one direction only: texts that are taken for equal
//! and are not merely keep an order that nobody needed. So of a text only letters and digits of ASCII
//! are kept, and of other characters the letters and digits that they are for a collation; all else is
//! left out.
//!
//! Why that is safe: a collation of these families gives each character a sequence of weights and
//! calls texts equal when the sequences of all their characters, one after the other, are equal (apart
//! from spaces at the end, which are left out here). What is kept of a character depends on its
//! weights only: those that are a letter's or digit's of ASCII. So equal sequences give equal forms.
//! That this holds for every character, pair and triple of letters is what the table's oracle checked:
//!
//! - [`Fold::Unicode`]: the collations of Unicode 5.2, 9.0 and 14.0 without a language;
//! - [`Fold::Basic`]: `general_ci`, `unicode_ci`, and those of older sets that agree. For them all
//!   characters beyond U+FFFF are one, so these are left out; and `ß` is `s` in some and `ss` in others,
//!   so a run of `s` is one;
//! - [`Fold::Swedish`]: `latin1_swedish_ci`, MySQL's default of old, for which `ü` is `y` and
//!   `å`, `ä`, `ö` are brackets.
//!
//! Collations with a language change letters (Hungarian takes `ccs` for `cscs`, Danish `aa` for `å`), but
//! no digits: for them only digits are kept. Every other collation is [`Fold::One`]: all texts are
//! one. Texts of binary collations are compared as they are,
//! without spaces at the end.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::fold_table::FOLDS;

/// How coarsely texts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fold {
    /// As they are, without spaces at the end.
    Exact,
    /// As Unicode's collations do.
    Unicode,
    /// As the simple collations do.
    Basic,
    /// As `latin1_swedish_ci` does.
    Swedish,
    /// As Unicode's collations do, of digits only.
    UnicodeDigits,
    /// As the simple collations do, of digits only.
    BasicDigits,
    /// All texts are one.
    One,
}

/// Collations of older sets that [`Fold::Basic`] is right for, without `_ci`, `_cs` or `_nopad_ci`.
const BASIC: &[&str] = &[
    "armscii8_general",
    "ascii_general",
    "cp1251_general",
    "cp1251_ukrainian",
    "cp1256_general",
    "cp850_general",
    "cp852_general",
    "cp866_general",
    "cp932_japanese",
    "eucjpms_japanese",
    "euckr_korean",
    "geostd8_general",
    "greek_general",
    "hebrew_general",
    "hp8_english",
    "keybcs2_general",
    "koi8r_general",
    "koi8u_general",
    "latin1_general",
    "sjis_japanese",
    "ujis_japanese",
];

/// What characters beyond ASCII are.
static TABLE: LazyLock<HashMap<char, &'static str>> = LazyLock::new(|| {
    let mut table = HashMap::new();
    for &(letters, runs) in FOLDS {
        for &(first, last) in runs {
            table.extend(
                (first..=last)
                    .filter_map(char::from_u32)
                    .map(|c| (c, letters)),
            );
        }
    }
    table
});

impl Fold {
    /// The one for texts of this collation.
    #[must_use]
    pub fn of(collation: &str) -> Self {
        if collation == "binary" || collation.ends_with("_bin") || collation.ends_with("_nopad_bin")
        {
            return Self::Exact;
        }
        if matches!(collation, "latin1_swedish_ci" | "latin1_swedish_nopad_ci") {
            return Self::Swedish;
        }
        let Some(plain) = collation
            .strip_suffix("_ci")
            .or_else(|| collation.strip_suffix("_cs"))
        else {
            return Self::One;
        };
        let plain = plain.strip_suffix("_nopad").unwrap_or(plain);
        if BASIC.contains(&plain) {
            return Self::Basic;
        }
        let rest = match plain.split_once('_') {
            Some((
                "utf8mb4" | "utf8mb3" | "utf8" | "ucs2" | "utf16" | "utf16le" | "utf32",
                rest,
            )) => rest,
            // MariaDB lists these without a set.
            _ if plain.starts_with("uca1400_") => plain,
            _ => return Self::One,
        };
        match rest {
            "general" | "unicode" | "general_mysql500" => Self::Basic,
            "unicode_520" | "0900_ai" | "0900_as" | "uca1400_ai" | "uca1400_as"
            | "uca1400_nopad_ai" | "uca1400_nopad_as" => Self::Unicode,
            _ if rest.ends_with("_0900_ai")
                || rest.ends_with("_0900_as")
                || rest.starts_with("uca1400_") =>
            {
                Self::UnicodeDigits
            }
            _ => Self::BasicDigits,
        }
    }

    /// One that is as coarse as both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (same, other) if same == other => same,
            // Texts that are the same but for spaces at the end have the same form in all.
            (Self::Exact, other) | (other, Self::Exact) => other,
            (Self::Unicode, Self::UnicodeDigits) | (Self::UnicodeDigits, Self::Unicode) => {
                Self::UnicodeDigits
            }
            (Self::Basic, Self::BasicDigits) | (Self::BasicDigits, Self::Basic) => {
                Self::BasicDigits
            }
            _ => Self::One,
        }
    }

    /// Appends the normal form of a text.
    pub fn write(self, text: &str, out: &mut Vec<u8>) {
        match self {
            Self::Exact => out.extend_from_slice(text.trim_end_matches(' ').as_bytes()),
            Self::One => {}
            Self::Unicode => {
                for char in text.chars() {
                    letters(char, |letter| out.push(letter));
                }
            }
            Self::Basic => {
                let mut last = 0;
                for char in text.chars().filter(|&char| char <= '\u{FFFF}') {
                    letters(char, |letter| {
                        if letter != b's' || last != b's' {
                            out.push(letter);
                        }
                        last = letter;
                    });
                }
            }
            Self::UnicodeDigits => digits(text.chars(), out),
            Self::BasicDigits => digits(text.chars().filter(|&char| char <= '\u{FFFF}'), out),
            Self::Swedish => {
                for char in text.chars() {
                    match char {
                        'ü' | 'Ü' => out.push(b'y'),
                        'å' | 'Å' | 'ä' | 'Ä' | 'ö' | 'Ö' | 'æ' | 'Æ' | 'ø' | 'Ø' => {}
                        _ => letters(char, |letter| out.push(letter)),
                    }
                }
            }
        }
    }
}

fn digits(text: impl Iterator<Item = char>, out: &mut Vec<u8>) {
    for char in text {
        letters(char, |letter| {
            if letter.is_ascii_digit() {
                out.push(letter);
            }
        });
    }
}

/// The letters and digits of ASCII that a character is.
#[inline]
fn letters(char: char, mut each: impl FnMut(u8)) {
    match u8::try_from(char) {
        Ok(byte) if byte.is_ascii() => {
            if byte.is_ascii_alphanumeric() {
                each(byte.to_ascii_lowercase());
            }
        }
        _ => {
            for letter in TABLE.get(&char).copied().unwrap_or_default().bytes() {
                each(letter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(collation: &str, text: &str) -> String {
        let mut out = Vec::new();
        Fold::of(collation).write(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn equal_texts_have_one_form() {
        for collation in [
            "utf8mb4_0900_ai_ci",
            "utf8mb3_unicode_520_ci",
            "uca1400_as_ci",
        ] {
            assert_eq!(form(collation, "Straße １ "), form(collation, "STRASSE-1"));
            assert_eq!(form(collation, "𝐚"), "a");
        }
        for collation in [
            "utf8mb4_general_ci",
            "utf8mb4_unicode_ci",
            "utf8_general_ci",
        ] {
            assert_eq!(form(collation, "Straße"), form(collation, "Strase"));
            assert_eq!(form(collation, "𝐚"), form(collation, "😀"));
            assert_ne!(form(collation, "100"), form(collation, "10"));
        }
        assert_eq!(
            form("latin1_swedish_ci", "MÜ"),
            form("latin1_swedish_ci", "my")
        );
        assert_eq!(form("utf8mb4_bin", "aé  "), "aé");
        assert_eq!(form("utf8mb4_hu_0900_ai_ci", "ccs 𝟏½"), "112");
        assert_eq!(form("utf8mb4_hungarian_ci", "ccs 𝟏½"), "12");
        assert_eq!(form("cp1257_lithuanian_ci", "z1"), "");
        assert_eq!(
            form("utf8mb4_german2_ci", "ä"),
            form("utf8mb4_german2_ci", "ae")
        );
    }

    #[test]
    fn two_collations_together_are_as_coarse_as_both() {
        let of = Fold::of;
        assert_eq!(of("utf8mb4_bin").or(of("utf8mb4_general_ci")), Fold::Basic);
        assert_eq!(
            of("utf8mb4_0900_ai_ci").or(of("utf8mb4_general_ci")),
            Fold::One
        );
        let language = of("utf8mb4_de_pb_0900_ai_ci");
        assert_eq!(of("utf8mb4_0900_as_cs").or(language), language);
        assert_eq!(of("ascii_bin").or(of("utf8mb4_0900_bin")), Fold::Exact);
    }
}
