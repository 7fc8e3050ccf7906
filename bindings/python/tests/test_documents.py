"""Documents, ids and filters: what goes in comes back."""

import json

import pytest

import omendb


def test_a_document_comes_back_as_it_went_in(docs):
    document = {
        "text": "naïve ☃ \U0001f600 \" \\ / \n \t \x01",
        "int": -7,
        "big": 2**63 - 1,
        "float": 0.1,
        "tiny": 5e-324,
        "huge": 1.7976931348623157e308,
        "yes": True,
        "no": False,
        "nothing": None,
        "list": [1, [2, {"x": []}], "three"],
        "object": {"": {"empty key": 1}},
        "bytes": b"\x00\x01\xfe\xff",
    }
    docs.upsert(ids=["a"], vectors=[[1, 2, 3]], documents=[document])
    assert docs.get("a") == document


@pytest.mark.parametrize("size", range(9))
def test_byte_strings_of_every_length_come_back(docs, size):
    value = bytes(range(250, 256))[:size] * 2
    docs.upsert("a", documents={"b": value, "nested": [{"deep": bytearray(value)}]})
    assert docs.get("a") == {"b": value, "nested": [{"deep": value}]}


def test_documents_may_be_json_text_or_missing(docs):
    docs.upsert(ids=[1, 2, 3], documents=['{"a": [1, 2.5]}', None, {}])
    assert docs.get_many([1, 2, 3]) == [{"a": [1, 2.5]}, {}, {}]
    docs.upsert(ids=[4])
    assert docs.get(4) == {}


def test_one_row_without_lists(docs):
    docs.upsert("a", [1, 2, 3], {"n": 1})
    docs.upsert(7, vectors={"v": [4, 5, 6]}, documents='{"n": 2}')
    assert docs.get("a") == {"n": 1} and docs.get(7) == {"n": 2}
    assert docs.vectors("v", 7).tolist() == [4, 5, 6]


def test_ints_and_strings_are_different_ids(docs):
    ids = [0, 7, "7", "ключ", 2**64 - 1, 2**63, "x" * 1024]
    docs.upsert(ids=ids, documents=[{"n": i} for i in range(len(ids))])
    assert docs.get_many(ids) == [{"n": i} for i in range(len(ids))]
    found = [entry.id for entry in docs.find()]
    assert found == [0, 7, 2**63, 2**64 - 1, "7", "x" * 1024, "ключ"]
    assert all(type(a) is type(b) for a, b in zip(sorted(map(str, found)), map(str, found)))
    assert [type(i) for i in found] == [int] * 4 + [str] * 3
    assert 7 in docs and "7" in docs and 8 not in docs and "8" not in docs


@pytest.mark.parametrize(
    "bad, error",
    [
        (-1, omendb.ArgumentError),
        (2**64, omendb.ArgumentError),
        ("", omendb.ArgumentError),
        ("x" * 1025, omendb.ArgumentError),
        (1.5, TypeError),
        (True, TypeError),
        (None, TypeError),
        (b"bytes", TypeError),
        ("\ud800", omendb.InvalidValueError),
        ([1], TypeError),
    ],
)
def test_bad_ids_are_refused(docs, bad, error):
    docs.upsert(1, documents={"n": 1})
    with pytest.raises(error):
        docs.upsert(ids=[2, bad])
    with pytest.raises(error):
        docs.delete(ids=[1, bad])
    assert len(docs) == 1 and docs.get(1) == {"n": 1}


@pytest.mark.parametrize(
    "bad, error",
    [
        ({"x": float("nan")}, omendb.InvalidValueError),
        ({"x": [float("inf")]}, omendb.InvalidValueError),
        ({"x": {1, 2}}, TypeError),
        ({"x": object()}, TypeError),
        ({1: "x"}, TypeError),
        ({"x": "\udcff"}, omendb.InvalidValueError),
        ('{"x": ', omendb.InvalidValueError),
        ('{"x": NaN}', omendb.InvalidValueError),
        ("[1]", omendb.InvalidValueError),
        ("", omendb.InvalidValueError),
        ([1], TypeError),
        (7, TypeError),
    ],
)
def test_bad_documents_are_refused_and_nothing_changes(docs, bad, error):
    docs.upsert(1, documents={"n": 1})
    with pytest.raises(error):
        docs.upsert(ids=[1, 2], documents=[{"n": 2}, bad])
    assert len(docs) == 1 and docs.get(1) == {"n": 1}


def test_endless_nesting_is_refused(docs):
    loop = {}
    loop["loop"] = loop
    with pytest.raises(omendb.ArgumentError):
        docs.upsert(1, documents=loop)
    deep = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(omendb.ArgumentError):
        docs.upsert(1, documents={"x": deep})
    assert len(docs) == 0


def test_lengths_must_agree(docs):
    with pytest.raises(omendb.ArgumentError):
        docs.upsert(ids=[1, 2], documents=[{}])
    with pytest.raises(omendb.ArgumentError):
        docs.upsert(ids=[1, 2], vectors=[[1, 2, 3]])
    with pytest.raises(TypeError):
        docs.upsert(ids=[1], documents={})
    with pytest.raises(TypeError):
        docs.upsert(ids=[1], documents="{}")
    docs.upsert(ids=[], vectors=[], documents=[])
    assert len(docs) == 0


def test_declared_types_hold(db):
    kinds = {
        "b": omendb.Bool(),
        "i": omendb.Int(),
        "f": omendb.Float(),
        "s": omendb.String(),
        "t": omendb.Text(),
        "y": omendb.Bytes(),
        "a": omendb.Array(),
        "o": omendb.Object(),
    }
    c = db.create_collection("c", fields=kinds)
    good = {"b": True, "i": 1, "f": 1.5, "s": "x", "t": "y", "y": b"z", "a": [1], "o": {"k": 1}}
    c.upsert(1, documents=good)
    assert c.get(1) == good
    c.upsert(2, documents=dict.fromkeys(good))
    c.upsert(3, documents={"f": 3})
    for key in good:
        with pytest.raises(omendb.InvalidValueError):
            c.upsert(4, documents={key: "s" if key not in "st" else 1})
    assert len(c) == 3
    assert {f["name"]: f["type"] for f in c.describe()["fields"]} == {
        name: kind.kind for name, kind in kinds.items()
    }


def test_filters(docs):
    docs.upsert(
        ids=range(10),
        documents=[{"n": i, "tags": ["even" if i % 2 == 0 else "odd"]} for i in range(10)],
    )
    assert docs.count() == 10
    assert docs.count({"n": {"$gte": 5}}) == 5
    assert docs.count('{"n": {"$in": [1, 2, 99]}}') == 2
    assert docs.count({"tags": "odd"}) == 5
    assert docs.count({"$and": [{"tags": "odd"}, {"n": {"$lt": 4}}]}) == 2
    assert docs.count({"missing": None}) == 10
    assert docs.count({"missing": {"$exists": True}}) == 0
    assert [d.id for d in docs.find({"n": {"$gt": 6}})] == [7, 8, 9]
    assert [d.document["n"] for d in docs.find({"n": {"$gt": 6}})] == [7, 8, 9]


def test_find_pages(docs):
    docs.upsert(ids=[*range(250), *(f"s{i:03}" for i in range(50))])
    everything = [*range(250), *(f"s{i:03}" for i in range(50))]
    assert [d.id for d in docs.find()] == everything[:100]
    assert [d.id for d in docs.find(limit=None)] == everything
    assert docs.find(limit=0) == []
    pages, after = [], None
    while page := docs.find(limit=7, after=after):
        pages += [d.id for d in page]
        after = page[-1].id
    assert pages == everything


@pytest.mark.parametrize(
    "where, error",
    [
        ({"n": {"$wrong": 1}}, omendb.ArgumentError),
        ({"$wrong": []}, omendb.ArgumentError),
        ({"$and": 7}, omendb.ArgumentError),
        ({"n": {"$in": 7}}, omendb.ArgumentError),
        ("{", ValueError),
        ("", omendb.InvalidValueError),
        ("[]", ValueError),
        (7, TypeError),
        ([{"n": 1}], TypeError),
    ],
)
def test_bad_filters_are_refused(docs, where, error):
    docs.upsert(ids=[1, 2], vectors=[[1, 0, 0]] * 2, documents=[{"n": 1}] * 2)
    for call in (docs.count, docs.find, lambda w: docs.delete(where=w)):
        with pytest.raises(error):
            call(where)
    with pytest.raises(error):
        docs.search([1, 0, 0], where=where)
    assert len(docs) == 2


def test_delete(docs):
    docs.upsert(ids=[*range(6), "a", "b"], documents=[{"n": i} for i in range(8)])
    assert docs.delete([1, "a", "missing", 99]) == 2
    assert docs.delete(ids="b") == 1
    assert docs.delete(5) == 1
    assert docs.delete([]) == 0
    assert docs.delete(where={"n": {"$gte": 3}}) == 2
    assert [d.id for d in docs.find()] == [0, 2]
    for wrong in ({}, {"ids": [1], "where": {}}):
        with pytest.raises(omendb.ArgumentError):
            docs.delete(**wrong)
    assert docs.delete(where={}) == 2
    assert len(docs) == 0 and docs.get(0) is None


def test_upsert_replaces_and_the_later_row_wins(docs):
    docs.upsert("a", [1, 2, 3], {"n": 1})
    docs.upsert(ids=["a", "a"], vectors=[[4, 5, 6], [7, 8, 9]], documents=[{"n": 2}, {"n": 3}])
    assert docs.get("a") == {"n": 3}
    assert docs.vectors(None, ["a"]).tolist() == [[7, 8, 9]]
    assert len(docs) == 1


def test_a_collection_is_true_even_when_empty(docs):
    assert len(docs) == 0 and docs


def test_large_ints_and_numbers(docs):
    text = json.dumps({"a": 2**53 + 1, "b": -(2**63), "c": 1e300, "d": 123456789.125})
    docs.upsert(1, documents=text)
    assert docs.get(1) == json.loads(text)


def test_arguments_are_named(docs):
    with pytest.raises(TypeError, match="unexpected keyword argument 'vectorz'"):
        docs.upsert(ids=[1], vectorz=[])
    with pytest.raises(TypeError, match="missing required argument 'ids'"):
        docs.upsert()
    with pytest.raises(TypeError, match="multiple values"):
        docs.upsert([1], ids=[1])
    with pytest.raises(TypeError, match="positional"):
        docs.search([1, 2, 3], 10, {})
