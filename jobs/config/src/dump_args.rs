//! `extra-args` of a `mydumpers` section: Dumpling's flags with Dumpling's meaning.
//!
//! The text is split as a shell would (quotes, backslashes), and each flag is
//! - honoured, and changes [`DumpArgs`];
//! - accepted without effect, because it speaks of SQL or CSV files that Tideway does not write:
//!   one warning;
//! - refused with the way out, when ignoring it would move other data than the user asked for.

use std::collections::BTreeMap;

use crate::resolved::Consistency;
use crate::scalar::parse_file_size;
use crate::yaml::nearest;

/// What the flags ask for; `None` where they do not speak.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DumpArgs {
    pub(crate) threads: Option<usize>,
    pub(crate) chunk_bytes: Option<u64>,
    pub(crate) rows: Option<u64>,
    pub(crate) consistency: Option<Consistency>,
    pub(crate) where_clause: Option<String>,
    pub(crate) no_data: bool,
    pub(crate) no_schemas: bool,
    pub(crate) no_views: Option<bool>,
    pub(crate) session: BTreeMap<String, String>,
    /// Flags without effect, with the reason.
    pub(crate) warnings: Vec<String>,
}

/// A flag that cannot be honoured: what is wrong and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArgError {
    pub(crate) what: String,
    pub(crate) way_out: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Value,
    Bool,
}

struct Flag {
    long: &'static str,
    short: Option<char>,
    takes: Takes,
    use_: Use,
}

enum Use {
    Honoured,
    /// Accepted; the reason.
    NoEffect(&'static str),
    /// Refused; the way out.
    Refused(&'static str),
}

const fn flag(long: &'static str, short: Option<char>, takes: Takes, use_: Use) -> Flag {
    Flag {
        long,
        short,
        takes,
        use_,
    }
}

const PARQUET: Use = Use::NoEffect("Tideway writes Parquet");
const LOGGING: Use = Use::NoEffect("Tideway's own logging flags govern");
const CONNECTION: Use = Use::Refused("give it in `from` of the source file");
const TABLES: Use = Use::Refused("choose tables by `block-allow-list`");
const CERTIFICATE: Use = Use::Refused("give it in `from.security` of the source file");

const FLAGS: &[Flag] = &[
    flag("threads", Some('t'), Takes::Value, Use::Honoured),
    flag("filesize", Some('F'), Takes::Value, Use::Honoured),
    flag("rows", Some('r'), Takes::Value, Use::Honoured),
    flag("where", None, Takes::Value, Use::Honoured),
    flag("consistency", None, Takes::Value, Use::Honoured),
    flag("no-locks", None, Takes::Bool, Use::Honoured),
    flag(
        "transactional-consistency",
        None,
        Takes::Bool,
        Use::Honoured,
    ),
    flag("no-views", Some('W'), Takes::Bool, Use::Honoured),
    flag("no-data", Some('d'), Takes::Bool, Use::Honoured),
    flag("no-schemas", Some('m'), Takes::Bool, Use::Honoured),
    flag("params", None, Takes::Value, Use::Honoured),
    flag("statement-size", Some('s'), Takes::Value, PARQUET),
    flag("escape-backslash", None, Takes::Bool, PARQUET),
    flag("complete-insert", None, Takes::Bool, PARQUET),
    flag(
        "compress",
        Some('c'),
        Takes::Value,
        Use::NoEffect("Parquet is compressed by zstd"),
    ),
    flag("filetype", None, Takes::Value, PARQUET),
    flag("no-header", None, Takes::Bool, PARQUET),
    flag("csv-null-value", None, Takes::Value, PARQUET),
    flag("csv-separator", None, Takes::Value, PARQUET),
    flag("csv-delimiter", None, Takes::Value, PARQUET),
    flag("csv-line-terminator", None, Takes::Value, PARQUET),
    flag("csv-output-dialect", None, Takes::Value, PARQUET),
    flag("output-filename-template", None, Takes::Value, PARQUET),
    flag(
        "order-by-primary-key",
        None,
        Takes::Bool,
        Use::NoEffect("chunks are ranges of the key"),
    ),
    flag(
        "no-sequences",
        None,
        Takes::Bool,
        Use::NoEffect("sequences are left out"),
    ),
    flag(
        "dump-empty-database",
        None,
        Takes::Bool,
        Use::NoEffect("empty databases are dumped"),
    ),
    flag(
        "read-timeout",
        None,
        Takes::Value,
        Use::NoEffect("connections have time-outs"),
    ),
    flag(
        "tidb-mem-quota-query",
        None,
        Takes::Value,
        Use::NoEffect("queries read one chunk each"),
    ),
    flag(
        "status-addr",
        None,
        Takes::Value,
        Use::NoEffect("see --metrics-addr"),
    ),
    flag("loglevel", None, Takes::Value, LOGGING),
    flag("logfile", Some('L'), Takes::Value, LOGGING),
    flag("logfmt", None, Takes::Value, LOGGING),
    flag(
        "skip-tz-utc",
        None,
        Takes::Bool,
        Use::NoEffect("Tideway always reads in UTC"),
    ),
    flag("host", Some('h'), Takes::Value, CONNECTION),
    flag("port", Some('P'), Takes::Value, CONNECTION),
    flag("user", Some('u'), Takes::Value, CONNECTION),
    flag("password", Some('p'), Takes::Value, CONNECTION),
    flag("ca", None, Takes::Value, CERTIFICATE),
    flag("cert", None, Takes::Value, CERTIFICATE),
    flag("key", None, Takes::Value, CERTIFICATE),
    flag("database", Some('B'), Takes::Value, TABLES),
    flag("tables-list", Some('T'), Takes::Value, TABLES),
    flag("filter", Some('f'), Takes::Value, TABLES),
    flag(
        "case-sensitive",
        None,
        Takes::Bool,
        Use::Refused("give `case-sensitive` in the file"),
    ),
    flag(
        "output",
        Some('o'),
        Takes::Value,
        Use::Refused("the dump goes to --staging"),
    ),
    flag(
        "sql",
        Some('S'),
        Takes::Value,
        Use::Refused("choose rows by `--where`"),
    ),
    flag(
        "snapshot",
        None,
        Takes::Value,
        Use::Refused("`--consistency snapshot` takes the present on a TiDB source"),
    ),
];

/// Reads the text.
pub(crate) fn parse(text: &str) -> Result<DumpArgs, ArgError> {
    let words = shlex::split(text).ok_or_else(|| ArgError {
        what: "a quote is not closed".into(),
        way_out: "quote it as in a shell, for instance --where \"id > 10\"".into(),
    })?;
    let mut out = DumpArgs::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let flag = FLAGS
                .iter()
                .find(|f| f.long == name)
                .ok_or_else(|| unknown(name))?;
            let value = match (value, flag.takes) {
                (Some(value), _) => value,
                (None, Takes::Bool) => "true".to_owned(),
                (None, Takes::Value) => words.next().ok_or_else(|| without_value(&word))?,
            };
            out.take(flag, &value)?;
        } else if let Some(shorts) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            let mut rest = shorts;
            while let Some(c) = rest.chars().next() {
                rest = &rest[c.len_utf8()..];
                let flag = FLAGS
                    .iter()
                    .find(|f| f.short == Some(c))
                    .ok_or_else(|| unknown(&c.to_string()))?;
                if flag.takes == Takes::Bool {
                    if let Some(value) = rest.strip_prefix('=') {
                        out.take(flag, value)?;
                        break;
                    }
                    out.take(flag, "true")?;
                    continue;
                }
                let value = match rest {
                    "" => words.next().ok_or_else(|| without_value(&word))?,
                    value => value.strip_prefix('=').unwrap_or(value).to_owned(),
                };
                out.take(flag, &value)?;
                break;
            }
        } else {
            return Err(ArgError {
                what: format!("`{word}` is no flag"),
                way_out: "quote values that hold spaces".into(),
            });
        }
    }
    Ok(out)
}

fn unknown(name: &str) -> ArgError {
    let way_out = match nearest(name, FLAGS.iter().map(|f| f.long)) {
        Some(near) => format!("did you mean `--{near}`?"),
        None => "Dumpling has no such flag".to_owned(),
    };
    let dashes = if name.chars().count() == 1 { "-" } else { "--" };
    ArgError {
        what: format!("unknown flag `{dashes}{name}`"),
        way_out,
    }
}

fn without_value(word: &str) -> ArgError {
    ArgError {
        what: format!("`{word}` has no value"),
        way_out: "give one behind it".into(),
    }
}

impl DumpArgs {
    fn take(&mut self, flag: &Flag, value: &str) -> Result<(), ArgError> {
        let name = flag.long;
        // A value is shown in errors but for flags that could carry a secret.
        let wrong = |way_out: &str| ArgError {
            what: format!("`--{name}` cannot be `{value}`"),
            way_out: way_out.to_owned(),
        };
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| wrong("give a whole number"))
        };
        let yes = || match value {
            "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
            "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false),
            _ => Err(wrong("give true or false")),
        };
        match &flag.use_ {
            Use::Refused(way_out) => {
                return Err(ArgError {
                    what: format!("`--{name}` cannot be honoured"),
                    way_out: (*way_out).to_owned(),
                });
            }
            Use::NoEffect(why) => {
                let warning = format!("`--{name}` in extra-args has no effect: {why}");
                if !self.warnings.contains(&warning) {
                    self.warnings.push(warning);
                }
                return Ok(());
            }
            Use::Honoured => {}
        }
        match name {
            "threads" => {
                let threads = usize::try_from(number()?).unwrap_or(0);
                if !(1..=4096).contains(&threads) {
                    return Err(wrong("give between 1 and 4096"));
                }
                self.threads = Some(threads);
            }
            "filesize" => {
                self.chunk_bytes = Some(parse_file_size(value).map_err(|e| wrong(&e))?);
            }
            // Dumpling's 0 means: do not split by rows.
            "rows" => self.rows = Some(number()?).filter(|rows| *rows > 0),
            "where" => self.where_clause = Some(value.to_owned()).filter(|w| !w.trim().is_empty()),
            "consistency" => {
                self.consistency = Some(match value {
                    "auto" | "" => Consistency::Auto,
                    "flush" => Consistency::Flush,
                    "snapshot" => Consistency::Snapshot,
                    "lock" => Consistency::Lock,
                    "none" => Consistency::None,
                    _ => return Err(wrong("give auto, flush, snapshot, lock or none")),
                });
            }
            "no-locks" => {
                let none = yes()?.then_some(Consistency::None);
                self.consistency = none.or(self.consistency);
            }
            "transactional-consistency" => {
                yes()?
                    .then_some(())
                    .ok_or_else(|| wrong("every chunk is one transaction; leave the flag out"))?;
            }
            "no-views" => self.no_views = Some(yes()?),
            "no-data" => self.no_data = yes()?,
            "no-schemas" => self.no_schemas = yes()?,
            "params" => {
                for pair in value.split(',').filter(|pair| !pair.trim().is_empty()) {
                    let (variable, value) = pair
                        .split_once('=')
                        .ok_or_else(|| wrong("write variable=value"))?;
                    self.session
                        .insert(variable.trim().into(), value.trim().into());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_a_flag() {
        for text in ["--threads 8", "--threads=8", "-t 8", "-t8", "-t=8"] {
            assert_eq!(parse(text).unwrap().threads, Some(8), "{text}");
        }
        for text in [
            "--no-data",
            "--no-data=true",
            "-d",
            "-d=true",
            "-Wd",
            "-dt8",
        ] {
            assert!(parse(text).unwrap().no_data, "{text}");
        }
        assert!(!parse("--no-data=false").unwrap().no_data);
    }

    #[test]
    fn dumplings_meaning() {
        let args = parse(
            "--consistency none -F 256MiB -r 20000 --where \"a > 1 and b = 'x y'\" \
             --no-views=false --no-schemas --params tidb_isolation_read_engines=tikv",
        )
        .unwrap();
        assert_eq!(args.consistency, Some(Consistency::None));
        assert_eq!(args.chunk_bytes, Some(256 << 20));
        assert_eq!(args.rows, Some(20000));
        assert_eq!(args.where_clause.as_deref(), Some("a > 1 and b = 'x y'"));
        assert_eq!(args.no_views, Some(false));
        assert!(args.no_schemas);
        assert_eq!(args.session["tidb_isolation_read_engines"], "tikv");
        assert_eq!(parse("-F 64").unwrap().chunk_bytes, Some(64 << 20));
        assert_eq!(
            parse("--no-locks").unwrap().consistency,
            Some(Consistency::None)
        );
        assert_eq!(parse("").unwrap(), DumpArgs::default());
    }

    #[test]
    fn what_speaks_of_sql_files_is_one_warning() {
        let args = parse("-s 1000 --statement-size 5 --escape-backslash=false").unwrap();
        assert_eq!(args.warnings.len(), 2, "{:?}", args.warnings);
    }

    #[test]
    fn what_cannot_be_honoured_says_so() {
        let error = parse("--sql 'select 1'").unwrap_err();
        assert_eq!(error.what, "`--sql` cannot be honoured");
        assert_eq!(error.way_out, "choose rows by `--where`");
        assert_eq!(
            parse("--consistancy none").unwrap_err().way_out,
            "did you mean `--consistency`?"
        );
        let error = parse("-p geheim").unwrap_err();
        assert!(!format!("{error:?}").contains("geheim"));
        for wrong in [
            "--where",
            "--rows x",
            "--where 'a",
            "word",
            "--consistency often",
            "-x",
            "-t 0",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
