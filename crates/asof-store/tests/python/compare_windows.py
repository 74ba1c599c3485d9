"""Windows over real purchase lines, computed apart by DuckDB's range joins.

  compare_windows.py labels EVENTS LABELS         labels at events, beside them, and where they leave windows
  compare_windows.py compare EVENTS TRAINING KEY  compares a training set by this key; prints what was compared
"""
import json
import sys

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

WINDOWS = {"1h": 3600, "1d": 86_400, "7d": 604_800, "30d": 2_592_000, "90d": 7_776_000}


def events(path):
    """The lines with their instants in UTC. The shop is closed when clocks change."""
    table = pq.read_table(path)
    utc = pc.assume_timezone(table["invoice_date"], "Europe/London", ambiguous="earliest")
    return table.append_column("us", pc.cast(utc, pa.int64()))


def labels(path, out):
    lines = events(path)
    connection = duckdb.connect()
    chosen = connection.execute("""
        SELECT customer_id, stock_code, country, us + moved AS us
        FROM lines, (VALUES (0), (1), (-1), (3600000000), (3600000001), (604800000000), (7776000000001)) m(moved)
        WHERE line_id % 1999 = 7 AND customer_id IS NOT NULL
        ORDER BY line_id, moved""").to_arrow_table()
    times = pc.cast(chosen["us"], pa.timestamp("us", tz="UTC"))
    pq.write_table(chosen.drop_columns("us").append_column("t", times), out)


def compare(path, training, key):
    lines, found = events(path), pq.read_table(training)
    found = found.append_column("us", pc.cast(found["t"], pa.int64())).append_column("n", pa.array(range(found.num_rows)))
    connection = duckdb.connect()
    compared = 0
    for window, seconds in WINDOWS.items():
        rows = connection.execute(f"""
            SELECT f.n, f.count_{window}, f.orders_{window}, f.revenue_{window}, f.most_{window}, f.last_{window},
                   seen.any AS seen, e.count, e.orders, e.revenue, e.most, e.last
            FROM found f
            LEFT JOIN (SELECT f.n, count(l.line_id) AS count, count(DISTINCT l.invoice_no) AS orders,
                         sum(l.quantity * l.unit_price) FILTER (l.quantity > 0) AS revenue, max(l.unit_price) AS most,
                         max_by(l.stock_code, l.line_id, 3) AS last
                       FROM found f JOIN lines l ON l.{key} = f.{key}
                         AND l.us >= f.us - {seconds * 1_000_000}::BIGINT AND l.us < f.us GROUP BY f.n) e USING (n)
            LEFT JOIN (SELECT f.n, count(*) AS any FROM found f JOIN lines l ON l.{key} = f.{key}
                         AND l.us >= f.us - {WINDOWS["90d"] * 1_000_000}::BIGINT AND l.us < f.us GROUP BY f.n) seen USING (n)
            ORDER BY f.n""").fetchall()
        for n, *values in rows:
            ours, (seen, *theirs) = values[:5], values[5:]
            if seen is None:
                theirs = [None] * 5
            else:
                theirs = [theirs[0] or 0, theirs[1] or 0, *theirs[2:]]
            for name, one, other in zip(["count", "orders", "revenue", "most", "last"], ours, theirs):
                near = one == other or (
                    isinstance(one, float) and other is not None and abs(one - other) <= 1e-9 * max(1.0, abs(other)))
                if not near:
                    sys.exit(f"{name}_{window} of label {n}: {one}, and DuckDB says {other}")
                compared += 1
    print(json.dumps({"values": compared, "labels": found.num_rows}))


if __name__ == "__main__":
    {"labels": labels, "compare": compare}[sys.argv[1]](*sys.argv[2:])
