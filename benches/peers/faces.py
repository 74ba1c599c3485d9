#!/usr/bin/env python3
"""One server through all its faces: the same features of the same entities, as JSON, Arrow and over gRPC.

  faces.py --port P [--cases 5x10,5x100] [--connections 16] [--seconds 5]

Needs a running server over the data of `online.yaml`, and `h2load`. Bodies are fixed, and h2load's client is the same for
all faces, so that what differs is the server and the bytes. Prints a line of JSON for each.
"""
import argparse
import json
import random
import re
import subprocess
import tempfile
from pathlib import Path


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def frame(message):
    return b"\0" + len(message).to_bytes(4, "big") + message


def grpc_asof(features, ids):
    # Int64s are zigzag.
    items = field(1, b"".join(varint(2 * number) for number in ids))
    entry = field(1, b"entity_id") + field(2, field(2, items))
    names = b"".join(field(1, name.encode()) for name in features)
    return frame(field(2, names) + field(3, entry))


def grpc_feast(features, ids):
    values = b"".join(field(1, varint(4 << 3) + varint(number)) for number in ids)
    entry = field(1, b"entity_id") + field(2, values)
    names = b"".join(field(1, name.encode()) for name in features)
    return frame(field(2, names) + field(3, entry))


def faces(features, ids):
    feast = json.dumps({"features": features, "entities": {"entity_id": ids}}).encode()
    native = json.dumps({"features": features, "entities": [{"entity_id": number} for number in ids]}).encode()
    as_json = ["-H", "content-type: application/json"]
    arrow = as_json + ["-H", "accept: application/vnd.apache.arrow.stream"]
    grpc = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    return [
        ("HTTP, Feast's JSON", "/get-online-features", feast, ["--h1", *as_json]),
        ("HTTP, our JSON", "/v1/online-features", native, ["--h1", *as_json]),
        ("HTTP, Arrow", "/v1/online-features", native, ["--h1", *arrow]),
        ("gRPC, asof.v1", "/asof.v1.FeatureStore/GetOnlineFeatures", grpc_asof(features, ids), grpc),
        ("gRPC, Feast's", "/feast.serving.ServingService/GetOnlineFeatures", grpc_feast(features, ids), grpc),
    ]


def run(a, path, body, options):
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()

        def h2load(*how):
            argv = ["h2load", "-t1", "-m1", "-d", file.name, *how, *options, f"http://127.0.0.1:{a.port}{path}"]
            return subprocess.run(argv, capture_output=True, text=True).stdout

        once = h2load("-c1", "-n1")
        out = h2load(f"-c{a.connections}", f"-D{a.seconds}", "--warm-up-time=1")
    data = int(re.search(r"traffic: .*, .*?\((\d+)\) data", once)[1])
    rps = float(re.search(r"finished in .*?, ([\d.]+) req/s", out)[1])
    bad = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", out).groups()
    return {"rps": round(rps, 1), "bytes": data, "failed": sum(map(int, bad))}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--port", type=int, default=16600)
    p.add_argument("--cases", default="1x1,5x1,5x10,5x100")
    p.add_argument("--connections", type=int, default=16)
    p.add_argument("--seconds", type=int, default=5)
    p.add_argument("--entities", type=int, default=100_000)
    a = p.parse_args()
    for case in a.cases.split(","):
        views, per = map(int, case.split("x"))
        features = [f"v{view}:v{view}_f{place}" for view in range(views) for place in range(10)]
        ids = random.Random(7).sample(range(a.entities), per)
        for name, path, body, options in faces(features, ids):
            print(json.dumps({"face": name, "case": case, **run(a, path, body, options)}), flush=True)


if __name__ == "__main__":
    main()
