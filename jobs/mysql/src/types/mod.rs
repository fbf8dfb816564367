//! The one table of types: MySQL ⇄ Arrow/Parquet ⇄ text.

pub mod column_type;
pub mod encode;
pub mod literal;
pub mod load_text;
pub mod mapping;
