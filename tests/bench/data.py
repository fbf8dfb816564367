"""The reference data: 2,000,000 rows of sysbench's table and 1,000,000 wide rows, 690 MB as text.

Made once from a fixed seed as files that LOAD DATA reads (target/bench/), then loaded into the source
once: both are kept for the next run. `BENCH_SCALE=0.1` makes a tenth, in a database of its own.
"""

import datetime
import multiprocessing
import os
import random

PARTS = 16
SBTEST = """CREATE TABLE sbtest (
  id INT NOT NULL PRIMARY KEY,
  k INT NOT NULL DEFAULT 0,
  c CHAR(120) NOT NULL DEFAULT '',
  pad CHAR(60) NOT NULL DEFAULT '',
  KEY k_1 (k)
)"""
WIDE = """CREATE TABLE wide (
  id BIGINT NOT NULL PRIMARY KEY,
  account INT UNSIGNED NOT NULL,
  amount DECIMAL(18,4) NOT NULL,
  rate DOUBLE,
  born DATE,
  made DATETIME(6) NOT NULL,
  changed TIMESTAMP NULL,
  state ENUM('new','paid','sent','lost') NOT NULL,
  name VARCHAR(60) NOT NULL,
  email VARCHAR(80),
  note VARCHAR(200),
  document JSON
)"""
TABLES = {"sbtest": (SBTEST, 2_000_000), "wide": (WIDE, 1_000_000)}
_BORN = [str(datetime.date(1930, 1, 1) + datetime.timedelta(days=n)) for n in range(0, 30_000, 7)]
_STATES = ("new", "paid", "sent", "lost")


def _sbtest(number, rng):
    c = "%0110d" % rng.randrange(10**110)
    pad = "%055d" % rng.randrange(10**55)
    c = "-".join([c[i:i + 11] for i in range(0, 110, 11)])
    pad = "-".join([pad[i:i + 11] for i in range(0, 55, 11)])
    return f"{number}\t{rng.randrange(2_000_000)}\t{c}\t{pad}\n"


def _wide(number, rng):
    bits = rng.getrandbits(512)
    text = "%0128x" % bits
    rate = "\\N" if bits % 10 == 0 else repr(rng.random() * 1000)
    second, day = bits % 60, 1 + bits % 28
    note = f"{text[:60]} {text[60:120]} für Zoë" if bits % 4 else "\\N"
    return (
        f"{number}\t{bits % 4_000_000_000}\t{bits % 10**12}.{bits % 10_000:04d}\t{rate}\t"
        f"{_BORN[bits % len(_BORN)]}\t2024-{1 + bits % 12:02d}-{day:02d} 10:20:{second:02d}.{bits % 10**6:06d}\t"
        f"2025-05-{day:02d} 01:02:{second:02d}\t{_STATES[bits % 4]}\tname {text[:20]}\t"
        f'{text[20:36]}@example.com\t{note}\t{{"k": {bits % 1000}, "s": "{text[36:50]}", "a": [1, 2, {bits % 7}]}}\n'
    )


_MAKERS = {"sbtest": _sbtest, "wide": _wide}


def _make_part(job):
    """Writes one file; made beside its place and renamed, so that half a file is never used."""
    table, path, first, last = job
    rng = random.Random(f"{table} {first}")
    maker = _MAKERS[table]
    part = path.with_suffix(".part")
    with open(part, "w", encoding="utf-8") as file:
        for start in range(first, last, 5000):
            file.write("".join([maker(number, rng) for number in range(start, min(start + 5000, last))]))
    os.replace(part, path)


class Reference:
    """The reference data at one scale."""

    def __init__(self, folder, scale):
        self.rows = {table: max(PARTS, int(rows * scale)) for table, (_, rows) in TABLES.items()}
        self.database = f"bench_{self.rows['sbtest']}"
        self.folder = folder / self.database

    def files(self, table):
        """The files of a table, in the order of its key."""
        return [self.folder / f"{table}.{part:02d}.tsv" for part in range(PARTS)]

    def make(self):
        """Makes the files that are missing; the size of all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        jobs = []
        for table, rows in self.rows.items():
            for part, path in enumerate(self.files(table)):
                if not path.exists():
                    jobs.append((table, path, 1 + rows * part // PARTS, 1 + rows * (part + 1) // PARTS))
        if jobs:
            print(f"making the reference data in {self.folder}", flush=True)
            with multiprocessing.Pool(os.cpu_count()) as pool:
                pool.map(_make_part, jobs, chunksize=1)
        return sum(path.stat().st_size for table in self.rows for path in self.files(table))

    def create(self, server):
        """An empty database with the tables."""
        server.sql(f"DROP DATABASE IF EXISTS {self.database}; CREATE DATABASE {self.database}")
        for definition, _ in TABLES.values():
            server.sql(f"USE {self.database}; {definition}")

    def load_statements(self, worker, workers):
        """The LOAD DATA statements of one of the parallel clients."""
        statements = [
            f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {table} CHARACTER SET utf8mb4;"
            for table in self.rows
            for path in self.files(table)[worker::workers]
        ]
        return "SET NAMES utf8mb4; SET time_zone = '+00:00';\n" + "\n".join(statements) + "\n"

    def counts(self, server):
        """Rows of each table, or None when they are not there."""
        return [server.value(f"SELECT COUNT(*) FROM {self.database}.{table}") for table in self.rows]

    def is_in(self, server):
        """Whether the server holds all of it."""
        there = server.value(
            f"SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{self.database}'")
        return there == str(len(self.rows)) and self.counts(server) == [str(rows) for rows in self.rows.values()]


def make_large(server, database, rows, size):
    """A table of few large values: each the first one rotated, so that no two are alike."""
    there = server.value(
        f"SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{database}' AND TABLE_NAME = 'large'")
    if there == "1" and server.value(f"SELECT COUNT(*) FROM {database}.large") == str(rows):
        return
    print(f"making {rows} rows of {size >> 20} MiB", flush=True)
    server.sql(f"DROP DATABASE IF EXISTS {database}; CREATE DATABASE {database};"
               f"CREATE TABLE {database}.large (id INT NOT NULL PRIMARY KEY, v LONGBLOB NOT NULL)")
    value = random.Random(size).randbytes(size).hex()
    server.sql(f"INSERT INTO {database}.large VALUES (1, x'{value}')", by_input=True)
    for number in range(2, rows + 1):
        cut = number * 40_009 % size
        server.sql(f"INSERT INTO {database}.large SELECT {number}, CONCAT(SUBSTRING(v, {cut + 1}), LEFT(v, {cut}))"
                   f" FROM {database}.large WHERE id = 1")
