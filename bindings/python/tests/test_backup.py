"""Backups, restoring, repairing."""

import pytest

import omendb


@pytest.fixture
def rows(docs):
    docs.upsert(ids=list(range(200)), vectors=[[i, 1, 2] for i in range(200)],
                documents=[{"n": i, "text": f"t{i} " * 1000} for i in range(200)])
    return docs


def content(path, name="docs"):
    with omendb.open(path, read_only=True) as db:
        docs = db[name]
        return dict(docs.items()), docs.vectors("v").tolist(), docs.vectors("v").ids


def test_a_backup_is_a_database_of_its_own(db, rows, path, tmp_path):
    copy = tmp_path / "copy.omen"
    calls = []
    assert db.backup(copy, progress=lambda done, total: calls.append((done, total))) is None
    assert calls[0][0] == 0 and calls[-1][0] == calls[-1][1] > 0
    before = content(copy)
    rows.delete(7)
    assert content(copy) == before and before[0][7]["n"] == 7
    with omendb.open(copy) as other:
        assert other.check(deep=True)["ok"]
        other["docs"].upsert("new", [1, 2, 3])
    assert "new" not in rows


def test_nothing_is_replaced_unless_asked(db, rows, tmp_path):
    copy = str(tmp_path / "copy.omen")
    db.backup(copy)
    with pytest.raises(omendb.ExistsError):
        db.backup(copy)
    rows.delete(7)
    db.backup(copy.encode(), replace=True)
    assert len(content(copy)[0]) == 199


def test_an_exception_of_progress_ends_it(db, rows, tmp_path):
    def stop(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        db.backup(tmp_path / "copy.omen", progress=stop)
    with pytest.raises(TypeError):
        db.backup(tmp_path / "copy.omen", progress=3)
    assert sorted(p.name for p in tmp_path.iterdir() if "copy" in p.name) == []


def test_increments_are_restored_in_order(db, rows, tmp_path):
    names = [tmp_path / "full", tmp_path / "one", tmp_path / "two"]
    contents = []
    for i, name in enumerate(names):
        rows.upsert(f"step {i}", [0, 0, i], {"step": i})
        db.backup(name, base=names[i - 1] if i else None)
        db.backup(tmp_path / "now", replace=True)
        contents.append(content(tmp_path / "now"))
    assert names[1].stat().st_size < names[0].stat().st_size
    for i in range(3):
        omendb.restore(tmp_path / "back", names[: i + 1], replace=True)
        assert content(tmp_path / "back") == contents[i]
    with pytest.raises(omendb.NotFoundError):
        omendb.restore(tmp_path / "none", names[1:])
    with pytest.raises(omendb.ArgumentError):
        omendb.restore(tmp_path / "none", [])
    with pytest.raises(TypeError):
        omendb.restore(tmp_path / "none", [3])
    with omendb.open(":memory:") as other, pytest.raises(omendb.UnsupportedError):
        other.backup(tmp_path / "none", base=names[0])
    assert not (tmp_path / "none").exists()


def test_a_database_in_memory_can_be_kept(tmp_path):
    with omendb.open(":memory:") as db:
        docs = db.create_collection("docs", vectors={"v": omendb.Vector(2)})
        docs.upsert(["a", 1], [[1, 2], [3, 4]], [{"x": 1}, {"x": b"\0"}])
        db.backup(tmp_path / "kept.omen")
    assert content(tmp_path / "kept.omen")[0] == {"a": {"x": 1}, 1: {"x": b"\0"}}


def test_repair_tells_what_is_lost(db, rows, path, tmp_path):
    db.close()
    whole = omendb.repair(path, tmp_path / "whole.omen")
    assert whole["complete"] and whole["collections"][0]["documents"] == 200
    data = bytearray(path.read_bytes())
    data[data.index(b"t150 t150 ")] = 0
    path.write_bytes(data)
    calls = []
    report = omendb.repair(path, tmp_path / "out.omen", progress=lambda *now: calls.append(now))
    (part,) = report["collections"]
    assert not report["complete"] and calls and 150 in part["lost_ids"]
    kept = content(tmp_path / "out.omen")[0]
    assert set(kept) == set(range(200)) - set(part["lost_ids"])
    with pytest.raises(omendb.ArgumentError):
        omendb.repair(path, path, replace=True)
    path.write_bytes(b"nothing" * 30000)
    with pytest.raises(omendb.CorruptError):
        omendb.repair(path, tmp_path / "none.omen")


def test_a_closed_database_has_no_backup(db, tmp_path):
    db.close()
    with pytest.raises(omendb.MisuseError):
        db.backup(tmp_path / "copy.omen")
