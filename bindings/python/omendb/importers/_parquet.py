"""Parquet files: columns become fields, columns of lists of numbers vectors."""

import datetime
import decimal
import glob
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import omendb

from ._source import ImportFailed, Rows, Source, package

_IDS = ("id", "_id")


def _plain(value: Any, source: Source) -> Any:
    """As JSON has it."""
    if isinstance(value, float) and not math.isfinite(value):
        source.note("numbers that are NaN or infinite become null")
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item, source) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, source) for item in value]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        source.note("dates and times become ISO 8601 strings")
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        source.note("durations become seconds")
        return value.total_seconds()
    if isinstance(value, decimal.Decimal):
        source.note("decimal numbers become strings")
        return str(value)
    return value


def _files(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    found: list[str] = []
    for path in (os.fspath(one) for one in given):
        names = sorted(glob.glob(path)) if glob.has_magic(path) else [path]
        if not names:
            raise ImportFailed(f"{path}: there are no such files")
        found.extend(names)
    if not found:
        raise ImportFailed("no file was given")
    return found


def _element(arrow: Any, kind: Any) -> str | None:
    """The type of a vector field whose column has that type; None: it is no column of vectors."""
    lists = (arrow.types.is_list, arrow.types.is_large_list, arrow.types.is_fixed_size_list)
    if not any(is_list(kind) for is_list in lists):
        return None
    names = {"halffloat": "f16", "float": "f32", "double": "f32", "int8": "i8", "uint8": "u8"}
    return names.get(str(kind.value_type))


def parquet(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    id: str | None = None,
    vectors: Mapping[str, str] | None = None,
    metric: str = "cosine",
    batch_size: int = 10_000,
) -> Source:
    """One file, several, or patterns. `id`: the column of the ids (default: `id` or `_id`, else rows are
    numbered from 0). `vectors`: {column: metric} of those that are vectors (default: all columns of
    fixed-size lists of numbers, with `metric`). All other columns become fields of the documents.
    """
    arrow = package("pyarrow", "pyarrow")
    reader = package("pyarrow.parquet", "pyarrow")
    np = package("numpy", "numpy")
    names = _files(paths)
    try:
        files = [reader.ParquetFile(name) for name in names]
    except (arrow.ArrowInvalid, OSError) as error:
        raise ImportFailed(f"{names[0]}: {error}") from error
    schema = files[0].schema_arrow
    for name, file in zip(names, files):
        if not file.schema_arrow.equals(schema):
            raise ImportFailed(f"{name}: its columns aren't those of {names[0]}")
    if vectors is None:
        fixed = arrow.types.is_fixed_size_list
        vectors = {f.name: metric for f in schema if fixed(f.type) and _element(arrow, f.type)}
    for column in (*vectors, *((id,) if id is not None else ())):
        if column not in schema.names:
            raise ImportFailed(f"{names[0]}: there is no column {column}")
    if id is None:
        id = next((column for column in _IDS if column in schema.names), None)

    def declare(column: str) -> omendb.Vector:
        kind = schema.field(column).type
        element = _element(arrow, kind)
        if element is None:
            raise ImportFailed(f"the column {column} ({kind}) doesn't hold vectors")
        dim = kind.list_size if arrow.types.is_fixed_size_list(kind) else _dim(files, column)
        return omendb.Vector(dim, vectors[column], element)

    declared = {column: declare(column) for column in vectors}
    total = sum(file.metadata.num_rows for file in files)
    source = Source(lambda: batches(), declared, total)
    if any(str(schema.field(column).type.value_type) == "double" for column in vectors):
        source.note("vectors of f64 are rounded to f32")

    def column_of(batch: Any, column: str, begin: int) -> Any:
        field = declared[column]
        dtype = {"f16": "f2", "f32": "f4", "i8": "i1", "u8": "u1"}[field.type]
        rows = [None if row is None else np.asarray(row, dtype) for row in batch[column].to_pylist()]
        for i, row in enumerate(rows):
            if row is not None and row.shape != (field.dim,):
                raise ImportFailed(
                    f"row {begin + i}, {column}: {row.size} components instead of {field.dim}"
                )
        return np.stack(rows) if rows and all(row is not None for row in rows) else rows

    def batches() -> Iterator[Rows]:
        begin = 0
        others = [column for column in schema.names if column not in declared and column != id]
        for file in files:
            for batch in file.iter_batches(batch_size):
                count = batch.num_rows
                ids = list(range(begin, begin + count)) if id is None else batch[id].to_pylist()
                for i, one in enumerate(ids):
                    if not isinstance(one, (int, str)):
                        raise ImportFailed(f"row {begin + i}, {id}: {one!r} can't be an id")
                documents = [
                    _plain(row, source) for row in batch.select(others).to_pylist()
                ] if others else None
                found = {column: column_of(batch, column, begin) for column in declared}
                yield Rows(ids, found, documents)
                begin += count

    return source


def _dim(files: Sequence[Any], column: str) -> int:
    """Of the first vector in a column of lists of any length."""
    for file in files:
        for batch in file.iter_batches(1000, columns=[column]):
            for row in batch[column].to_pylist():
                if row:
                    return len(row)
    raise ImportFailed(f"the column {column} holds no vector")
