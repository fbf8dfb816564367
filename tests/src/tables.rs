//! Tables that are hard to move, as SQL; each is small and covers several traps.

/// Every type with its extremes, as MySQL 9.7, MariaDB and TiDB all know them.
#[must_use]
pub fn all_types() -> Vec<String> {
    let create = "CREATE TABLE all_types (
        id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
        ti TINYINT, tu TINYINT UNSIGNED, si SMALLINT, su SMALLINT UNSIGNED,
        mi MEDIUMINT, mu MEDIUMINT UNSIGNED, i INT, iu INT UNSIGNED, bi BIGINT, bu BIGINT UNSIGNED,
        d1 DECIMAL(9,4), d2 DECIMAL(18,6) UNSIGNED, d3 DECIMAL(38,10), d4 DECIMAL(65,30), d5 DECIMAL(20,0),
        f FLOAT, d DOUBLE,
        b1 BIT(1), b64 BIT(64), y YEAR,
        da DATE, t0 TIME, t6 TIME(6), dt DATETIME, dt3 DATETIME(3), dt6 DATETIME(6),
        ts TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL,
        c CHAR(10), v VARCHAR(200), tx TEXT, lt LONGTEXT,
        bin BINARY(8), vb VARBINARY(100), bl BLOB, lb LONGBLOB,
        e ENUM('a','b''c','ü','x,y') , s SET('one','two','drei'), j JSON,
        g BIGINT GENERATED ALWAYS AS (i + 1) VIRTUAL, gs VARCHAR(210) GENERATED ALWAYS AS (CONCAT(v, '!')) STORED,
        UNIQUE KEY uv (v)
    ) DEFAULT CHARSET = utf8mb4";
    let columns = "(id,ti,tu,si,su,mi,mu,i,iu,bi,bu,d1,d2,d3,d4,d5,f,d,b1,b64,y,da,t0,t6,dt,dt3,dt6,ts,ts6,c,v,tx,lt,bin,vb,bl,lb,e,s,j)";
    let rows = [
        "(0,-128,0,-32768,0,-8388608,0,-2147483648,0,-9223372036854775808,0,-99999.9999,0,-9999999999999999999999999999.9999999999,-99999999999999999999999999999999999.999999999999999999999999999999,-99999999999999999999,-3.402823e38,-1.7976931348623157e308,b'0',b'0',1901,'1000-01-01','-838:59:59','-838:59:59.000000','1000-01-01 00:00:00','1000-01-01 00:00:00.001','1000-01-01 00:00:00.000001','1970-01-01 00:00:01','1970-01-01 00:00:01.000001','','','','',x'00',x'',x'',x'','a','','{}')",
        "(18446744073709551615,127,255,32767,65535,8388607,16777215,2147483647,4294967295,9223372036854775807,18446744073709551615,99999.9999,999999999999.999999,9999999999999999999999999999.9999999999,99999999999999999999999999999999999.999999999999999999999999999999,99999999999999999999,3.402823e38,1.7976931348623157e308,b'1',0xFFFFFFFFFFFFFFFF,2155,'9999-12-31','838:59:59','838:59:58.999999','9999-12-31 23:59:59','9999-12-31 23:59:59.999','9999-12-31 23:59:59.999999','2038-01-19 03:14:07','2038-01-19 03:14:07.999999','ten chars!','tab\\tnl\\nbs\\\\quote''\\0nul\\r\\Zend','emoji 😀 und ü','\\\\N',x'0001027F80FEFF0A',x'00095C0A0D1AFF27',x'DEADBEEF00',x'5C4E','x,y','one,two,drei','{\"a\": [1, 2.5, null, true, \"x\\\\\"y\"], \"é\": {\"n\": -9007199254740993}}')",
        "(1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL)",
        "(2,0,0,0,0,0,0,0,0,0,0,0.0001,0.000001,0.0000000001,0.000000000000000000000000000001,1,0.1,0.1,b'0',b'1010',0,'0000-00-00','00:00:00','-00:00:00.000001','0000-00-00 00:00:00','0000-00-00 00:00:00.000','0000-00-00 00:00:00.000000','1970-01-01 00:00:01','1970-01-01 00:00:01.5','NULL','NULL','\\\\N','NULL',x'4E554C4C',x'4E554C4C',x'5C',x'00','b''c','two','null')",
        "(3,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1.17549e-38,2.2250738585072014e-308,b'1',b'1',2000,'2024-02-29','23:59:59','12:00:00.100000','2024-02-29 23:59:59','2024-02-29 23:59:59.100','2024-02-29 23:59:59.100000','2024-02-29 23:59:59','2024-02-29 23:59:59.25','trail','trail  ','a\\r\\nb',' lead',x'2020202020202020',x'2020',x'0D0A',x'1A','ü','one,drei','[1.0, 1e10, \"1\", [], {}]')",
        "(4,-1,1,-1,1,-1,1,-1,1,-1,1,-0.0001,0.5,-1,-1,-1,16777216,9007199254740993,b'1',b'11111111',1970,'2021-06-15','-01:00:00','01:02:03.000004','2021-06-15 12:00:00','2021-06-15 12:00:00.5','2021-06-15 12:00:00.000001','2021-06-15 12:00:00','2021-06-15 12:00:00.000001','ä','日本語テキスト','x','y',x'FF',x'FE',x'C3A4',x'C3','a','two,drei','\"text\"')",
    ];
    vec![
        "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'".to_owned(),
        create.to_owned(),
        format!(
            "INSERT INTO all_types {columns} VALUES {}",
            rows.join(",\n")
        ),
    ]
}

/// Keys of every shape, an empty table, a table of one row, tables without a key, views.
#[must_use]
pub fn all_keys() -> Vec<String> {
    let digits = "(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
    let numbers = format!(
        "(SELECT a.n + 10*b.n + 100*c.n + 1000*d.n AS n FROM {digits} a, {digits} b, {digits} c, {digits} d)"
    );
    let mut statements = vec![
        "CREATE TABLE empty_one (id INT PRIMARY KEY, v VARCHAR(10))".to_owned(),
        "CREATE TABLE one_row (id INT PRIMARY KEY, v VARCHAR(10))".to_owned(),
        "INSERT INTO one_row VALUES (-5, 'only')".to_owned(),
        "CREATE TABLE unsigned_key (id BIGINT UNSIGNED PRIMARY KEY, v VARCHAR(300))".to_owned(),
        format!(
            "INSERT INTO unsigned_key SELECT 18446744073709551615 - n * 1000003, REPEAT('u', 300) FROM {numbers} x"
        ),
        "CREATE TABLE composite_key (a INT, b VARCHAR(20), c DATE, v VARCHAR(300), PRIMARY KEY (a, b, c))"
            .to_owned(),
        format!(
            "INSERT INTO composite_key SELECT n % 3, CONCAT('b', n % 100), DATE '2020-01-01' + INTERVAL n DIV 300 DAY, REPEAT('c', 300) FROM {numbers} x"
        ),
        "CREATE TABLE string_key (k VARCHAR(40) PRIMARY KEY, v VARCHAR(300)) DEFAULT CHARSET utf8mb4"
            .to_owned(),
        format!(
            "INSERT INTO string_key SELECT CONCAT(CHAR(65 + n % 26), CHAR(97 + n % 7), n, '''ü😀'), REPEAT('s', 300) FROM {numbers} x"
        ),
        "CREATE TABLE binary_key (k VARBINARY(16) PRIMARY KEY, v VARCHAR(300))".to_owned(),
        format!(
            "INSERT INTO binary_key SELECT UNHEX(SUBSTRING(SHA2(n, 256), 1, 24)), REPEAT('b', 300) FROM {numbers} x"
        ),
        "CREATE TABLE unique_key (a INT NOT NULL, b INT NULL, v VARCHAR(300), UNIQUE KEY (a), UNIQUE KEY (b))"
            .to_owned(),
        format!("INSERT INTO unique_key SELECT n * 7 - 9, IF(n % 2, n, NULL), REPEAT('q', 300) FROM {numbers} x"),
        "CREATE TABLE skewed (a INT, b INT, v VARCHAR(300), PRIMARY KEY (a, b))".to_owned(),
        format!("INSERT INTO skewed SELECT IF(n < 9000, 1, n), n, REPEAT('k', 300) FROM {numbers} x"),
        "CREATE TABLE without_key (a INT, v VARCHAR(300))".to_owned(),
        format!("INSERT INTO without_key SELECT n % 5, REPEAT('w', n % 3) FROM {numbers} x"),
        "CREATE TABLE nullable_key (a INT NULL, v VARCHAR(10), UNIQUE KEY (a))".to_owned(),
        "INSERT INTO nullable_key VALUES (NULL, 'x'), (NULL, 'x'), (1, 'y')".to_owned(),
        "CREATE TABLE `odd.name-ü %` (`id.x` INT PRIMARY KEY, `select` VARCHAR(10), `a``b` INT)".to_owned(),
        "INSERT INTO `odd.name-ü %` VALUES (1, 'x', 2), (2, NULL, NULL)".to_owned(),
        "CREATE VIEW a_view AS SELECT id FROM one_row".to_owned(),
    ];
    statements.shrink_to_fit();
    statements
}

/// The tables of [`all_keys`].
pub const KEY_TABLES: &[&str] = &[
    "empty_one",
    "one_row",
    "unsigned_key",
    "composite_key",
    "string_key",
    "binary_key",
    "unique_key",
    "skewed",
    "without_key",
    "nullable_key",
    "odd.name-ü %",
];
