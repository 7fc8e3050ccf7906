"""How vector fields are indexed: choosing, waiting, what searches and statistics say about it."""

import math
import random
import threading

import pytest

import omendb

COUNT, DIM = 5000, 40  # Just above the size from which there is a graph.


def rows(count=COUNT, dim=DIM):
    rng = random.Random(3)
    return [[rng.gauss(0, 1) for _ in range(dim)] for _ in range(count)]


@pytest.fixture(scope="module")
def big():
    with omendb.open(":memory:", index_threads=2) as db:
        docs = db.create_collection("docs", vectors={"v": omendb.Vector(DIM, index="fast")})
        docs.upsert(range(COUNT), rows())
        docs.wait_indexed()
        yield docs


def index_of(db, field=0):
    return db.stats()["collections"][0]["vectors"][field]["index"]


def test_waiting_ends_with_everything_indexed(big):
    seen = []
    big.wait_indexed(timeout=60, progress=lambda indexed, total: seen.append((indexed, total)))
    assert seen[-1] == (COUNT, COUNT)
    stats = big.database.stats()
    assert stats["unindexed"] == 0
    index = index_of(big.database)
    assert (index["profile"], index["state"], index["indexed"]) == ("fast", "ready", COUNT)
    assert index["bytes_per_vector"]["links"] == 128
    assert [e["recall"] for e in index["calibration"]["efforts"]] == [0.9, 0.95, 0.99]


def test_a_search_explains_itself(big):
    q = rows(1)[0]
    exact = big.search(q, k=5, exact=True)
    assert exact.explain()["plan"] == "exact" and exact.ids[0] == 0
    assert exact.explain()["why_exact"] == "exact answers were asked for"
    assert big.search(q, k=5, recall=1).explain()["plan"] == "exact"
    assert big.search(q, k=5, where={"n": 1}).explain()["why_exact"] == "there is a filter"
    explain = big.search(q, k=5, ef=50).explain()
    assert (explain["plan"], explain["walk"], explain["ef"]) == ("graph", "edges", 50)
    assert explain["hops"] > 0 and 0.5 < explain["recall_expected"] <= 1
    assert big.search(rows(20), k=5, ef=50, threads=2).explain()["queries"] == 20


def test_a_wide_search_finds_what_an_exact_one_finds(big):
    queries = rows(30)
    found = big.search(queries, k=10, ef=400).ids
    wanted = big.search(queries, k=10, exact=True).ids
    hits = sum(len(set(a) & set(b)) for a, b in zip(found, wanted))
    assert hits >= 0.99 * 300


@pytest.mark.parametrize(
    "options",
    [
        {"k": 0},
        {"k": 10001},
        {"k": 2**40},
        {"k": 10, "ef": 9},
        {"k": 10, "offset": 5, "ef": 14},
        {"ef": 8193},
        {"recall": 0},
        {"recall": -0.5},
        {"recall": 1.01},
        {"recall": math.nan},
        {"timeout": 0},
    ],
)
def test_options_out_of_range_are_refused(big, options):
    with pytest.raises(omendb.ArgumentError):
        big.search(rows(1)[0], **options)


def test_what_is_no_option_is_a_type_error(big):
    with pytest.raises(TypeError, match="beam"):
        big.search(rows(1)[0], beam=5)
    with pytest.raises(TypeError):
        big.search(rows(1)[0], recall="much")
    with pytest.raises(TypeError, match="callable"):
        big.wait_indexed(progress=7)
    with pytest.raises(TypeError):
        big.wait_indexed(timeout="long")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_vectors_that_are_none_change_nothing(db, bad):
    docs = db.create_collection("docs", vectors={"v": omendb.Vector(4, "cosine")})
    docs.upsert(1, [1, 2, 3, 4])
    for broken, error in (
        ([1, 2, 3, bad], omendb.InvalidValueError),
        ([0, 0, 0, 0], omendb.InvalidValueError),
        ([1, 2, 3], omendb.DimensionError),
        ([1, 2, 3, 4, 5], omendb.DimensionError),
    ):
        with pytest.raises(error):
            docs.upsert(1, broken)
        with pytest.raises(error):
            docs.search(broken)
    assert docs.vectors("v", 1).tolist() == [1, 2, 3, 4]


def test_an_index_is_declared_switched_and_remembered(path):
    with omendb.open(path) as db:
        docs = db.create_collection("docs", vectors={"v": omendb.Vector(DIM, index="compact")})
        assert "index='compact'" in repr(docs)
        assert docs.describe()["vectors"][0]["index"] == "compact"
        docs.set_index("v", "exact")
        with pytest.raises(omendb.ArgumentError, match="fast, compact, exact"):
            docs.set_index("v", "ivf")
        with pytest.raises(omendb.NotFoundError):
            docs.set_index("w", "fast")
        with pytest.raises(TypeError):
            docs.set_index("v", 1)
        assert docs.describe()["vectors"][0]["index"] == "exact"
    with omendb.open(path) as db:
        declared = {"v": omendb.Vector(DIM, index="fast")}  # Switched since: still the same one.
        docs = db.create_collection("docs", vectors=declared, exist_ok=True)
        assert docs.describe()["vectors"][0]["index"] == "exact"
        docs.set_index(None, "default")
        assert docs.describe()["vectors"][0]["index"] == "fast"
    with omendb.open(path, read_only=True) as db:
        with pytest.raises(omendb.ReadOnlyError):
            db["docs"].set_index("v", "exact")
        with pytest.raises(omendb.ReadOnlyError):
            db["docs"].wait_indexed()


def test_fields_that_can_have_no_graph_say_so(db):
    for vector in (omendb.Vector(8, "hamming", "bit", index="fast"),
                   omendb.Vector(3, index="compact"), omendb.Vector(8, type="i8", index="fast")):
        with pytest.raises(omendb.ArgumentError, match="index"):
            db.create_collection("docs", vectors={"v": vector})
    with pytest.raises(omendb.ArgumentError):
        db.create_collection("docs", vectors={"v": omendb.Vector(8, index="ivf")})
    assert db.collections() == []
    docs = db.create_collection("docs", vectors={"v": omendb.Vector(8, "hamming", "bit")})
    assert index_of(db) == {"profile": "exact", "state": "none"}
    with pytest.raises(omendb.ArgumentError):
        docs.set_index("v", "fast")


def test_waiting_is_ended_by_time_and_by_what_progress_raises():
    with omendb.open(":memory:", index_threads=1) as db:
        docs = db.create_collection("docs", vectors={"v": omendb.Vector(DIM)})
        docs.upsert(range(COUNT), rows())

        class Enough(Exception):
            pass

        def enough(indexed, total):
            raise Enough

        with pytest.raises(Enough):
            docs.wait_indexed(progress=enough)
        with pytest.raises(omendb.BusyError):
            docs.wait_indexed(progress=lambda indexed, total: db.close())
        docs.wait_indexed()
        assert len(docs.search(rows(1)[0], k=10)) == 10


def test_searches_and_writes_go_on_while_the_index_is_built():
    with omendb.open(":memory:", index_threads=1) as db:
        docs = db.create_collection("docs", vectors={"v": omendb.Vector(DIM)})
        vectors = rows()
        docs.upsert(range(COUNT), vectors)
        waited = threading.Thread(target=docs.wait_indexed)
        waited.start()
        for i in range(50):
            docs.upsert(COUNT + i, vectors[i])
            assert docs.search(vectors[i], k=2).ids == [i, COUNT + i]
        waited.join()
        docs.wait_indexed(timeout=60)
        assert db.stats()["unindexed"] == 0


def test_index_threads_are_limited(path):
    with pytest.raises(omendb.ArgumentError):
        omendb.open(path, index_threads=65)
    with pytest.raises(omendb.ArgumentError):
        omendb.open(path, index_threads=-1)
    assert not path.exists()
