"""Reads a history table as other engines do, and prints how many rows there are and how many say different things.

usage: read_history.py TABLE [until FILE]: with `until`, again and again until FILE is there, at least once.
"""

import json
import os
import sys
from urllib.parse import unquote

import duckdb
from deltalake import DeltaTable

KEYS = "id, event_timestamp, created_timestamp, n, s"


def read(table):
    delta = DeltaTable(table)
    arrow = delta.to_pyarrow_table()
    files = [unquote(file) for file in delta.file_uris()]
    counted = f"count(*), count(distinct ({KEYS}))"
    # DuckDB over what deltalake returns, then over the files that the log names.
    over_arrow = duckdb.sql(f"select {counted} from arrow").fetchall()[0]
    over_files = duckdb.sql(
        f"select {counted} from read_parquet({files!r}, union_by_name = true, hive_partitioning = true)"
    ).fetchall()[0]
    assert over_arrow == over_files, (over_arrow, over_files)
    assert arrow.num_rows == over_arrow[0]
    days = duckdb.sql(
        "select count(*) from arrow where __event_date <> cast(event_timestamp at time zone 'UTC' as date)"
    ).fetchall()[0]
    assert days == (0,), days
    return {
        "rows": over_arrow[0],
        "distinct": over_arrow[1],
        "columns": sorted(arrow.schema.names),
        "files": len(files),
    }


def main():
    table = sys.argv[1]
    print(json.dumps(read(table)), flush=True)
    while len(sys.argv) > 3 and not os.path.exists(sys.argv[3]):
        print(json.dumps(read(table)), flush=True)


main()
