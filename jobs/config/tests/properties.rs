//! The filter against a naive model, and a parser that never panics.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use tideway_config::*;

/// Wildcards by recursion over characters, as one would define them.
fn naive(pattern: &[char], name: &[char]) -> bool {
    match pattern.first() {
        None => name.is_empty(),
        Some('*') => (0..=name.len()).any(|n| naive(&pattern[1..], &name[n..])),
        Some('?') => !name.is_empty() && naive(&pattern[1..], &name[1..]),
        Some('[') => {
            let Some((&c, rest)) = name.split_first() else {
                return false;
            };
            let end = pattern.iter().position(|c| *c == ']').unwrap();
            let (not, set) = match pattern[1] {
                '!' => (true, &pattern[2..end]),
                _ => (false, &pattern[1..end]),
            };
            let hit = if set.len() == 3 && set[1] == '-' {
                (set[0]..=set[2]).contains(&c)
            } else {
                set.contains(&c)
            };
            hit != not && naive(&pattern[end + 1..], rest)
        }
        Some(p) => name.first() == Some(p) && naive(&pattern[1..], &name[1..]),
    }
}

fn naive_text(pattern: &str, name: &str) -> bool {
    let chars = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    naive(&chars(pattern), &chars(name))
}

fn naive_filter(list: &BlockAllowList, schema: &str, table: &str) -> bool {
    if is_system_schema(schema) {
        return false;
    }
    let any = |dbs: &[String]| dbs.iter().any(|p| naive_text(p, schema));
    let table_of = |rules: &[TableRule]| {
        rules
            .iter()
            .any(|r| naive_text(&r.db_name, schema) && naive_text(&r.tbl_name, table))
    };
    if !list.do_dbs.is_empty() {
        if !any(&list.do_dbs) {
            return false;
        }
    } else if any(&list.ignore_dbs) {
        return false;
    }
    if !list.do_tables.is_empty() {
        table_of(&list.do_tables)
    } else {
        !table_of(&list.ignore_tables)
    }
}

fn pattern() -> impl Strategy<Value = String> {
    // Few letters, so that names and patterns meet.
    prop::collection::vec(
        prop_oneof![
            5 => "[abAB.]",
            2 => Just("*".to_owned()),
            1 => Just("?".to_owned()),
            1 => Just("[ab]".to_owned()),
            1 => Just("[a-c]".to_owned()),
            1 => Just("[!a]".to_owned()),
        ],
        1..5,
    )
    .prop_map(|parts| parts.concat())
}

fn rule() -> impl Strategy<Value = TableRule> {
    (pattern(), pattern()).prop_map(|(db_name, tbl_name)| TableRule {
        db_name,
        tbl_name,
        ..TableRule::default()
    })
}

fn list() -> impl Strategy<Value = BlockAllowList> {
    (
        prop::collection::vec(pattern(), 0..3),
        prop::collection::vec(pattern(), 0..3),
        prop::collection::vec(rule(), 0..3),
        prop::collection::vec(rule(), 0..3),
    )
        .prop_map(
            |(do_dbs, ignore_dbs, do_tables, ignore_tables)| BlockAllowList {
                do_dbs,
                ignore_dbs,
                do_tables,
                ignore_tables,
                ..BlockAllowList::default()
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_filter_agrees_with_a_naive_model(
        list in list(),
        names in prop::collection::vec(("[abc.]{0,4}", "[abcAB.]{0,4}"), 1..8),
    ) {
        let filter = TableFilter::new(&list, false).unwrap();
        for (schema, table) in names.iter().chain([&("mysql".to_owned(), "a".to_owned())]) {
            prop_assert_eq!(
                filter.includes(schema, table),
                naive_filter(&list, schema, table),
                "{}.{} {:?}", schema, table, list
            );
            if filter.includes(schema, table) {
                prop_assert!(filter.includes_schema(schema));
            }
        }
    }

    #[test]
    fn any_text_is_a_pattern_or_an_error(text in ".{0,12}", name in ".{0,12}") {
        for text in [text.clone(), format!("~{text}")] {
            if let Ok(pattern) = Pattern::new(&text, true) {
                let _ = pattern.matches(&name);
            }
        }
    }

    #[test]
    fn a_name_without_wildcards_matches_itself(name in "[^*?\\[~]{1,12}") {
        prop_assert!(Pattern::new(&name, true).unwrap().matches(&name));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_no_panic(
        cut in 0..400usize, insert in "[-:\\[\\]{}&*!|>'\"%@`#, \\n\\ta<~0-9]{0,6}",
    ) {
        let text = "name: a\ntask-mode: all\nmysql-instances:\n- &x {source-id: b}\n- <<: *x\n  \
                    source-id: c\n  mydumper: {threads: 4, extra-args: \"-t 4 --where 'a'\"}\n\
                    block-allow-list:\n  g: {do-dbs: [a, '*'], do-tables: [{db-name: a}]}\n\
                    target-database: {host: h, password: \"x\", session: {a: b}}\n";
        let cut = (0..=cut.min(text.len())).rev().find(|n| text.is_char_boundary(*n)).unwrap();
        let damaged = format!("{}{insert}{}", &text[..cut], &text[cut..]);
        for text in [damaged.as_str(), insert.as_str(), &damaged[..cut]] {
            if let Ok((task, _)) = parse_task(text, "t") {
                let _ = resolve(&task, &[], &Options::default());
            }
            let _ = parse_source(text, "s");
        }
    }

    #[test]
    fn any_extra_args_are_read_or_refused(args in "[-a-zF =0-9'\"\\\\]{0,30}") {
        let text = format!(
            "name: a\ntask-mode: full\ntarget-database: {{host: h}}\nmysql-instances:\n\
             - source-id: s\n  mydumper:\n    extra-args: {}\n",
            serde_json::to_string(&args).unwrap()
        );
        let (task, _) = parse_task(&text, "t").unwrap();
        let (source, _) = parse_source("source-id: s\nfrom: {host: h}", "s").unwrap();
        let _ = resolve(&task, &[source], &Options::default());
    }
}
