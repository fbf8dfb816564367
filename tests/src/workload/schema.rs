//! The tables of a workload, and the rows that they begin with.

use mysql_async::prelude::Queryable;

use super::Options;
use crate::servers::Server;
use crate::tables;

/// Keys of rows are drawn from `1..=KEYS`, so that statements meet.
pub const KEYS: u32 = 600;
/// Tables that come and go: `made0` …
pub const MADE: u32 = 4;

/// What stands behind the columns of each table.
pub const SUFFIX: &str = "DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_general_ci";

/// Makes the databases and the tables, with rows.
pub async fn create(options: &Options) {
    let mut conn = options.server.connect().await;
    let database = &options.database;
    let mut statements = vec![
        format!("CREATE DATABASE IF NOT EXISTS `{database}` DEFAULT CHARSET utf8mb4"),
        format!("CREATE DATABASE IF NOT EXISTS `{database}_other`"),
        format!("USE `{database}`"),
    ];
    statements.extend(tables_of(options));
    for statement in &statements {
        conn.query_drop(statement)
            .await
            .unwrap_or_else(|error| panic!("{statement:.300}: {error}"));
    }
    conn.disconnect().await.expect("disconnect");
}

/// Names of the columns that hold JSON under another type's name (MariaDB).
#[must_use]
pub fn json_columns(server: Server) -> &'static [&'static str] {
    if server == Server::MariaDb {
        &["j"]
    } else {
        &[]
    }
}

fn tables_of(options: &Options) -> Vec<String> {
    let p = &options.prefix;
    let other = format!("{}_other", options.database);
    let numbers = numbers();
    let mut statements = vec![
        format!(
            "CREATE TABLE {p}accounts (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60), n INT, \
             amount DECIMAL(14,4), changed TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE \
             CURRENT_TIMESTAMP(6), KEY by_n (n)) {SUFFIX}"
        ),
        format!(
            "INSERT INTO {p}accounts (id, name, n, amount) SELECT n, CONCAT('name ', n), n % 17, n / 7 FROM {numbers}"
        ),
        format!(
            "CREATE TABLE {p}pairs (a INT NOT NULL, b VARCHAR(20) NOT NULL, v TEXT, at DATETIME(3), PRIMARY KEY \
             (a, b)) {SUFFIX}"
        ),
        format!(
            "INSERT INTO {p}pairs SELECT n % 30, CONCAT('b', n DIV 30), REPEAT('x', n % 50), NULL FROM {numbers}"
        ),
        format!(
            "CREATE TABLE {p}uniques (id INT PRIMARY KEY, a INT NOT NULL, b INT NULL, c VARCHAR(30) NOT NULL, v INT, \
             UNIQUE KEY ua (a), UNIQUE KEY ub (b), UNIQUE KEY uc (c)) {SUFFIX}"
        ),
        format!(
            "INSERT INTO {p}uniques SELECT n, n * 3, IF(n % 4, n, NULL), CONCAT('c', n), 0 FROM {numbers} WHERE n <= 200"
        ),
        format!(
            "CREATE TABLE {p}folded (k VARCHAR(20) COLLATE utf8mb4_unicode_ci PRIMARY KEY, n INT) {SUFFIX}"
        ),
        format!("INSERT INTO {p}folded SELECT CONCAT('key', n), n FROM {numbers} WHERE n <= 100"),
        format!("CREATE TABLE {p}nokey (a INT, b VARCHAR(20), d DOUBLE) {SUFFIX}"),
        format!(
            "INSERT INTO {p}nokey SELECT n % 7, IF(n % 5, CONCAT('b', n % 3), NULL), n % 2 / 3 FROM {numbers} WHERE n <= 100"
        ),
        format!("CREATE TABLE {p}nullable (a INT NULL, b INT, UNIQUE KEY ua (a)) {SUFFIX}"),
        format!(
            "INSERT INTO {p}nullable SELECT IF(n % 3, n, NULL), n FROM {numbers} WHERE n <= 60"
        ),
        format!("CREATE TABLE {p}shape (id INT PRIMARY KEY, v VARCHAR(60)) {SUFFIX}"),
        format!("INSERT INTO {p}shape SELECT n, CONCAT('v', n) FROM {numbers}"),
        format!("CREATE TABLE {p}shadow (id INT PRIMARY KEY, v VARCHAR(60)) {SUFFIX}"),
        format!("INSERT INTO {p}shadow SELECT n, CONCAT('v', n) FROM {numbers}"),
        format!("CREATE TABLE {p}lefty (id INT PRIMARY KEY, v VARCHAR(60)) {SUFFIX}"),
        format!(
            "CREATE TABLE {p}righty (id INT PRIMARY KEY, v VARCHAR(60), extra INT DEFAULT 1) {SUFFIX}"
        ),
        format!("INSERT INTO {p}lefty SELECT n, 'left' FROM {numbers} WHERE n % 2"),
        format!("INSERT INTO {p}righty SELECT n, 'right', n FROM {numbers} WHERE n % 3"),
        format!("CREATE TABLE {p}emptied (id INT PRIMARY KEY, v VARCHAR(60)) {SUFFIX}"),
        format!("CREATE TABLE {p}indexed (id INT PRIMARY KEY, n INT, v VARCHAR(60)) {SUFFIX}"),
        format!("INSERT INTO {p}indexed SELECT n, n % 13, 'i' FROM {numbers}"),
        format!("CREATE TABLE IF NOT EXISTS `{other}`.aside (id INT PRIMARY KEY, v VARCHAR(60))"),
    ];
    statements.extend(
        tables::all_types()
            .into_iter()
            .map(|statement| statement.replacen("all_types", &format!("{p}wide"), 1)),
    );
    statements
}

/// A derived table of the numbers from 1 to [`KEYS`], for servers that know no recursion.
fn numbers() -> String {
    let digits = "(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION \
                  ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
    format!(
        "(SELECT 1 + x.n + 10 * y.n + 100 * z.n AS n FROM {digits} x, {digits} y, {digits} z \
         WHERE x.n + 10 * y.n + 100 * z.n < {KEYS}) numbers"
    )
}
