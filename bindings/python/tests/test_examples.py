"""Every example that is written down runs: docstrings, READMEs, docs/PYTHON.md."""

import doctest
import inspect
import pathlib
import re

import pytest

import omendb

np = pytest.importorskip("numpy")
PACKAGE = pathlib.Path(__file__).parents[1]
ROOT = PACKAGE.parents[1]
PAGES = [p for p in (PACKAGE / "README.md", ROOT / "README.md", ROOT / "docs" / "PYTHON.md") if p.exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: "/".join(p.parts[-2:]))
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall("```python\n(.*?)```", page.read_text(), re.S)
    assert blocks
    rng = np.random.default_rng(1)
    for code in blocks:
        with omendb.open(":memory:") as db:
            docs = db.create_collection("docs", vectors={"v": omendb.Vector(384)})
            docs.upsert("old", np.ones(384, "f4"), {"year": 1999})
            known = {
                "omendb": omendb,
                "np": np,
                "db": db,
                "docs": docs,
                "other": db.create_collection("other"),
                "ids": [f"id-{i}" for i in range(50)] + list(range(50)),
                "X": rng.normal(size=(100, 384)).astype("f4"),
                "q": rng.normal(size=384).astype("f4"),
                "rows": [{"year": 1990 + i} for i in range(100)],
            }
            exec(compile(code, str(page), "exec"), known)
    if "print(" in "".join(blocks):
        assert capsys.readouterr().out


def test_the_example_of_the_package_prints_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for code in re.findall("```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.S):
        exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("a 0.99")


def public_things():
    yield "omendb", omendb
    for name in omendb.__all__:
        thing = getattr(omendb, name)
        if name == "__version__":
            continue
        yield name, thing
        for member, value in vars(thing).items() if isinstance(thing, type) else ():
            if not member.startswith("_") and issubclass(thing, omendb.Error) is False:
                yield f"{name}.{member}", value


THINGS = dict(public_things())


@pytest.mark.parametrize("name", THINGS)
def test_everything_public_has_a_docstring_that_holds(name, tmp_path, monkeypatch):
    thing = THINGS[name]
    if not callable(thing) and not inspect.isdatadescriptor(thing) and not inspect.ismodule(thing):
        return  # A constant: Field.kind, Hit.n_fields.
    document = inspect.getdoc(thing)
    assert document
    examples = doctest.DocTestParser().get_examples(document)
    is_error = isinstance(thing, type) and issubclass(thing, omendb.Error)
    if callable(thing) and not is_error and not name.startswith(("Hit.", "Document.")):
        assert examples, f"{name} has no example"
    monkeypatch.chdir(tmp_path)
    with omendb.open(":memory:") as db:
        docs = db.create_collection("docs", vectors={"v": omendb.Vector(3)})
        docs.upsert(
            ids=["a", "b", 7],
            vectors=[[1, 0, 0], [0, 1, 0], [0, 0, 1]],
            documents=[{"n": 1}, {"n": 2}, {"n": 3}],
        )
        known = {"omendb": omendb, "db": db, "docs": docs, "np": np}
        test = doctest.DocTest(examples, known, name, None, None, document)
        problems = []
        doctest.DocTestRunner(verbose=False).run(test, out=problems.append)
        assert not problems, "".join(problems)


def test_the_example_of_the_architecture(path):
    """What the design promised, word for word, as far as the engine has it."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 384)).astype("f4")
    ids = [f"id-{i}" for i in range(100)] + list(range(100))
    rows = [{"body": f"text {i}", "year": 1990 + i % 40} for i in range(200)]
    q = X[7]
    with omendb.open(path) as db:
        docs = db.create_collection("docs", vectors={"v": omendb.Vector(384, "cosine")},
                                    fields={"body": omendb.Text(), "year": omendb.Int()})
        docs.upsert(ids=ids, vectors=X, documents=rows)
        r = docs.search(q, k=10, where={"year": {"$gte": 1992}}, recall=0.95)
        assert r.ids[0] == "id-7" and len(r.scores) == 10 and r.documents[0] == rows[7]
        assert list(r.scores) == sorted(r.scores, reverse=True)
        for options in ({"ef": 64}, {"exact": True}, {"threads": 2}):
            assert docs.search(q, k=10, **options).ids[0] == "id-7"
        assert docs.search(X[:3], k=10).distances.shape == (3, 10)
        assert docs.get("id-1") == rows[1] and docs.get(3) == rows[103] and docs.get("3") is None
        view = docs.vectors("v")
        assert np.asarray(view).shape == (200, 384) and memoryview(view).readonly
        assert docs.delete(ids=["id-1", 3]) == 2 and docs.delete(where={"year": 1999}) == 5
        assert docs.count() == 193 and db.check()["ok"]
        assert db.collection("docs").count() == 193
        assert isinstance(db.stats()["unindexed"], int)
        assert view.shape == (200, 384)  # Of its moment.
