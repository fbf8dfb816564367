//! The JSON Schema of the workflow file, for editors. Generated from the types that read it.

use super::file::WorkflowFile;

/// The schema as it is shipped in `workflow.schema.json`.
#[must_use]
pub fn text() -> String {
    let schema = schemars::schema_for!(WorkflowFile);
    // `{:#}` of a JSON value is its pretty form and cannot fail.
    format!("{:#}\n", schema.as_value())
}
