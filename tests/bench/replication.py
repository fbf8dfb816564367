"""Capture and apply: the binlog beside mysqlbinlog, a load of small transactions, the lag, one huge
transaction."""

import os
import random
import shutil
import signal
import subprocess
import time

import servers
from measure import Failed, Table, best, folder_size, measure
from tideway import Task

ROUNDS_OF_WORK = 60_000
# As measured elsewhere, on 2 cores into TiDB 8.4; DM itself is not at hand here.
DM_SECONDS = 23.1
RATE = 1000


def place(source):
    """Where the source's binlog ends, in a file of its own: its name, and the offset."""
    source.sql("FLUSH BINARY LOGS")
    words = source.sql("SHOW BINARY LOG STATUS").split("\t")
    return words[0], words[1]


def fill(source, database, table, reference, transactions):
    """The rows of a reference table again, in so many transactions."""
    origin = f"{reference.database}.{table}"
    source.sql(f"CREATE DATABASE IF NOT EXISTS {database}; CREATE TABLE {database}.{table} LIKE {origin}")
    rows = reference.rows[table]
    for number in range(transactions):
        first, last = rows * number // transactions, rows * (number + 1) // transactions
        source.sql(f"INSERT INTO {database}.{table} SELECT * FROM {origin} WHERE id > {first} AND id <= {last}")


def capture(folder, rounds, source, target, reference, expect):
    """mysqlbinlog, then capture with and without compression."""
    database = "bench_capture"
    source.sql(f"DROP DATABASE IF EXISTS {database}")
    file, offset = place(source)
    fill(source, database, "sbtest", reference, 40)
    fill(source, database, "wide", reference, 40)
    size = sum(int(line.split("\t")[1]) for line in source.sql("SHOW BINARY LOGS").splitlines()
               if line.split("\t")[0] >= file)
    rows = sum(reference.rows.values())
    table = Table(f"CAPTURE from {source.title} {source.version}: {size / 1e6:.0f} MB of binlog, "
                  f"fastest of {rounds} (ratio to mysqlbinlog)", rows, size)
    output = folder / "mysqlbinlog"

    def peer():
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        return measure([[
            os.environ["TIDEWAY_TEST_MYSQLBINLOG"], f"--defaults-file={source.cnf}", "--read-from-remote-server",
            "--raw", "--to-last-log", f"--result-file={output}/", file]], folder / "mysqlbinlog.log")

    base = best(rounds, peer)
    table.add("mysqlbinlog --raw", base, base=True)
    shutil.rmtree(output)
    task = Task(folder / "task-capture", source, target, database)
    for title, level, limit in (("uncompressed", 0, 1.0), ("zstd", 1, 1 / 0.7)):
        def tideway(level=level):
            task.clear()
            return measure([[*task.job("cdc"), "capture", "--task-mode", "incremental", "--from",
                             f"{file}:{offset}", "--until", "now", "--segment-zstd", level]],
                           folder / f"tideway-capture-{level}.log")

        result = best(rounds, tideway)
        table.add(f"tideway-cdc capture, {title}", result, f"{folder_size(task.staging) / 1e6:.0f} MB written")
        expect(f"capture {title} / mysqlbinlog", result.seconds / base.seconds, limit)
    task.clear()
    source.sql(f"DROP DATABASE {database}")


def work(path, database, rounds):
    """A statement a transaction: an insert, an update of a random row, every fourth round a delete."""
    rng = random.Random(7)
    with open(path, "w", encoding="ascii") as file:
        file.write(f"USE {database};\n")
        for n in range(1, rounds + 1):
            file.write(f"INSERT INTO a (id, k, c, pad) VALUES ({n}, {rng.randrange(100_000)}, 'c{n:020d}', 'p{n}');\n")
            file.write(f"UPDATE b SET k = k + 1, c = 'u{n:020d}' WHERE id = {rng.randrange(1, 20_001)};\n")
            if n % 4 == 0:
                file.write(f"DELETE FROM a WHERE id = {n - rng.randrange(4)};\n")


def started(folder, source, target, database, statements):
    """A task of mode all that is dumped and loaded."""
    source.sql(f"DROP DATABASE IF EXISTS {database}; CREATE DATABASE {database}")
    for statement in statements:
        source.sql(f"USE {database}; {statement}")
    task = Task(folder / f"task-{database}", source, target, database)
    task.clear_target(target)
    cdc = [*task.job("cdc"), "--task-mode", "all"]
    measure([[*cdc, "capture", "--until", "now"]], folder / f"{database}-capture.log")
    for job in ("dump", "load"):
        measure([[*task.job(job), "--task-mode", "all"]], folder / f"{database}-{job}.log")
    return task, cdc


TABLE = "(id INT PRIMARY KEY, k INT, c CHAR(60), pad CHAR(30), KEY (k))"


def same(source, target, database, tables):
    """Fails unless the rows are."""
    for table in tables:
        sql = (f"SELECT COUNT(*), COALESCE(SUM(CRC32(CONCAT_WS('#', t.id, t.k, t.c, t.pad))), 0) "
               f"FROM {database}.{table} t")
        if source.sql(sql) != target.sql(sql):
            raise Failed(f"{database}.{table} differs between {source.title} and {target.title}")


def apply(folder, scale, source, target, expect):
    """Small transactions, captured before, applied."""
    rounds = int(ROUNDS_OF_WORK * scale)
    database = f"bench_apply_{target.name.lower()}"
    numbers = "WITH RECURSIVE s AS (SELECT 1 n UNION ALL SELECT n + 1 FROM s WHERE n < 20000)"
    statements = [
        f"CREATE TABLE a {TABLE}", f"CREATE TABLE b {TABLE}",
        "SET cte_max_recursion_depth = 100000; INSERT INTO b "
        f"{numbers} SELECT n, n, LEFT(SHA2(n, 256), 40), n % 97 FROM s"]
    task, cdc = started(folder, source, target, database, statements)
    script = folder / "work.sql"
    work(script, database, rounds)
    file, _ = place(source)
    measure([(source.command(), script)], folder / "work.log")
    measure([[*cdc, "capture", "--until", "now"]], folder / f"{database}-capture.log")
    rows = rounds * 2 + rounds // 4
    table = Table(f"APPLY into {target.title} {target.version}: {rows:,} rows, each a transaction", rows,
                  sum(path.stat().st_size for path in task.staging.rglob("*.binlog*")))
    if target.name != "TIDB":
        peer = "bench_replayed"
        target.sql(f"DROP DATABASE IF EXISTS {peer}; CREATE DATABASE {peer}")
        for statement in statements:
            target.sql(f"USE {peer}; {statement}")
        replay = folder / "replay.sql"
        with open(replay, "wb") as output:
            subprocess.run(
                [os.environ["TIDEWAY_TEST_MYSQLBINLOG"], f"--defaults-file={source.cnf}", "--read-from-remote-server",
                 "--to-last-log", "--skip-gtids", f"--rewrite-db={database}->{peer}", file], check=True, stdout=output)
        table.add("mysqlbinlog | mysql (1 connection)",
                  measure([(target.command("--binary-mode"), replay)], folder / "replay.log"), base=True)
        target.sql(f"DROP DATABASE {peer}")
    result = measure([[*cdc, "apply", "--until", "now"]], folder / f"{database}-apply.log")
    note = f"{DM_SECONDS * scale / result.seconds:.1f} x DM's rate" if target.name == "TIDB" else ""
    table.add("tideway-cdc apply", result, note)
    same(source, target, database, ("a", "b"))
    if target.name == "TIDB":
        # 25,000 rows a second.
        expect("apply, microseconds a row", result.seconds * 1e6 / rows, 40.0, " µs")
    task.clear_target(target)
    task.clear()
    source.sql(f"DROP DATABASE {database}")


def lag(folder, source, target, expect):
    """Capture and apply run; commits are followed to the target."""
    database = f"bench_lag_{target.name.lower()}"
    task, cdc = started(folder, source, target, database, ["CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(100))"])
    print(f"\nLAG into {target.title} {target.version}: {RATE:,} rows a second, from commit to visible\n", flush=True)
    with open(folder / f"{database}.log", "wb") as output:
        running = subprocess.Popen([str(word) for word in cdc], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        time.sleep(3)
        line = subprocess.run(
            [servers.binary("lag"), "--source-port", source.port, "--target-port", target.port, "--table",
             f"{database}.t", "--rate", str(RATE), *(["--tidb"] if target.name == "TIDB" else [])],
            check=True, text=True, stdout=subprocess.PIPE).stdout
    except subprocess.CalledProcessError as error:
        raise Failed(f"{error} (see {folder}/{database}.log)") from error
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait()
    p50, p99, largest, commits = line.split()
    print(f"  {commits} commits: p50 {p50} ms, p99 {p99} ms, at most {largest} ms")
    expect(f"lag p99 into {target.title}", int(p99) / 1000, 3.0, " s")
    task.clear_target(target)
    task.clear()
    source.sql(f"DROP DATABASE {database}")


def memory(folder, source, targets, reference, limit, expect):
    """One transaction of all rows of the long table: the peaks of capture and apply."""
    rows = reference.rows["sbtest"]
    for target in targets:
        for compression in ("OFF", "ON"):
            database = f"bench_huge_{target.name.lower()}"
            task, cdc = started(folder, source, target, database,
                                [f"CREATE TABLE sbtest LIKE {reference.database}.sbtest"])
            source.sql(f"SET SESSION binlog_transaction_compression = {compression}; "
                       f"INSERT INTO {database}.sbtest SELECT * FROM {reference.database}.sbtest")
            title = f"a transaction of {rows:,} rows" + (", compressed" if compression == "ON" else "")
            result = measure([[*cdc, "capture", "--until", "now"]], folder / f"{database}-capture.log")
            expect(f"capture of {title}, {result.seconds:.1f} s", result.peak_kib / 1024, limit, " MiB")
            result = measure([[*cdc, "apply", "--until", "now"]], folder / f"{database}-apply.log")
            expect(f"apply of {title} into {target.title}, {result.seconds:.1f} s", result.peak_kib / 1024, limit,
                   " MiB")
            same(source, target, database, ("sbtest",))
            task.clear_target(target)
            task.clear()
            source.sql(f"DROP DATABASE {database}")
