"""Index files of hnswlib: labels become ids, elements vectors."""

import os
import struct
from collections.abc import Iterator
from typing import Any

import omendb

from ._source import ImportFailed, Rows, Source, package, ranges

_SPACES = {"l2": "l2", "cosine": "cosine", "ip": "ip"}


def _header(path: str) -> tuple[int, int]:
    """Dimension and number of elements, as the head of the file implies: six 64-bit integers, of which
    the last two are where an element's label and its vector begin."""
    with open(path, "rb") as file:
        head = file.read(48)
    if len(head) < 48:
        raise ImportFailed(f"{path}: too short for an hnswlib index")
    _, most, count, size, label, data = struct.unpack("<6Q", head)
    whole = count <= most and data < label and label + 8 <= size and size < 1 << 32
    if not whole or (label - data) % 4 != 0 or count * size > os.path.getsize(path):
        raise ImportFailed(f"{path}: not an hnswlib index of f32 vectors")
    return (label - data) // 4, count


def _elements(index: Any, labels: list[int]) -> tuple[list[int], Any]:
    """Those that aren't marked as deleted, which are refused by name."""
    np = package("numpy", "numpy")
    try:
        return labels, np.asarray(index.get_items(labels), "f4")
    except RuntimeError:
        pass
    live, rows = [], []
    for label in labels:
        try:
            rows.append(np.asarray(index.get_items([label])[0], "f4"))
        except RuntimeError:
            continue
        live.append(label)
    return live, np.stack(rows) if rows else np.empty((0, index.dim), "f4")


def hnswlib(
    path: str | os.PathLike[str],
    metric: str,
    *,
    field: str = "v",
    batch_size: int = 10_000,
) -> Source:
    """The index that hnswlib.Index.save_index() wrote. The file doesn't tell its space: `metric` is
    'l2', 'cosine' or 'ip'. Elements that were marked as deleted are left out, and counted.
    """
    library = package("hnswlib", "hnswlib")
    if metric not in _SPACES:
        raise ValueError(f"metric {metric!r}: 'l2', 'cosine' or 'ip'")
    name = os.fspath(path)
    dim, count = _header(name)
    index = library.Index(space=_SPACES[metric], dim=dim)
    try:
        index.load_index(name)
    except (RuntimeError, MemoryError) as error:
        raise ImportFailed(f"{name}: {error}") from error
    labels = [int(label) for label in index.get_ids_list()]
    live, vectors = _elements(index, labels)

    def batches() -> Iterator[Rows]:
        for begin, end in ranges(len(live), batch_size):
            yield Rows(live[begin:end], {field: vectors[begin:end]}, None)

    source = Source(batches, {field: omendb.Vector(dim, metric)}, len(live))
    if len(live) != count:
        source.note(f"{count - len(live)} elements that were marked as deleted are left out")
    if metric == "cosine":
        source.note("hnswlib keeps vectors of the space 'cosine' at length 1: that is what comes")
    return source
