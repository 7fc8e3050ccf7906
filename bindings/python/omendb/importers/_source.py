"""What all importers have in common: a source of rows, and how it gets into a collection."""

import importlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import omendb

CHECKED = 100  # Rows whose vectors are compared at the end.


class ImportFailed(Exception):
    """The source can't be read, or says something that OmenDB can't hold."""


class Rows(NamedTuple):
    """Some rows: their ids, vectors by field (None where a row has none), documents."""

    ids: Sequence[int | str]
    vectors: dict[str, Any]
    documents: list[dict[str, Any]] | None


class Source:
    """What is to be imported: `vectors` declares the fields, `total` counts the rows (None: not
    known), `notes` says what isn't carried over as it was. Made by the functions of
    omendb.importers.
    """

    def __init__(
        self,
        batches: Callable[[], Iterator[Rows]],
        vectors: dict[str, omendb.Vector],
        total: int | None,
    ) -> None:
        self._batches = batches
        self.vectors = vectors
        self.total = total
        self.notes: list[str] = []
        self.owner: Any = None  # What the batches are read from, when it must be kept.

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def into(
        self,
        db: omendb.Database,
        collection: str,
        *,
        if_exists: Literal["fail", "append"] = "fail",
        progress: Callable[[int, int | None], object] | None = None,
        wait: bool = True,
    ) -> dict[str, Any]:
        """Writes all rows; returns {'collection', 'rows', 'documents', 'notes'}.

        A new collection is made as a whole: what fails takes it away again. With
        if_exists='append' rows are upserted into the one that is there, and the batches before a
        failure stay. `progress(done, total)` after each batch; what it raises ends the import.
        Then the graph is waited for (`wait`), documents are counted, and the vectors of a hundred
        rows are compared with the source's, byte for byte.
        """
        there = collection in db
        if there and if_exists == "fail":
            raise omendb.ExistsError(f"there is a collection {collection} already")
        target = db[collection] if there else db.create_collection(collection, vectors=self.vectors)
        try:
            summary = self._write(target, progress, whole=not there)
        except BaseException:
            if not there:
                db.drop_collection(collection)
            raise
        if wait:
            target.wait_indexed()
        return {"collection": collection, **summary, "notes": list(self.notes)}

    def _write(
        self,
        target: omendb.Collection,
        progress: Callable[[int, int | None], object] | None,
        whole: bool,
    ) -> dict[str, Any]:
        done = 0
        sample: list[tuple[int | str, dict[str, Any]]] = []
        for rows in self._batches():
            target.upsert(rows.ids, rows.vectors or None, rows.documents)
            done += len(rows.ids)
            step = max(1, (self.total or 1) // CHECKED)
            for i in range(0, len(rows.ids), step):
                if len(sample) < CHECKED:
                    sample.append((rows.ids[i], {f: v[i] for f, v in rows.vectors.items()}))
            if progress is not None:
                progress(done, self.total)
        if self.total is not None and done != self.total:
            raise ImportFailed(f"the source gave {done} of {self.total} rows")
        documents = target.count()
        if whole and documents < done:
            self.note(f"{done - documents} rows had the id of an earlier row and replaced it")
        if whole and documents == done:
            _compare(target, sample)
        return {"rows": done, "documents": documents}


def _compare(target: omendb.Collection, sample: Iterable[tuple[int | str, dict[str, Any]]]) -> None:
    for id, vectors in sample:
        for field, vector in vectors.items():
            if vector is None:
                continue
            stored = target.vectors(field, [id])
            wanted = bytes(memoryview(vector).cast("B"))
            if bytes(memoryview(stored).cast("B")) != wanted:
                raise ImportFailed(f"{id}: the vector {field} isn't what was written")


def package(name: str, install: str) -> Any:
    """The package of another store, imported late."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{name} is needed to read this: pip install {install}") from error


def ranges(count: int, size: int) -> Iterator[tuple[int, int]]:
    """[begin, end) of batches."""
    for begin in itertools.count(0, size):
        if begin >= count:
            return
        yield begin, min(begin + size, count)
