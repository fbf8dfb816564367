//! Character sets of one byte a character, by tables of 256 characters.

use std::sync::LazyLock;

use super::single_tables::TABLES;

/// A character set of one byte a character.
#[derive(Debug)]
pub struct Single {
    /// Its name.
    pub name: &'static str,
    /// The character of each byte.
    chars: [char; 256],
    /// Whether bytes below 128 are ASCII.
    pub(super) ascii: bool,
}

static READY: LazyLock<Vec<Single>> = LazyLock::new(|| {
    let ready = |&(name, first, text): &(&'static str, u8, &str)| {
        let mut chars = ['?'; 256];
        // Below `first` a byte is ASCII's character.
        for (byte, char) in chars
            .iter_mut()
            .zip((0..first).map(char::from).chain(text.chars()))
        {
            *byte = char;
        }
        Single {
            name,
            chars,
            ascii: first >= 128,
        }
    };
    TABLES.iter().map(ready).collect()
});

/// The set of this name, in lower case.
pub(super) fn find(name: &str) -> Option<&'static Single> {
    READY.iter().find(|set| set.name == name)
}

impl Single {
    /// The character of a byte; `?` when it has none.
    #[must_use]
    pub fn char(&self, byte: u8) -> char {
        self.chars.get(usize::from(byte)).copied().unwrap_or('?')
    }

    pub(super) fn decode(&self, bytes: &[u8], out: &mut String) {
        out.extend(bytes.iter().map(|&byte| self.char(byte)));
    }
}

/// All of them.
#[cfg(test)]
pub(super) fn all() -> &'static [Single] {
    &READY
}
