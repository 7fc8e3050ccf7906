"""Index files of faiss: ids and vectors, decoded where the index holds codes."""

import os
from collections.abc import Iterator
from typing import Any

import omendb

from ._source import ImportFailed, Rows, Source, package, ranges

_EXACT = ("IndexFlat", "IndexFlatL2", "IndexFlatIP", "IndexHNSWFlat", "IndexIVFFlat", "IndexNSGFlat")


def faiss(
    path: str | os.PathLike[str], *, field: str = "v", batch_size: int = 10_000
) -> Source:
    """The index that faiss.write_index() wrote, with the metric that it has (L2, inner product) and
    the ids of an IndexIDMap or an IVF index; else 0, 1 ... Of an index of codes (PQ, SQ ...) come the
    decoded vectors, which a note says.
    """
    library = package("faiss", "faiss-cpu")
    name = os.fspath(path)
    try:
        index = library.read_index(name)
    except RuntimeError as error:
        raise ImportFailed(f"{name}: {str(error).splitlines()[0]}") from error
    metrics = {library.METRIC_L2: "l2", library.METRIC_INNER_PRODUCT: "ip"}
    if index.metric_type not in metrics:
        raise ImportFailed(f"{name}: a metric that OmenDB doesn't have ({index.metric_type})")
    ids, inner = None, library.downcast_index(index)
    if hasattr(inner, "id_map"):
        ids = library.vector_to_array(inner.id_map)
        inner = library.downcast_index(inner.index)
    outer, core = inner, inner
    while type(core).__name__ == "IndexPreTransform":
        core = library.downcast_index(core.index)

    def read() -> Iterator[tuple[Any, Any]]:
        np = package("numpy", "numpy")
        if hasattr(core, "invlists") and outer is core:
            for number in range(core.nlist):
                size = core.invlists.list_size(number)
                keys = library.rev_swig_ptr(core.invlists.get_ids(number), size).copy()
                for begin, end in ranges(size, batch_size):
                    rows = np.empty((end - begin, core.d), "f4")
                    for i in range(begin, end):
                        core.reconstruct_from_offset(
                            number, i, library.swig_ptr(rows[i - begin : i - begin + 1])
                        )
                    yield keys[begin:end], rows
            return
        if hasattr(core, "make_direct_map"):
            core.make_direct_map()
        for begin, end in ranges(outer.ntotal, batch_size):
            yield np.arange(begin, end), outer.reconstruct_n(begin, end - begin)

    def batches() -> Iterator[Rows]:
        for keys, rows in read():
            named = keys if ids is None else ids[keys]
            if len(named) and int(named.min()) < 0:
                raise ImportFailed(f"{name}: a negative id, {int(named.min())}")
            yield Rows([int(id) for id in named], {field: rows}, None)

    source = Source(batches, {field: omendb.Vector(index.d, metrics[index.metric_type])}, index.ntotal)
    source.owner = index  # With it go the objects that are parts of it.
    if type(core).__name__ not in _EXACT or outer is not core:
        source.note(f"{type(core).__name__} holds codes: its vectors are the decoded ones")
    return source
