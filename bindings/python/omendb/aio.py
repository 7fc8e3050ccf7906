"""OmenDB from asyncio: the calls of `omendb` as coroutines.

    >>> import asyncio, omendb.aio
    >>> async def main():
    ...     async with omendb.aio.open(":memory:") as db:
    ...         docs = await db.create_collection("docs", vectors={"v": omendb.Vector(2)})
    ...         await docs.upsert(["a", "b"], [[0, 1], [1, 0]])
    ...         both = await asyncio.gather(docs.search([0, 1], k=1), docs.count())
    ...         return both[0].ids, both[1], [id async for id in docs.ids()]
    >>> asyncio.run(main())
    (['a'], 2, ['a', 'b'])

Each call runs on a thread of the database's own pool, without the GIL inside the engine, so the
event loop goes on. A coroutine that is cancelled stops waiting: its call goes on to its end, and a
write may take place. `timeout=` of searches and `Database.interrupt()` end the call itself.
"""

import functools
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import omendb

__all__ = ["Collection", "Database", "Snapshot", "open"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_PAGE = 1000  # Documents that one call of a thread brings to an iterator.


class _Threads:
    """The pool, which all that comes of a database shares."""

    def __init__(self, count: int | None) -> None:
        self.pool = ThreadPoolExecutor(count, "omendb")
        self.ended = False

    async def run(self, function: Callable[..., _R], *args: Any, **keywords: Any) -> _R:
        call = functools.partial(function, *args, **keywords)
        if self.ended:
            return call()  # Of a closed database: an error, at once.
        return await get_running_loop().run_in_executor(self.pool, call)

    def end(self) -> None:
        self.ended = True
        self.pool.shutdown(wait=False)


def _coroutine(
    method: Callable[Concatenate[Any, _P], _R],
) -> Callable[Concatenate[Any, _P], Coroutine[Any, Any, _R]]:
    """The method of that name, of the object that `self` stands for."""

    @functools.wraps(method)
    async def call(self: Any, /, *args: _P.args, **keywords: _P.kwargs) -> _R:
        result: _R = await self._threads.run(method, self.wrapped, *args, **keywords)
        return result

    return call


class Collection:
    """omendb.Collection, its calls being coroutines.

    >>> async def main():
    ...     async with omendb.aio.open(":memory:") as db:
    ...         docs = await db.create_collection("docs")
    ...         await docs.upsert("a", documents={"n": 1})
    ...         return await docs.get("a"), await docs.get("b", {})
    >>> asyncio.run(main())
    ({'n': 1}, {})
    """

    def __init__(self, wrapped: omendb.Collection, threads: _Threads) -> None:
        self.wrapped = wrapped  #: The omendb.Collection.
        self._threads = threads

    @property
    def name(self) -> str:
        """The collection's name."""
        return self.wrapped.name

    upsert = _coroutine(omendb.Collection.upsert)
    delete = _coroutine(omendb.Collection.delete)
    get_with_version = _coroutine(omendb.Collection.get_with_version)
    get_many = _coroutine(omendb.Collection.get_many)
    vectors = _coroutine(omendb.Collection.vectors)
    find = _coroutine(omendb.Collection.find)
    count = _coroutine(omendb.Collection.count)
    search = _coroutine(omendb.Collection.search)
    set_index = _coroutine(omendb.Collection.set_index)
    wait_indexed = _coroutine(omendb.Collection.wait_indexed)
    describe = _coroutine(omendb.Collection.describe)

    async def get(self, id: int | str, default: Any = None) -> Any:
        """The document, or `default` where there is none."""
        return await self._threads.run(self.wrapped.get, id, default)

    async def _pages(self, where: Any, documents: bool) -> AsyncIterator[omendb.Document]:
        after: int | str | None = None
        while True:
            page = await self.find(where, limit=_PAGE, after=after, documents=documents)
            for document in page:
                yield document
            if len(page) < _PAGE:
                return
            after = page[-1].id

    def items(self, where: Mapping[str, Any] | str | None = None) -> AsyncIterator[omendb.Document]:
        """(id, document) in the order of ids, by pages that each show the state of their moment.

        >>> async def main():
        ...     async with omendb.aio.open(":memory:") as db:
        ...         docs = await db.create_collection("docs")
        ...         await docs.upsert([1, 2], documents=[{"n": 1}, {"n": 2}])
        ...         return {id: doc async for id, doc in docs.items({"n": {"$gt": 1}})}
        >>> asyncio.run(main())
        {2: {'n': 2}}
        """
        return self._pages(where, True)

    async def ids(self, where: Mapping[str, Any] | str | None = None) -> AsyncIterator[int | str]:
        """Ids in order, by pages as items()."""
        async for document in self._pages(where, False):
            yield document.id

    def __aiter__(self) -> AsyncIterator[int | str]:
        return self.ids()

    def __repr__(self) -> str:
        return f"<omendb.aio.Collection {self.name!r}>"


class _Closed:
    """What `async with` closes."""

    async def close(self) -> None:
        """Ends it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class Snapshot(_Closed):
    """The state of one moment: `async with await db.snapshot() as s: await s["docs"].count()`."""

    def __init__(self, wrapped: omendb.Snapshot, threads: _Threads) -> None:
        self.wrapped = wrapped  #: The omendb.Snapshot.
        self._threads = threads

    @property
    def sequence(self) -> int:
        """The last batch that is seen."""
        return self.wrapped.sequence

    def __getitem__(self, collection: str | Collection) -> Collection:
        plain = collection.wrapped if isinstance(collection, Collection) else collection
        return Collection(self.wrapped[plain], self._threads)

    async def close(self) -> None:
        """Lets the versions go that it held."""
        await self._threads.run(self.wrapped.close)


class Database(_Closed):
    """omendb.Database, its calls being coroutines; made by omendb.aio.open()."""

    def __init__(self, wrapped: omendb.Database, threads: _Threads) -> None:
        self.wrapped = wrapped  #: The omendb.Database.
        self._threads = threads

    @property
    def path(self) -> str:
        """Where its file is."""
        return self.wrapped.path

    @property
    def closed(self) -> bool:
        """Has close() been called?"""
        return self.wrapped.closed

    collections = _coroutine(omendb.Database.collections)
    drop_collection = _coroutine(omendb.Database.drop_collection)
    rename_collection = _coroutine(omendb.Database.rename_collection)
    stats = _coroutine(omendb.Database.stats)
    check = _coroutine(omendb.Database.check)
    backup = _coroutine(omendb.Database.backup)
    sync = _coroutine(omendb.Database.sync)
    refresh = _coroutine(omendb.Database.refresh)

    async def create_collection(self, *args: Any, **keywords: Any) -> Collection:
        """omendb.Database.create_collection()."""
        made = await self._threads.run(self.wrapped.create_collection, *args, **keywords)
        return Collection(made, self._threads)

    async def collection(self, name: str) -> Collection:
        """The collection of that name; NotFoundError."""
        return Collection(await self._threads.run(self.wrapped.collection, name), self._threads)

    async def snapshot(self) -> Snapshot:
        """What is there now, kept until it is closed."""
        return Snapshot(await self._threads.run(self.wrapped.snapshot), self._threads)

    async def transact(
        self, function: Callable[[omendb.Transaction], _R], *, tries: int = 10
    ) -> _R:
        """Calls function(transaction) on a thread, commits, and returns what it returned.

        When somebody else changed a document first, all of it is done again, up to `tries` times;
        then ConflictError. What it raises rolls back.

        >>> async def main():
        ...     async with omendb.aio.open(":memory:") as db:
        ...         docs = await db.create_collection("docs")
        ...         def add(t):
        ...             n = t["docs"].get("n", {"n": 0})["n"] + 1
        ...             t["docs"].upsert("n", documents={"n": n})
        ...             return n
        ...         await asyncio.gather(*(db.transact(add, tries=1000) for _ in range(5)))
        ...         return await docs.get("n")
        >>> asyncio.run(main())
        {'n': 5}
        """

        def once() -> _R:
            with self.wrapped.transaction() as transaction:
                return function(transaction)

        for left in reversed(range(max(tries, 1))):
            try:
                return await self._threads.run(once)
            except omendb.ConflictError:
                if left == 0:
                    raise
        raise AssertionError("not reached")

    def interrupt(self) -> None:
        """Ends the running calls of this database with InterruptedError; doesn't wait."""
        self.wrapped.interrupt()

    async def close(self) -> None:
        """Waits for the running calls, then closes."""
        await self._threads.run(self.wrapped.close)
        self._threads.end()

    def __repr__(self) -> str:
        return f"<omendb.aio.Database {self.path!r}>"


class _Opening:
    """What open() gives: to be awaited, or entered by `async with`."""

    def __init__(self, threads: int | None, args: tuple[Any, ...], keywords: Any) -> None:
        self._call = (threads, args, keywords)
        self._database: Database | None = None

    async def _open(self) -> Database:
        count, args, keywords = self._call
        threads = _Threads(count)
        try:
            return Database(await threads.run(omendb.open, *args, **keywords), threads)
        except BaseException:
            threads.end()
            raise

    def __await__(self) -> Generator[Any, None, Database]:
        return self._open().__await__()

    async def __aenter__(self) -> Database:
        self._database = await self._open()
        return self._database

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._database is not None:
            await self._database.close()


def open(*args: Any, threads: int | None = None, **keywords: Any) -> _Opening:
    """omendb.open(): `db = await open(path)`, or `async with open(path) as db`.

    threads: of the pool; None: as many as concurrent.futures.ThreadPoolExecutor takes.
    """
    return _Opening(threads, args, keywords)
