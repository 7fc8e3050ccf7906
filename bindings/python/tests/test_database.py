"""Opening, closing, crashing; collections, batches, errors, signals."""

import gc
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import pytest

import omendb

np = pytest.importorskip("numpy")


def python(code, *args, **options):
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *map(str, args)], **options)


def test_a_file_is_made_and_comes_back(path):
    assert not path.exists()
    with omendb.open(path) as db:
        db.create_collection("docs", vectors={"v": omendb.Vector(2)}).upsert("a", [1, 2], {"n": 1})
        assert db.path == str(path) and not db.closed
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with omendb.open(str(path), create=False) as db:
        docs = db.collection("docs")
        assert docs.get("a") == {"n": 1} and docs.vectors("v", "a").tolist() == [1, 2]
    with omendb.open(os.fsencode(path), read_only=True) as db:
        assert db.collection("docs").get("a") == {"n": 1}
        with pytest.raises(omendb.ReadOnlyError):
            db.collection("docs").upsert("b")
        with pytest.raises(omendb.ReadOnlyError):
            db.create_collection("x")


def test_memory_databases_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with omendb.open(":memory:") as db:
        c = db.create_collection("c", vectors={"v": omendb.Vector(2)})
        c.upsert(ids=range(100), vectors=np.ones((100, 2), "f4"))
        assert len(c) == 100 and db.check(deep=True)["ok"]
    assert list(tmp_path.iterdir()) == []


def test_open_refuses(path, tmp_path):
    with pytest.raises(omendb.NotFoundError):
        omendb.open(path, create=False)
    with pytest.raises(omendb.NotFoundError):
        omendb.open(path, read_only=True)
    with pytest.raises(omendb.Error):
        omendb.open(tmp_path / "no" / "such" / "folder.omen")
    path.write_bytes(b"this is no database" * 10000)
    with pytest.raises((omendb.CorruptError, omendb.UnsupportedError)):
        omendb.open(path)
    assert path.read_bytes() == b"this is no database" * 10000
    for options in ({"durability": "wrong"}, {"interval_ms": 10**7}, {"interval_ms": -1}):
        with pytest.raises(omendb.ArgumentError):
            omendb.open(":memory:", **options)
    with pytest.raises(TypeError):
        omendb.open(7)
    with pytest.raises(TypeError):
        omendb.open(":memory:", True)
    with pytest.raises(ValueError):
        omendb.open("nul\0character")


@pytest.mark.parametrize("durability", ["full", "interval", "none", "default"])
def test_every_durability_level(path, durability):
    with omendb.open(path, durability=durability, interval_ms=5) as db:
        db.create_collection("c").upsert(ids=range(10))
        db.sync()
    with omendb.open(path) as db:
        assert len(db.collection("c")) == 10


def test_a_reader_follows_its_writer(path):
    with omendb.open(path) as db:
        c = db.create_collection("c", {"v": omendb.Vector(2)})
        c.upsert(ids=[1], vectors=[[1, 0]])
        with omendb.open(path, read_only=True) as reader:
            seen = reader["c"]
            with reader.snapshot() as old:
                kept = old["c"]
                c.upsert(ids=[2], vectors=[[0, 1]])
                db.rename_collection("c", "d")
                assert seen.count() == 1
                reader.refresh()
                assert kept.count() == 1
                assert seen.count() == 2 and seen.name == "d" and seen.search([0, 1], k=1).ids == [2]
                db.drop_collection("d")
                db.create_collection("d")
                reader.refresh()
                with pytest.raises(omendb.NotFoundError):
                    seen.count()
                assert reader["d"].count() == 0
            db.refresh()
    with omendb.open(":memory:") as db:
        assert db.refresh() is None


def test_collections(db):
    assert db.collections() == []
    db.create_collection("b")
    db.create_collection("a", {"v": omendb.Vector(3, "cosine", type="f16")}, {"n": omendb.Int})
    assert db.collections() == ["a", "b"] and "a" in db and "c" not in db
    described = db.collection("a").describe()
    assert described["vectors"] == [{"name": "v", "dim": 3, "type": "f16", "metric": "cosine", "index": "exact"}]
    assert described["fields"] == [{"name": "n", "type": "int"}] and described["count"] == 0
    with pytest.raises(omendb.ExistsError):
        db.create_collection("a")
    with pytest.raises(omendb.NotFoundError, match="^(?!['\"])"):
        db.collection("c")
    handle = db.collection("b")
    db.rename_collection("b", "c")
    assert db.collections() == ["a", "c"] and handle.name == "c" and "'c'" in repr(handle)
    with pytest.raises(omendb.ExistsError):
        db.rename_collection("c", "a")
    with pytest.raises(omendb.NotFoundError):
        db.rename_collection("x", "y")
    db.drop_collection("c")
    with pytest.raises(omendb.NotFoundError):
        handle.count()
    with pytest.raises(omendb.NotFoundError):
        db.drop_collection("c")
    assert db.collections() == ["a"]


def test_exist_ok_opens_what_is_declared_alike(db):
    vectors, fields = {"v": omendb.Vector(3, "cosine")}, {"n": omendb.Int()}
    db.create_collection("c", vectors, fields).upsert("a", [1, 0, 0])
    assert len(db.create_collection("c", vectors, fields, exist_ok=True)) == 1
    for other in (
        ({"v": omendb.Vector(4, "cosine")}, fields),
        ({"v": omendb.Vector(3, "l2")}, fields),
        ({"w": omendb.Vector(3, "cosine")}, fields),
        (vectors, {"n": omendb.Float()}),
        (vectors, None),
        (None, None),
    ):
        with pytest.raises(omendb.ExistsError):
            db.create_collection("c", *other, exist_ok=True)


@pytest.mark.parametrize("name", ["", "a/b", "x" * 129, "a\nb", "nul\0", "\ud800"])
def test_bad_names_are_refused(db, name):
    with pytest.raises(ValueError):
        db.create_collection(name)
    assert db.collections() == []


@pytest.mark.parametrize(
    "vectors, error",
    [
        ({"v": omendb.Vector(0)}, omendb.ArgumentError),
        ({"v": omendb.Vector(16385)}, omendb.ArgumentError),
        ({"v": omendb.Vector(-1)}, omendb.ArgumentError),
        ({"v": omendb.Vector("3")}, TypeError),
        ({"v": omendb.Vector(3, "wrong")}, omendb.ArgumentError),
        ({"v": omendb.Vector(3, type="wrong")}, omendb.ArgumentError),
        ({"v": omendb.Vector(8, "l2", type="bit")}, omendb.ArgumentError),
        ({"v": omendb.Vector(8, "hamming")}, omendb.ArgumentError),
        ({f"v{i}": omendb.Vector(3) for i in range(17)}, omendb.ArgumentError),
        ({"v": 3}, TypeError),
        ({7: omendb.Vector(3)}, TypeError),
        ([omendb.Vector(3)], TypeError),
    ],
)
def test_bad_vector_fields_are_refused(db, vectors, error):
    with pytest.raises(error):
        db.create_collection("c", vectors)
    assert db.collections() == []


def test_bad_field_declarations_are_refused(db):
    with pytest.raises(TypeError):
        db.create_collection("c", fields={"n": "int"})
    with pytest.raises(TypeError):
        db.create_collection("c", fields={7: omendb.Int()})
    with pytest.raises(omendb.ArgumentError):
        db.create_collection("c", fields={f"f{i}": omendb.Int() for i in range(257)})


def test_declarations_say_what_they_are():
    assert repr(omendb.Vector(3, "cosine", type="f16")) == "omendb.Vector(3, 'cosine', type='f16')"
    assert repr(omendb.Int()) == "omendb.Int()" and omendb.Array().kind == "array"


def test_nan_is_refused_and_the_database_reopens(path):
    """Rust's omendb 0.0.37 rejects the NaN and then can't be opened again."""
    rows = np.random.default_rng(5).normal(size=(100, 8)).astype("f4")
    bad = rows.copy()
    bad[57, 3] = np.nan
    with omendb.open(path) as db:
        docs = db.create_collection("docs", vectors={"v": omendb.Vector(8, "cosine")})
        docs.upsert(ids=range(100), vectors=rows, documents=[{"n": i} for i in range(100)])
        with pytest.raises(omendb.InvalidValueError, match="57") as caught:
            docs.upsert(ids=range(50, 150), vectors=bad, documents=[{"n": -1}] * 100)
        assert isinstance(caught.value, ValueError) and caught.value.status == -11
        assert len(docs) == 100 and docs.count({"n": -1}) == 0
        assert np.asarray(docs.vectors("v", range(100))).tobytes() == rows.tobytes()
        docs.upsert("after", rows[0])
    with omendb.open(path) as db:
        docs = db.collection("docs")
        assert len(docs) == 101 and docs.count({"n": -1}) == 0 and "after" in docs
        assert np.asarray(docs.vectors("v", range(100))).tobytes() == rows.tobytes()
        assert docs.search(rows[57], k=1).ids == [57]
        assert db.check(deep=True)["ok"]


@pytest.mark.parametrize("durability", ["full", "interval"])
def test_a_killed_process_loses_nothing_acknowledged(path, durability):
    code = """
    import sys, omendb
    db = omendb.open(sys.argv[1], durability=sys.argv[2])
    c = db.create_collection("c", vectors={"v": omendb.Vector(4)})
    for i in range(10**9):
        c.upsert(ids=[2 * i, f"s{i}"], vectors=[[i, 1, 2, 3]] * 2, documents=[{"i": i}] * 2)
        print(i, flush=True)
    """
    process = python(code, path, durability, stdout=subprocess.PIPE, text=True)
    acknowledged = -1
    while acknowledged < 100:
        acknowledged = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    for line in process.stdout.read().splitlines():
        acknowledged = int(line)
    process.stdout.close()
    process.wait()
    with omendb.open(path) as db:
        c = db.collection("c")
        count = len(c)
        assert count % 2 == 0 and count >= 2 * (acknowledged + 1)
        for i in range(count // 2):
            assert c.get_many([2 * i, f"s{i}"]) == [{"i": i}] * 2
        assert c.search([acknowledged, 1, 2, 3], k=2).ids == [2 * acknowledged, f"s{acknowledged}"]
        assert db.check(deep=True)["ok"]
        c.upsert("again", [1, 2, 3, 4])


def test_a_second_process_is_told_that_it_is_busy(path):
    with omendb.open(path) as db:
        db.create_collection("c").upsert(1)
        code = """
        import sys, omendb
        try:
            omendb.open(sys.argv[1])
        except omendb.BusyError:
            sys.exit(7)
        """
        assert python(code, path).wait() == 7


def test_fork_is_misuse_and_harmless(path):
    with omendb.open(path) as db:
        c = db.create_collection("c", vectors={"v": omendb.Vector(2)})
        c.upsert(1, [1, 2])
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                c.get(1)
            except omendb.MisuseError:
                code = 7
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        c.upsert(2, [3, 4])
        assert len(c) == 2


def test_a_batch_is_visible_whole(db):
    a = db.create_collection("a", vectors={"v": omendb.Vector(2)})
    b = db.create_collection("b")
    a.upsert("old", [1, 1])
    with db.batch() as batch:
        batch.upsert(a, ids=[1, 2], vectors=[[1, 2], [3, 4]], documents=[{"n": 1}, {"n": 2}])
        batch.upsert(b, "x", documents={"of": "a"})
        batch.delete(a, "old")
        assert len(a) == 1 and len(b) == 0 and batch.sequence is None
    assert len(a) == 2 and b.get("x") == {"of": "a"} and "old" not in a
    assert isinstance(batch.sequence, int)
    with pytest.raises(omendb.MisuseError):
        batch.upsert(b, "y")


def test_a_batch_is_discarded_by_an_exception(db):
    a = db.create_collection("a", vectors={"v": omendb.Vector(2)})
    with pytest.raises(ZeroDivisionError):
        with db.batch() as batch:
            batch.upsert(a, 1, [1, 2])
            1 / 0
    with pytest.raises(omendb.InvalidValueError):
        with db.batch() as batch:
            batch.upsert(a, 1, [1, 2])
            batch.upsert(a, 2, [float("nan"), 2])
    assert len(a) == 0
    batch = db.batch(durability="none")
    batch.upsert(a, 1, [1, 2])
    with pytest.raises(omendb.InvalidValueError):
        batch.upsert(a, 2, [float("nan"), 2])
    first = batch.commit()
    assert len(a) == 1
    batch.upsert(a, 3, [1, 2])
    assert batch.commit() > first and len(a) == 2
    batch.upsert(a, 4, [1, 2])
    del batch
    assert len(a) == 2


def test_a_batch_refuses(db, tmp_path):
    a = db.create_collection("a")
    with omendb.open(":memory:") as other:
        foreign = other.create_collection("a")
        batch = db.batch()
        with pytest.raises(omendb.ArgumentError):
            batch.upsert(foreign, 1)
        with pytest.raises(TypeError):
            batch.upsert("a", 1)
        with pytest.raises(TypeError):
            db.batch("full")
        with pytest.raises(omendb.ArgumentError):
            db.batch(durability="wrong")
        batch.upsert(a, 1)
    db.close()
    with pytest.raises(omendb.MisuseError):
        batch.commit()


def test_check_and_stats(db):
    db.create_collection("c", vectors={"v": omendb.Vector(2)}).upsert(1, [1, 2])
    for deep in (False, True):
        report = db.check(deep)
        assert report["ok"] is True and report["problems"] == []
    assert isinstance(db.stats(), dict) and db.stats()


def test_errors_have_their_places():
    assert [
        getattr(omendb, name).status
        for name in (
            "NoMemoryError IOError_ CorruptError ArgumentError BusyError FullError InternalError "
            "NotFoundError ExistsError DimensionError InvalidValueError ReadOnlyError MisuseError "
            "UnsupportedError InterruptedError TimeoutError"
        ).split()
    ] == list(range(-1, -17, -1))
    for error, parent in (
        (omendb.DimensionError, ValueError),
        (omendb.InvalidValueError, ValueError),
        (omendb.ArgumentError, ValueError),
        (omendb.NotFoundError, KeyError),
        (omendb.IOError_, OSError),
        (omendb.NoMemoryError, MemoryError),
        (omendb.TimeoutError, TimeoutError),
        (omendb.InterruptedError, InterruptedError),
    ):
        assert issubclass(error, omendb.Error) and issubclass(error, parent)
        assert str(error("plain message")) == "plain message"
        assert error.__module__ == "omendb"


def test_types_cannot_be_made_by_hand():
    for cls in (omendb.Database, omendb.Collection, omendb.Result, omendb.Batch, omendb.Numbers):
        with pytest.raises(TypeError):
            cls()
        with pytest.raises(TypeError):
            cls.x = 1


def test_an_unclosed_database_warns_and_closes(path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        db = omendb.open(path)
        db.create_collection("c").upsert(1)
        del db
    assert [w.category for w in caught] == [ResourceWarning]
    with omendb.open(path) as db:
        assert len(db.collection("c")) == 1


def test_interrupt_ends_a_search_of_another_thread(path):
    with omendb.open(path, durability="none") as db:
        c = db.create_collection("c", vectors={"v": omendb.Vector(64)})
        rows = np.random.default_rng(6).normal(size=(20000, 64)).astype("f4")
        c.upsert(ids=range(20000), vectors=rows)
        outcome = []

        def work():
            try:
                for _ in range(100):
                    c.search(rows, k=10, exact=True, documents=False)
            except omendb.InterruptedError:
                outcome.append("interrupted")

        thread = threading.Thread(target=work)
        thread.start()
        while thread.is_alive():
            time.sleep(0.05)
            db.interrupt()
        thread.join()
        assert outcome == ["interrupted"]
        assert c.search(rows[3], k=1).ids == [3]
        with pytest.raises(omendb.TimeoutError):
            c.search(rows, k=10, exact=True, documents=False, timeout=0.02)


def test_ctrl_c_ends_a_long_search(path):
    code = """
    import signal, sys, time, numpy as np, omendb
    signal.signal(signal.SIGINT, signal.default_int_handler)  # A job in the background ignores it.
    db = omendb.open(sys.argv[1], durability="none")
    c = db.create_collection("c", vectors={"v": omendb.Vector(64)})
    rows = np.random.default_rng(6).normal(size=(20000, 64)).astype("f4")
    c.upsert(ids=range(20000), vectors=rows)
    print("ready", flush=True)
    started = time.monotonic()
    try:
        while True:
            c.search(rows, k=10, exact=True, documents=False)
            print("whole", flush=True)
    except KeyboardInterrupt:
        print("stopped", flush=True)
    assert c.search(rows[3], k=1).ids == [3]
    db.close()
    print("closed", flush=True)
    """
    process = python(code, path, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    lines = process.stdout.read().split()
    process.stdout.close()
    assert process.wait() == 0 and lines[-2:] == ["stopped", "closed"]
    assert time.monotonic() - sent < 10


def test_close_in_a_signal_handler_does_not_wait_for_itself(path):
    code = """
    import signal, sys, numpy as np, omendb
    db = omendb.open(sys.argv[1], durability="none")
    c = db.create_collection("c", vectors={"v": omendb.Vector(64)})
    rows = np.random.default_rng(6).normal(size=(20000, 64)).astype("f4")
    c.upsert(ids=range(20000), vectors=rows)
    outcome = []
    def handler(*_):
        try:
            db.close()
        except omendb.BusyError:
            outcome.append("busy")
            raise KeyError
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        while True:
            c.search(rows, k=10, exact=True, documents=False)
    except KeyError:
        pass
    db.close()
    sys.exit(7 if outcome == ["busy"] else 1)
    """
    assert python(code, path).wait(60) == 7


def test_importing_is_light():
    code = """
    import sys
    before = set(sys.modules)
    import omendb
    print(sorted(set(sys.modules) - before))
    """
    process = python(code, stdout=subprocess.PIPE, text=True)
    out = process.communicate()[0]
    assert eval(out) == ["omendb", "omendb._omendb"]


def test_the_version_is_that_of_the_header():
    import importlib.metadata

    assert importlib.metadata.version("omendb") == omendb.__version__
    header = pathlib.Path(__file__).parents[3] / "include" / "omendb.h"
    if header.exists():
        text = header.read_text()
        assert f'OMENDB_VERSION_STRING "{omendb.__version__}"' in text


def test_signatures_can_be_inspected():
    import inspect

    assert list(inspect.signature(omendb.Collection.search).parameters)[:3] == ["self", "q", "k"]
    assert "durability" in inspect.signature(omendb.open).parameters
    assert re.match("Open or make", omendb.open.__doc__)


def test_nothing_leaks(path):
    def resident():
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    rows = np.random.default_rng(7).normal(size=(50, 32)).astype("f4")
    with omendb.open(path, durability="none") as db:
        c = db.create_collection("c", vectors={"v": omendb.Vector(32)})

        def work(times):
            for _ in range(times):
                c.upsert(ids=range(50), vectors=rows, documents=[{"x": "y" * 100}] * 50)
                c.upsert(ids=[str(i) for i in range(50)], vectors=rows.tolist())
                r = c.search(rows, k=10, vectors=True)
                r.ids, r.documents, r.vectors, r.scores.tolist(), list(r), r.explain()
                c.find({"x": {"$exists": True}}), c.get_many(range(50)), c.vectors("v", range(50))
                for bad in ([[float("nan")] * 32], [[1]], "x", np.ones((1, 3), "i8")):
                    with pytest.raises((ValueError, TypeError)):
                        c.upsert(ids=[1], vectors=bad, documents=[{"a": b"b"}])
                with pytest.raises(ValueError):
                    c.search(rows[0], where={"$wrong": 1})
                with db.batch() as batch:
                    batch.upsert(c, 1, rows[0])
                db.stats(), db.collections(), db.collection("c").describe()

        work(200)
        gc.collect()
        memory, blocks = resident(), sys.getallocatedblocks()
        work(600)
        gc.collect()
        blocks, memory = sys.getallocatedblocks() - blocks, resident() - memory
    # One object a round would be 600 blocks; the hits of one search in twelve 8 MiB.
    assert blocks < 500, blocks
    assert memory < 8 << 20, memory


def test_the_stubs_agree_with_the_extension(tmp_path):
    pytest.importorskip("mypy")
    allowlist = pathlib.Path(__file__).with_name("stubtest_allowlist.txt")
    command = [sys.executable, "-m", "mypy.stubtest", "omendb", "--allowlist", str(allowlist)]
    done = subprocess.run(
        [*command, "--ignore-unused-allowlist"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
