//! Naming a value that the memory budget cannot hold: by table, key, column and size.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::Error;
use crate::table::Table;

/// The error for the value of `size` bytes in the last row of `batch` (a batch ends behind a row
/// that exceeds its limit).
#[must_use]
pub fn describe(table: &Table, batch: &RecordBatch, size: usize) -> Error {
    let last = batch.num_rows().saturating_sub(1);
    let column = batch
        .columns()
        .iter()
        .position(|array| length(array.as_ref(), last) + 8 >= size)
        .map_or_else(String::new, |index| {
            batch.schema().field(index).name().clone()
        });
    let key: Vec<String> = table
        .plan
        .key
        .iter()
        .filter_map(|name| {
            let array = batch.column_by_name(name)?;
            let options = FormatOptions::default();
            let text = ArrayFormatter::try_new(array.as_ref(), &options).ok()?;
            let text: String = text.value(last).to_string().chars().take(64).collect();
            Some(format!("`{name}` = {text}"))
        })
        .collect();
    Error::TooLarge {
        table: table.name.clone(),
        column,
        key: if key.is_empty() {
            "no key".to_owned()
        } else {
            key.join(", ")
        },
        size,
        needed: size.saturating_mul(2),
    }
}

fn length(array: &dyn Array, row: usize) -> usize {
    if array.is_null(row) {
        return 0;
    }
    if let Some(array) = array.as_string_opt::<i32>() {
        array.value(row).len()
    } else if let Some(array) = array.as_binary_opt::<i32>() {
        array.value(row).len()
    } else {
        0
    }
}
