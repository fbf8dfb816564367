-- The first source of the demo: the seed's tables, and one of mixed types.
SET NAMES utf8mb4;
SET SESSION time_zone = '+00:00';
DROP DATABASE IF EXISTS migrate_me;
DROP DATABASE IF EXISTS ignore_me;
CREATE DATABASE migrate_me CHARACTER SET utf8mb4;
CREATE DATABASE ignore_me CHARACTER SET utf8mb4;

CREATE TABLE migrate_me.t1 (id INT NOT NULL PRIMARY KEY, name VARCHAR(64), made DATETIME);
INSERT INTO migrate_me.t1 VALUES (1, 'one', '2020-07-01 10:00:00'), (2, 'två 二 🌊', NULL), (3, '', '1000-01-01 00:00:00');

CREATE TABLE ignore_me.ignore_table (id INT NOT NULL PRIMARY KEY, secret VARCHAR(64));
INSERT INTO ignore_me.ignore_table VALUES (1, 'stays on source 1');

CREATE TABLE migrate_me.mixed (
  id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  region      CHAR(2) CHARACTER SET ascii NOT NULL,
  tiny        TINYINT,
  tiny_u      TINYINT UNSIGNED,
  small       SMALLINT,
  medium      MEDIUMINT,
  medium_u    MEDIUMINT UNSIGNED,
  number      INT,
  number_u    INT UNSIGNED,
  big         BIGINT,
  big_u       BIGINT UNSIGNED,
  price       DECIMAL(18,4),
  exact       DECIMAL(65,30),
  ratio       FLOAT,
  measure     DOUBLE,
  flags       BIT(12),
  year_made   YEAR,
  day         DATE,
  took        TIME(3),
  happened    DATETIME(6),
  changed     TIMESTAMP(6) NULL,
  code        CHAR(10),
  name        VARCHAR(120) COLLATE utf8mb4_unicode_ci,
  latin       VARCHAR(40) CHARACTER SET latin1,
  note        TEXT,
  story       MEDIUMTEXT,
  fixed       BINARY(16),
  variable    VARBINARY(64),
  raw         BLOB,
  state       ENUM('new','paid','sent','it''s lost'),
  tags        SET('red','green','blue'),
  document    JSON,
  total       DECIMAL(20,4) AS (price * 2) VIRTUAL,
  name_length INT AS (CHAR_LENGTH(name)) STORED,
  PRIMARY KEY (id),
  UNIQUE KEY by_region (region, id),
  KEY by_state (state, happened)
) ENGINE=InnoDB;

SET SESSION cte_max_recursion_depth = 200000;
INSERT INTO migrate_me.mixed
  (id, region, tiny, tiny_u, small, medium, medium_u, number, number_u, big, big_u, price, exact, ratio, measure,
   flags, year_made, day, took, happened, changed, code, name, latin, note, story, fixed, variable, raw, state, tags,
   document)
WITH RECURSIVE rows_of (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM rows_of WHERE n < 200000)
SELECT
  n,
  ELT(1 + n % 4, 'eu', 'us', 'ap', 'sa'),
  IF(n % 11 = 0, NULL, n % 256 - 128),
  n % 256,
  IF(n % 13 = 0, NULL, n % 65536 - 32768),
  n * 83 % 16777216 - 8388608,
  n * 83 % 16777216,
  CAST(n AS SIGNED) * 10007 - 1000000000,
  n * 20011,
  CASE n % 5 WHEN 0 THEN -9223372036854775808 WHEN 1 THEN 9223372036854775807 ELSE n * 1000003 - 100000000000 END,
  IF(n % 7 = 0, 18446744073709551615, CAST(n AS UNSIGNED) * 92233720368547),
  IF(n % 17 = 0, NULL, (CAST(n AS SIGNED) * 37 % 2000003 - 1000000) / 7),
  CAST(n AS DECIMAL(35,0)) * 98765432109876543210987 + 0.123456789012345678901234567890,
  n / 3,
  IF(n % 19 = 0, NULL, SIN(n) * POW(10, n % 300 - 150)),
  n % 4096,
  IF(n % 23 = 0, NULL, 1901 + n % 255),
  DATE_ADD('1000-01-01', INTERVAL n * 16 DAY),
  SEC_TO_TIME(n * 29 % 6000000 - 3000000 + (n % 1000) / 1000),
  DATE_ADD('1970-01-01 00:00:00.000001', INTERVAL n * 7919 SECOND) + INTERVAL n MICROSECOND,
  IF(n % 29 = 0, NULL, FROM_UNIXTIME(1 + n * 10007 % 2147483000 + (n % 1000000) / 1000000)),
  CONCAT('c', n),
  IF(n % 31 = 0, NULL, CONCAT('Zoë 東京 🚢 ', SHA2(n, 256))),
  CONCAT('café ', n % 1000),
  CASE n % 6 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'tab\tnew\nline\\ quote'' and "' ELSE REPEAT(CONCAT(n, ' '), 1 + n % 12) END,
  IF(n % 1000 = 0, REPEAT(CONCAT('long story ', n, '\n'), 2000), NULL),
  UNHEX(hashed.h),
  IF(n % 9 = 0, NULL, UNHEX(LEFT(SHA2(n, 256), 2 * (n % 33)))),
  IF(n % 4 = 0, CONCAT(CHAR(0), UNHEX(SHA2(n + 1, 512)), CHAR(0)), NULL),
  ELT(1 + n % 5, 'new', 'paid', 'sent', 'it''s lost', NULL),
  n % 8,
  IF(n % 37 = 0, NULL, JSON_OBJECT('id', n, 'big', CAST(n AS UNSIGNED) * 92233720368547, 'half', n / 2, 'text', CONCAT('ключ "', n, '"'),
     'list', JSON_ARRAY(n % 3, NULL, TRUE, JSON_OBJECT()), 'when', 'x'))
FROM rows_of, LATERAL (SELECT LEFT(SHA2(n, 224), 32) AS h) AS hashed;
ANALYZE TABLE migrate_me.mixed;
