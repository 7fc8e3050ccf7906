"""What people try who come from NumPy, Chroma, Qdrant, LanceDB and FAISS."""

import array
import asyncio
import collections
import concurrent.futures
import copy
import ctypes
import datetime
import decimal
import enum
import gc
import multiprocessing
import os
import pathlib
import pickle
import subprocess
import sys
import textwrap
import types
import uuid
import weakref

import pytest

import omendb

np = pytest.importorskip("numpy")

ROWS = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


@pytest.fixture
def filled(docs):
    docs.upsert(["b", 7, "a"], ROWS, [{"n": 1}, {"n": 2}, {"n": 3}])
    return docs


# ---- All vectors of a field ----------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 3, 4, 8, 384])
@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "i8", "u8"])
def test_all_vectors_of_a_field_in_the_order_of_ids(db, kind, dim):
    c = db.create_collection("c", vectors={"v": omendb.Vector(dim, "l2", type=kind)})
    rows = np.random.default_rng(1).integers(0, 100, (50, dim)).astype("f4")
    ids = [i * 7 % 50 if i % 2 else f"s{i * 7 % 50:02}" for i in range(50)]
    c.upsert(ids, rows)
    order = sorted(range(50), key=lambda i: (isinstance(ids[i], str), ids[i]))
    X = c.vectors("v")
    assert X.shape == (50, dim) and X.type == kind and X.ids == [ids[i] for i in order]
    assert X.tolist() == rows[order].tolist()
    assert np.asarray(X).nbytes == 50 * dim * {"f32": 4, "f16": 2, "bf16": 2}.get(kind, 1)
    some = c.vectors("v", ids[5:9])
    assert some.ids == ids[5:9] and some.tolist() == rows[5:9].tolist()
    assert c.vectors().ids == X.ids and c.vectors(field="v", ids=None).ids == X.ids


def test_all_vectors_stay_as_they_were(path):
    db = omendb.open(path)
    c = db.create_collection("c", vectors={"v": omendb.Vector(4)})
    c.upsert(range(100), np.arange(400, dtype="f4").reshape(100, 4))
    X = c.vectors("v")
    a = np.asarray(X)
    c.upsert(range(100), np.zeros((100, 4)))
    c.delete(range(50))
    db.drop_collection("c")
    db.close()
    ids = X.ids
    assert a.tolist() == X.tolist() == np.arange(400.0).reshape(100, 4).tolist()
    del X
    gc.collect()
    assert a.sum() == np.arange(400).sum() and ids == list(range(100))
    with pytest.raises(ValueError):
        a[0, 0] = 1
    assert a.flags.c_contiguous and not a.flags.owndata


def test_all_vectors_leave_out_documents_without_one(db):
    c = db.create_collection("c", vectors={"a": omendb.Vector(4), "b": omendb.Vector(2)})
    assert c.vectors("a").shape == (0, 4) and c.vectors("a").ids == []
    c.upsert([1, 2, 3], {"a": [[1] * 4, None, [3] * 4], "b": [None, [2, 2], [3, 3]]}, [{"n": i} for i in (1, 2, 3)])
    assert (c.vectors("a").ids, c.vectors("b").ids) == ([1, 3], [2, 3])
    assert c.vectors("b").tolist() == [[2, 2], [3, 3]]
    assert c.vectors("a", where={"n": {"$gte": 2}}).tolist() == [[3] * 4]
    assert c.vectors("a", where={"n": 99}).shape == (0, 4)
    with pytest.raises(omendb.ArgumentError, match="which vector field"):
        c.vectors()
    with pytest.raises(omendb.ArgumentError):
        c.vectors("a", [1], where={})
    with pytest.raises(omendb.NotFoundError):
        c.vectors("wrong")
    with pytest.raises(TypeError):
        c.vectors(7)


def test_ids_of_numbers_cannot_make_a_cycle_that_stays(filled):
    class Canary(str):
        pass

    X = filled.vectors("v")
    X.ids.append(X)
    X.ids.append(canary := Canary("x"))
    gone = weakref.ref(canary)
    del X, canary
    gc.collect()
    assert gone() is None
    assert filled.search([1, 2, 3]).scores.ids is None and filled.vectors("v", 7).ids is None


# ---- Collections and databases as containers -----------------------------------------------


def test_a_collection_is_a_container_of_documents(filled):
    assert list(filled) == [7, "a", "b"] == list(filled.ids())
    assert [(id, d["n"]) for id, d in filled.items()] == [(7, 2), ("a", 3), ("b", 1)]
    assert filled["a"] == {"n": 3} and filled[np.int64(7)] == {"n": 2} and len(filled) == 3
    assert "a" in filled and "c" not in filled and np.uint8(7) in filled
    assert list(filled.items({"n": {"$lt": 3}})) == filled.find({"n": {"$lt": 3}})
    assert list(filled.ids(where={"n": 9})) == []
    assert filled.find(documents=False) == [(7, None), ("a", None), ("b", None)]
    with pytest.raises(KeyError, match="no document 'c'"):
        filled["c"]
    with pytest.raises(TypeError):
        filled[["a"]]
    with pytest.raises(TypeError):
        filled[None]
    assert filled.get("c") is None and filled.get("c", {}) == {} and filled.get(id="a") == {"n": 3}
    assert filled.get_many(ids=["a"]) == [{"n": 3}]
    with pytest.raises(omendb.ArgumentError):
        filled.items({"n": {"$wrong": 1}})  # At once, not with the first next().
    with pytest.raises(TypeError):
        filled.ids(7)


def test_iteration_pages_and_may_write_meanwhile(docs):
    docs.upsert(range(5000), documents=[{"i": i} for i in range(5000)])
    assert list(docs) == list(range(5000))
    seen = []
    for id, document in docs.items():
        assert document == {"i": id}
        seen.append(id)
        docs.delete(id)
    assert seen == list(range(5000)) and len(docs) == 0 and list(docs.items()) == []
    docs.upsert(range(1000))
    assert len(list(docs)) == 1000  # A page that is exactly full.
    iterator = docs.items()
    docs.upsert(range(5000))
    next(iterator)
    docs.database.close()
    with pytest.raises(omendb.MisuseError):
        list(iterator)


def test_a_database_is_a_container_of_collections(db):
    assert db and len(db) == 0 and list(db) == []
    b, a = db.create_collection("b"), db.create_collection("a")
    a.upsert(1)
    assert list(db) == ["a", "b"] and len(db) == 2 and "a" in db and len(db["a"]) == 1
    assert len(db.collection(name="a")) == 1
    with pytest.raises(KeyError, match="c"):
        db["c"]
    with pytest.raises(TypeError):
        db[7]
    db.drop_collection(name="b")
    assert list(db) == ["a"]


def test_reprs_help(filled, path):
    db = filled.database
    assert repr(db) == f"<omendb.Database {str(path)!r}, collections ['docs']>"
    assert repr(filled) == "<omendb.Collection 'docs': 3 documents, v: Vector(3, 'l2', type='f32')>"
    r = filled.search([1, 2, 3], k=1)
    assert repr(r) == "<omendb.Result of 1 hit: 'b' 1>"
    filled.upsert(range(10), np.zeros((10, 3)))
    assert repr(filled.search([0, 0, 0], k=4)) == "<omendb.Result of 4 hits: 0 1, 1 1, 2 1, ...>"
    assert repr(filled.search([0, 0, 0], where={"n": 99})) == "<omendb.Result of 0 hits>"
    assert repr(filled.search([[0, 0, 0]], k=4)) == "<omendb.Result of 1 query, k 4>"
    assert repr(filled.vectors("v", [1])) == "omendb.Numbers([[0.0, 0.0, 0.0]], type='f32')"
    filled.upsert(range(100), np.zeros((100, 3)))
    assert repr(filled.vectors("v", range(100))) == "omendb.Numbers(shape=(100, 3), type='f32')"
    batch = db.batch()
    assert "open" in repr(batch)
    with batch:
        batch.upsert(filled, 1)
    assert "ended" in repr(batch) and str(batch.sequence) in repr(batch)
    assert repr(r[0]).startswith("omendb.Hit(id='b', score=1.0")
    db.drop_collection("docs")
    assert repr(filled) == "<omendb.Collection, dropped>"
    db.close()
    assert repr(filled) == "<omendb.Collection, closed>" and repr(db).endswith(", closed>")
    assert repr(batch)


# ---- Ids and documents ---------------------------------------------------------------------


def test_numpy_scalars_are_ids(docs):
    docs.upsert([np.int64(1), np.uint8(2), np.str_("three"), np.uint64(2**64 - 1)])
    docs.upsert(np.int32(5), np.ones(3))
    assert list(docs) == [1, 2, 5, 2**64 - 1, "three"]
    assert [type(i) for i in docs] == [int] * 4 + [str]
    assert docs.delete(np.array([1, 2])) == 2 and np.int64(1) not in docs


@pytest.mark.parametrize(
    "bad, message",
    [
        (np.float32(1), "an id must be an int or a str"),
        (np.bool_(True), "an id must be an int or a str"),
        (uuid.UUID(int=1), r"use str\(value\)"),
        (1j, "an id must be"),
        (None, "an id must be"),
        ([1, np.float64(2)], r"ids\[1\] must be an int or a str"),
        (["a", uuid.UUID(int=1)], r"ids\[1\] .*use str\(value\)"),
        ([1, None], r"ids\[1\]"),
        ([1, -1], r"ids\[1\] must be from 0"),
        (["a", ""], r"ids\[1\] may not be the empty string"),
        (["a", "\ud800"], r"ids\[1\]"),
        ({"a", "b"}, "ids must be a list or an array"),
        ({"a": 1}, "ids must be a list or an array"),
        (np.array([[1, 2]]), "must be an int"),
        (b"a", "ids must be ints or strs"),
    ],
)
def test_bad_ids_say_which(docs, bad, message):
    with pytest.raises((TypeError, ValueError), match=message):
        docs.upsert(bad)
    assert len(docs) == 0


class Keyed:
    """Like a series of pandas: keys, and a list of values."""

    def __init__(self, values):
        self.values = values

    def keys(self):
        return self.values.keys()

    def __getitem__(self, key):
        return self.values[key]

    def tolist(self):
        return list(self.values.values())


class Color(enum.StrEnum):
    RED = "red"


def test_values_that_documents_take(docs):
    good = {
        "int64": (np.int64(-7), -7),
        "uint64": (np.uint64(2**64 - 1), 2**64 - 1),
        "float32": (np.float32(0.5), 0.5),
        "float64": (np.float64(0.1), 0.1),
        "bool": (np.bool_(True), True),
        "str": (np.str_("x"), "x"),
        "array": (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        "arrays": (array.array("d", [1, 2]), [1.0, 2.0]),
        "bytes": (b"\0\xff", b"\0\xff"),
        "bytearray": (bytearray(b"ab"), b"ab"),
        "memoryview": (memoryview(b"abcd"), b"abcd"),
        "strided": (memoryview(b"abcdef")[::2], b"ace"),
        "empty bytes": (b"", b""),
        "huge": (10**300, 10**300),
        "negative": (-(2**200), -(2**200)),
        "tuple": ((1, (2,)), [1, [2]]),
        "ordered": (collections.OrderedDict(x=1), {"x": 1}),
        "mapping": (types.MappingProxyType({"x": [types.MappingProxyType({})]}), {"x": [{}]}),
        "counter": (collections.Counter("aab"), {"a": 2, "b": 1}),
        "chain": (collections.ChainMap({"x": 1}, {"y": 2}), {"x": 1, "y": 2}),
        "keyed list": (Keyed({0: "x", 1: "y"}), ["x", "y"]),
        "enum": (Color.RED, "red"),
        "int enum": (enum.IntEnum("E", "A").A, 1),
        "": ({"": None}, {"": None}),
    }
    docs.upsert("one", documents={key: value for key, (value, _) in good.items()})
    assert docs.get("one") == {key: value for key, (_, value) in good.items()}
    docs.upsert(["two"], documents=[types.MappingProxyType({"n": np.int8(1)})])
    assert docs["two"] == {"n": 1}
    assert docs.count(types.MappingProxyType({"n": np.int64(1)})) == 1


@pytest.mark.parametrize(
    "value, error, message",
    [
        (datetime.datetime(2020, 1, 1), TypeError, r"datetime\.datetime'>; use \.isoformat"),
        (datetime.date(2020, 1, 1), TypeError, "isoformat"),
        (np.datetime64("2020-01-01"), TypeError, "datetime64"),
        (np.datetime64("2020-01-01T00:00:00", "ns"), TypeError, "datetime64"),
        (np.array(["2020-01-01"], "M8[ns]"), TypeError, "ndarray"),
        (decimal.Decimal("1.5"), TypeError, "Decimal'>; use str"),
        (uuid.UUID(int=1), TypeError, "UUID"),
        (pathlib.Path("x"), TypeError, "Path"),
        ({1}, TypeError, r"set'>; use list\(value\)"),
        (1j, TypeError, "complex"),
        (object(), TypeError, "object"),
        (int, TypeError, "type"),
        (memoryview(array.array("f", [1])), TypeError, "memoryview of 'f' elements"),
        (float("nan"), omendb.InvalidValueError, "NaN"),
        (-float("inf"), omendb.InvalidValueError, "infinity"),
        (np.float32("nan"), omendb.InvalidValueError, "NaN"),
        ("\ud800", omendb.InvalidValueError, "surrogates"),
        pytest.param(10**5000, omendb.InvalidValueError, "digits", id="huge"),
        ({7: 1}, TypeError, r"keys must be str, not <class 'int'> \(7\)"),
        ({None: 1}, TypeError, "keys must be str"),
        ({"\udc80": 1}, omendb.InvalidValueError, "surrogates"),
    ],
)
def test_what_a_document_cannot_hold_is_named_by_its_place(docs, value, error, message):
    with pytest.raises(error, match=rf"^documents\[1\]\['a'\]\[2\]\['k'\].*{message}"):
        docs.upsert([1, 2], documents=[{}, {"x": 1, "a": [0, 1, {"j": 0, "k": value}]}])
    with pytest.raises(error, match=rf"^documents\['k'\].*{message}"):
        docs.upsert(1, documents={"k": value})
    with pytest.raises(error, match=rf"^where\['k'\]\['\$in'\]\[0\].*{message}"):
        docs.count({"k": {"$in": [value]}})
    assert len(docs) == 0


def test_arguments_of_a_wrong_kind_are_named(docs):
    with pytest.raises(TypeError, match=r"^documents\[0\]: must be a dict, a JSON str or None"):
        docs.upsert([1], documents=[[1]])
    with pytest.raises(TypeError, match="one for each id"):
        docs.upsert([1], documents={"n": 1})
    with pytest.raises(TypeError, match=r"^where: must be a dict"):
        docs.search([1, 2, 3], where=[1])


# ---- Vectors ---------------------------------------------------------------------------------


class Tensor:
    """What torch's CPU tensors look like from outside: no buffer, __array__ and a sequence."""

    def __init__(self, values):
        self.values = np.asarray(values, "f4")

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        raise AssertionError("taken apart element by element")


class Interface:
    def __init__(self, values):
        self.__array_interface__ = values.__array_interface__
        self.values = values


@pytest.mark.parametrize(
    "wrap",
    [
        Tensor,
        lambda rows: [Tensor(row) for row in rows],
        lambda rows: Interface(np.array(rows, "f4")),
        lambda rows: [Interface(np.array(row, "f8")) for row in rows],
        lambda rows: memoryview(np.array(rows, "f2")),
        lambda rows: memoryview(array.array("f", sum(rows, []))).cast("B").cast("f", (3, 3)),
        lambda rows: (ctypes.c_float * 3 * 3)(*(tuple(row) for row in rows)),
        lambda rows: np.array(rows, object),
        lambda rows: np.array(rows, "f4").T.copy().T,
        lambda rows: np.repeat(np.array(rows, "f4"), 3, axis=0)[::3],
        lambda rows: np.array(rows, "f4")[::-1][::-1],
        lambda rows: [tuple(map(np.float32, row)) for row in rows],
        lambda rows: [map(decimal.Decimal, row) for row in rows],
        lambda rows: (row for row in rows),
        lambda rows: collections.deque(rows),
        lambda rows: dict(enumerate(rows)).values(),
    ],
)
def test_vectors_of_every_origin(docs, wrap):
    docs.upsert(["a", "b", "c"], wrap(ROWS))
    assert docs.vectors("v").tolist() == ROWS
    assert [hits[0].id for hits in docs.search(wrap(ROWS), k=1)] == ["a", "b", "c"]
    docs.upsert("d", Tensor([1, 2, 4]))
    assert docs.search(np.array([1, 2, 4], object), k=1).ids == ["d"]


def test_a_column_of_lists_as_pandas_has_it(docs):
    column = np.empty(3, object)
    column[:] = ROWS
    docs.upsert(range(3), column)
    column[1] = None
    docs.upsert(range(3, 6), column)
    assert docs.vectors("v").tolist() == [*ROWS, ROWS[0], ROWS[2]]


def test_extension_types_of_numpy(db):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    c = db.create_collection("c", vectors={"v": omendb.Vector(3, type="bf16")})
    c.upsert(range(3), np.array(ROWS, ml_dtypes.bfloat16))
    assert c.vectors("v").tolist() == ROWS
    with pytest.raises(TypeError):
        c.upsert(9, np.array(ROWS[0], ml_dtypes.float8_e5m2))


def test_integers_say_what_to_do(docs):
    with pytest.raises(TypeError, match=r"not 'l' elements: use X.astype\('float32'\)"):
        docs.upsert([1], np.array([[1, 2, 3]]))
    with pytest.raises(TypeError, match=r"use X.astype\('float32'\)"):
        docs.search(np.array([1, 2, 3], "M8[s]"))


@pytest.mark.parametrize("dim", [1, 7, 8, 12, 64, 100])
def test_bits_come_as_booleans_lists_and_bytes(db, dim):
    c = db.create_collection("c", vectors={"v": omendb.Vector(dim, "hamming", type="bit")})
    bits = np.random.default_rng(dim).integers(0, 2, (20, dim)).astype(bool)
    packed = np.packbits(bits, axis=1, bitorder="little")
    for form in (
        bits,
        np.asfortranarray(bits),
        np.repeat(bits, 2, axis=1)[:, ::2],
        Interface(bits),
        list(bits),
        bits.tolist(),
        bits.astype(int).tolist(),
        packed,
        packed.tolist(),
        [row.tobytes() for row in packed],
    ):
        c.delete(where={})
        c.upsert(range(20), form)
        assert c.vectors("v").tolist() == packed.tolist()
        want = (bits ^ bits[3]).sum(axis=1)
        for query in (bits[3], bits[3].tolist(), packed[3], packed[3].tobytes()):
            r = c.search(query, k=20)
            assert r.distances.tolist() == sorted(want.tolist()) and want[r.ids].tolist() == r.distances.tolist()


@pytest.mark.parametrize(
    "bad, error",
    [
        ([[0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]], omendb.InvalidValueError),
        ([[0.5] * 12], omendb.InvalidValueError),
        ([[256, 0]], omendb.InvalidValueError),
        ([[-1, 0]], omendb.InvalidValueError),
        ([[float("nan"), 0]], omendb.InvalidValueError),
        ([[1e300] * 12], omendb.InvalidValueError),
        ([[0] * 11], omendb.DimensionError),
        ([[True] * 13], omendb.DimensionError),
        (np.ones((1, 11), bool), omendb.DimensionError),
        ([[0] * 12, [0] * 11], omendb.DimensionError),
        (np.ones((1, 12), "f4"), ValueError),
        ([["x"] * 12], TypeError),
    ],
)
def test_bad_bits_are_refused(db, bad, error):
    c = db.create_collection("c", vectors={"v": omendb.Vector(12, "hamming", type="bit")})
    with pytest.raises(error):
        c.upsert(range(len(bad)), bad)
    assert len(c) == 0


def test_booleans_are_for_bits(docs):
    with pytest.raises(TypeError, match=r"'\?' elements"):
        docs.upsert([1], np.ones((1, 3), bool))


@pytest.mark.parametrize(
    "nothing", [[], (), np.zeros((0, 3), "f4"), np.zeros((0, 3)), np.array([]).reshape(0, 3), iter(())]
)
def test_nothing_to_upsert_is_fine(docs, nothing):
    docs.upsert([], nothing, [])
    docs.upsert(np.array([], "u8"), None)
    with docs.database.batch() as batch:
        batch.upsert(docs, [])
        batch.delete(docs, [])
    assert len(docs) == 0 and docs.get_many([]) == [] and docs.vectors("v", []).ids == []


def test_no_query_and_no_k_are_told(filled):
    for queries in (np.zeros((0, 3), "f4"), []):
        with pytest.raises(omendb.ArgumentError, match="at least one query"):
            filled.search(queries)
    with pytest.raises(omendb.ArgumentError, match="k must be from 1 to 10000"):
        filled.search([1, 2, 3], k=0)
    assert filled.search([1, 2, 3], where={}).ids == filled.search([1, 2, 3]).ids
    assert filled.search([1, 2, 3], k=np.int64(2))[1].id == filled.search(q=[1, 2, 3], k=2)[-1].id
    assert [h.id for h in filled.search([1, 2, 3])[:2]] == filled.search([1, 2, 3], 2).ids


# ---- Processes, threads, files ---------------------------------------------------------------


def test_what_cannot_be_pickled_says_what_to_do(filled):
    db = filled.database
    for thing, hint in (
        (db, r"omendb\.open\(path, read_only=True\)"),
        (filled, r"omendb\.open\(path, read_only=True\)\[name\]"),
        (filled.search([1, 2, 3]), r"list\(result\)"),
        (filled.vectors("v"), r"numbers\.tolist\(\)"),
        (db.batch(), "rows"),
    ):
        for copier in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=hint):
                copier(thing)


def test_what_can_be_pickled(filled):
    for thing in (filled.search([1, 2, 3])[0], filled.find()[0], list(filled.search([1, 2, 3]))):
        again = pickle.loads(pickle.dumps(thing))
        assert again == thing and type(again) is type(thing)
        assert copy.deepcopy(thing) == thing
    for name in omendb.__all__:
        error = getattr(omendb, name)
        if isinstance(error, type) and issubclass(error, omendb.Error):
            again = pickle.loads(pickle.dumps(error("message")))
            assert type(again) is error and str(again) == "message" and again.status == error.status
    assert repr(pickle.loads(pickle.dumps(omendb.Vector(3, "ip")))) == repr(omendb.Vector(3, "ip"))


def test_a_second_handle_is_told_what_to_do(path):
    with omendb.open(path) as db:
        db.create_collection("c").upsert(1)
        db.sync()
        with pytest.raises(omendb.BusyError, match="close the other handle.*read_only=True"):
            omendb.open(pathlib.Path(path))
        with omendb.open(path, read_only=True) as reader:
            seen = len(reader["c"])
            db["c"].upsert(range(10))
            assert len(reader["c"]) == seen and len(db["c"]) == 10
            with pytest.raises(omendb.ReadOnlyError):
                reader["c"].upsert(1)
    with omendb.open(path, read_only=True) as a, omendb.open(path, read_only=True) as b:
        assert len(a["c"]) == len(b["c"]) == 10


def test_everything_closed_is_misuse(path):
    db = omendb.open(path)
    c = db.create_collection("c", vectors={"v": omendb.Vector(3)})
    c.upsert("a", [1, 2, 3])
    batch = db.batch()
    items = c.items()
    db.close()
    calls = {
        "collection": [
            lambda: c.upsert("a", [1, 2, 3]), lambda: c.upsert([]), lambda: c.delete("a"), lambda: c.delete([]),
            lambda: c.delete(where={}), lambda: c.get("a"), lambda: c["a"], lambda: c.get_many([]),
            lambda: c.vectors("v"), lambda: c.vectors("v", ["a"]), lambda: c.find(), lambda: c.find(limit=0),
            lambda: c.items(), lambda: c.ids(), lambda: iter(c), lambda: c.count(), lambda: len(c),
            lambda: "a" in c, lambda: c.search([1, 2, 3]), lambda: c.describe(), lambda: c.name,
        ],
        "database": [
            lambda: db.create_collection("d"), lambda: db.collection("c"), lambda: db["c"], lambda: db.collections(),
            lambda: iter(db), lambda: len(db), lambda: "c" in db, lambda: db.drop_collection("c"),
            lambda: db.rename_collection("c", "d"), lambda: db.batch(), lambda: db.stats(), lambda: db.check(),
            lambda: db.sync(), lambda: db.refresh(), lambda: db.__enter__(),
        ],
        "batch": [
            lambda: batch.upsert(c, "a"), lambda: batch.delete(c, "a"), lambda: batch.commit(),
            lambda: batch.__enter__(),
        ],
    }
    for kind, some in calls.items():
        for i, call in enumerate(some):
            with pytest.raises(omendb.MisuseError, match="closed"):
                call()
                pytest.fail(f"{kind} {i}")
    assert [id for id, _ in items] == ["a"]  # Was read before.
    db.close()
    assert c.database is db and c and db


def child(c, queue):
    def outcome(call):
        try:
            return repr(call())
        except Exception as e:
            return type(e).__name__

    db = c.database
    queue.put([outcome(call) for call in (
        lambda: c.get(1), lambda: c.search([1, 2, 3]), lambda: c.upsert(2, [1, 2, 3]), lambda: db.stats(),
        lambda: list(c), lambda: db.batch(), lambda: omendb.open(db.path), lambda: db.close(), lambda: c.get(1),
    )])


def test_a_forked_process_gets_misuse(path):
    with omendb.open(path) as db:
        c = db.create_collection("c", vectors={"v": omendb.Vector(3)})
        c.upsert(1, [1, 2, 3])
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        process = context.Process(target=child, args=(c, queue))
        process.start()
        assert queue.get() == ["MisuseError"] * 6 + ["BusyError"] + ["MisuseError"] * 2
        process.join(30)
        assert process.exitcode == 0
        c.upsert(2, [4, 5, 6])
        assert len(c) == 2 and db.check(deep=True)["ok"]


def test_a_fork_during_a_call_can_close(path):
    """The call that another thread was in never ends in the child: close() must not wait for it."""
    code = """
    import os, sys, threading, time, numpy as np, omendb
    db = omendb.open(sys.argv[1], durability="none")
    c = db.create_collection("c", vectors={"v": omendb.Vector(64)})
    rows = np.random.default_rng(6).normal(size=(20000, 64)).astype("f4")
    c.upsert(ids=range(20000), vectors=rows)
    thread = threading.Thread(target=lambda: c.search(rows[:2000], k=10, exact=True, documents=False))
    thread.start()
    time.sleep(0.1)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            db.close()
        except omendb.MisuseError:
            code = 7
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    db.interrupt()
    thread.join()
    db.close()
    sys.exit(code)
    """
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), str(path)], stderr=subprocess.DEVNULL
    )
    try:
        assert process.wait(60) == 7
    finally:
        process.kill()


def test_a_spawned_process_opens_its_own(path):
    with omendb.open(path) as db:
        db.create_collection("c", vectors={"v": omendb.Vector(3)}).upsert(range(3), ROWS)
    code = "import sys, omendb\nwith omendb.open(sys.argv[1], read_only=True) as db: print(db['c'].search([7, 8, 9], k=1).ids)"
    out = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert out.stdout == "[2]\n"


def test_a_thread_pool_writes_and_reads(path):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(800, 16)).astype("f4")
    with omendb.open(path, durability="none") as db:
        c = db.create_collection("c", vectors={"v": omendb.Vector(16)})

        def work(i):
            part = range(i * 50, i * 50 + 50)
            c.upsert(part, X[part], [{"part": i}] * 50)
            assert c.search(X[part[7]], k=1).ids == [part[7]]
            assert c.get_many(part) == [{"part": i}] * 50
            assert c.count({"part": i}) == 50 and len(c.vectors("v", part)) == 50
            all_of_it = c.vectors("v")
            numbers = [j for j in all_of_it.ids if isinstance(j, int)]
            assert np.array_equal(np.asarray(all_of_it)[: len(numbers)], X[numbers])
            assert len(numbers) % 50 == 0
            with db.batch() as batch:
                batch.upsert(c, f"s{i}", X[i])
            return len(list(c.ids({"part": i})))

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(16))) == [50] * 16
        assert len(c) == 816 and db.check(deep=True)["ok"]


def test_asyncio(filled):
    async def main():
        results = await asyncio.gather(
            *(asyncio.to_thread(filled.search, row, k=1) for row in ROWS),
            asyncio.to_thread(filled.upsert, "c", [0, 0, 0], {"n": 4}),
        )
        return [r.ids[0] for r in results[:3]]

    assert asyncio.run(main()) == ["b", 7, "a"] and filled["c"] == {"n": 4}


def test_what_is_new_leaks_nothing(path):
    def resident():
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    rows = np.random.default_rng(7).normal(size=(200, 32)).astype("f4")
    with omendb.open(path, durability="none") as db:
        c = db.create_collection("c", vectors={"v": omendb.Vector(32), "b": omendb.Vector(16, "hamming", "bit")})
        c.upsert(range(200), {"v": rows, "b": rows[:, :16] > 0}, [{"x": [i]} for i in range(200)])

        def work(times):
            for _ in range(times):
                np.asarray(c.vectors("v")).sum(), c.vectors("b").ids, c.vectors("v", where={"x": 7})[0].tolist()
                list(c.items()), list(c), c["x" if "x" in c else 3], c.get(None or 9, {}), repr(c), repr(db)
                c.upsert(3, {"v": Tensor(rows[0]), "b": [True, False] * 8}, types.MappingProxyType({"x": [3]}))
                c.search(rows[0], field="v"), repr(c.search([0, 1] * 8, field="b")), len(db), list(db), db["c"]
                for bad in (
                    lambda: c.upsert([1, uuid.UUID(int=1)]),
                    lambda: c.upsert([1], documents=[{"a": [{"b": datetime.date(2020, 1, 1)}]}]),
                    lambda: c.upsert(1, documents={"a": {1: 2}}),
                    lambda: c.upsert(1, {"b": [[2] * 16]}),
                    lambda: c.upsert([1], {"v": np.array([[1] * 32])}),
                    lambda: c.vectors("v", ["missing"]),
                    lambda: c["missing"],
                    lambda: omendb.open(path),
                    lambda: pickle.dumps(c),
                    lambda: c.items({"$wrong": 1}),
                ):
                    with pytest.raises((omendb.Error, TypeError)):
                        bad()

        # What caches take comes once: the best of three counts.
        work(100)
        grown = []
        for _ in range(3):
            gc.collect()
            memory, blocks = resident(), sys.getallocatedblocks()
            work(150)
            gc.collect()
            grown.append((sys.getallocatedblocks() - blocks, resident() - memory))
    # One object a round would be 150 blocks; one vectors("v") a round 3.6 MiB.
    assert min(blocks for blocks, _ in grown) < 100, grown
    assert min(memory for _, memory in grown) < 2 << 20, grown
