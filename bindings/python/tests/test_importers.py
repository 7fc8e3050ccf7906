"""omendb.importers: what the real packages wrote comes in whole, or a message says what doesn't."""

import datetime
import json
import subprocess
import sys

import pytest

import omendb
import omendb.importers

np = pytest.importorskip("numpy")


def rows_of(n, dim, kind="f4"):
    return np.random.default_rng(n).normal(size=(n, dim)).astype(kind)


def main(*words):
    return subprocess.run([sys.executable, "-m", "omendb.importers", *map(str, words)],
                          capture_output=True, text=True)


# ---- Parquet -------------------------------------------------------------------------------


@pytest.fixture
def arrow():
    pytest.importorskip("pyarrow.parquet")
    import pyarrow

    return pyarrow


def write_parquet(arrow, path, n, begin=0, dim=4, **columns):
    X = rows_of(n, dim)
    table = arrow.table({
        "id": [f"r{begin + i}" for i in range(n)],
        "v": arrow.FixedSizeListArray.from_arrays(arrow.array(X.ravel()), dim),
        "year": arrow.array(range(begin, begin + n), arrow.int32()),
        **columns,
    })
    arrow.parquet.write_table(table, path, row_group_size=7)
    return X


def test_parquet_files_come_whole(arrow, db, tmp_path):
    import pyarrow.parquet

    day = datetime.date(2026, 1, 2)
    nested = [{"a": [1, None]}] * 20
    X = write_parquet(arrow, tmp_path / "part-1.parquet", 20, day=[day] * 20, nested=nested)
    Y = write_parquet(arrow, tmp_path / "part-2.parquet", 20, 20, day=[day] * 20, nested=nested)
    seen = []
    source = omendb.importers.parquet(tmp_path / "part-*.parquet", metric="l2", batch_size=6)
    assert source.total == 40 and repr(source.vectors["v"]).startswith("omendb.Vector(4, 'l2'")
    summary = source.into(db, "docs", progress=lambda done, total: seen.append((done, total)))
    assert summary["rows"] == summary["documents"] == 40 and seen[-1] == (40, 40)
    assert summary["notes"] == ["dates and times become ISO 8601 strings"]
    docs = db["docs"]
    assert docs["r3"] == {"year": 3, "day": "2026-01-02", "nested": {"a": [1, None]}}
    wanted = np.concatenate([X, Y])
    for i in (0, 19, 20, 39):
        assert docs.vectors("v", [f"r{i}"]).tolist() == [wanted[i].tolist()]


def test_parquet_says_what_it_cannot_take(arrow, db, tmp_path):
    import pyarrow.parquet

    def made(**columns):
        path = tmp_path / "x.parquet"
        arrow.parquet.write_table(arrow.table(columns), path)
        return path

    def refused(words, path, **options):
        with pytest.raises(omendb.importers.ImportFailed, match=words):
            omendb.importers.parquet(path, **options).into(db, "docs")
        assert "docs" not in db

    refused("no column w", made(id=[1]), vectors={"w": "l2"})
    refused("doesn't hold vectors", made(id=[1], w=["x"]), vectors={"w": "l2"})
    refused("row 1, v: 1 components", made(id=[1, 2], v=[[1.0, 2.0], [3.0]]), vectors={"v": "l2"})
    refused("row 1, id: None", made(id=[1, None], n=[1, 2]))
    refused("no such files", str(tmp_path / "y-*.parquet"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + bytes(40))
    refused("bad.parquet", tmp_path / "bad.parquet")
    other = tmp_path / "z.parquet"
    arrow.parquet.write_table(arrow.table({"q": [1]}), other)
    refused("aren't those of", [made(id=[1]), other])


def test_parquet_without_vectors_ids_or_finite_numbers(arrow, db, tmp_path):
    import pyarrow.parquet

    path = tmp_path / "x.parquet"
    table = arrow.table({"n": [1.5, float("nan")], "b": [b"\0\1", None],
                         "d": arrow.array([[1.0, 2.0], None])})
    arrow.parquet.write_table(table, path)
    source = omendb.importers.parquet(path, vectors={"d": "l2"})
    summary = source.into(db, "docs")
    assert db["docs"][0] == {"n": 1.5, "b": b"\0\1"} and db["docs"][1] == {"n": None, "b": None}
    assert db["docs"].vectors("d", [0]).tolist() == [[1.0, 2.0]]
    with pytest.raises(omendb.NotFoundError):
        db["docs"].vectors("d", [1])
    assert len(summary["notes"]) == 2


# ---- Indexes -------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["l2", "ip", "cosine"])
def test_hnswlib_indexes_come_whole(db, tmp_path, space):
    library = pytest.importorskip("hnswlib")
    X, path = rows_of(300, 24), tmp_path / "x.bin"
    index = library.Index(space=space, dim=24)
    index.init_index(max_elements=500)
    index.add_items(X, np.arange(300) * 10)
    index.mark_deleted(70)
    index.save_index(str(path))
    source = omendb.importers.hnswlib(path, space)
    summary = source.into(db, "docs")
    docs = db["docs"]
    assert summary["documents"] == 299 and 70 not in docs and 80 in docs
    assert "1 elements that were marked as deleted" in summary["notes"][0]
    wanted = X[8] / np.linalg.norm(X[8]) if space == "cosine" else X[8]
    assert np.allclose(np.asarray(docs.vectors("v", [80])), wanted, atol=1e-6)
    assert docs.search(X[8], k=1, exact=True).ids == [80] or space == "ip"


def test_what_is_no_hnswlib_index_is_refused(tmp_path):
    pytest.importorskip("hnswlib")
    path = tmp_path / "x.bin"
    for content in (b"", b"x" * 47, bytes(200), b"\xff" * 4000):
        path.write_bytes(content)
        with pytest.raises(omendb.importers.ImportFailed, match="x.bin"):
            omendb.importers.hnswlib(path, "l2")
    with pytest.raises(ValueError, match="metric"):
        omendb.importers.hnswlib(path, "manhattan")


@pytest.mark.parametrize("factory, exact", [("Flat", True), ("HNSW8", True), ("IVF4,Flat", True),
                                            ("IDMap,Flat", True), ("IDMap2,HNSW8", True), ("SQ8", False),
                                            ("IVF4,SQ8", False), ("IDMap,PQ6", False)])
def test_faiss_indexes_come_whole(db, tmp_path, factory, exact):
    library = pytest.importorskip("faiss")
    X, path = rows_of(400, 24), tmp_path / "x.faiss"
    index = library.index_factory(24, factory, library.METRIC_INNER_PRODUCT)
    index.train(X)
    named = factory.startswith(("ID", "IVF"))
    ids = np.arange(400) * 7 if named else np.arange(400)
    index.add_with_ids(X, ids) if named else index.add(X)
    library.write_index(index, str(path))
    source = omendb.importers.faiss(path)
    assert source.vectors["v"].metric == "ip"
    summary = source.into(db, "docs")
    assert summary["documents"] == 400 and bool(summary["notes"]) is not exact
    got = np.asarray(db["docs"].vectors("v", [int(id) for id in ids]))
    if exact:
        assert got.tobytes() == X.tobytes()
    else:
        assert 0 < np.abs(got - X).mean() < 1


def test_what_is_no_faiss_index_is_refused(tmp_path):
    pytest.importorskip("faiss")
    path = tmp_path / "x.faiss"
    path.write_bytes(b"nonsense" * 10)
    with pytest.raises(omendb.importers.ImportFailed, match="x.faiss"):
        omendb.importers.faiss(path)


# ---- Into a collection ---------------------------------------------------------------------


def a_source(n=10, broken=False):
    X = rows_of(n, 3)

    def batches():
        for i in range(0, n, 4):
            part = X[i : i + 4]
            yield omendb.importers._source.Rows(list(range(i, i + len(part))), {"v": part}, None)
            if broken:
                raise omendb.importers.ImportFailed("half way")

    return omendb.importers.Source(batches, {"v": omendb.Vector(3)}, n)


def test_a_new_collection_is_whole_or_not_there(db):
    with pytest.raises(omendb.importers.ImportFailed):
        a_source(broken=True).into(db, "docs")
    assert "docs" not in db
    with pytest.raises(KeyboardInterrupt):
        a_source().into(db, "docs", progress=lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert "docs" not in db
    assert a_source().into(db, "docs")["documents"] == 10
    with pytest.raises(omendb.ExistsError):
        a_source().into(db, "docs")
    assert a_source(20).into(db, "docs", if_exists="append")["documents"] == 20
    with pytest.raises(omendb.importers.ImportFailed):
        a_source(40, broken=True).into(db, "docs", if_exists="append")
    assert len(db["docs"]) == 20


def test_the_command(arrow, tmp_path):
    import pyarrow.parquet

    write_parquet(arrow, tmp_path / "x.parquet", 12)
    words = ("parquet", tmp_path / "x.parquet", "--to", tmp_path / "x.omen", "--collection", "docs")
    dry = main(*words, "--dry-run", "--json")
    assert json.loads(dry.stdout)["rows"] == 12 and not (tmp_path / "x.omen").exists()
    done = main(*words, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["documents"] == 12, done.stderr
    again = main(*words)
    assert again.returncode == 3 and "there is a collection docs" in again.stderr
    assert main(*words, "--append").returncode == 0
    assert main("parquet", "--help").returncode == 0
    assert main("nothing").returncode == 2
    missing = main("parquet", tmp_path / "no.parquet", "--to", tmp_path / "y.omen", "--collection", "c")
    assert missing.returncode == 3 and "no.parquet" in missing.stderr


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match="pip install faiss-cpu"):
        omendb.importers.faiss("x")
