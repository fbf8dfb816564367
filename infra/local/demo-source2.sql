-- The second source of the demo: the seed's tables.
SET NAMES utf8mb4;
DROP DATABASE IF EXISTS migrate_me;
DROP DATABASE IF EXISTS ignore_me;
CREATE DATABASE migrate_me CHARACTER SET utf8mb4;
CREATE DATABASE ignore_me CHARACTER SET utf8mb4;

CREATE TABLE migrate_me.t2 (id INT NOT NULL PRIMARY KEY, amount DECIMAL(10,2), remark TEXT);
INSERT INTO migrate_me.t2 VALUES (10, 9.95, 'ten'), (20, -0.01, NULL), (30, 99999999.99, 'dreißig');

CREATE TABLE ignore_me.ignore_table (id INT NOT NULL PRIMARY KEY, secret VARCHAR(64));
INSERT INTO ignore_me.ignore_table VALUES (1, 'stays on source 2');
