//! The one table of types: MySQL ⇄ Arrow/Parquet ⇄ text.

pub mod cells;
pub mod column_type;
pub mod date_text;
pub mod decimal_text;
pub mod encode;
pub mod format;
pub mod literal;
pub mod load_text;
pub mod mapping;
