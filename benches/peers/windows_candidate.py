#!/usr/bin/env python3
"""The candidate of windows.py: a training set by Asof, and its list of categories joined as the peers join theirs.

  windows_candidate.py ASOF PROJECT LABELS OUT
"""
import os
import subprocess
import sys

asof, project, labels, out = sys.argv[1:]
made = out + ".made.parquet"
subprocess.run(
    [asof, "-q", "train", "--project", project, "--labels", labels, "--timestamp", "ts", "--features", "activity:*",
     "--no-statistics", "-o", made], check=True, stdout=subprocess.DEVNULL)
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

table = pq.read_table(made)
place = table.schema.get_field_index("last3")
joined = pc.binary_join(table["last3"].combine_chunks(), "|")
pq.write_table(table.set_column(place, "last3", joined), out)
os.remove(made)
