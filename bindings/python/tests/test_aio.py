"""omendb.aio: the same answers as the plain calls, beside one another, and out of the loop's way."""

import asyncio
import doctest
import gc
import inspect
import subprocess
import sys
import threading

import pytest

import omendb
import omendb.aio

ROWS = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def run(path, use):
    """use(db, docs) with three documents."""

    async def main():
        async with omendb.aio.open(path) as db:
            docs = await db.create_collection("docs", vectors={"v": omendb.Vector(3)})
            await docs.upsert(["a", "b", 7], ROWS, [{"n": 1}, {"n": 2}, {"n": 3}])
            return await use(db, docs)

    return asyncio.run(main())


def test_answers_are_those_of_the_plain_calls(path):
    async def use(db, docs):
        plain = docs.wrapped
        hits = await docs.search([1, 0, 0], k=2, where={"n": {"$lt": 3}})
        assert hits.ids == plain.search([1, 0, 0], k=2, where={"n": {"$lt": 3}}).ids
        assert await docs.get("a") == {"n": 1} and await docs.get("c", 5) == 5
        assert await docs.get_many(["a", "c"]) == [{"n": 1}, None]
        assert await docs.get_with_version("a") == plain.get_with_version("a")
        assert (await docs.vectors()).tolist() == plain.vectors().tolist()
        assert await docs.count() == 3 and await docs.describe() == plain.describe()
        assert [d.id for d in await docs.find(limit=2)] == [d.id for d in plain.find(limit=2)]
        assert await docs.delete("b") == 1 and await docs.count() == 2
        assert await db.collections() == ["docs"] and db.path == str(path) and not db.closed
        assert (await db.check())["ok"] and "unindexed" in await db.stats()
        await docs.set_index(None, "exact")
        await docs.wait_indexed(timeout=10)
        await db.rename_collection("docs", "papers")
        assert docs.name == "papers" and "papers" in repr(docs)
        await db.sync()
        await db.refresh()
        await db.backup(str(path) + ".copy")
        await db.drop_collection("papers")
        with pytest.raises(omendb.NotFoundError):
            await db.collection("papers")
        with pytest.raises(omendb.NotFoundError):
            await docs.count()
        return db

    db = run(path, use)
    assert db.closed
    with omendb.open(str(path) + ".copy", read_only=True) as copy:
        assert list(copy["papers"]) == [7, "a"]


def test_many_calls_go_on_at_once(path):
    async def use(db, docs):
        await asyncio.gather(*(docs.upsert(i, [i, 0, 0], {"n": i}) for i in range(100, 200)))
        found = await asyncio.gather(*(docs.search([i, 0, 0], k=1) for i in range(100, 200)))
        assert [hits.ids for hits in found] == [[i] for i in range(100, 200)]

    run(path, use)


def test_the_loop_turns_while_a_call_lasts(path):
    """The thread of the loop sets what the callback on the other thread waits for."""

    async def use(db, docs):
        gate, seen = threading.Event(), []

        def progress(done, total):
            assert gate.wait(10)
            seen.append(threading.current_thread())

        task = asyncio.create_task(db.backup(str(path) + ".copy", progress=progress))
        for _ in range(100):
            await asyncio.sleep(0)
        gate.set()
        await task
        assert seen and threading.current_thread() not in seen

    run(path, use)


def test_iterators_bring_all_in_order(path, monkeypatch):
    monkeypatch.setattr(omendb.aio, "_PAGE", 7)

    async def use(db, docs):
        await docs.upsert(list(range(100, 160)), documents=[{"n": i} for i in range(100, 160)])
        items = [item async for item in docs.items()]
        assert items == list(docs.wrapped.items())
        assert [id async for id in docs] == list(docs.wrapped)
        assert [id async for id in docs.ids({"n": {"$gte": 156}})] == [156, 157, 158, 159]
        assert [id async for id in docs.ids({"n": -1})] == []

    run(path, use)


def test_transactions_are_tried_again(path):
    async def use(db, docs):
        def add(transaction):
            seen = transaction["docs"]
            seen.upsert("sum", documents={"n": seen.get("sum", {"n": 0})["n"] + 1})
            return seen.get("sum")["n"]

        sums = await asyncio.gather(*(db.transact(add, tries=10000) for _ in range(20)))
        assert sorted(sums) == list(range(1, 21)) and await docs.get("sum") == {"n": 20}

        def in_the_way(transaction):
            transaction["docs"].upsert("a", documents={})
            docs.wrapped.upsert("a", documents={"n": 9})

        with pytest.raises(omendb.ConflictError):
            await db.transact(in_the_way, tries=2)
        with pytest.raises(ZeroDivisionError):
            await db.transact(lambda t: (t["docs"].upsert("x"), 1 // 0))
        assert await docs.get("x") is None

    run(path, use)


def test_snapshots(path):
    async def use(db, docs):
        async with await db.snapshot() as snapshot:
            await docs.delete("a")
            assert await snapshot["docs"].count() == 3 and await docs.count() == 2
            assert await snapshot[docs].get("a") == {"n": 1} and snapshot.sequence > 0

    run(path, use)


def test_errors_come_as_they_are_and_leave_nothing_open(path):
    async def main():
        with pytest.raises(omendb.NotFoundError):
            async with omendb.aio.open(path, create=False):
                pass
        with pytest.raises(TypeError):
            await omendb.aio.open(path, no_such=1)
        db = await omendb.aio.open(path, threads=1)
        with pytest.raises(omendb.BusyError):
            await omendb.aio.open(path)
        docs = await db.create_collection("docs", vectors={"v": omendb.Vector(3)})
        with pytest.raises(omendb.DimensionError):
            await docs.upsert(1, [1, 2])
        db.interrupt()
        await db.close()
        await db.close()
        with pytest.raises(omendb.MisuseError):
            await docs.count()

    before = threading.active_count()
    asyncio.run(main())
    gc.collect()
    assert threading.active_count() == before


def test_a_cancelled_call_ends_by_itself(path):
    async def use(db, docs):
        task = asyncio.create_task(docs.upsert(8, [1, 1, 1]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await docs.count() in (3, 4)  # As the documentation says.

    run(path, use)


THINGS = {
    "aio": omendb.aio,
    **{name: getattr(omendb.aio, name) for name in omendb.aio.__all__},
    "Collection.items": omendb.aio.Collection.items,
    "Database.transact": omendb.aio.Database.transact,
}


@pytest.mark.parametrize("name", THINGS)
def test_the_examples_hold(name):
    document = inspect.getdoc(THINGS[name])
    examples = doctest.DocTestParser().get_examples(document)
    problems = []
    known = {"asyncio": asyncio, "omendb": omendb}
    doctest.DocTestRunner(verbose=False).run(
        doctest.DocTest(examples, known, name, None, None, document), out=problems.append)
    assert not problems, "".join(problems)


@pytest.mark.parametrize("kind", [omendb.aio.Collection, omendb.aio.Database, omendb.aio.Snapshot])
def test_everything_public_is_documented(kind):
    for name, member in vars(kind).items():
        assert name.startswith("_") or inspect.getdoc(member), name
        if inspect.iscoroutinefunction(member):
            assert member.__name__ == name


def test_the_package_itself_imports_no_asyncio():
    code = "import sys, omendb; assert 'asyncio' not in sys.modules, 'imported'"
    subprocess.run([sys.executable, "-c", code], check=True)
