"""Pushes over HTTP: how many events a second, and how long until one is readable.

    python push.py events --rows 400000 --keys 100000 FILE        writes newline JSON events
    python push.py http --url URL --source S FILE                 pushes it in batches, as fast as answers come
    python push.py delay --url URL --source S --feature V:F FILE  pushes at a rate, and asks for single events meanwhile

Python's standard library alone. What it takes itself is part of the figures.
"""

import argparse
import datetime
import http.client
import json
import random
import threading
import time
import urllib.parse


def events(args):
    random.seed(5)
    first = datetime.datetime.fromisoformat(args.start)
    with open(args.file, "w") as out:
        for number in range(args.rows):
            at = first + datetime.timedelta(microseconds=int(number * 30 * 86_400e6 / args.rows))
            key, amount = random.randrange(args.keys), random.random() * 500
            at = at.isoformat(timespec="milliseconds")
            out.write('{"account":%d,"at":"%sZ","amount":%.2f}\n' % (key, at, amount))


def bodies(args):
    with open(args.file) as lines:
        rows = lines.read().splitlines()
    head = '{"source":"%s","rows":[' % args.source
    for start in range(0, len(rows), args.batch):
        yield (head + ",".join(rows[start : start + args.batch]) + "]}").encode(), len(rows[start : start + args.batch])


class Client:
    def __init__(self, url):
        self.connection = http.client.HTTPConnection(urllib.parse.urlparse(url).netloc)

    def post(self, path, body):
        while True:
            self.connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = self.connection.getresponse()
            answer = response.read()
            if response.status == 429:
                time.sleep(0.01)
                continue
            if response.status != 200:
                raise SystemExit(f"{response.status}: {answer[:500]}")
            return json.loads(answer)


def over_http(args):
    work = list(bodies(args))
    rows = sum(count for _, count in work)
    lock, left = threading.Lock(), iter(work)

    def run():
        client = Client(args.url)
        while True:
            with lock:
                body, _ = next(left, (None, 0))
            if body is None:
                return
            client.post("/v1/push", body)

    started = time.perf_counter()
    threads = [threading.Thread(target=run) for _ in range(args.connections)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    acknowledged = time.perf_counter() - started
    print(f"{rows} events in {acknowledged:.2f} s: {rows / acknowledged:,.0f}/s acknowledged")
    probe(Client(args.url), Client(args.url), args, random.randrange(10**13, 10**14))
    readable = time.perf_counter() - started
    print(f"readable in {readable:.2f} s: {rows / readable:,.0f}/s")


def probe(push, ask, args, key):
    """Pushes one event of a key of its own, and returns how long after the answer it is readable, in seconds."""
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=5)
    row = '{"account":%d,"at":"%s","amount":1}' % (key, at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    push.post("/v1/push", ('{"source":"%s","rows":[%s]}' % (args.source, row)).encode())
    acknowledged, name = time.perf_counter(), args.feature.split(":")[1]
    body = json.dumps({"features": [args.feature], "entities": [{"account": key}]}).encode()
    while ask.post("/v1/online-features", body)["rows"][0]["features"][name] is None:
        pass
    return time.perf_counter() - acknowledged


def delay(args):
    work = list(bodies(args))
    done = threading.Event()

    def load():
        client, next_at = Client(args.url), time.perf_counter()
        while not done.is_set():
            for body, count in work:
                next_at += count / args.rate
                time.sleep(max(0.0, next_at - time.perf_counter()))
                client.post("/v1/push", body)
                if done.is_set():
                    return

    loader = threading.Thread(target=load)
    loader.start()
    push, ask = Client(args.url), Client(args.url)
    time.sleep(2)
    delays, base = [], random.randrange(10**12, 10**13)
    for number in range(args.probes):
        delays.append(probe(push, ask, args, base + number))
        if args.slow and delays[-1] > 0.03:
            print(f"{time.time():.3f} {delays[-1] * 1000:.1f} ms")
        time.sleep(0.02)
    done.set()
    loader.join()
    delays.sort()
    at = lambda part: delays[min(len(delays) - 1, int(len(delays) * part))] * 1000
    print(f"{len(delays)} events at {args.rate}/s beside: p50 {at(0.5):.1f} ms, p90 {at(0.9):.1f} ms, p99 {at(0.99):.1f} ms")


parser = argparse.ArgumentParser()
verbs = parser.add_subparsers(required=True)
for name, verb in [("events", events), ("http", over_http), ("delay", delay)]:
    of = verbs.add_parser(name)
    of.set_defaults(verb=verb)
    of.add_argument("file")
    of.add_argument("--rows", type=int, default=400_000)
    of.add_argument("--keys", type=int, default=100_000)
    of.add_argument("--start", default="2026-10-01")
    of.add_argument("--url", default="http://127.0.0.1:6566")
    of.add_argument("--source", default="payments")
    of.add_argument("--batch", type=int, default=500)
    of.add_argument("--connections", type=int, default=4)
    of.add_argument("--rate", type=float, default=40_000)
    of.add_argument("--feature", default="spending:n_1h")
    of.add_argument("--probes", type=int, default=300)
    of.add_argument("--slow", action="store_true", help="tells when single events were slow")
args = parser.parse_args()
args.verb(args)
