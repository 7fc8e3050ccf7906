"""Snapshots, transactions and conditions, as Python sees them."""

import gc
import threading

import pytest

import omendb


@pytest.fixture
def filled(docs):
    docs.upsert(ids=["a", "b", 7], vectors=[[1, 0, 0], [0, 1, 0], [0, 0, 1]],
                documents=[{"n": 1}, {"n": 2}, {"n": 3}])
    return docs


def test_a_snapshot_shows_one_moment(db, filled):
    with db.snapshot() as snapshot:
        before = snapshot["docs"]
        filled.upsert("a", [0, 0, 9], {"n": 10})
        filled.delete("b")
        filled.upsert("c", [1, 1, 1], {"n": 4})
        assert before["a"] == {"n": 1} and "b" in before and "c" not in before
        assert len(before) == 3 and before.count({"n": {"$lte": 2}}) == 2
        assert list(before) == [7, "a", "b"]
        assert before.search([1, 0, 0], k=1).ids == ["a"]
        assert before.vectors("v", "a").tolist() == [1.0, 0.0, 0.0]
        assert filled["a"] == {"n": 10} and len(filled) == 3
        assert snapshot.sequence > 0 and "open" in repr(snapshot)
        assert db.stats()["snapshots"] == 1
        with pytest.raises(omendb.ReadOnlyError):
            before.upsert("x")
        with pytest.raises(omendb.ReadOnlyError):
            before.delete("a")
    assert db.stats()["snapshots"] == 0 and "closed" in repr(snapshot)
    with pytest.raises(omendb.MisuseError):
        len(before)
    with pytest.raises(omendb.MisuseError):
        snapshot["docs"]
    with pytest.raises(omendb.MisuseError):
        snapshot.__enter__()
    snapshot.close()


def test_a_transaction_reads_its_own_writes(db, filled):
    other = db.create_collection("other")
    with db.transaction() as t:
        inner, second = t["docs"], t.collection(other)
        inner.upsert("a", [0, 0, 2], {"n": 100})
        inner.upsert(ids=["x", "y"], vectors=[[5, 5, 5], None], documents=[{"n": 5}, {"n": 6}])
        assert inner.delete(["b", "nothing"]) == 1
        second.upsert("z", documents={"from": inner["a"]["n"]})
        assert inner["a"] == {"n": 100} and "b" not in inner and second["z"] == {"from": 100}
        assert list(inner) == [7, "a", "x", "y"] and len(inner) == 4
        assert inner.count({"n": {"$gte": 5}}) == 3
        assert inner.search([0, 0, 2], k=1).documents == [{"n": 100}]
        assert inner.delete(where={"n": 6}) == 1 and "y" not in inner
        assert filled["a"] == {"n": 1} and len(filled) == 3 and len(other) == 0
        assert t.sequence is None and "open" in repr(t)
    assert t.sequence > 0 and "ended" in repr(t)
    assert filled["a"] == {"n": 100} and list(filled) == [7, "a", "x"]
    assert other["z"] == {"from": 100}
    with pytest.raises(omendb.MisuseError):
        inner.get("a")
    with pytest.raises(omendb.MisuseError):
        t.commit()
    t.rollback()


def test_an_exception_rolls_back(db, filled):
    with pytest.raises(ZeroDivisionError):
        with db.transaction() as t:
            t["docs"].delete("a")
            1 / 0
    assert "a" in filled and t.sequence is None
    with db.transaction() as t:
        t["docs"].delete("a")
        t.rollback()
    assert "a" in filled
    with db.transaction() as t:
        t["docs"].delete("a")
        assert t.commit() == t.sequence
    assert "a" not in filled


def test_the_first_to_commit_wins(db, filled):
    first, second = db.transaction(), db.transaction()
    first["docs"].upsert("a", documents={"n": "first"})
    second["docs"].upsert("a", documents={"n": "second"})
    first.commit()
    with pytest.raises(omendb.ConflictError) as caught:
        second.commit()
    assert caught.value.status == -17 and '"a"' in str(caught.value)
    second.rollback()
    assert filled["a"] == {"n": "first"}
    with pytest.raises(omendb.ConflictError):
        with db.transaction() as t:
            t["docs"].upsert("a", documents={"n": "third"})
            filled.upsert("a", documents={"n": "outside"})
    assert filled["a"] == {"n": "outside"} and db.stats()["snapshots"] == 0


def test_conditions(db, filled):
    with pytest.raises(omendb.ExistsError):
        filled.upsert(["new", "a"], documents=[{}, {}], if_absent=True)
    assert "new" not in filled
    filled.upsert("new", documents={"n": 0}, if_absent=True)
    document, version = filled.get_with_version("a")
    assert document == {"n": 1} and version > 0
    filled.upsert("a", documents={"n": 2}, if_version=version)
    with pytest.raises(omendb.ConflictError):
        filled.upsert("a", documents={"n": 3}, if_version=version)
    with pytest.raises(omendb.ConflictError):
        filled.delete("a", if_version=version)
    assert filled.get_with_version("missing") == (None, 0)
    filled.upsert("missing", documents={}, if_version=0)
    with pytest.raises(omendb.ExistsError):
        filled.upsert("missing", documents={}, if_version=0)
    versions = [filled.get_with_version(id)[1] for id in ("a", "b")]
    filled.upsert(["a", "b", "c"], documents=[{}, {}, {}], if_version=[*versions, None])
    with pytest.raises(omendb.ConflictError):
        filled.delete(["a", "b"], if_version=versions)
    versions = [filled.get_with_version(id)[1] for id in ("a", "b")]
    assert filled.delete(["a", "b"], if_version=versions) == 2
    with pytest.raises(omendb.ArgumentError):
        filled.upsert(["a", "b"], if_version=[1])
    with pytest.raises(omendb.ArgumentError):
        filled.upsert("a", if_absent=True, if_version=3)
    with pytest.raises(omendb.ArgumentError):
        filled.delete(where={}, if_version=3)
    with pytest.raises(TypeError):
        filled.upsert("a", if_version="3")
    with pytest.raises(TypeError):
        filled.get_with_version(["a"])
    with pytest.raises(omendb.ExistsError):
        with db.batch() as batch:
            batch.upsert(filled, 1, documents={})
            batch.upsert(filled, "c", documents={}, if_absent=True)
    assert 1 not in filled


def test_increments_of_threads_are_exact(db):
    counts = db.create_collection("counts")

    def by_version():
        for _ in range(15):
            while True:
                document, version = counts.get_with_version("n")
                n = document["n"] if document else 0
                try:
                    counts.upsert("n", documents={"n": n + 1}, if_version=version)
                    break
                except (omendb.ConflictError, omendb.ExistsError):
                    pass

    def by_transaction():
        for _ in range(15):
            while True:
                try:
                    with db.transaction(durability="none") as t:
                        inner = t["counts"]
                        document = inner.get("n", {"n": 0})
                        inner.upsert("n", documents={"n": document["n"] + 1})
                    break
                except omendb.ConflictError:
                    pass

    threads = [threading.Thread(target=f) for f in [by_version, by_transaction] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts["n"] == {"n": 90}


def test_ends_in_any_order(db, filled):
    other = omendb.open(":memory:")
    foreign = other.create_collection("docs")
    snapshot, transaction = db.snapshot(), db.transaction()
    with pytest.raises(omendb.ArgumentError):
        snapshot[foreign]
    with pytest.raises(omendb.NotFoundError):
        transaction["none"]
    with pytest.raises(TypeError):
        transaction[3]
    seen, inner = snapshot[filled], transaction[filled]
    inner.upsert("a", documents={})
    del snapshot, transaction
    gc.collect()
    assert db.stats()["snapshots"] == 0
    for view in (seen, inner):
        with pytest.raises(omendb.MisuseError):
            view.get("a")
    snapshot, transaction = db.snapshot(), db.transaction()
    inner = transaction[filled]
    inner.delete("a")
    db.close()
    other.close()
    with pytest.raises(omendb.MisuseError):
        inner.get("a")
    with pytest.raises(omendb.MisuseError):
        transaction.commit()
    with pytest.raises(omendb.MisuseError):
        db.transaction()
    snapshot.close()
    transaction.rollback()
    for view in (snapshot, transaction):
        with pytest.raises(TypeError):
            __import__("pickle").dumps(view)


def test_read_only_has_snapshots_but_no_transactions(path, db, filled):
    db.sync()
    with omendb.open(path, read_only=True) as reader:
        with reader.snapshot() as snapshot:
            assert len(snapshot["docs"]) == 3
        with pytest.raises(omendb.ReadOnlyError):
            reader.transaction()
