"""An unmodified client of Feast against a running server: `feast_client.py URL FOLDER`.

The definitions below are those that a user of Feast has; the server has its own of the same names. The registry is a file
that the client itself applies to; everything online goes to the server. Ends with 0 where all of it is as it should be.
"""

import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig
from feast.data_source import PushMode
from feast.errors import (
    FeastError,
    FeastObjectNotFoundException,
    FeatureServiceNotFoundException,
    FeatureViewNotFoundException,
)
from feast.types import Array, Float32, Float64, Int64, Json, Map, String, UnixTimestamp

URL, FOLDER = sys.argv[1], Path(sys.argv[2])

# How long an error may take at most, in seconds: a client repeats what failed with 500 or 503 for longer.
ERROR_SECONDS_MAX = 0.5

# How long something is waited for that should take a moment, in seconds.
PATIENCE_SECONDS = 30

STATS = ["conv_rate", "trips", "seen", "words", "ratings", "profile", "config"]


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def frame(rows):
    return pd.DataFrame(rows)


driver = Entity(name="driver", join_keys=["driver_id"])
table = FileSource(name="driver_table", path=str(FOLDER / "stats.parquet"), timestamp_field="happened",
                   created_timestamp_column="made")
pushed = PushSource(name="driver_pushes", batch_source=table)
stats = FeatureView(
    name="driver_stats",
    entities=[driver],
    ttl=timedelta(days=7),
    source=pushed,
    schema=[
        Field(name="driver_id", dtype=Int64),
        Field(name="conv_rate", dtype=Float32),
        Field(name="trips", dtype=Int64),
        Field(name="seen", dtype=UnixTimestamp),
        Field(name="words", dtype=Array(String)),
        Field(name="ratings", dtype=Array(Float64)),
        Field(name="profile", dtype=Map),
        Field(name="config", dtype=Json),
    ],
)
# Another view over the same source, which reads another column of it.
rank = FeatureView(
    name="driver_rank",
    entities=[driver],
    ttl=timedelta(days=7),
    source=pushed,
    schema=[Field(name="driver_id", dtype=Int64), Field(name="rank", dtype=Int64)],
)
# A view that the server does not have, and one that it computes from events.
ghost, counts = (
    FeatureView(
        name=name,
        entities=[driver],
        source=pushed,
        schema=[Field(name="driver_id", dtype=Int64), Field(name="events_7d", dtype=Int64)],
    )
    for name in ("ghost", "driver_counts")
)
activity = FeatureService(name="driver_activity", features=[stats[["conv_rate", "trips"]], rank])
unknown = FeatureService(name="no_such_service", features=[stats[["trips"]]])


def client():
    """A store whose registry the client itself has written."""
    empty = {name: pd.Series(dtype=kind) for name, kind in [
        ("driver_id", "int64"), ("conv_rate", "float32"), ("trips", "int64"), ("seen", "datetime64[us, UTC]"),
        ("rank", "int64"), ("events_7d", "int64"), ("happened", "datetime64[us, UTC]"), ("made", "datetime64[us, UTC]"),
    ]}
    pd.DataFrame(empty).to_parquet(FOLDER / "stats.parquet")
    store = FeatureStore(config=RepoConfig(
        project="demo",
        provider="local",
        registry={"registry_type": "file", "path": str(FOLDER / "registry.db")},
        online_store={"type": "remote", "path": URL},
        offline_store={"type": "file"},
        entity_key_serialization_version=3,
        auth={"type": "no_auth"},
    ))
    store.apply([driver, table, pushed, stats, rank, ghost, counts, activity, unknown])
    return store


store = client()


def ask(features, drivers, **options):
    """An answer as a dictionary, and the statuses of each column."""
    response = store.get_online_features(features=features, entity_rows=[{"driver_id": each} for each in drivers], **options)
    names = response.proto.metadata.feature_names.val
    statuses = {name: [int(status) for status in column.statuses] for name, column in zip(names, response.proto.results)}
    return response.to_dict(), statuses


def refused(kind, text, action):
    """That an action raises just this error with this in its text, and soon."""
    began = time.monotonic()
    try:
        action()
    except kind as error:
        took = time.monotonic() - began
        # Feast's errors of a server carry their words beside them.
        said = getattr(error, "__overridden_message__", None) or str(error)
        assert type(error) is kind, f"{type(error)} is not {kind}"
        assert text in said, f"{text!r} is not in {said!r}"
        assert took < ERROR_SECONDS_MAX, f"{text}: {took} s"
        return
    raise AssertionError(f"nothing was raised where {kind.__name__} should be: {text}")


def equal(found, expected):
    assert found == expected, f"\nfound    {found}\nexpected {expected}"


PRESENT, NULL, NOT_FOUND, OUTSIDE = 1, 2, 3, 4


def when_free(action):
    """Does it once nothing else loads the views: until then it is refused."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return action()
        except RuntimeError as error:
            if "conflict (409)" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.05)


def materializes():
    trips = ["driver_stats:trips"]
    equal(ask(trips, [1001])[0], {"driver_id": [1001], "trips": [None]})
    # A range has its end within.
    store.materialize(at("2026-01-01T09:00:00"), at("2026-01-01T10:00:00"), ["driver_stats"])
    equal(ask(trips, [1001, 1002])[0], {"driver_id": [1001, 1002], "trips": [10, None]})
    equal(ask(["driver_rank:rank"], [1001])[0]["rank"], [None])
    # No view named: all of them.
    store.materialize_incremental(at("2026-01-01T10:30:00"))
    equal(ask(trips, [1001, 1002])[0]["trips"], [10, 20])
    equal(ask(["driver_rank:rank"], [1001, 1002])[0]["rank"], [3, 4])
    store.materialize_incremental(at("2026-01-01T12:30:00"), ["driver_stats"])
    equal(ask(trips, [1001, 1002])[0]["trips"], [11, 20])
    # Again: nothing changes.
    store.materialize_incremental(at("2026-01-01T12:30:00"), run_async=True)
    when_free(lambda: store.materialize(at("2026-01-01T09:00:00"), at("2026-01-01T12:30:00")))
    equal(ask(trips, [1001, 1002])[0]["trips"], [11, 20])
    refused(RuntimeError, "failed (404)", lambda: store.materialize_incremental(at("2026-01-01T12:30:00"), ["no_view"]))
    refused(RuntimeError, "start_ts must be before end_ts",
            lambda: store.materialize(at("2026-01-02T00:00:00"), at("2026-01-01T00:00:00")))


def reads():
    found, statuses = ask(["driver_stats:conv_rate", "driver_stats:trips"], [1001, 1002, 1003, 1004, 9999])
    equal(found, {
        "driver_id": [1001, 1002, 1003, 1004, 9999],
        "conv_rate": [1.0, 0.25, None, None, None],
        "trips": [11, 20, 30, None, None],
    })
    equal(statuses["conv_rate"], [PRESENT, PRESENT, NULL, OUTSIDE, NOT_FOUND])
    equal(statuses["driver_id"], [PRESENT] * 5)
    # 1.0 is a float though it is whole.
    response = store.get_online_features(features=["driver_stats:conv_rate"], entity_rows=[{"driver_id": 1001}])
    column = response.proto.results[list(response.proto.metadata.feature_names.val).index("conv_rate")]
    equal(column.values[0].WhichOneof("val"), "double_val")
    equal(sorted(ask(["driver_stats:trips", "driver_rank:rank"], [1001], full_feature_names=True)[0]),
          ["driver_id", "driver_rank__rank", "driver_stats__trips"])
    service = store.get_feature_service("driver_activity")
    equal(ask(service, [1001, 1002])[0],
          {"driver_id": [1001, 1002], "conv_rate": [1.0, 0.25], "trips": [11, 20], "rank": [3, 4]})
    equal(store.get_online_features(features=service, entity_rows={"driver_id": [1002]}).to_df()["trips"].tolist(), [20])
    refused(FeatureViewNotFoundException, "Feature view nope does not exist in project demo", lambda: ask(["nope:x"], [1]))
    refused(FeatureServiceNotFoundException, "Feature service no_such_service does not exist in project demo",
            lambda: ask(unknown, [1]))
    refused(FeastObjectNotFoundException, "no feature `trps`", lambda: ask(["driver_stats:trps"], [1]))
    refused(FeastError, "row 0 (counted from 0): \"x\" is not a whole number", lambda: ask(["driver_stats:trips"], ["x"]))


def stats_row(driver_id, happened, **others):
    row = {
        "driver_id": driver_id, "happened": at(happened), "made": at(happened), "conv_rate": 0.5, "trips": 1, "seen": None,
        "words": None, "ratings": None, "profile": None, "config": None, "rank": 1, "events_7d": 1,
    }
    return {**row, **others}


def pushes():
    """A push becomes a write for each view of the source; each has its own columns, and no view spoils another's."""
    row = stats_row(
        2001, "2026-01-01T12:00:00", conv_rate=0.75, trips=7, rank=9, seen=at("2025-12-31T23:59:59"), words=["a", "b"],
        ratings=[0.5, 2.0], profile={"age": "51", "name": "x"}, config='{"k": [1, 2]}',
    )
    # Two views of the source take no writes by name, so the push is one that has them not.
    for gone in (ghost, counts):
        store.registry.delete_feature_view(gone.name, "demo")
    store.push("driver_pushes", frame([row, stats_row(2002, "2026-01-01T12:00:00", rank=8)]), to=PushMode.ONLINE)
    found, statuses = ask([f"driver_stats:{name}" for name in STATS] + ["driver_rank:rank"], [2001, 2002])
    equal(found["conv_rate"], [0.75, 0.5])
    equal(found["trips"], [7, 1])
    equal(found["rank"], [9, 8])
    equal(found["seen"], ["2025-12-31T23:59:59Z", None])
    equal(found["words"], [["a", "b"], None])
    equal(found["ratings"], [[0.5, 2.0], None])
    equal(found["profile"][0], {"age": "51", "name": "x"})
    equal(statuses["seen"], [PRESENT, NULL])
    store.apply([ghost, counts])
    # One view alone: the other has what it had.
    store.write_to_online_store("driver_rank", frame([stats_row(2001, "2026-01-01T12:10:00", rank=10)]))
    equal(ask(["driver_stats:trips", "driver_rank:rank"], [2001])[0], {"driver_id": [2001], "trips": [7], "rank": [10]})
    # An older row changes nothing, a newer one is taken whole.
    store.write_to_online_store("driver_stats", frame([stats_row(2001, "2026-01-01T11:00:00", trips=99)]))
    equal(ask(["driver_stats:trips", "driver_stats:words"], [2001])[0]["trips"], [7])
    store.write_to_online_store("driver_stats", frame([stats_row(2001, "2026-01-01T12:20:00", trips=8)]))
    equal(ask(["driver_stats:trips", "driver_stats:words"], [2001])[0],
          {"driver_id": [2001], "trips": [8], "words": [None]})
    refused(FeastObjectNotFoundException, "Feature view ghost does not exist in project demo",
            lambda: store.write_to_online_store("ghost", frame([stats_row(1, "2026-01-01T12:00:00")])))
    refused(FeastError, "aggregates events, so its features can't be written (push rows to source `driver_events`)",
            lambda: store.write_to_online_store("driver_counts", frame([stats_row(1, "2026-01-01T12:00:00")])))


for step in (materializes, reads, pushes):
    step()
    print(step.__name__, flush=True)
