//! The text of SHOW CREATE TABLE, without what changes while the definition does not.

/// `create_sql` without the counters among its options: `AUTO_INCREMENT=n`, and TiDB's
/// `AUTO_RANDOM_BASE=n` with the comment around it.
///
/// Quoted text is passed over, so a comment that speaks of `AUTO_INCREMENT=5` stays.
#[must_use]
pub fn without_auto_increment(create_sql: &str) -> String {
    let mut out = String::with_capacity(create_sql.len());
    let mut rest = create_sql;
    let mut depth = 0_i32;
    while let Some(c) = rest.chars().next() {
        if matches!(c, '\'' | '`' | '"') {
            let end = quoted_end(rest, c);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' if depth == 0 => {
                if let Some(len) = counter(rest) {
                    rest = &rest[len..];
                    continue;
                }
            }
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// Where the quoted text at the start of `text` ends.
fn quoted_end(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote != '`' {
            chars.next();
        } else if c == quote && chars.next_if(|&(_, next)| next == quote).is_none() {
            return at + quote.len_utf8();
        }
    }
    text.len()
}

/// The length of a counter at the start of `text`, the space before it included.
fn counter(text: &str) -> Option<usize> {
    let digits = |from: usize| {
        let more = text[from..]
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len() - from);
        (more > 0).then_some(from + more)
    };
    const AUTO_INCREMENT: &str = " AUTO_INCREMENT=";
    const AUTO_RANDOM: &str = " /*T![auto_rand_base] AUTO_RANDOM_BASE=";
    if starts_with(text, AUTO_INCREMENT) {
        return digits(AUTO_INCREMENT.len());
    }
    if starts_with(text, AUTO_RANDOM) {
        let end = digits(AUTO_RANDOM.len())?;
        return text[end..].starts_with(" */").then_some(end + 3);
    }
    None
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_go() {
        let create = "CREATE TABLE `t` (\n  `id` int NOT NULL AUTO_INCREMENT,\n  PRIMARY KEY (`id`)\n) \
                      ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=utf8mb4";
        assert_eq!(
            without_auto_increment(create),
            create.replace(" AUTO_INCREMENT=42", "")
        );
        let tidb = "CREATE TABLE `t` (\n  `id` bigint\n) ENGINE=InnoDB \
                    /*T![auto_rand_base] AUTO_RANDOM_BASE=30001 */ COMMENT='x'";
        assert_eq!(
            without_auto_increment(tidb),
            "CREATE TABLE `t` (\n  `id` bigint\n) ENGINE=InnoDB COMMENT='x'"
        );
    }

    #[test]
    fn what_only_looks_like_one_stays() {
        for create in [
            "CREATE TABLE `a AUTO_INCREMENT=1` (`b` int) ENGINE=InnoDB",
            r"CREATE TABLE `t` (`b` int COMMENT 'it''s \' AUTO_INCREMENT=5') COMMENT='x AUTO_INCREMENT=5'",
            "CREATE TABLE `t` (`b` int) COMMENT='ends in \\\\' ENGINE=InnoDB",
            "CREATE TABLE `unclosed AUTO_INCREMENT=5",
        ] {
            assert_eq!(without_auto_increment(create), create);
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_it_is_idempotent(text in "\\PC*") {
            let once = without_auto_increment(&text);
            proptest::prop_assert_eq!(without_auto_increment(&text), once);
        }
    }
}
