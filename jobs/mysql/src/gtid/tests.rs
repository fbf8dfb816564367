//! Tests of GTID sets: the texts of real servers, and the laws of sets against a naive model.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

fn set(text: &str) -> GtidSet {
    GtidSet::parse(text).unwrap()
}

#[test]
fn texts_of_servers() {
    for (text, printed) in [
        (String::new(), String::new()),
        (format!("{A}:1-5"), format!("{A}:1-5")),
        (format!("{A}:1-3:5,\n{B}:7"), format!("{A}:1-3:5,{B}:7")),
        (format!("{A}:3:1-2:4-6"), format!("{A}:1-6")),
        (format!("{}:1", A.to_uppercase()), format!("{A}:1")),
        (format!("{A}:1-9:tag:1"), format!("{A}:1-9:tag:1")),
        (
            format!("{A}:tag_2:1:Tag:2-3,{A}:4"),
            format!("{A}:4:tag:2-3:tag_2:1"),
        ),
        ("0-1-5".into(), "0-1-5".into()),
        ("1-2-7, 0-1-5".into(), "0-1-5,1-2-7".into()),
    ] {
        assert_eq!(set(&text).to_string(), printed, "{text}");
        assert_eq!(set(&printed), set(&text));
    }
}

#[test]
fn what_is_none_is_refused_by_name() {
    for text in [
        "x:1",
        A,
        &format!("{A}:0"),
        &format!("{A}:5-3"),
        &format!("{A}:1-"),
        &format!("{A}:tag"),
        &format!("{A}:1:ta g!:2"),
        "0-1",
        "0-1-2-3",
        "a-b-c",
    ] {
        let error = GtidSet::parse(text).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("`{text}` is no GTID set: ")),
            "{error}"
        );
    }
}

#[test]
fn tags_are_apart() {
    let tagged = set(&format!("{A}:t:1-5"));
    let plain = set(&format!("{A}:1-5"));
    assert!(!plain.contains(&tagged) && !tagged.contains(&plain));
    assert!(plain.union(&tagged).contains(&tagged));
    assert_eq!(plain.union(&tagged).subtract(&tagged), plain);
}

#[test]
fn mariadb_counts_per_domain() {
    let (early, late) = (set("0-1-5,1-1-9"), set("0-2-8,1-1-9"));
    assert!(late.contains(&early) && !early.contains(&late));
    assert_eq!(late.subtract(&early), set("0-2-8"));
    assert_eq!(early.union(&set("7-1-1")), set("0-1-5,1-1-9,7-1-1"));
    assert!(early.contains(&set("")) && set("0-1-1").subtract(&set("0-1-1")).is_empty());
}

#[test]
fn documents_hold_the_text() {
    let json = serde_json::to_string(&set(&format!("{A}:1-5"))).unwrap();
    assert_eq!(json, format!("\"{A}:1-5\""));
    assert_eq!(
        serde_json::from_str::<GtidSet>(&json).unwrap(),
        set(&format!("{A}:1-5"))
    );
    assert!(serde_json::from_str::<GtidSet>("\"nonsense\"").is_err());
}

#[test]
fn the_largest_number_does_not_overflow() {
    let top = u64::MAX;
    let all = set(&format!("{A}:1-{top}"));
    assert_eq!(
        all.subtract(&set(&format!("{A}:{top}"))),
        set(&format!("{A}:1-{}", top - 1))
    );
    assert!(all.subtract(&all).is_empty());
    assert_eq!(all.union(&set(&format!("{A}:{top}"))), all);
}

/// Which transactions are in it, one by one.
type Model = BTreeSet<(bool, bool, u64)>;

fn text(model: &Model) -> String {
    let one = |(server, tagged, number): &(bool, bool, u64)| {
        let uuid = if *server { A } else { B };
        if *tagged {
            format!("{uuid}:t:{number}")
        } else {
            format!("{uuid}:{number}")
        }
    };
    model.iter().map(one).collect::<Vec<_>>().join(",")
}

fn model() -> impl Strategy<Value = Model> {
    proptest::collection::btree_set((any::<bool>(), any::<bool>(), 1_u64..12), 0..30)
}

proptest! {
    #[test]
    fn sets_obey_the_model(a in model(), b in model()) {
        let (x, y) = (set(&text(&a)), set(&text(&b)));
        prop_assert_eq!(&set(&x.to_string()), &x);
        prop_assert_eq!(x.union(&y), set(&text(&a.union(&b).copied().collect())));
        prop_assert_eq!(x.subtract(&y), set(&text(&a.difference(&b).copied().collect())));
        prop_assert_eq!(x.contains(&y), a.is_superset(&b));
        prop_assert_eq!(x.is_empty(), a.is_empty());
    }

    #[test]
    fn no_text_panics(text in "[0-9a-f:,\\- tg]{0,60}") {
        if let Ok(found) = GtidSet::parse(&text) {
            prop_assert_eq!(set(&found.to_string()), found);
        }
    }
}

#[test]
fn single_transactions_are_added() {
    let gtid = |number: u64| Gtid::MySql {
        uuid: A.into(),
        tag: String::new(),
        number,
    };
    let mut all = set("");
    for number in [5, 6, 9, 2, 7, 8, 1, 9, 4] {
        assert_eq!(
            all.has(&gtid(number)),
            number == 9 && all.has(&gtid(5)) && all.has(&gtid(9))
        );
        all.add(&gtid(number)).unwrap();
        assert!(all.has(&gtid(number)));
    }
    assert_eq!(all.to_string(), format!("{A}:1-2:4-9"));
    assert!(!all.has(&gtid(3)) && !all.has(&gtid(10)));
    let tagged = Gtid::MySql {
        uuid: A.into(),
        tag: "t".into(),
        number: 3,
    };
    all.add(&tagged).unwrap();
    assert_eq!(all.to_string(), format!("{A}:1-2:4-9:t:3"));
    assert_eq!(tagged.to_string(), format!("{A}:t:3"));

    let maria = |number: u64| Gtid::MariaDb {
        domain: 1,
        server: 2,
        number,
    };
    assert!(all.add(&maria(1)).is_err(), "of two kinds");
    let mut all = set("");
    all.add(&maria(7)).unwrap();
    all.add(&maria(3)).unwrap();
    assert_eq!(all.to_string(), "1-2-7");
    assert!(all.has(&maria(7)) && !all.has(&maria(8)));
}

proptest! {
    #[test]
    fn adding_one_by_one_is_the_union(numbers in proptest::collection::vec(1_u64..60, 0..60)) {
        let mut all = set("");
        let mut united = set("");
        for number in numbers {
            let gtid = Gtid::MySql { uuid: A.into(), tag: String::new(), number };
            all.add(&gtid).unwrap();
            united = united.union(&set(&gtid.to_string()));
            prop_assert_eq!(&all, &united);
        }
    }
}
