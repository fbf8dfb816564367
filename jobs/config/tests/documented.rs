//! `docs/configuration.md` says what the code does: its tables are made from the sections.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;
use std::path::Path;

use tideway_config::{CHECK_ITEMS, DOCUMENTED};

const BEGIN: &str = "<!-- begin: made from jobs/config -->\n";
const END: &str = "<!-- end -->";

fn tables() -> String {
    let mut text = String::new();
    for (section, keys) in DOCUMENTED {
        writeln!(
            text,
            "\n### {section}\n\n| key | default | meaning |\n| --- | --- | --- |"
        )
        .unwrap();
        for key in *keys {
            let default = match key.default {
                "String::new()" | "Vec::new()" | "BTreeMap::new()" | "None" => String::new(),
                other => format!(
                    "`{}`",
                    other
                        .replace(".into()", "")
                        .replace(" :: ", "::")
                        .replace('"', "")
                ),
            };
            let default = if default.contains("default()") || default.contains("::new") {
                String::new()
            } else {
                default
            };
            let effect = key
                .no_effect
                .map(|why| format!(" — *{why}*"))
                .unwrap_or_default();
            writeln!(
                text,
                "| `{}` | {default} | {}{effect} |",
                key.key,
                key.meaning.trim()
            )
            .unwrap();
        }
    }
    writeln!(
        text,
        "\n### Names for `ignore-checking-items`\n\n{}",
        CHECK_ITEMS
            .iter()
            .map(|item| format!("`{item}`"))
            .collect::<Vec<_>>()
            .join(", ")
    )
    .unwrap();
    text
}

/// `TIDEWAY_WRITE_DOCS=1 cargo test -p tideway-config --test documented` writes it anew.
#[test]
fn the_configuration_page_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the begin mark");
    let (_, tail) = rest.split_once(END).expect("the end mark");
    let now = format!("{head}{BEGIN}{}{END}{tail}", tables());
    if std::env::var_os("TIDEWAY_WRITE_DOCS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    assert!(
        page == now || std::env::var_os("TIDEWAY_WRITE_DOCS").is_some(),
        "docs/configuration.md is out of date: run this test with TIDEWAY_WRITE_DOCS=1"
    );
}
