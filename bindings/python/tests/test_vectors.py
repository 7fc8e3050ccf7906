"""Vectors in and out: every layout, every bad input, with NumPy and without."""

import array
import ctypes
import math
import subprocess
import sys

import pytest

import omendb

np = pytest.importorskip("numpy")

ROWS = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
IDS = list(range(4))


class Interface:
    """An array that has nothing but __array_interface__."""

    def __init__(self, values):
        self.values = values
        self.__array_interface__ = values.__array_interface__


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8"])
@pytest.mark.parametrize("wrap", [lambda a: a, Interface, memoryview])
def test_every_element_type_arrives(docs, dtype, wrap):
    docs.upsert(ids=IDS, vectors=wrap(np.array(ROWS, dtype)))
    assert docs.vectors("v", IDS).tolist() == ROWS


@pytest.mark.parametrize(
    "layout",
    [
        lambda a: a,
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: np.concatenate([a, a], axis=1)[:, :3],
        lambda a: np.concatenate([a, a], axis=1)[:, 3:],
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a[::-1].copy()[::-1],
        lambda a: a[:, ::-1].copy()[:, ::-1],
        lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view("V12").view("<f4").reshape(
            4, 3
        ),
        lambda a: [*a],
        lambda a: (a[0], a[1], a[2], a[3]),
        lambda a: a.tolist(),
        lambda a: [array.array("f", row) for row in a],
        lambda a: iter(a.tolist()),
    ],
)
def test_every_layout_arrives(docs, layout):
    docs.upsert(ids=IDS, vectors=layout(np.array(ROWS, np.float32)))
    assert docs.vectors("v", IDS).tolist() == ROWS
    assert docs.search(np.array(ROWS, np.float32), k=1).ids == [[0], [1], [2], [3]]


def test_a_broadcast_row_arrives(docs):
    docs.upsert(ids=IDS, vectors=np.broadcast_to(np.array([1, 2, 3], np.float32), (4, 3)))
    assert docs.vectors("v", IDS).tolist() == [[1, 2, 3]] * 4


def test_rows_may_lack_vectors(db):
    c = db.create_collection("c", vectors={"a": omendb.Vector(2), "b": omendb.Vector(3)})
    c.upsert(
        ids=[1, 2, 3],
        vectors={"a": [[1, 2], None, [3, 4]], "b": np.ones((3, 3), np.float32)},
    )
    c.upsert(ids=[4, 5], vectors={"a": [None, None], "b": None})
    assert c.search([1, 2], field="a").ids == [1, 3]
    assert sorted(c.search([1, 1, 1], field="b").ids) == [1, 2, 3]
    with pytest.raises(omendb.NotFoundError, match="document 2 has no such vector"):
        c.vectors("a", [1, 2])
    with pytest.raises(omendb.NotFoundError, match="no document 9"):
        c.vectors("a", [1, 9])
    with pytest.raises(omendb.NotFoundError):
        c.vectors("wrong", [1])
    with pytest.raises(omendb.ArgumentError):
        c.vectors(None, [1])


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "i8", "u8"])
def test_stored_types_come_back_byte_for_byte(db, kind):
    c = db.create_collection("c", vectors={"v": omendb.Vector(4, "l2", type=kind)})
    dtype = {"f32": "<f4", "f16": "<f2", "bf16": "<u2", "i8": "i1", "u8": "u1"}[kind]
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 100, (5, 4)).astype(dtype)
    if kind in ("f32", "f16"):
        rows = rng.normal(size=(5, 4)).astype(dtype)
    if kind == "bf16":
        rows = (rng.normal(size=(5, 4)).astype("<f4").view("<u4") >> 16).astype("<u2")
    c.upsert(ids=range(5), vectors=rows)
    out = c.vectors("v", range(5))
    assert out.type == kind and out.shape == (5, 4)
    assert np.asarray(out).dtype == np.dtype(dtype)
    assert np.asarray(out).tobytes() == rows.tobytes()
    assert c.search(rows, k=1).ids == [[i] for i in range(5)]
    assert c.vectors("v", []).shape == (0, 4)


def test_packed_bits(db):
    c = db.create_collection("c", vectors={"v": omendb.Vector(12, "hamming", type="bit")})
    rows = np.array([[0, 0], [255, 0], [255, 15]], np.uint8)
    c.upsert(ids=range(3), vectors=rows)
    c.upsert(ids=[3], vectors=[b"\x01\x00"])
    r = c.search(b"\xff\x0f", k=4)
    assert r.ids == [2, 1, 3, 0] and r.distances.tolist() == [0, 4, 11, 12]
    assert np.asarray(c.vectors("v", range(3))).tolist() == rows.tolist()
    with pytest.raises(omendb.DimensionError):
        c.upsert(9, b"\x01\x02\x03")


BAD = [
    ([[1, 2, math.nan]], omendb.InvalidValueError),
    ([[1, 2, math.inf]], omendb.InvalidValueError),
    ([[1, 2, -math.inf]], omendb.InvalidValueError),
    ([[1e300, 0, 0]], omendb.InvalidValueError),
    (np.array([[1, 2, np.nan]], "f4"), omendb.InvalidValueError),
    (np.array([[1, 2, np.inf]], "f2"), omendb.InvalidValueError),
    (np.array([[1, 2, -np.inf]], "f8"), omendb.InvalidValueError),
    ([[1, 2]], omendb.DimensionError),
    ([[1, 2, 3, 4]], omendb.DimensionError),
    ([[]], omendb.DimensionError),
    (np.zeros((1, 0), "f4"), omendb.DimensionError),
    (np.ones((1, 2), "f4"), omendb.DimensionError),
    (np.ones((1, 3), "i8"), TypeError),
    (np.ones((1, 3), "i4"), TypeError),
    (np.ones((1, 3), ">f4"), TypeError),
    (np.ones((1, 3), "c8"), TypeError),
    (np.ones((1, 3), "?"), TypeError),
    (np.ones((1, 3), "<u2"), TypeError),
    (np.array([["a", "b", "c"]]), TypeError),
    (np.ones((1, 1, 3), "f4"), omendb.ArgumentError),
    (np.float32(1), omendb.ArgumentError),
    (["abc"], TypeError),
    ("abc", TypeError),
    ([[1, 2, "x"]], TypeError),
    ([[1, 2, None]], TypeError),
    (7, TypeError),
]


@pytest.mark.parametrize("bad, error", BAD)
def test_bad_vectors_are_refused_and_nothing_changes(docs, bad, error):
    docs.upsert("kept", [1, 2, 3], {"n": 1})
    with pytest.raises(error):
        docs.upsert(ids=["kept"], vectors=bad, documents=[{"n": 2}])
    with pytest.raises(error):
        docs.search(bad)
    assert docs.get("kept") == {"n": 1} and len(docs) == 1
    assert docs.vectors("v", "kept").tolist() == [1, 2, 3]


def test_rows_of_different_length_name_the_row(docs):
    with pytest.raises(omendb.DimensionError, match="row 1"):
        docs.upsert(ids=[1, 2], vectors=[[1, 2, 3], [1, 2]])
    with pytest.raises(TypeError, match="row 1"):
        docs.upsert(ids=[1, 2], vectors=[np.ones(3, "f4"), np.ones(3, "f8")])


def test_a_zero_vector_under_cosine_is_refused(db):
    c = db.create_collection("c", vectors={"v": omendb.Vector(3, "cosine")})
    c.upsert(1, [1, 0, 0])
    with pytest.raises(omendb.InvalidValueError):
        c.upsert(2, [0, 0, 0])
    with pytest.raises(omendb.InvalidValueError):
        c.search([0, 0, 0])
    assert len(c) == 1


def test_an_unknown_field_is_refused(docs):
    with pytest.raises(omendb.NotFoundError):
        docs.upsert(1, {"w": [1, 2, 3]})
    with pytest.raises(omendb.NotFoundError):
        docs.search([1, 2, 3], field="w")
    assert len(docs) == 0


def test_a_malformed_array_interface_is_refused(docs):
    class Bad:
        pass

    good = np.ones((1, 3), "f4").__array_interface__
    for change in (
        {"shape": [1, 3]},
        {"shape": (1, -3)},
        {"shape": (1, "x")},
        {"typestr": None},
        {"data": None},
        {"data": ()},
        {"strides": (1,)},
        {"strides": 7},
    ):
        bad = Bad()
        bad.__array_interface__ = {**good, **change}
        with pytest.raises(TypeError):
            docs.upsert(ids=[1], vectors=bad)
    bad = Bad()
    bad.__array_interface__ = None
    with pytest.raises(TypeError):
        docs.upsert(ids=[1], vectors=bad)


def test_id_arrays(docs):
    for dtype in ("u8", "i8", "i4", "u1"):
        docs.delete(where={})
        docs.upsert(ids=np.arange(4, dtype=dtype), vectors=np.array(ROWS, "f4"))
        assert [d.id for d in docs.find()] == IDS
        assert docs.get_many(np.array([3, 0], dtype)) == [{}, {}]
        assert docs.get(np.array([2], dtype)[0]) == {}
        assert docs.delete(np.array([1, 2], dtype)) == 2
    with pytest.raises(omendb.ArgumentError):
        docs.upsert(ids=np.array([-1]))
    with pytest.raises(TypeError):
        docs.upsert(ids=np.array([1.5]))


def test_numpy_values_in_documents(docs):
    docs.upsert(1, documents={"a": np.float32(0.5), "b": np.int64(7), "c": np.arange(3)})
    assert docs.get(1) == {"a": 0.5, "b": 7, "c": [0, 1, 2]}


def test_arrays_are_looked_at_in_place(docs):
    docs.upsert(ids=IDS, vectors=ROWS)
    numbers = docs.vectors("v", IDS)
    a, b = np.asarray(numbers), np.asarray(memoryview(numbers))
    assert a.ctypes.data == b.ctypes.data == numbers.__array_interface__["data"][0]
    assert a.shape == (4, 3) and not a.flags.writeable
    assert np.asarray(numbers[1]).ctypes.data == a.ctypes.data + 12
    assert memoryview(numbers).format == "f" and memoryview(numbers).tolist() == ROWS
    with pytest.raises((BufferError, TypeError)):
        (ctypes.c_char * 48).from_buffer(numbers)
    row = np.asarray(numbers[2])
    del numbers, a, b
    assert row.tolist() == [7, 8, 9]


def test_numbers_act_like_sequences(docs):
    docs.upsert(ids=IDS, vectors=ROWS)
    numbers = docs.vectors("v", IDS)
    assert len(numbers) == 4 and numbers.ndim == 2
    assert [row.tolist() for row in numbers] == ROWS
    assert numbers[-1].tolist() == ROWS[-1] and [r.tolist() for r in numbers[1:3]] == ROWS[1:3]
    assert numbers[0][1:] == [2, 3] and numbers[0][-1] == 3
    with pytest.raises(IndexError):
        numbers[4]
    with pytest.raises(IndexError):
        numbers[-5]
    with pytest.raises(TypeError):
        numbers["x"]
    assert "omendb.Numbers" in repr(numbers)


def test_without_numpy(path):
    code = """
import array, sys
import omendb
with omendb.open(sys.argv[1]) as db:
    c = db.create_collection("c", vectors={"v": omendb.Vector(2)})
    c.upsert(ids=[1, 2], vectors=[[1, 0], [0, 1]])
    c.upsert(ids=[3], vectors=[array.array("f", [1, 1])])
    c.upsert(4, array.array("d", [2, 2]))
    c.upsert(5, memoryview(array.array("f", [3, 3])))
    r = c.search([1, 0], k=2)
    assert r.ids == [1, 3] and r.distances.tolist() == [0, 1] and len(r.scores) == 2
    assert memoryview(r.distances).tolist() == [0, 1]
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
