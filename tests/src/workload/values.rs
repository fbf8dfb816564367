//! Random values of the table with all types, as SQL.

use rand::Rng;
use rand::rngs::StdRng;

/// A column of the wide table and a value for it, never one that the server would bend.
pub fn column(random: &mut StdRng) -> (&'static str, String) {
    let name = NAMES[random.random_range(0..NAMES.len())];
    if random.random_bool(0.1) {
        return (name, "NULL".to_owned());
    }
    (name, value(random, name))
}

const NAMES: &[&str] = &[
    "ti", "tu", "si", "su", "mi", "mu", "i", "iu", "bi", "bu", "d1", "d2", "d3", "d4", "d5", "f",
    "d", "b1", "b64", "y", "da", "t0", "t6", "dt", "dt3", "dt6", "ts", "ts6", "c", "v", "tx", "lt",
    "bin", "vb", "bl", "lb", "e", "s", "j",
];

fn value(random: &mut StdRng, name: &str) -> String {
    let n: i64 = random.random_range(-100..=127);
    let u = n.unsigned_abs();
    let big: u64 = random.random();
    match name {
        "ti" => n.to_string(),
        "tu" => (u * 2).to_string(),
        "si" => (n * 250).to_string(),
        "su" => (u * 500).to_string(),
        "mi" => (n * 65_000).to_string(),
        "mu" => (u * 130_000).to_string(),
        "i" => (n * 16_000_000).to_string(),
        "iu" => (u * 33_000_000).to_string(),
        "bi" => random.random::<i64>().to_string(),
        "bu" => big.to_string(),
        "d1" => format!("{n}.{:04}", u * 70),
        "d2" => format!("{u}.{:06}", big % 1_000_000),
        "d3" => format!("{n}{big}.{:010}", big % 10_000_000_000),
        "d4" => format!("{n}{big}.{big:030}"),
        "d5" => format!("{n}{}", big % 1_000_000_000_000),
        "f" => format!("{n}.5"),
        "d" => format!("{:e}", f64::from_bits(big % (0x7FE << 52))),
        "b1" => format!("b'{}'", big % 2),
        "b64" => format!("0x{big:016X}"),
        "y" => (1901 + big % 255).to_string(),
        "da" => format!("'{}'", date(random)),
        "t0" => format!("'{}:{:02}:{:02}'", n * 6, u % 60, big % 60),
        "t6" => format!("'{}:{:02}:59.{:06}'", n * 6, u % 60, big % 1_000_000),
        "dt" | "ts" => format!("'{} 1{}:00:59'", date(random), u % 10),
        "dt3" => format!("'{} 1{}:00:59.{:03}'", date(random), u % 10, big % 1000),
        "dt6" | "ts6" => format!(
            "'{} 0{}:59:59.{:06}'",
            date(random),
            u % 10,
            big % 1_000_000
        ),
        "c" => format!("'ç{n}'"),
        "v" => format!("'v{} 東京 {n}'", big % 500),
        "tx" | "lt" => format!("REPEAT('añ\\n\\'😀{n}', {})", u % 40),
        "bin" => format!("x'{:016X}'", big & 0xFFFF_00FF_FFFF_FF00),
        "vb" | "bl" | "lb" => format!("UNHEX(REPEAT('{:016X}', {}))", big, u % 12),
        "e" => ["'a'", "'b''c'", "'ü'", "'x,y'"][random.random_range(0..4)].to_owned(),
        "s" => ["''", "'one'", "'one,drei'", "'two,drei'"][random.random_range(0..4)].to_owned(),
        _ => json(random, n, big),
    }
}

fn date(random: &mut StdRng) -> String {
    let year = random.random_range(1971..2037);
    format!(
        "{year}-{:02}-{:02}",
        random.random_range(1..=12),
        random.random_range(1..=28)
    )
}

fn json(random: &mut StdRng, n: i64, big: u64) -> String {
    let text = match random.random_range(0..6) {
        0 => format!("{{\"a\": {n}, \"b\": [1, 2.25, \"x{big}\"], \"c\": {{\"d\": null}}}}"),
        1 => format!("[{n}, {{}}, [], true, \"ü😀\"]"),
        2 => big.to_string(),
        3 => "JSON_SET(COALESCE(j, '{}'), '$.a', 'grown')".to_owned(),
        4 => format!("JSON_SET(COALESCE(j, '{{}}'), '$.n', {n})"),
        _ => "JSON_REMOVE(COALESCE(j, '{}'), '$.b')".to_owned(),
    };
    if text.starts_with("JSON_") {
        text
    } else {
        format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    }
}
