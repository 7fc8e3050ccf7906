"""Searching: order, shapes, options, and results that outlive what they came from."""

import gc
import json
import math
import threading
import time

import pytest

import omendb

np = pytest.importorskip("numpy")


@pytest.fixture
def big(db):
    c = db.create_collection("big", vectors={"v": omendb.Vector(16, "l2")})
    rows = np.random.default_rng(2).normal(size=(500, 16)).astype("f4")
    c.upsert(ids=range(500), vectors=rows, documents=[{"n": i} for i in range(500)])
    return c, rows


def test_search_is_brute_force(big):
    c, rows = big
    queries = np.random.default_rng(3).normal(size=(20, 16)).astype("f4")
    r = c.search(queries, k=7, exact=True)
    d = ((rows[None].astype("f8") - queries[:, None].astype("f8")) ** 2).sum(axis=2)
    want = np.argsort(d, axis=1, kind="stable")[:, :7]
    assert r.ids == want.tolist()
    assert np.allclose(np.asarray(r.distances), np.take_along_axis(d, want, 1), rtol=1e-5)
    assert np.allclose(np.asarray(r.scores), 1 / (1 + np.asarray(r.distances)))
    assert [c.search(q, k=7).ids for q in queries] == r.ids


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_distances_and_scores_of_every_metric(db, metric):
    c = db.create_collection("c", vectors={"v": omendb.Vector(2, metric)})
    c.upsert(ids=["x", "y"], vectors=[[3, 4], [4, -3]])
    hit = c.search([6, 8], k=2)[0]
    assert hit.id == "x"
    want = {"l2": (25, 1 / 26), "cosine": (0, 1), "ip": (50, 50)}[metric]
    assert (hit.distance, hit.score) == pytest.approx(want)


def test_one_query_and_several(big):
    c, rows = big
    one = c.search(rows[3], k=4)
    assert one.ids[0] == 3 and len(one) == 4 and one.distances.shape == (4,)
    hits = list(one)
    assert [h.id for h in hits] == one.ids and hits[0] == one[0] and hits[-1] == one[-1]
    assert hits[0].document == {"n": 3} and hits[0].distance == 0 and hits[0].score == 1
    id, score, distance, document = one[1]
    assert (id, score, distance, document) == (
        one.ids[1], one.scores[1], one.distances[1], one.documents[1],
    )
    several = c.search(rows[3:5], k=4)
    assert len(several) == 2 and several.distances.shape == (2, 4)
    assert several.ids[0] == one.ids and [h.id for h in several[1]] == several.ids[1]
    assert several.documents[1][0] == {"n": 4}
    assert [[h.id for h in hits] for hits in several] == several.ids
    assert len(c.search(rows[3:4], k=4)) == 1 and c.search(rows[3:4]).ids == [c.search(rows[3]).ids]
    with pytest.raises(IndexError):
        one[4]
    assert "4 hits" in repr(one) and "2 queries" in repr(several)


def test_fewer_hits_than_k(docs):
    docs.upsert(ids=[1, 2], vectors=[[1, 0, 0], [0, 1, 0]], documents=[{"n": 1}, {"n": 2}])
    r = docs.search([1, 0, 0], k=5)
    assert r.ids == [1, 2] and r.distances.shape == (2,) and r.documents == [{"n": 1}, {"n": 2}]
    many = docs.search([[1, 0, 0], [0, 1, 0]], k=5, where={"n": 2})
    assert many.ids == [[2], [2]] and many.distances.shape == (2, 5)
    assert math.isnan(many.distances[0][1]) and math.isnan(many.scores[1][4])
    assert many.distances[1][0] == 0
    none = docs.search([1, 0, 0], where={"n": 9})
    assert none.ids == [] and len(none) == 0 and list(none) == [] and not none.documents
    assert none.distances.tolist() == []


def test_ties_are_ordered_by_equal_vector_then_id(docs):
    ids = ["b", 9, "a", 2, "é", "ab", 2**64 - 1]
    docs.upsert(ids=ids, vectors=[[0, 0, 1]] * len(ids))
    assert docs.search([0, 0, 1], k=10).ids == [2, 9, 2**64 - 1, "a", "ab", "b", "é"]
    docs.upsert(ids=["zz", 0], vectors=[[0, 0, -1], [0, 0, -1]])
    assert docs.search([0, 0, 0], k=10).ids == [0, 2, 9, 2**64 - 1, "a", "ab", "b", "zz", "é"]


def test_offset_pages_through_the_same_order(big):
    c, rows = big
    everything = c.search(rows[0], k=30).ids
    assert [i for at in range(0, 30, 10) for i in c.search(rows[0], k=10, offset=at).ids] == everything


def test_filters_hold(big):
    c, rows = big
    for where in ({"n": {"$lt": 50}}, '{"n": {"$lt": 50}}'):
        r = c.search(rows[100], k=20, where=where)
        assert len(r) == 20 and all(d["n"] < 50 for d in r.documents)


def test_options_and_explain(big):
    c, rows = big
    want = c.search(rows[:8], k=5, exact=True).ids
    for options in ({"recall": 0.9}, {"ef": 64}, {"threads": 2}, {"timeout": 60}, {"field": "v"}):
        r = c.search(rows[:8], k=5, **options)
        assert r.ids == want
    assert isinstance(r.explain(), dict) and r.explain()
    r = c.search(rows[0], documents=False, vectors=True)
    assert r.documents is None and r[0].document is None
    assert np.array_equal(np.asarray(r.vectors), rows[r.ids])
    r = c.search(rows[:2], k=3, vectors=True)
    assert [np.array_equal(np.asarray(v), rows[i]) for v, i in zip(r.vectors, r.ids)] == [True] * 2
    assert c.search(rows[0]).vectors is None


@pytest.mark.parametrize(
    "options, error",
    [
        ({"k": 0}, omendb.ArgumentError),
        ({"k": 10001}, omendb.ArgumentError),
        ({"k": -1}, omendb.ArgumentError),
        ({"k": 2**40}, omendb.ArgumentError),
        ({"k": 1.5}, TypeError),
        ({"k": True}, TypeError),
        ({"recall": 0}, omendb.ArgumentError),
        ({"recall": 1.5}, omendb.ArgumentError),
        ({"recall": math.nan}, omendb.ArgumentError),
        ({"recall": "x"}, TypeError),
        ({"timeout": 0}, omendb.ArgumentError),
        ({"timeout": -1}, omendb.ArgumentError),
        ({"timeout": math.inf}, omendb.ArgumentError),
        ({"field": 7}, TypeError),
        ({"wrong": 7}, TypeError),
    ],
)
def test_bad_options_are_refused(big, options, error):
    with pytest.raises(error):
        big[0].search(big[1][0], **options)


def test_no_query_is_refused(docs):
    for nothing in ([], np.ones((0, 3), "f4")):
        with pytest.raises(omendb.ArgumentError):
            docs.search(nothing)


def test_results_outlive_the_database(path):
    with omendb.open(path) as db:
        c = db.create_collection("c", vectors={"v": omendb.Vector(2)})
        c.upsert(ids=[1, "two"], vectors=[[1, 0], [0, 1]], documents=[{"b": b"\x01"}, {}])
        r = c.search([1, 0], vectors=True)
        lazy = c.search([[0, 1], [1, 0]], vectors=True)
        distances = np.asarray(r.distances)
        numbers = c.vectors("v", [1])
        db.drop_collection("c")
        with pytest.raises(omendb.NotFoundError):
            c.get(1)
    assert r.ids == [1, "two"] and distances.tolist() == [0, 2]
    assert r.documents == [{"b": b"\x01"}, {}] and r.vectors.tolist() == [[1, 0], [0, 1]]
    assert lazy.ids == [["two", 1], [1, "two"]] and lazy.explain() is not None
    assert lazy[0][0].document == {} and numbers.tolist() == [[1, 0]]
    scores = r.scores
    del r, lazy
    gc.collect()
    assert scores.tolist() == [1, pytest.approx(1 / 3)]
    for call in (
        lambda: c.get(1),
        lambda: c.search([1, 0]),
        lambda: c.upsert(1),
        lambda: c.find(),
        lambda: len(c),
        lambda: c.describe(),
        lambda: db.stats(),
        lambda: db.collection("c"),
        lambda: db.batch(),
        lambda: db.check(),
        lambda: db.sync(),
        lambda: db.refresh(),
    ):
        with pytest.raises(omendb.MisuseError):
            call()
    assert "closed" in repr(c) and "closed" in repr(db) and db.closed
    db.close()
    db.interrupt()


def test_a_cycle_through_a_result_is_collected(docs):
    docs.upsert(1, [1, 2, 3], {})

    class Canary(dict):
        pass

    import weakref

    canary = Canary()
    r = docs.search([1, 2, 3])
    r.documents[0]["cycle"] = [r, r.scores, canary]
    gone = weakref.ref(canary)
    del r, canary
    gc.collect()
    assert gone() is None


def test_searches_run_in_parallel_threads(big):
    c, rows = big
    want = c.search(rows, k=5).ids
    failures = []

    def work(seed):
        try:
            for i in np.random.default_rng(seed).integers(0, 500, 100):
                assert c.search(rows[i], k=5).ids == want[i]
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failures


def test_the_gil_is_free_during_a_search(db):
    c = db.create_collection("c", vectors={"v": omendb.Vector(64)})
    rows = np.random.default_rng(4).normal(size=(20000, 64)).astype("f4")
    c.upsert(ids=range(20000), vectors=rows)
    running = threading.Event()
    done = []

    def work():
        running.set()
        started = time.perf_counter()
        c.search(rows[:300], k=10, exact=True, documents=False)
        done.append(time.perf_counter() - started)

    thread = threading.Thread(target=work)
    thread.start()
    running.wait()
    ticks = 0
    longest, last = 0.0, time.perf_counter()
    while not done:
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
        ticks += 1
    thread.join()
    # A search that kept the GIL would leave this thread one gap as long as itself.
    assert ticks > 1000 and longest < done[0] / 2


def test_close_waits_for_running_searches(path):
    db = omendb.open(path)
    c = db.create_collection("c", vectors={"v": omendb.Vector(64)})
    rows = np.random.default_rng(4).normal(size=(5000, 64)).astype("f4")
    c.upsert(ids=range(5000), vectors=rows)
    outcome = []

    def work():
        try:
            while True:
                outcome.append(len(c.search(rows[:50], k=3, documents=False).ids))
        except omendb.MisuseError:
            outcome.append("closed")

    threads = [threading.Thread(target=work) for _ in range(3)]
    [t.start() for t in threads]
    time.sleep(0.2)
    db.close()
    [t.join() for t in threads]
    assert outcome.count("closed") == 3 and set(outcome) == {50, "closed"}


def test_stats_are_plain_json(big):
    assert json.loads(json.dumps(big[0].database.stats())) == big[0].database.stats()
